"""`zoo inspect`: the description inside an `.onnx` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import facts, note, number, print_json, size, table, text
from zoo.cli.streams import say

if TYPE_CHECKING:
    from zoo.artifact import Limits
    from zoo.artifact.inspection import Inspected, Value

EXAMPLES = """\b
Examples:
  zoo inspect out/moons/sample.onnx
  zoo inspect sample.onnx --check --untrusted
  zoo inspect sample.onnx --json
"""


@click.command("inspect", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Run the file's known answer with onnxruntime and compare.")
@options.untrusted
@options.as_json
def command(file: Path, check: bool, opening: dict[str, Any], as_json: bool) -> None:
    """Print the description inside an .onnx file: inputs, outputs and options with their meaning, and a known answer.

    Only the file is read, not its folder. Only --check runs it.
    """
    import msgspec

    from zoo.artifact import SCHEMA, inspection

    inspected = inspection.inspect(file)
    checked = run_check(inspected, **opening) if check else None
    if as_json:
        print_json(msgspec.to_builtins(inspected) | ({} if checked is None else {"checked": checked}))
        return
    show(inspected)
    if inspected.description and inspected.description.schema > SCHEMA:
        note(f"\nIt was written by a newer genzoo (schema {inspected.description.schema}; this one knows {SCHEMA}).")
    if checked is not None:
        differences = ", ".join(f"{name} differs by {error:.1g}" for name, error in checked.items())
        note(f"\nThis runtime computes the known answer ({differences}).")


def run_check(inspected: Inspected, trust: bool, limits: Limits | None) -> dict[str, float]:
    """Differences from the known answer, computed in this process or in one with limits."""
    from zoo.artifact import Limits, inspection

    if trust:
        return inspection.check(inspected)
    from zoo.artifact.isolation import check_file

    return check_file(inspected.file, limits or Limits())


def show(inspected: Inspected) -> None:
    known = inspected.description
    weights = f"beside it in {', '.join(inspected.beside)}" if inspected.beside else "inside"
    file = f"{inspected.file}: {size(inspected.bytes)}, weights {weights}"
    if known is None:
        facts([("file", file), ("summary", inspected.summary), ("operators", ", ".join(inspected.operators))])
        note("\nIt was not written by genzoo, or its metadata was removed: no key begins with genzoo.")
        return
    facts(
        [
            ("model", known.model),
            ("method", known.method),
            ("summary", inspected.summary),
            ("architecture", " of the family ".join(filter(None, (known.architecture, known.family)))),
            ("log_prob", known.density and known.density.replace("_", " ")),
            ("steps", known.loop),
            ("classes", classes(known.classes or [])),
            ("license", known.license or "none is stated"),
            ("written by", ", ".join(f"{name} {version}" for name, version in known.versions.items())),
            ("file", file),
        ]
    )
    for title, values in (("input", known.inputs), ("option", known.options), ("output", known.outputs)):
        if values:
            say()
            _values(title, values)
    if answer := known.known_answer:
        say()
        text("known answer: one row with each input filled with one number, and the first values of each output")
        given = answer.inputs | answer.options
        shown = {name: " ".join(map(number, numbers)) for name, numbers in answer.outputs.items()}
        facts([*((name, number(n)) for name, n in given.items()), *shown.items()])


def classes(names: Sequence[str]) -> str:
    """Each class after its index, or, if names and indices are equal, the first and the last."""
    if len(names) > 1 and list(names) == [str(place) for place in range(len(names))]:
        return f"0 to {len(names) - 1}"
    return ", ".join(f"{place} {name}" for place, name in enumerate(names))


def _values(title: str, values: Mapping[str, Value]) -> None:
    options = title == "option"
    rows: list[list[Any]] = []
    for name, value in values.items():
        bounds = [f"{word} {n:g}" for word, n in (("from", value.low), ("to", value.high)) if n is not None]
        last = number(value.default) if options else value.unit
        shape = f"({', '.join(map(str, value.shape))})" if value.shape else "scalar"
        rows.append([name, value.dtype, shape, " ".join(bounds), last, value.meaning])
    table([title, "type", "shape", "range", "default" if options else "unit", "meaning"], rows)
