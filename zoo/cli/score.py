"""`zoo score`: log-probabilities of observations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import note
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.cli.row_commands import Chunk

EXAMPLES = """\b
Examples:
  zoo score realnvp.moons --data rows.csv --out scores.csv
  zoo score maf.digits --data digits:test --set samples=16 --out scores.parquet
  zoo score lstm.names --data names:test --conditionals --out characters.csv
  zoo score out/moons --data rows.parquet --label class > scores.csv
"""
MEANS = {
    "exact": "log-density",
    "lower_bound": "lower bound on the log-density",
    "unnormalized": "log-density up to an unknown constant",
}


@click.command("score", epilog=EXAMPLES)
@options.data
@click.option(
    "--conditionals", is_flag=True, help="Also the nats of each dimension given those before it, if the model has them."
)
@options.method_options
def command(name: str, data: str, conditionals: bool, **given: Any) -> None:
    """Score observations: log_prob in nats, one per row.

    --out takes .csv, .tsv, .parquet, .npz and .npy; without it, the scores are printed.
    """
    from zoo.cli import row_commands
    from zoo.evaluation.estimates import RunningMean

    scores = RunningMean()

    def watch(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            if conditionals and "conditionals" not in chunk:
                raise InputError(f"{name} has no conditionals: its density is not a product over dimensions.")
            scores.add(chunk["log_prob"])
            yield chunk if conditionals else {"log_prob": chunk["log_prob"]}

    model = row_commands.run("log_prob", name, data, watch=watch, **given)
    average = scores.figure()
    note(f"mean of {average.rows:,} rows: {average} nats ({MEANS.get(model.density or '', 'log_prob')})")
