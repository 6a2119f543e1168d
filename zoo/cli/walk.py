"""`zoo walk`: a grid over two latent coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import note

EXAMPLES = """\b
Examples:
  zoo walk vae.digits --out walk.png
  zoo walk vae.digits --dims 3,7 --steps 20 --from 5 --out walk.png
  zoo walk realnvp.moons --steps 100 --out walk.png
"""


@click.command("walk", epilog=EXAMPLES)
@options.name
@click.option(
    "--dims",
    callback=options.whole_numbers,
    metavar="I,J",
    help="The two coordinates, numbered from 0 (default: those that change observations most, printed).",
)
@click.option("--steps", type=int, default=12, show_default=True, help="Values of each coordinate.")
@click.option(
    "--from",
    "origin",
    type=int,
    metavar="SEED",
    help="Take the other coordinates from this sample (default: zeros, the center of the prior).",
)
@options.decoding_options
def command(
    name: str,
    dims: list[int] | None,
    steps: int,
    origin: int | None,
    chosen: str | None,
    settings: dict[str, str],
    seed: int,
    out: Path | None,
    force: bool,
    device: str,
) -> None:
    """Decode a grid over two latent coordinates, at quantiles of a standard normal.

    The first coordinate grows downwards, the second to the right. --out x.png is a picture of the grid; other files,
    and the terminal, get the observations row by row.
    """
    from zoo.cli import row_commands
    from zoo.cli.grids import deliver_grid
    from zoo.latents import latent_shape, latents_of_seeds, moving_dims, walk

    row_commands.check_early(out, force)
    model = row_commands.open_model(name, device)
    latent_shape(model)
    row_commands.check_settings(model, "decode", settings)
    row_commands.check_late(out, force, model.space, steps**2)
    given: dict[str, Any] = {"seed": seed, **settings, **row_commands.label_of(model, "decode", chosen)}
    if origin is not None:
        given["at"] = latents_of_seeds(model, [origin])[0]
    if dims is None:
        dims = [*moving_dims(model, **given)]
        note(f"--dims {dims[0]},{dims[1]} (they change observations most)")
    deliver_grid(model, walk(model, dims, steps=steps, **given), out, force)
