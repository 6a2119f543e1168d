"""`zoo evaluate`: the quality of a model on held-out data."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import figures, print_json
from zoo.cli.streams import say

EXAMPLES = """\b
Examples:
  zoo evaluate runs/moons
  zoo evaluate maf.digits --data digits --split validation
  zoo evaluate ddpm.digits --judge cnn.digits --json
  zoo evaluate maf.moons --fresh 100000
  zoo evaluate vae.digits --set observe=draw
"""


@click.command("evaluate", epilog=EXAMPLES)
@options.name
@click.option(
    "--data",
    metavar="FILE|FOLDER|NAME[:SPLIT]",
    shell_complete=options.complete_data,
    help="A data set or a file (default: what it was trained on).",
)
@click.option("--split", default="test", show_default=True, metavar="SPLIT", help="train, validation or test.")
@options.label
@options.split_column
@click.option(
    "--judge",
    metavar="NAME|RUN|ARTIFACT",
    help="A classifier of the same data that judges samples (default: a preset).",
)
@click.option(
    "--fresh", type=click.IntRange(1), metavar="N", help="Use N new rows, if the distribution of the data is known."
)
@options.set_option("An option of sample, such as guidance=3")
@options.seed
@options.device
@options.untrusted
@options.as_json
def command(
    name: str,
    data: str | None,
    split: str,
    label: str | None,
    split_column: str | None,
    judge: str | None,
    fresh: int | None,
    settings: dict[str, str],
    seed: int,
    device: str,
    opening: dict[str, Any],
    as_json: bool,
) -> None:
    """Measure a model on held-out data.

    Prints every figure that its methods allow: likelihood next to that of simple densities, accuracy, and how well
    samples match the data, next to how well real data does. Each figure has a standard error.
    """
    from zoo.cli import progress, row_commands
    from zoo.data.model_data import load_for
    from zoo.evaluation import evaluate

    model = row_commands.open_model(name, device, **opening)
    if settings:
        row_commands.check_settings(model, "sample", settings)
    found = None
    if data is not None:
        found, named = row_commands.find(data)
        split = named if data.endswith(f":{named}") else split
    dataset = load_for(model, found, label=label, split=split_column)
    other = row_commands.open_model(judge, device) if judge else None
    with progress.stages(f"evaluating {model.name}") as show:

        def part(done: int, parts: int) -> None:
            show("", done, parts)

        report = evaluate(
            model, dataset, split, fresh=fresh or 0, judge=other, seed=seed, options=settings, progress=part
        )
    if as_json:
        print_json(report.to_json())
        return
    judged = f", classes according to {report.judge}" if report.judge else ""
    say(f"{report.rows:,} rows of {report.data}, {report.split}{judged}\n")
    figures(report.figures, report.histogram, report.remarks, report.meanings)
