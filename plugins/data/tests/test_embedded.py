"""The embedded data sets: frozen rows, splits that share nothing, licenses, and lazy imports."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from zoo_data import zoo_datasets

from zoo.data import SPLITS, load_dataset
from zoo.spaces import Image

SPECS = {spec.name: spec for spec in zoo_datasets()}
TABLES = {  # the rows of each split, a row of training, and the digest of everything
    "adult": (
        (22793, 3256, 6512),
        {"age": 30, "fnlwgt": 118056, "education": "Some-college", "income": "<=50K"},
        "e9b8dadff91d76a8ec3cfc42705cf599cd444c579e85dbf878f0b4d51b8d1e6c",
    ),
    "diamonds": (
        (37758, 5394, 10788),
        {"carat": 0.7, "cut": "Ideal", "price": 2200, "z": 3.55},
        "8fb624fdc9e63aff12532bd7913367aa4e95c2dacae67b0c217f1d47db998132",
    ),
}
PICTURES = [name for name in SPECS if name not in TABLES]
HAIR_COLORS = {
    "black": (0x28, 0x15, 0x0A),
    "brown": (0x60, 0x30, 0x15),
    "blond": (0xF0, 0xC8, 0x4B),
    "red": (0xBD, 0x17, 0x00),
    "green": (0x91, 0xCB, 0x15),
    "blue": (0x00, 0x9B, 0xBD),
}


@pytest.fixture(scope="module", params=PICTURES)
def dataset(request):
    return load_dataset(request.param)


def arrays(name):
    """The arrays of the data set's file."""
    with np.load(resources.files("zoo_data") / "files" / f"{name}.npz") as file:
        return dict(file)


def split_of_rows(dataset):
    """The split of each row of the data set's file, found by its pixels."""
    found = {x.tobytes(): split for split in SPLITS for x in dataset.split(split)[0]}
    return np.array([found[x.tobytes()] for x in arrays(dataset.name)["x"]])


FROZEN = {  # the space, the rows of each split, and the digest of everything
    "emoji": (
        Image(32, 32, 3),
        (2854, 264, 644),
        "7592f202c3870ecfe00f3e1e9de1635a4a210e977b342db8a7fc2d405025d927",
    ),
    "pixel-faces": (
        Image(16, 16, 3),
        (14000, 2000, 4000),
        "a709005666355b704fac9da7fa1079270e1fa47afca1700c62b3f1b54c6260e6",
    ),
}


def test_no_row_of_a_split_ever_changes(dataset):
    space, rows, digest = FROZEN[dataset.name]
    assert dataset.space == space
    assert tuple(len(dataset.split(split)[0]) for split in SPLITS) == rows
    assert dataset.keeping([]).digest == digest


def test_the_summary_counts_the_pictures(dataset):
    assert SPECS[dataset.name].summary.startswith(f"{sum(len(dataset.split(s)[0]) for s in SPLITS):,} ")


def test_no_picture_is_there_twice(dataset):
    pictures = np.concatenate([dataset.split(split)[0] for split in SPLITS])
    assert len({x.tobytes() for x in pictures}) == len(pictures)


def test_every_split_has_every_class(dataset):
    for split in SPLITS:
        assert set(dataset.split(split)[1]) == set(range(len(dataset.classes)))


# ---- emoji


def test_variants_of_an_emoji_are_in_its_split():
    file, split = arrays("emoji"), split_of_rows(load_dataset("emoji"))

    def splits_of(chosen):
        assert chosen.sum() > 1
        return set(split[chosen])

    for name in np.unique(file["name"]):
        rows = file["name"] == name
        assert rows.sum() == 1 or len(splits_of(rows)) == 1, name
    same = [
        ("male-cook", "female-cook", "cook"),
        ("man-running", "woman-running", "runner", "woman_running_facing_right"),
        ("bald_woman", "white_haired_man", "red_haired_person", "man", "woman"),
        ("two_men_holding_hands", "man_and_woman_holding_hands", "people_holding_hands"),
        ("couplekiss", "man-kiss-man"),
        ("man-boy", "woman-girl"),
    ]
    for names in same:
        assert set(names) <= set(file["name"])
        assert len(splits_of(np.isin(file["name"], names))) == 1, names


def test_emoji_are_on_white():
    corners = load_dataset("emoji").train[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).all(axis=-1).mean() > 0.8


