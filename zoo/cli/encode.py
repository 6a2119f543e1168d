"""`zoo encode`: the latents of observations."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options

EXAMPLES = """\b
Examples:
  zoo encode realnvp.moons --data rows.csv --out z.npz
  zoo encode vae.digits --data digits:train --out z.parquet
  zoo decode vae.digits --data z.parquet --out again.png
"""


@click.command("encode", epilog=EXAMPLES)
@options.data
@options.method_options
def command(name: str, data: str, **given: Any) -> None:
    """Encode observations to latents.

    zoo decode takes the output. Without --out, the latents are printed.
    """
    from zoo.cli import row_commands

    row_commands.run("encode", name, data, **given)
