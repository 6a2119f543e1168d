"""`zoo evaluate`: how good a model is on held-out data."""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import number, print_json, table

EXAMPLES = """\b
Examples:
  zoo evaluate runs/moons
  zoo evaluate maf.digits --data digits --split validation
  zoo evaluate ddpm.digits --judge cnn.digits --json
"""


@click.command("evaluate", epilog=EXAMPLES)
@options.name
@click.option(
    "--data", metavar="FILE|FOLDER|NAME[:SPLIT]", help="A data set or a file (default: what it was trained on)."
)
@click.option("--split", default="test", show_default=True, metavar="SPLIT", help="train, validation or test.")
@options.label
@click.option("--judge", metavar="NAME|RUN|ARTIFACT", help="A classifier that labels class-conditional samples.")
@options.seed
@options.device
@options.as_json
def command(
    name: str,
    data: str | None,
    split: str,
    label: str | None,
    judge: str | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Measure a model on held-out data.

    Every figure that its methods allow: likelihood, accuracy, how well samples match the data.
    """
    from zoo.cli import progress, rows
    from zoo.data import load_dataset
    from zoo.errors import InputError
    from zoo.evaluation import MEANING, evaluate

    model = rows.open_model(name, device)
    if data is None:
        data, label = rows.trained_on(model, label)
    found, named = rows.find(data)
    split = named if data.endswith(f":{named}") else split
    dataset = load_dataset(found, label=label)
    dataset.split(split)  # a wrong name is said before the work
    other = rows.open_model(judge, device) if judge else None
    if other is not None and "predict" not in other.signatures:
        raise InputError(f"{other.name} cannot judge: it has no method predict.")
    with progress.stages(f"evaluating {model.name}") as show:

        def part(done: int, parts: int) -> None:
            show("", done, parts)

        metrics = evaluate(model, dataset, split, judge=other, seed=seed, progress=part)
    if as_json:
        print_json(metrics)
    else:
        table(["figure", "value", "what it is"], [[k, number(v), MEANING.get(k, "")] for k, v in metrics.items()])
