"""The training data of a model: references, probes and memorization use those rows, whatever is evaluated."""

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

SHARE = 64  # divisor of the free memory, for each split: figures make several copies


def with_training_rows(data: Dataset, trained: Dataset | None, why: str, x: Array) -> tuple[Dataset, str]:
    """`data` with the rows that a model was `trained` on as training rows, and a sentence about them; unchanged if
    these are unknown or have other classes. `why` they are unknown is empty if they are those of `data`. `x` are the
    evaluated rows."""
    about = "eferences, probes and memorization are about the training rows of"
    if trained is None:
        return data, f"{why}: r{about} {data.name}." if why else ""
    count = f"{seen(x, trained):,} of the {len(x):,} rows of {data.name} are among them"
    if data.classes is not None and trained.classes != data.classes:
        return data, f"It was trained on {trained.name}, which has other classes; {count}. R{about} {data.name}."
    return replaced(data, trained), f"R{about} {trained.name}, which it was trained on; {count}."


def with_classes(data: Dataset, trained: Dataset | None) -> Dataset:
    """`data` with its classes numbered as in the training data of a model, if that has all of them."""
    if trained is None or trained.classes is None or data.classes is None:
        return data
    try:
        return data.fitted(data.space, trained.classes)
    except InputError:
        return data


def training_data(model: Model, given: Any, data: Dataset, most: int) -> tuple[Dataset | None, str]:
    """The training data of a model, by its card, or why it is unknown; neither if it is `data`, which was read from
    `given`. At most `most` bytes of a split are read."""
    source = said_of(model).data
    if isinstance(given, (str, Path)) and str(given) == source:
        return None, ""
    if not source or getattr(model, "limits", None):  # files named by an untrusted artifact are not opened
        return None, f"It is not known which rows {model.name} was trained on"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # already shown in training
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
    """`data` with the training rows of other data with the same space and classes."""
    kept = trained.keeping(list(data.inputs), classes=data.classes is not None)

    def rows(key: str) -> dict[str, Any]:
        return {name: (kept if name == "train" else data).splits[name].sources[key] for name in data.splits}

    labels = None if data.classes is None else rows("label")
    inputs = {name: rows(name) for name in data.inputs}
    about: dict[str, Any] = {"classes": data.classes, "law": data.law, "categories": data.categories}
    return Dataset(data.name, data.space, **rows("x"), labels=labels, inputs=inputs, **about)
