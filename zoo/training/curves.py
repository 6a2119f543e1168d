"""The losses of a training as a picture, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zoo.data.images import pillow
from zoo.pictures import BLUE, INK, WHITE, frame
from zoo.training.history import figures_in
from zoo.training.run_folder import Position

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIZE = 480  # pixels
ORANGE, PALE = (210, 105, 20), (245, 205, 165)
HIGHEST = 0.98  # of the losses are below the upper edge: the first are far above all others
Points = npt.NDArray[np.float64]


def curves(at: Position, objective: str) -> Picture | None:
    """The loss of an objective by step, blue, and that of validation by epoch, orange, with bars of one standard error
    up and down; None before there are two."""
    per_epoch = at.step / max(len(at.history), 1)
    trained = points([(row["step"], row[objective]) for row in at.curve.rows])
    figures = [figures_in(row)["validation"] for row in at.history]
    validated = points([(epoch * per_epoch, figure.value) for epoch, figure in enumerate(figures, start=1)])
    up = points([(0.0, figure.error or 0.0) for figure in figures])
    both = np.concatenate([trained, validated - up, validated + up])
    if len(trained) + len(validated) < 2:
        return None
    low, high = both.min(0), both.max(0)
    high[1] = max(np.quantile(both[:, 1], HIGHEST), (validated + up)[:, 1].max(initial=low[1]))
    high = np.where(high > low, high, low + 1)
    plot = pillow().new("RGB", (SIZE, SIZE), WHITE)

    from PIL import ImageDraw, ImageFont

    def pixels(line: Points) -> list[tuple[float, float]]:
        place = (line - low) / (high - low) * (SIZE - 1)
        return [(float(x), SIZE - 1 - float(y)) for x, y in place.clip(0, SIZE - 1)]

    draw = ImageDraw.Draw(plot)
    for bar in zip(pixels(validated - up), pixels(validated + up), strict=True):
        draw.line(bar, fill=PALE, width=3)
    for line, name, color in ((trained, objective, BLUE), (validated, "validation ± s.e.", ORANGE)):
        draw.line(pixels(line), fill=color, width=2)
        top = 8 if color == BLUE else 22
        draw.line((SIZE - 150, top + 5, SIZE - 130, top + 5), fill=color, width=2)
        draw.text((SIZE - 124, top), name[:20], fill=INK, font=ImageFont.load_default())
    return frame(plot, low, high, ("step", "loss"))


def points(pairs: Sequence[tuple[float, float]]) -> Points:
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)
