"""Pictures of observations: a grid of images, a density of points. Drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.data.images import pillow
from zoo.errors import InputError
from zoo.spaces import Image, Real, Space

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Array = npt.NDArray[Any]
MAX_IMAGES = 1024
MAX_POINTS = 1_000_000
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
VISIBLE = 64  # small images are magnified to about so many pixels
GAP = 2
WHITE, INK, BLUE = (255, 255, 255), (60, 60, 60), (20, 60, 150)


def picture_limit(space: Space) -> int:
    """How many observations of this space fit in a picture: 0 if there are no pictures of it."""
    if isinstance(space, Image) and space.channels in MODES:
        return MAX_IMAGES
    return MAX_POINTS if isinstance(space, Real) and space.width == 2 else 0


def picture(space: Space, x: Array, columns: int | None = None) -> Picture:
    """The picture of observations: a grid for images, with `columns` in a row, a scatter for real vectors of two
    columns."""
    limit = picture_limit(space)
    if not limit:
        raise InputError(f"there are no pictures of {space.describe()}; use .csv, .parquet or .npz.")
    if len(x) > limit:
        raise InputError(f"a picture holds at most {limit} rows; got {len(x)}. Take fewer, or use .npz.")
    if isinstance(space, Image):
        return image_grid(x, space.levels, columns)
    assert isinstance(space, Real)
    return scatter(x, space.names or ("x0", "x1"))


def image_grid(x: Array, levels: int = 256, columns: int | None = None) -> Picture:
    """Images (N, height, width, channels) side by side, `columns` in a row (default: about square).

    0 is black, `levels - 1` white. Small images are magnified by a whole factor, each pixel a square.
    """
    x = np.asarray(x)
    if x.ndim != 4 or len(x) == 0 or x.shape[3] not in MODES:
        raise InputError(f"images have shape {x.shape}; expected (N, height, width, channels) with 1, 3 or 4 channels.")
    if columns is not None and columns < 1:
        raise InputError(f"columns is {columns}; expected at least 1.")
    count, height, width, channels = x.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    zoom = max(1, VISIBLE // max(height, width))
    pixels = np.rint(x * (255 / (levels - 1))).clip(0, 255).astype(np.uint8).repeat(zoom, 1).repeat(zoom, 2)
    height, width = height * zoom + GAP, width * zoom + GAP
    canvas = np.full((rows * height + GAP, columns * width + GAP, channels), 255, dtype=np.uint8)
    for i, image in enumerate(pixels):
        top, left = GAP + i // columns * height, GAP + i % columns * width
        canvas[top : top + height - GAP, left : left + width - GAP] = image
    out: Picture = pillow().fromarray(canvas[..., 0] if channels == 1 else canvas)
    return out


def scatter(x: Array, names: Sequence[str] = ("x0", "x1"), size: int = 480, within: Array | None = None) -> Picture:
    """Points (N, 2) as a density, the darker the more points; the frame has their lowest and highest values, or those
    of the points `within`, which these are some of."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) == 0:
        raise InputError(f"points have shape {x.shape}; expected (N, 2).")
    x = x[np.isfinite(x).all(axis=1)]
    low, high = bounds(x if within is None else np.asarray(within, dtype=np.float64))
    edge = np.where(high > low, (high - low) * 0.02, 0.5)
    low, high = low - edge, high + edge
    cells = max(24, min(240, math.isqrt(len(x)) * 2))  # few points make large dots
    place = np.minimum(((x - low) / (high - low) * cells).astype(np.int64), cells - 1)
    density = np.bincount(place[:, 1] * cells + place[:, 0], minlength=cells * cells).reshape(cells, cells)[::-1]
    shade = np.where(density > 0, 0.25 + 0.75 * np.log1p(density) / math.log1p(max(1, density.max())), 0)[..., None]
    pixels = (np.array(WHITE) * (1 - shade) + np.array(BLUE) * shade).astype(np.uint8)
    image = pillow()
    plot = image.fromarray(pixels).resize((size, size), image.Resampling.NEAREST)
    return frame(plot, low, high, names)


def bounds(x: Array) -> tuple[Array, Array]:
    """The lowest and highest finite values of points (N, 2), each (2,)."""
    x = x[np.isfinite(x).all(axis=1)]
    return (x.min(axis=0), x.max(axis=0)) if len(x) else (np.zeros(2), np.zeros(2))


def panels(space: Space, shown: Mapping[str, Array], columns: int | None = None) -> Picture:
    """Pictures of several sets of observations side by side, each with its name above; points in one frame."""
    if isinstance(space, Real):
        every, names = np.concatenate(list(shown.values())), space.names or ("x0", "x1")
        return side_by_side({name: scatter(x, names, within=every) for name, x in shown.items()})
    return side_by_side({name: picture(space, x, columns) for name, x in shown.items()})


def side_by_side(pictures: Mapping[str, Picture]) -> Picture:
    """Pictures in a row, each with its name above."""
    from PIL import ImageDraw, ImageFont

    gap, top, font = 24, 28, ImageFont.load_default()
    widths = [max(image.width, math.ceil(font.getlength(name))) for name, image in pictures.items()]
    size = sum(widths) + gap * (len(widths) + 1), max(image.height for image in pictures.values()) + top + gap
    out: Picture = pillow().new("RGB", size, WHITE)
    draw, left = ImageDraw.Draw(out), gap
    for (name, image), width in zip(pictures.items(), widths, strict=True):
        draw.text((left, 8), name, fill=INK, font=font)
        out.paste(image, (left, top))
        left += width + gap
    return out


def frame(plot: Picture, low: Array, high: Array, names: Sequence[str]) -> Picture:
    """The plot in a frame with the bounds and names of both axes."""
    from PIL import ImageDraw, ImageFont

    size, left, margin = plot.width, 72, 28
    out: Picture = pillow().new("RGB", (left + size + margin, margin + size + 2 * margin), WHITE)
    out.paste(plot, (left, margin))
    draw, font = ImageDraw.Draw(out), ImageFont.load_default()
    right, bottom = left + size, margin + size
    draw.rectangle((left - 1, margin - 1, right, bottom), outline=INK)

    def put(place: tuple[int, int], words: str, anchor: str) -> None:
        try:
            draw.text(place, words, fill=INK, font=font, anchor=anchor)
        except (ValueError, UnicodeEncodeError):  # the bitmap font of a Pillow without FreeType
            draw.text((max(0, place[0] - 20), place[1] - 5), words.encode("ascii", "replace"), fill=INK)

    for place, words, anchor in (
        ((left, bottom + 6), f"{low[0]:.3g}", "la"),
        ((right, bottom + 6), f"{high[0]:.3g}", "ra"),
        ((left + size // 2, bottom + 6), str(names[0])[:40], "ma"),
        ((left - 6, bottom), f"{low[1]:.3g}", "rs"),
        ((left - 6, margin), f"{high[1]:.3g}", "ra"),
        ((left - 6, margin + size // 2), str(names[1])[:10], "rm"),
    ):
        put(place, words, anchor)
    return out
