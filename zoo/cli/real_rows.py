"""Real rows to show next to samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import Dataset
from zoo.data.sources import blocks
from zoo.errors import InputError
from zoo.model import Array

FIT_BYTES = 2**26  # of training rows that the distance is fitted to, at most


def held_out_rows(data: Dataset, count: int, labels: npt.NDArray[np.int64] | None = None, *, seed: int = 0) -> Array:
    """Random rows of the test split, (count, *space.shape), or all of them if there are fewer. With `labels` (count,)
    row i is of class `labels[i]`; a class with too few rows repeats them."""
    test = data.splits["test"]
    order = noise.permutation(len(test), seed=seed, stream="beside")
    if labels is None:
        return test.take("x", order[:count])
    if data.classes is None:
        raise InputError(f"{data.name} has no classes, but samples of some were requested.")
    classes = test.take("label")
    chosen = np.empty(count, dtype=np.int64)
    for label in np.unique(labels):
        rows, places = order[classes[order] == label], np.flatnonzero(labels == label)
        if not len(rows):
            raise InputError(f"the test split of {data.name} has no row of class {data.classes.names[label]}.")
        chosen[places] = np.resize(rows, len(places))
    return test.take("x", chosen)


def nearest_training_rows(data: Dataset, x: Array) -> Array:
    """The training row nearest to each of the observations `x` (N, *space.shape), in the distance of `zoo.evaluation`:
    between standardized columns, or between raw levels. Needs scikit-learn."""
    from zoo.evaluation.vectors import nearest, vectorizer

    train = data.splits["train"]
    vectors = vectorizer(data.space, train.sample(FIT_BYTES))
    ours, least, found = vectors(x), np.full(len(x), np.inf), np.zeros(len(x), dtype=np.int64)
    for rows in blocks(train.observations):
        distance, place = nearest(ours, vectors(train.take("x", rows)))
        found = np.where(distance < least, rows.start + place, found)
        least = np.minimum(least, distance)
    return train.take("x", found)


__all__ = ["held_out_rows", "nearest_training_rows"]
