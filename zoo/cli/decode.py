"""`zoo decode`: the observations of latents."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options

EXAMPLES = """\b
Examples:
  zoo encode vae.digits --data digits --out z.npz
  zoo decode vae.digits --data z.npz --out again.png
  zoo decode realnvp.moons --data z.csv --out x.csv
"""


@click.command("decode", epilog=EXAMPLES)
@click.option("--data", required=True, metavar="FILE", help="Latents: CSV, Parquet, NPZ or NPY, as zoo encode writes.")
@options.method_options
def command(name: str, data: str, **given: Any) -> None:
    """Decode latents to observations.

    --data is the output of zoo encode.

    Without --out, rows are printed.
    """
    from zoo.cli import row_commands

    row_commands.run("decode", name, data, **given)
