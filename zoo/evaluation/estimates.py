"""Estimates with their standard errors. Ties count as halves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.estimate import Estimate

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
BLOCKS = 20  # of a jackknife
SURE = 2  # standard errors


def clearly_positive(figure: Estimate) -> bool:
    """Whether a difference is above zero by more than `SURE` standard errors."""
    return figure.error is not None and figure.value > SURE * figure.error


def hardly_positive(figure: Estimate) -> bool:
    """Whether a difference is not `clearly_positive`. For a single row, whose error is unknown, its sign decides."""
    return not figure.value > SURE * (figure.error or 0.0)


def mean(values: Array) -> Estimate:
    return ratio(values, np.ones(len(values)))


class RunningMean:
    """`mean` of values that arrive in batches and are not kept (Chan, Golub and LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances", 1979)."""

    def __init__(self) -> None:
        self.rows, self.value, self.squares = 0, 0.0, 0.0

    def add(self, values: Array) -> None:
        """Add at least one value."""
        values = values.astype(np.float64)
        count, center = len(values), float(values.mean())
        gap, rows = center - self.value, self.rows + count
        self.squares += float(((values - center) ** 2).sum()) + gap**2 * self.rows * count / rows
        self.value += gap * count / rows
        self.rows = rows

    def figure(self) -> Estimate:
        error = math.sqrt(self.squares / (self.rows - 1) / self.rows) if self.rows > 1 else None
        return Estimate(self.value, error, self.rows)


def ratio(total: Array, size: Array) -> Estimate:
    """sum(total) / sum(size) over independent rows, with the error by the delta method; no error if not finite."""
    total, size = total.astype(np.float64), size.astype(np.float64)
    count, value = len(total), float(total.sum() / size.sum())
    if count < 2 or not math.isfinite(value):
        return Estimate(value, None, count)
    error = (total - value * size).std(ddof=1) / size.mean() / math.sqrt(count)
    return Estimate(value, float(error), count)


def share(hits: Array, groups: Array | None = None) -> Estimate:
    """The share of hits among rows; 0.5 is a tie.

    Rows within one of the `groups` (N,) may be dependent. The error is at least that of a share with one more hit and
    one more miss, so that no hits in few rows is not taken for certainty.
    """
    hits = hits.astype(np.float64)
    count, value = len(hits), float(hits.mean())
    smooth = (hits.sum() + 1) / (count + 2)
    error = math.sqrt(smooth * (1 - smooth) / (count + 2))
    if groups is not None:
        sums = np.bincount(np.unique(groups, return_inverse=True)[1].reshape(-1), weights=hits - value)
        error = max(error, math.sqrt(float((sums**2).sum())) / count)
    return Estimate(value, error, count)


def below(a: Array, b: Array) -> Estimate:
    """How often a value of `a` is below one of `b`: the area under the ROC curve.

    The error is DeLong's (1988), and at least that of no hits among the smaller number of rows.
    """
    first, second = np.sort(a), np.sort(b)
    of_a = 1 - _under(second, a)  # for each value of a, the share of b above it
    of_b = _under(first, b)
    value = float(of_a.mean())
    fewer = min(len(a), len(b))
    error = share(np.zeros(fewer)).error or 0.0
    if fewer > 1:
        error = max(error, math.sqrt(of_a.var(ddof=1) / len(a) + of_b.var(ddof=1) / len(b)))
    return Estimate(value, error, len(a))


def _under(ordered: Array, values: Array) -> Floats:
    """The share of `ordered` below each of `values`."""
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(ordered)), np.float64)


def jackknife(statistic: Callable[[Array, Array], float], a: Array, b: Array) -> Estimate:
    """A statistic of two sets of equal size, with its error by a jackknife over `BLOCKS` blocks of both."""
    block, value = np.arange(len(a)) % BLOCKS, statistic(a, b)
    if len(a) < 2 * BLOCKS:
        return Estimate(value, None, len(a))
    without = np.array([statistic(a[block != i], b[block != i]) for i in range(BLOCKS)])
    error = math.sqrt((BLOCKS - 1) / BLOCKS * float(((without - without.mean()) ** 2).sum()))
    return Estimate(value, error, len(a))
