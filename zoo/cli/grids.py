"""Grids of observations: as a picture, or as rows in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import writers
from zoo.cli import row_commands
from zoo.model import Array, Model
from zoo.pictures import picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def deliver_grid(
    model: Model, x: Array, out: Path | None, force: bool, draw: Callable[[], Picture] | None = None
) -> None:
    """Write or print observations (rows, columns, *space.shape). `draw` makes a picture with more than the grid."""
    flat = x.reshape(-1, *model.space.shape)
    if out is not None and out.suffix.lower() == ".png":
        image = draw() if draw is not None else picture(model.space, flat, x.shape[1])
        writers.save_picture(out, image, force=force)
        count = len(flat)
    else:
        count = row_commands.deliver([{"x": flat}], out, space=model.space, force=force)
    row_commands.done(out, count)
