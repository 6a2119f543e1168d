"""Real rows to show beside samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import Dataset
from zoo.errors import InputError
from zoo.model import Array


def held_out_rows(data: Dataset, count: int, labels: npt.NDArray[np.int64] | None = None, *, seed: int = 0) -> Array:
    """Random rows of the test split, (count, *space.shape), or all of them if there are fewer. With `labels` (count,)
    row i is of class `labels[i]`; a class that has too few rows shows them again."""
    order = noise.permutation(len(data.test), seed=seed, stream="beside")
    if labels is None:
        return np.asarray(data.test[order[:count]])
    classes = data.split("test")[1]
    if classes is None:
        raise InputError(f"{data.name} has no classes, and samples of some were asked for.")
    chosen = np.empty(count, dtype=np.int64)
    for label in np.unique(labels):
        rows, places = order[classes[order] == label], np.flatnonzero(labels == label)
        if not len(rows):
            assert data.classes is not None
            raise InputError(f"the test split of {data.name} has no row of class {data.classes.names[label]}.")
        chosen[places] = np.resize(rows, len(places))
    return np.asarray(data.test[chosen])


def nearest_training_rows(data: Dataset, x: Array) -> Array:
    """For each of the observations `x` (N, *space.shape) the training row that is nearest, in the distance of
    `zoo.evaluation`: between standardized columns, or between levels as they are. Needs scikit-learn."""
    from zoo.evaluation.vectors import nearest, vectorizer

    rows = np.asarray(data.train[:])
    vectors = vectorizer(data.space, rows)
    return np.asarray(rows[nearest(vectors(x), vectors(rows))[1]])


__all__ = ["held_out_rows", "nearest_training_rows"]
