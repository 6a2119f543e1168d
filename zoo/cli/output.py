"""Printing: results on stdout, everything else on stderr. rich is imported only for a terminal."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo.cli.streams import UNSAFE, printable, say
from zoo.estimate import Estimate

if TYPE_CHECKING:
    from zoo.artifact.manifest import Compared

V = TypeVar("V")
MAX_WIDTH = 120


def note(message: str) -> None:
    """A line about the current work, on stderr."""
    say(message, err=True)


def print_json(data: Any) -> None:
    text = json.dumps(_plain(data), indent=1, ensure_ascii=False, allow_nan=False)
    say(UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text))


def _plain(value: Any) -> Any:
    """`value` in JSON types; non-finite numbers become null."""
    if isinstance(value, Estimate):
        return _plain(value.to_json())
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: fitted to the terminal, or in full width for a pipe."""
    titles = [printable(column) for column in columns]
    cells = [["" if c is None else printable(str(c)) for c in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        view = Table(box=None, pad_edge=False, header_style="bold")
        for i, title in enumerate(titles):
            view.add_column(Text(title), no_wrap=i == 0, overflow="fold")
        for row in cells:
            view.add_row(*map(Text, row))
        Console().print(view)
        return
    widths = [max(len(row[i]) for row in [titles, *cells]) for i in range(len(titles))]
    for row in [titles, *cells]:
        say("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names with their values, one per line; long values are wrapped on a terminal."""
    shown = [(printable(name), printable(str(value))) for name, value in pairs if value not in (None, "", (), [], {})]
    indent = max((len(name) for name, _ in shown), default=0) + 2
    for name, value in shown:
        for i, line in enumerate(wrapped(value, indent)):
            say(line, mark=click.style(name.ljust(indent), bold=True) if i == 0 else " " * indent)


def text(value: str) -> None:
    """A paragraph, wrapped on a terminal."""
    for line in wrapped(printable(value)):
        say(line)


def wrapped(value: str, indent: int = 0) -> list[str]:
    """The lines of a value: wrapped to the terminal width less `indent`, unwrapped for a pipe."""
    room = min(shutil.get_terminal_size().columns, MAX_WIDTH) - indent if sys.stdout.isatty() else 10**6
    return [part for line in value.split("\n") for part in textwrap.wrap(line, max(room, 20)) or [""]]


def number(value: object) -> str:
    """A number for display: five digits of a float, thousands separators in an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def figures(
    values: Mapping[str, Estimate],
    histogram: Mapping[str, Estimate] | None = None,
    remarks: Sequence[str] = (),
    meanings: Mapping[str, str] | None = None,
) -> None:
    """Figures with their standard errors, next to those of real data; then the classes of samples, and remarks.
    `meanings` say what a model's own figures are."""
    from zoo.evaluation.descriptions import meaning

    own = meanings or {}
    rows = [
        [name, f, f.real, number(f.rows) if f.rows else None, own.get(name) or meaning(name)]
        for name, f in values.items()
    ]
    table(["figure", "value", "of real data", "rows", "what it is"], rows)
    if histogram:
        say()
        table(["class", "share of samples", "of real data"], [[name, f, f.real] for name, f in histogram.items()])
    for remark in remarks:
        say(f"\n{remark}")


def size(count: float) -> str:
    """A number of bytes for display."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def duration(seconds: float) -> str:
    """A duration for display: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def parity(report: Mapping[str, Compared]) -> None:
    """What was compared of each method, and the largest differences from the source."""
    differences({method: found.difference for method, found in report.items()}, "difference from the source")
    say()
    table(
        ["compared", "rows", "batch sizes", "steps", "tolerance", "time"],
        [
            [
                method,
                found.rows,
                ", ".join(map(str, found.batches)),
                "; ".join(map(str, found.steps)),
                ", ".join(f"{kind} {number:.1e}" for kind, number in found.tolerance.items()),
                f"{found.seconds:.2g} s",
            ]
            for method, found in in_order(report)
        ],
    )


def differences(report: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Largest differences by method and kind of input."""
    kinds = list(dict.fromkeys(kind for row in report.values() for kind in row))
    usual = ["random", "boundary", "tail"]  # KINDS of zoo.spaces
    order = [k for k in usual if k in kinds] + [k for k in kinds if k not in usual]
    table(
        [title, *(f"{k} inputs" for k in order)],
        [
            [method, *("" if k not in row else f"{row[k]:.1e}" if row[k] else "0" for k in order)]
            for method, row in in_order(report)
        ],
    )


def in_order(methods: Mapping[str, V]) -> list[tuple[str, V]]:
    from zoo.signature import METHODS

    return sorted(methods.items(), key=lambda m: METHODS.index(m[0]) if m[0] in METHODS else len(METHODS))


def precision(held: Mapping[str, Any]) -> None:
    """The effect of rounding weights to fewer bits."""
    if held["weights"] == "float32":
        return
    say(f"\n{held['share']:.1%} of the weights are {held['weights']}, as in that source. Effect of rounding:")
    differences(held["difference"], f"{held['weights']} from float32")
    say("log_prob in nats, other floats relative, integers as the share that differs. On data: zoo evaluate")
