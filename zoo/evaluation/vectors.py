"""Observations as vectors whose Euclidean distance is meaningful."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import Table
from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.table_vectors import vectors_of_table
from zoo.spaces import Space, Strings

Array = npt.NDArray[Any]
Matrix = Any  # (N, D): an array, or a sparse matrix of scipy
NGRAMS = (1, 3)  # lengths of the n-grams of characters
ROWS = 1000  # of a distance matrix at a time, in both directions, to bound memory
DECIMALS = 9  # of squared distances: the order of sums changes their last bits, and equal rows must tie


def vectorizer(space: Space, train: Array) -> Callable[[Array], Matrix]:
    """A function from observations to vectors, fitted on training data: columns of real numbers are standardized,
    strings become weighted counts of their n-grams of characters, integer levels stay as they are. Rows of a table are
    numbers and categories, as `vectors_of_table` says."""
    if isinstance(space, Strings):
        text = space  # for the closure's type
        model = sklearn("feature_extraction.text").TfidfVectorizer(
            preprocessor=None, lowercase=False, analyzer="char", ngram_range=NGRAMS, sublinear_tf=True
        )
        model.fit(_marked(text, train))
        return lambda x: model.transform(_marked(text, x))
    if isinstance(space, Table):
        return vectors_of_table(space, train)
    if space.discrete:
        return flat
    center, scale = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1)
    return lambda x: (x - center) / scale


def _marked(space: Strings, x: Array) -> list[str]:
    """Strings delimited by a character that no alphabet has, so that n-grams see both ends."""
    return [f"\x02{string}\x03" for string in space.decode(x)]


def flat(x: Array) -> Array:
    return x.reshape(len(x), -1).astype(np.float64)


@single_threaded
def nearest(a: Matrix, b: Matrix) -> tuple[Array, Array]:
    """For each row of `a` the squared distance to the nearest row of `b`, and the index of that row."""
    distance, row = np.full(a.shape[0], np.inf), np.zeros(a.shape[0], np.int64)
    for mine in _parts(a):
        for others in _parts(b):
            found = _squared_distances(a[mine], b[others])
            closer = found.min(1) < distance[mine]
            distance[mine] = np.where(closer, found.min(1), distance[mine])
            row[mine] = np.where(closer, others.start + found.argmin(1), row[mine])
    return distance, row


@single_threaded
def mean_distances(a: Matrix, b: Matrix) -> Array:
    """The mean distance of each row of `a` to all rows of `b` (N,)."""
    total = np.zeros(a.shape[0])
    for mine in _parts(a):
        for others in _parts(b):
            total[mine] += np.sqrt(_squared_distances(a[mine], b[others])).sum(1)
    means: Array = total / b.shape[0]
    return means


@single_threaded
def squared_distances(a: Matrix, b: Matrix) -> Array:
    """(N, M)"""
    return _squared_distances(a, b)


def _parts(x: Matrix) -> Iterator[slice]:
    return (slice(low, min(low + ROWS, x.shape[0])) for low in range(0, x.shape[0], ROWS))


def _squared_distances(a: Matrix, b: Matrix) -> Array:
    found = sklearn("metrics.pairwise").euclidean_distances(a, b, squared=True)
    return np.asarray(found.round(DECIMALS))