def test_categories_are_what_their_names_say():
    file = arrays("emoji")
    category = {str(n): str(file["category_names"][c]) for n, c in zip(file["name"], file["category"], strict=True)}
    assert {n: category[n] for n in ("grinning", "baby", "dog", "pizza", "rocket", "soccer", "key", "aries", "fr")} == {
        **{"grinning": "smileys", "baby": "people", "dog": "animals", "pizza": "food", "rocket": "travel"},
        **{"soccer": "activities", "key": "objects", "aries": "symbols", "fr": "flags"},
    }


# ---- pixel-faces


def test_a_face_shows_the_color_of_its_hair():
    dataset = load_dataset("pixel-faces")
    assert dataset.classes.names == tuple(HAIR_COLORS)
    for split in SPLITS:
        x, y = dataset.split(split)
        pixels = {name: (x == color).all(axis=-1).sum(axis=(1, 2)) for name, color in HAIR_COLORS.items()}
        for label, name in enumerate(HAIR_COLORS):
            assert pixels[name][y == label].min() >= 4
            assert pixels[name][y != label].max() == 0


def test_a_face_shows_its_skin_and_its_glasses():
    file = arrays("pixel-faces")
    brightness = file["x"].astype(float).mean(axis=(1, 2, 3))
    means = [brightness[file["skin"] == tone].mean() for tone in range(8)]
    assert means == sorted(means, reverse=True)
    eyes = file["x"][:, 5:8, 4:12].astype(float).mean(axis=(1, 2, 3))
    none, clear, dark = (eyes[file["glasses"] == kind].mean() for kind in range(3))
    assert none > clear > dark


def test_attributes_have_names_and_do_not_depend_on_one_another():
    from scipy.stats import chi2_contingency

    file = arrays("pixel-faces")
    names = [name for name in file if f"{name}_names" in file]
    assert names == ["hair_color", "hair", "glasses", "beard", "mouth", "skin"]
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            counts = np.zeros([len(file[f"{name}_names"]) for name in (first, second)])
            np.add.at(counts, (file[first], file[second]), 1)
            assert chi2_contingency(counts).pvalue > 0.05 / 15, (first, second)


# ---- the package


@pytest.mark.parametrize("name", SPECS)
def test_licenses_lie_beside_the_files(name):
    text = (resources.files("zoo_data") / "files" / f"{name}.LICENSE").read_text()
    says = {
        "emoji": ("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION", "Copyright (c) 2013 Cal Henderson"),
        "pixel-faces": ("https://creativecommons.org/publicdomain/zero/1.0/",),
        "adult": ("Becker, B. and Kohavi, R. (1996)", "https://creativecommons.org/licenses/by/4.0/"),
        "diamonds": ("Copyright (c) 2022 Hassan Kibirige", "https://ggplot2.tidyverse.org"),
    }
    assert f"{name}.npz" in text
    assert all(words in text for words in says[name])
    licenses = {"emoji": "Apache-2.0", "pixel-faces": "CC0 1.0", "adult": "CC BY 4.0", "diamonds": "MIT"}
    assert licenses[name] in SPECS[name].source
    assert licenses[name] in load_dataset(name).source


def test_listing_data_sets_reads_none():
    code = (
        "import sys, zoo_data; list(zoo_data.zoo_datasets()); print({'numpy', 'zoo_data.embedded'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_attributes_go_with_their_faces():
    file, data = arrays("pixel-faces"), load_dataset("pixel-faces", inputs="glasses,skin")
    row_of = {x.tobytes(): row for row, x in enumerate(file["x"])}
    for split in data.splits.values():
        batch = split[:100]
        rows = [row_of[x.tobytes()] for x in batch["x"]]
        assert list(data.inputs) == ["hair", "glasses", "beard", "mouth", "skin"]
        assert all(np.array_equal(batch[name], file[name][rows]) for name in data.inputs)


@pytest.mark.parametrize("name", TABLES)
def test_no_row_of_a_table_ever_changes(name):
    counts, row, digest = TABLES[name]
    data = load_dataset(name)
    splits = [data.split(split)[0] for split in SPLITS]
    assert tuple(map(len, splits)) == counts
    first = data.space.decode(data.train[:1]).to_pylist()[0]
    assert row.items() <= first.items()
    assert hashlib.sha256(b"".join(x.astype(np.int64).tobytes() for x in splits)).hexdigest() == digest
    assert SPECS[name].summary.startswith(f"{sum(counts):,} ")
