"""`zoo interpolate`: interpolate between latents."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import note

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

EXAMPLES = """\b
Examples:
  zoo interpolate vae.digits --seeds 3,9 --out x.png
  zoo interpolate realnvp.digits --seeds 3,9,27 --path spherical --steps 12 --out x.png
  zoo interpolate vae.digits --data digits:test --rows 3,17,4 --out x.png
  zoo interpolate realnvp.moons --seeds 1,2 --steps 100 --out way.csv
"""


@click.command("interpolate", epilog=EXAMPLES)
@options.name
@click.option(
    "--seeds",
    callback=options.whole_numbers,
    metavar="A,B,...",
    help="Interpolate between the latents of these samples (default: two new ones, printed).",
)
@click.option(
    "--data", metavar="FILE|FOLDER|NAME[:SPLIT]", help="Interpolate between the latents of rows of this data instead."
)
@click.option(
    "--rows",
    "chosen_rows",
    callback=options.whole_numbers,
    metavar="A,B,...",
    help="Rows of --data, numbered from 0 (default: 0,1).",
)
@click.option("--steps", type=int, default=8, show_default=True, help="Observations on each path, including both ends.")
@click.option(
    "--path",
    type=click.Choice(["linear", "spherical"]),
    default="linear",
    show_default=True,
    help="A straight line between latents, or an arc around the origin.",
)
@options.decoding_options
def command(
    name: str,
    seeds: list[int] | None,
    data: str | None,
    chosen_rows: list[int] | None,
    steps: int,
    path: str,
    chosen: str | None,
    settings: dict[str, str],
    seed: int,
    out: Path | None,
    force: bool,
    device: str,
) -> None:
    """Interpolate between latents and decode the path.

    --out x.png is a picture with one row per path: from the first latent to the second, from the second to the third,
    ... With --data the images themselves are shown at both ends. Other files, and the terminal, get the observations in
    order.
    """
    from zoo.cli import row_commands
    from zoo.cli.grids import deliver_grid
    from zoo.latents import interpolate, latent_shape
    from zoo.pictures import picture, side_by_side
    from zoo.spaces import Image

    if data is not None and seeds is not None:
        raise click.UsageError("--seeds is for samples and --data for given rows; give one of them.")
    if chosen_rows is not None and data is None:
        raise click.UsageError("--rows needs --data.")
    row_commands.check_early(out, force)
    model = row_commands.open_model(name, device)
    latent_shape(model)
    row_commands.check_settings(model, "decode", settings)
    wanted = [0, 1] if chosen_rows is None else chosen_rows
    ways = len(seeds or wanted) - 1
    row_commands.check_late(out, force, model.space, ways * steps)
    given: dict[str, Any] = {"steps": steps, "path": path, "seed": seed, **settings}
    given |= row_commands.label_of(model, "decode", chosen)
    if data is None:
        if seeds is None:
            seeds = [secrets.randbits(31), secrets.randbits(31)]
            note(f"--seeds {','.join(map(str, seeds))} (to repeat this)")
        x = interpolate(model, seeds=seeds, **given)
        deliver_grid(model, x, out, force)
        return
    every = row_commands.read_inputs(model, "encode", data, None, chosen)["x"]
    row_commands.check_numbers(wanted, len(every), data)
    ends = every[wanted]
    x = interpolate(model, ends, **given)

    def draw() -> Picture:
        between = picture(model.space, x.reshape(-1, *model.space.shape), steps)
        first, last = (picture(model.space, part, 1) for part in (ends[:-1], ends[1:]))
        return side_by_side({"from": first, "decoded, from one to the other": between, "to": last})

    deliver_grid(model, x, out, force, draw if isinstance(model.space, Image) else None)
