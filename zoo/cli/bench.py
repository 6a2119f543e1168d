"""`zoo bench`: the speed of a model on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli import INTERRUPTED, options
from zoo.cli.output import note, print_json, table

if TYPE_CHECKING:
    from zoo.model import Model
    from zoo.timing import Run

BATCHES = "1,64,1024"
EXAMPLES = """\b
Examples:
  zoo bench realnvp.digits
  zoo bench ddpm.digits --method sample --batch 1,16 --set steps=20
  zoo bench vae.digits --against-source --json
"""


def sizes(ctx: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """`1,64,1024` as integers of at least 1."""
    found = options.whole_numbers(ctx, parameter, value) or []
    if min(found) < 1:
        raise click.BadParameter(f"{value!r} contains a batch size below 1; expected at least 1, such as {BATCHES}.")
    return found


def a_number(ctx: click.Context, parameter: click.Parameter, value: float) -> float:
    if value != value:
        raise click.BadParameter("nan is not a number of seconds.")
    return value


@click.command("bench", epilog=EXAMPLES)
@options.name
@click.option("--method", "methods", multiple=True, metavar="METHOD", help="Default: all (may be repeated).")
@click.option("--batch", default=BATCHES, show_default=True, callback=sizes, metavar="N,N,...", help="Batch sizes.")
@options.set_option("An option of the methods, such as steps=20")
@click.option("--against-source", is_flag=True, help="Compare with the model in its framework, if that is installed.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    callback=a_number,
    default=2.0,
    show_default=True,
    help="Time for each measurement.",
)
@options.device
@options.untrusted
@options.as_json
def command(
    name: str,
    methods: tuple[str, ...],
    batch: list[int],
    settings: dict[str, str],
    against_source: bool,
    seconds: float,
    device: str,
    opening: dict[str, Any],
    as_json: bool,
) -> int:
    """Measure how long the methods of a model take on this machine.

    Observations are made up, and noise is drawn in every call; a complete call is timed, from arrays to arrays. With
    --against-source, the artifact alternates with the framework, with one thread or all, whichever is faster; a ratio
    below 1 means that the artifact is faster.
    """
    import zoo
    from zoo import registry
    from zoo.cli import progress, row_commands
    from zoo.errors import InputError, ZooError

    model = row_commands.open_model(name, device, **opening)
    for method in methods:
        row_commands.check_settings(model, method, settings)
    chosen = [m for m in methods or model.signatures if set(settings) <= set(model.signature(m).options)]
    if not chosen:
        raise InputError(f"no method of {model.name} has all the options {', '.join(settings)}: see zoo show {name}")
    source = None
    if against_source:
        if name not in registry.list_models("*.*"):
            raise InputError(
                f"--against-source is for presets, which have both a checkpoint and an artifact; {name} is none: "
                "zoo list '*.*'"
            )
        try:
            source = zoo.load(name)
        except ZooError as error:
            raise InputError(f"--against-source runs the model in its framework too: {error}") from None
    found: list[dict[str, Any]] = []
    code = 0
    cells = [(method, size) for method in chosen for size in batch]
    try:
        with progress.rows(f"timing {model.name}") as show:
            for done, (method, size) in enumerate(cells):
                show(done, len(cells))
                # the defaults of the source may have changed
                values = {n: o.number for n, o in model.signature(method).options.items()} | settings
                calls = [call(m, method, size, values) for m in (model, source) if m is not None]
                found.append(measure(method, size, calls, seconds))
    except KeyboardInterrupt:
        note(f"stopped after {len(found)} of {len(cells)} figures")
        code = INTERRUPTED
    if as_json:
        print_json(found)
        return code
    heads = ["method", "rows", "ms a call", "quartiles", "rows a second"]
    lines = [
        [f["method"], f"{f['batch']:,}", f"{f['ms']:.3g}", "{:.3g} to {:.3g}".format(*f["quartiles_ms"]),
         f"{f['rows_per_second']:,.0f}"]
        for f in found
    ]  # fmt: skip
    if source is not None:
        heads += [f"ms in {source.network.framework}", "its threads", "ratio"]
        lines = [
            [*line, f"{f['source_ms']:.3g}", str(f["source_threads"] or ""), f"{f['ratio']:.3g}"]
            for line, f in zip(lines, found, strict=True)
        ]
    table(heads, lines)
    return code


def call(model: Model, method: str, size: int, settings: dict[str, Any]) -> Run:
    """A call of a method with `size` made-up rows."""
    from zoo.parity.cases import make_inputs

    inputs = make_inputs(model, model.signature(method), "random", size)
    count = None if inputs else size
    return lambda: model.run(method, inputs, count=count, seed=0, **settings)


def measure(method: str, size: int, calls: list[Run], seconds: float) -> dict[str, Any]:
    """The timings of the artifact's call and, if there is a second call, of the source's."""
    import numpy as np

    from zoo.timing import against, alternate, by_threads

    if len(calls) == 1:
        taken, threads = alternate(calls, limit=seconds), 0
    else:
        taken, threads = against(calls[0], by_threads(calls[1]), limit=seconds)
    low, middle, high = (float(q) for q in np.quantile(taken[:, 0], [0.25, 0.5, 0.75]) * 1e3)
    rate = size / middle * 1e3
    figures = {"method": method, "batch": size, "ms": middle, "quartiles_ms": [low, high], "rows_per_second": rate}
    if len(calls) == 1:
        return figures
    ratio = float(np.median(taken[:, 0] / taken[:, 1]))
    return figures | {"source_ms": float(np.median(taken[:, 1]) * 1e3), "source_threads": threads, "ratio": ratio}
