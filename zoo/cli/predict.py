"""`zoo predict`: classes of observations, or how real they look."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options

EXAMPLES = """\b
Examples:
  zoo predict cnn.digits --data digits --out predictions.csv
  zoo predict runs/flowers --data photos/ --out predictions.parquet
"""


@click.command("predict", epilog=EXAMPLES)
@options.data
@options.method_options
def command(name: str, data: str, **given: Any) -> None:
    """Predict classes, or how real rows look.

    Writes a column of p(class given row) for each class, or one score for a real/fake discriminator.

    Tables also have a column with the most probable class. Without --out, the rows are printed.
    """
    from zoo.cli import row_commands

    row_commands.run("predict", name, data, **given)
