"""Observations in rows and columns: a picture of them as they stand, or all of them in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import io
from zoo.cli import rows
from zoo.model import Array, Model
from zoo.pictures import picture

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def deliver_grid(
    model: Model, x: Array, out: Path | None, force: bool, draw: Callable[[], Picture] | None = None
) -> None:
    """Write or print observations (rows, columns, *space.shape). `draw` makes a picture that has more than the grid."""
    flat = x.reshape(-1, *model.space.shape)
    if out is not None and out.suffix.lower() == ".png":
        io.check_output(out, model.space, count=len(flat), force=force)
        image = draw() if draw is not None else picture(model.space, flat, x.shape[1])
        io.save_picture(out, image, force=force)
        count = len(flat)
    else:
        count = rows.deliver([{"x": flat}], out, space=model.space, force=force)
    rows.done(out, count)
