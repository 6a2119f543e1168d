"""`zoo compare`: compare models on the same rows."""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import print_json, table
from zoo.cli.streams import say

EXAMPLES = """\b
Examples:
  zoo compare maf.moons nsf.moons realnvp.moons
  zoo compare runs/small runs/large --data digits:validation
"""


@click.command("compare", epilog=EXAMPLES)
@click.argument(
    "names", metavar="NAME|RUN|ARTIFACT...", nargs=-1, required=True, shell_complete=options.complete_models
)
@click.option("--data", metavar="FILE|FOLDER|NAME[:SPLIT]", help="Data (default: what the first model was trained on).")
@options.label
@options.split_column
@options.seed
@options.device
@options.as_json
def command(
    names: tuple[str, ...],
    data: str | None,
    label: str | None,
    split_column: str | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Compare models on the same held-out rows.

    Compares the likelihood of each row, or whether its class is predicted: prints figures, paired differences from the
    best with their standard errors, and which model is best, if its lead is more than chance explains.
    """
    from zoo.cli import row_commands
    from zoo.data.model_data import load_for
    from zoo.evaluation.compare import compare

    models = [row_commands.open_model(name, device) for name in names]
    for model, name in zip(models, names, strict=True):
        model.name = name
    source, split = (None, "test") if data is None else row_commands.find(data)
    dataset = load_for(models[0], source, label=label, split=split_column)
    found = compare(models, dataset, split, seed=seed)
    if as_json:
        print_json(found.to_json())
        return
    say(f"{found.rows:,} rows of {found.data}, {found.split}")
    for what, figures in found.figures.items():
        say()
        behind = found.behind.get(what, {})
        order = sorted(figures, key=lambda name: behind[name].value) if behind else list(figures)
        known = {name: figure for name, figure in behind.items() if figure.error is not None}
        table(["model", what, "behind the best"], [[name, figures[name], known.get(name, "-")] for name in order])
        if what in found.verdicts:
            say(found.verdicts[what])
    for remark in found.remarks:
        say(f"\n{remark}")
