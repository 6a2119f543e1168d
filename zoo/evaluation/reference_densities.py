"""Simple densities that anyone can refit, as references for the likelihood of a model.

Each `fit` returns a function from observations (N, *shape) to their log-probability in nats (N,). The number of
components, or the length of n-grams, is chosen by the likelihood of other rows.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.vectors import flat
from zoo.spaces import Space, Strings

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
LogProb = Callable[[Array], Floats]
ROWS = 10_000  # to fit, at most
CHOICE = 2_000  # rows for model selection, at most
COMPONENTS = (1, 5, 10, 20, 50)
ROWS_EACH = 10  # rows per component, at least
PRODUCTS, ROUNDS = 1e10, (5, 300)  # of k-means: approximate multiplications, within bounds of its iterations
LENGTHS = (1, 2, 3, 4, 5, 6)  # of n-grams
TOKENS = 500_000  # to count, at most
SHRINKAGE = 3.0  # pseudo-observations of the marginals per component


@dataclass(frozen=True)
class Reference:
    name: str  # as in the names of figures
    what: str
    log_prob: LogProb


def references(space: Space, train: Array, other: Array) -> Iterator[Reference]:
    """The references for observations of a space: first the floor, then a better one, unless the floor is best. Takes
    two training rows or more; `other` rows are for selection."""
    train, other = train[:ROWS], other[:CHOICE]
    if isinstance(space, Strings):
        ngrams = _ngrams(space, train)
        fits = {length: ngrams(length) for length in LENGTHS}
        yield Reference(f"{space.unit}s", f"the frequencies of {space.unit}s alone", fits[1])
        length = _best(fits, other)
        if length > 1:
            yield Reference("ngrams", f"{length}-grams of {space.unit}s with Witten-Bell smoothing", fits[length])
        return
    fit = _levels if space.discrete else _normals
    kind = "clusters of k-means, in each independent levels" if space.discrete else "normals (scikit-learn)"
    yield Reference("marginals", "the columns as if they were independent", _independent(space, train, other))
    fits = {k: fit(space, train, k) for k in COMPONENTS if k == 1 or k * ROWS_EACH <= len(train)}
    count = _best(fits, other)
    if space.size > 1 and not (space.discrete and count == 1):
        yield Reference("mixture", f"a mixture of {count} {kind}", fits[count])


def _best(fits: dict[int, LogProb], other: Array) -> int:
    return max(fits, key=lambda size: float(fits[size](other).mean()))


# ---- real numbers ---------------------------------------------------------------------------------------------------


@single_threaded
def _normals(space: Space, train: Array, components: int) -> LogProb:
    """A Gaussian mixture of scikit-learn with full covariances, in standardized columns."""
    x = flat(train)
    center, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 0, scale, 1)
    mixture = sklearn("mixture").GaussianMixture(components, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn("exceptions").ConvergenceWarning)  # near enough for a reference
        mixture.fit((x - center) / scale)
    score = single_threaded(mixture.score_samples)
    return lambda x: score((flat(x) - center) / scale) - np.log(scale).sum()


def _independent(space: Space, train: Array, other: Array) -> LogProb:
    """Each column alone: the counts of its levels, or a mixture of normals."""
    if space.discrete:
        return _levels(space, train, 1)
    columns = []
    for d in range(space.size):
        fits = {k: _normals(space, train[:, [d]], k) for k in COMPONENTS if k == 1 or k * ROWS_EACH <= len(train)}
        columns.append(fits[_best(fits, other[:, [d]])])
    return lambda x: np.sum([one(x[:, [d]]) for d, one in enumerate(columns)], axis=0)


# ---- integer levels -------------------------------------------------------------------------------------------------


@single_threaded
def _levels(space: Space, train: Array, components: int) -> LogProb:
    """Clusters of k-means; in each, independent dimensions with the observed frequencies of levels."""
    levels, x = int(getattr(space, "levels", 2)), train.reshape(len(train), -1).astype(np.int64)
    cluster = np.zeros(len(x), np.int64)
    if components > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn("exceptions").ConvergenceWarning)  # fewer different rows
            rounds = int(np.clip(PRODUCTS / (components * train.size), *ROUNDS))
            means = sklearn("cluster").KMeans(components, n_init=1, max_iter=rounds, random_state=0)
            cluster = means.fit_predict(flat(train))
    sizes = np.bincount(cluster, minlength=components)
    tables = np.empty((x.shape[1], components, levels))  # log p(level) of each dimension and cluster
    for column, table in zip(x.T, tables, strict=True):
        counts = np.bincount(cluster * levels + column, minlength=components * levels).reshape(components, levels)
        alone = (counts.sum(0) + 1) / (len(x) + levels)
        prior = SHRINKAGE if components > 1 else 0.0
        table[:] = np.log((counts + prior * alone) / (sizes[:, None] + prior)) if prior else np.log(alone)
    log_weights = np.log((sizes + 1) / (len(x) + components))

    def log_prob(x: Array) -> Floats:
        total = np.tile(log_weights, (len(x), 1))
        for column, table in zip(x.reshape(len(x), -1).astype(np.int64).T, tables, strict=True):
            total += table[:, column].T
        most = total.max(1, keepdims=True)
        return np.asarray(most[:, 0] + np.log(np.exp(total - most).sum(1)))

    return log_prob


# ---- text -----------------------------------------------------------------------------------------------------------


def _ngrams(space: Strings, train: Array) -> Callable[[int], LogProb]:
    """n-grams of tokens, such as characters, of any length, each interpolated with the shorter ones (Witten and Bell,
    "The zero-frequency problem", 1991). The end of a string is a token, except for strings of maximal length, which
    have none."""
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for row in train[: max(TOKENS // space.length, 1)]:
        for history, token in _steps(row, max(LENGTHS)):
            for start in range(len(history) + 1):
                counts[history[start:]][token] += 1
    totals = {history: (sum(found.values()), len(found)) for history, found in counts.items()}

    def probability(history: tuple[int, ...], token: int) -> float:
        p = 1 / space.tokens
        for start in range(len(history), -1, -1):
            total, kinds = totals.get(history[start:], (0, 0))
            if not total:
                break  # longer histories are unknown as well
            p = (counts[history[start:]][token] + kinds * p) / (total + kinds)
        return p

    def of_length(length: int) -> LogProb:
        return lambda x: np.array([sum(math.log(probability(*step)) for step in _steps(row, length)) for row in x])

    return of_length


def _steps(row: Array, length: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The tokens of a string, including its end, each with up to `length - 1` preceding ones. The start is one."""
    tokens = [-1, *(int(t) for t in row)]
    for place in range(1, len(tokens)):
        yield tuple(tokens[max(place - length + 1, 0) : place]), tokens[place]
        if tokens[place] == 0:
            return
