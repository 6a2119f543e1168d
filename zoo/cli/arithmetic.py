"""`zoo arithmetic`: an attribute added to latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

EXAMPLES = """\b
Examples:
  zoo arithmetic runs/faces --data pixel-faces --attribute glasses=2 --out x.png
  zoo arithmetic runs/faces --attribute mouth --rows 3,17,4 --strengths 0,1,2 --out x.png
  zoo arithmetic vae.digits --attribute label=7 --seeds 3,9 --out x.png
"""
FIRST = 4  # rows that lack the attribute


@click.command("arithmetic", epilog=EXAMPLES)
@options.name
@click.option(
    "--data",
    metavar="FILE|FOLDER|NAME[:SPLIT]",
    help="Rows that have the attribute, and rows that do not (default: the test split of what it was trained on).",
)
@click.option(
    "--attribute",
    metavar="NAME[=VALUE]",
    required=True,
    help="An input of the data that is VALUE (default: not 0), or label=CLASS.",
)
@options.label
@click.option(
    "--rows",
    "chosen_rows",
    callback=options.whole_numbers,
    metavar="A,B,...",
    help=f"Add it to these rows of --data, from 0 (default: the first {FIRST} that lack it).",
)
@click.option(
    "--seeds", callback=options.whole_numbers, metavar="A,B,...", help="Add it to the latents of these samples instead."
)
@click.option(
    "--strengths",
    callback=options.numbers,
    default="-2,-1,0,1,2",
    show_default=True,
    metavar="S,S,...",
    help="How often it is added.",
)
@options.decoding_options
def command(
    name: str,
    data: str | None,
    attribute: str,
    label: str | None,
    chosen_rows: list[int] | None,
    seeds: list[int] | None,
    strengths: list[float],
    chosen: str | None,
    settings: dict[str, str],
    seed: int,
    out: Path | None,
    force: bool,
    device: str,
) -> None:
    """Add an attribute to latents, and decode them.

    The attribute is a direction: the mean latent of the rows that have it minus the mean of those that lack it. --out
    x.png is a picture with a row for each start and a column for each strength: at 0 the start is only decoded, below 0
    the attribute is taken away. Other files, and the terminal, get the observations in order.
    """
    import numpy as np

    from zoo.cli import row_commands
    from zoo.cli.grids import deliver_grid
    from zoo.data.model_data import said_of
    from zoo.errors import InputError
    from zoo.latents import arithmetic, attribute_vector, latent_shape
    from zoo.pictures import picture, side_by_side
    from zoo.spaces import Image

    if seeds is not None and chosen_rows is not None:
        raise click.UsageError("--seeds is for samples and --rows for given rows; give one of them.")
    row_commands.check_early(out, force)
    model = row_commands.open_model(name, device)
    latent_shape(model)
    row_commands.check_settings(model, "decode", settings)
    source = data or said_of(model).data
    if not source:
        raise InputError(f"it is not known on what {model.name} was trained; say which data: --data NAME or FILE.")
    has = row_commands.having(model, source, attribute, label)
    wanted = np.flatnonzero(~has)[:FIRST].tolist() if chosen_rows is None else chosen_rows
    row_commands.check_numbers(wanted, len(has), source)
    row_commands.check_late(out, force, model.space, len(seeds or wanted) * len(strengths))
    inputs = row_commands.read_inputs(model, "encode", source, label, chosen)
    classes = (
        {row_commands.LABEL: model.classes.called(inputs[row_commands.LABEL])}
        if row_commands.LABEL in inputs and model.classes
        else {}
    )
    direction = attribute_vector(model, inputs["x"], has, seed=seed, **classes)
    given: dict[str, Any] = {"strengths": strengths, "seed": seed, **settings}
    starts = None
    if seeds is not None:
        given |= row_commands.label_of(model, "decode", chosen)
        x = arithmetic(model, direction, seeds=seeds, **given)
    else:
        starts = inputs["x"][np.array(wanted)]
        given |= {key: y[wanted] for key, y in classes.items()}
        x = arithmetic(model, direction, starts, **given)

    def draw() -> Picture:
        columns = {} if starts is None else {"from": starts}
        columns |= {f"{strength:+g}" if strength else "0": x[:, i] for i, strength in enumerate(strengths)}
        return side_by_side({title: picture(model.space, column, 1) for title, column in columns.items()})

    deliver_grid(model, x, out, force, draw if isinstance(model.space, Image) else None)
