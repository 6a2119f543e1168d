"""Data sets stored in this package as compressed arrays, made by `make.py` next to the package; their licenses are next
to the files."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.data import SPLITS, Dataset, split_rows
from zoo.spaces import Discrete, Image, Labels

Array = npt.NDArray[Any]
ATTRIBUTES = ("hair", "glasses", "beard", "mouth", "skin")  # of a pixel face, other than its hair color


def emoji() -> Dataset:
    """3,762 emoji of 32x32 pixels on white, all different, in the nine categories of Unicode.

    The art is Noto Emoji's, of Google, Apache License 2.0, reduced from 64x64 pixels; 70 % of the families are train,
    10 % validation, 20 % test. A family is a base emoji with its variants of skin tone, gender, hair and direction,
    which are all in one split. The file also has `name`, `code` (Unicode) and `family` of each row.
    """
    arrays = read("emoji.npz")
    x, y, family = arrays["x"], arrays["category"], arrays["family"]
    count = int(family.max()) + 1
    families = split_rows("families of emoji", Discrete(1, count), np.arange(count)[:, None])
    rows = {split: np.isin(family, families.split(split)[0]) for split in SPLITS}
    return Dataset(
        "emoji",
        Image(*x.shape[1:]),
        **{split: x[r] for split, r in rows.items()},
        labels={split: y[r] for split, r in rows.items()},
        classes=_names(arrays, "category"),
        source="Noto Emoji 2.048 (Google), Apache-2.0",
    )


def pixel_faces() -> Dataset:
    """20,000 faces of 16x16 pixels on white, all different; the class is the hair color.

    Drawn by DiceBear in its style "Pixel Art", CC0 1.0. Attributes were drawn independently of one another. Five more
    are inputs, as integers from 0: `hair` (short, long), `glasses` (none, clear, dark), `beard` (no, yes), `mouth`
    (sad, happy) and `skin` (1, the lightest, to 8). The file has their names too (`glasses_names`).
    """
    arrays = read("pixel-faces.npz")
    x, y = arrays["x"], arrays["hair_color"]
    classes = _names(arrays, "hair_color")
    source = "DiceBear 9.4.3, style Pixel Art, CC0 1.0"
    inputs = {name: arrays[name] for name in ATTRIBUTES}
    return split_rows("pixel-faces", Image(*x.shape[1:]), x, y, classes=classes, source=source, inputs=inputs)


def read(file: str) -> dict[str, Array]:
    """The arrays of a file of this package."""
    with resources.files("zoo_data").joinpath("files", file).open("rb") as stream, np.load(stream) as arrays:
        return dict(arrays)


def _names(arrays: dict[str, Array], attribute: str) -> Labels:
    """The names of the values that an attribute takes."""
    return Labels(tuple(map(str, arrays[f"{attribute}_names"])))
