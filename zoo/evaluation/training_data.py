"""What a model was trained on: references, probes and memorization are about those rows, whatever is evaluated."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.data.model_data import load_for, said_of
from zoo.data.sources import Source, row_hashes
from zoo.errors import InputError, ZooError
from zoo.model import Array, Model

SHARE = 64  # of the memory that is free, for each split: figures make several copies


def with_training_rows(data: Dataset, trained: Dataset | None, why: str, x: Array) -> tuple[Dataset, str]:
    """`data` with the rows that a model was `trained` on for training, and a sentence about them; where these are not
    known, or of other classes, as it is. `why` they are not known is empty where they are those of `data`. `x` are the
    rows that are evaluated."""
    about = "eferences, probes and memorization are about the training rows of"
    if trained is None:
        return data, f"{why}: r{about} {data.name}." if why else ""
    count = f"{seen(x, trained):,} of the {len(x):,} rows of {data.name} are among them"
    if data.classes is not None and trained.classes != data.classes:
        return data, f"It was trained on {trained.name}, which has other classes; {count}. R{about} {data.name}."
    return replaced(data, trained), f"R{about} {trained.name}, which it was trained on; {count}."


def with_classes(data: Dataset, trained: Dataset | None) -> Dataset:
    """`data` with its classes numbered as in what a model was trained on, where this has all of them."""
    if trained is None or trained.classes is None or data.classes is None:
        return data
    try:
        return data.fitted(data.space, trained.classes)
    except InputError:
        return data


def training_data(model: Model, given: Any, data: Dataset, most: int) -> tuple[Dataset | None, str]:
    """What a model was trained on, by its card, or why it is not known; neither where it is `data`, which was read from
    `given`. Of a split no more than `most` bytes are read."""
    source = said_of(model).data
    if isinstance(given, (str, Path)) and str(given) == source:
        return None, ""
    if not source or getattr(model, "limits", None):  # what a stranger's file names is not opened
        return None, f"It is not known which rows {model.name} was trained on"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was said when it was trained
            found = load_for(model)
            trained = found.keeping(list(model.conditions))
            trained = trained.fitted(model.space, model.classes, model.categories).at_most(most)
    except ZooError:
        return None, f"What {model.name} was trained on, {source}, is not at hand"
    return (None, "") if np.array_equal(trained.train, data.at_most(most).train) else (trained, "")


def seen(x: Source, trained: Dataset) -> int:
    """How many of the observations `x` (N, ...) are training rows."""
    return int(np.isin(row_hashes(x), row_hashes(trained.train)).sum())


def replaced(data: Dataset, trained: Dataset) -> Dataset:
    """`data` with the training rows of other data of its space and classes."""
    kept = trained.keeping(list(data.inputs), classes=data.classes is not None)

    def rows(key: str) -> dict[str, Any]:
        return {name: (kept if name == "train" else data).splits[name].sources[key] for name in data.splits}

    labels = None if data.classes is None else rows("label")
    inputs = {name: rows(name) for name in data.inputs}
    about: dict[str, Any] = {"classes": data.classes, "law": data.law, "categories": data.categories}
    return Dataset(data.name, data.space, **rows("x"), labels=labels, inputs=inputs, **about)
