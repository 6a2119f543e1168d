"""How far two arrays differ, by row and overall: parity and the conformance suite compare this with a tolerance."""

from __future__ import annotations

import numpy as np

from zoo.model import Array

TOLERANCE = 1e-4
# Differences of floats are relative to the value, or to these if it is smaller: a probability of 1e-9 and a log-density
# of 1e-9 nats are as good as zero. Otherwise they are relative to the root mean square of the row.
SCALES = {"predict": 1.0, "log_prob": 1.0}


def difference(expected: Array, got: Array, scale: float | None = None) -> float:
    """Largest difference: the share of unequal values for integers; for floats relative to the value, or to `scale` if
    that is larger (by default the root mean square of the row)."""
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return float((expected != got).mean())
    return float(row_differences(expected, got, scale).max())


def row_differences(expected: Array, got: Array, scale: float | None = None) -> Array:
    """The largest difference of floats in each row, (N,)."""
    a, b = expected.astype(np.float64), got.astype(np.float64)
    if scale is None:
        with np.errstate(invalid="ignore"):
            square = np.where(np.isfinite(a), a, 0) ** 2
        floor = np.sqrt(square.reshape(len(a), -1).mean(1)).reshape(-1, *[1] * (a.ndim - 1))
    else:
        floor = np.full_like(a, scale)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(same, 0, np.abs(a - b) / np.maximum(np.maximum(np.abs(a), floor), 1e-30))
    return np.asarray(np.nan_to_num(error, nan=np.inf).reshape(len(a), -1).max(1))


def finite_rows(value: Array) -> Array:
    """Rows without NaN. For extreme inputs the source itself may give NaN; the other rows have nothing to compare."""
    if value.dtype.kind != "f":
        return np.ones(len(value), dtype=bool)
    return np.asarray(~np.isnan(value).reshape(len(value), -1).any(axis=1))


def rows_that_differ(expected: Array, got: Array) -> Array:
    return np.flatnonzero((expected != got).reshape(len(expected), -1).any(1))


def only_rounding(expected: Array, got: Array) -> bool:
    """Whether levels of an image (uint8) differ only by rounding: if a float lies on the border between two levels, its
    last bit decides. One level up or down, in one value or one in a thousand."""
    if expected.dtype != np.uint8 or expected.shape != got.shape:
        return False
    gap = np.abs(expected.astype(np.int64) - got)
    return bool(gap.max() <= 1 and (gap > 0).sum() <= max(1, gap.size // 1000))
