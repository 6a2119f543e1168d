"""Rows of a table as numbers and as vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import AnyColumn, Real, Table, Whole

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


def is_number(column: AnyColumn) -> bool:
    """Whether differences of the values mean something."""
    return isinstance(column, (Real, Whole))


def columns_of(space: Table, codes: Array) -> Floats:
    """(N, codes) -> (N, columns): numbers, dates as days or units of time, the places of categories; NaN if missing."""
    out = np.empty((len(codes), len(space.columns)))
    for n, (place, column) in enumerate(space.places()):
        mine = codes[:, place : place + len(column.levels)].astype(np.int64)
        absent = (mine[:, 0] == column.levels[0] - 1) & column.missing
        if isinstance(column, Real):
            values = column.decode(mine).fill_null(np.nan).to_numpy(zero_copy_only=False)
        else:  # the digits of a number
            values = np.zeros(len(mine))
            for digit, levels in zip(mine.T, column.open, strict=True):
                values = values * levels + digit
        out[:, n] = np.where(absent, np.nan, values)
    return out


def vectors_of_table(space: Table, train: Array) -> Callable[[Array], Floats]:
    """A function from rows of codes to vectors: numbers standardized, those that are missing at the mean and apart by
    one, and for each category one axis, so that two different ones are as far apart as numbers by one deviation."""
    known = columns_of(space, train)

    def vectors(codes: Array) -> Floats:
        found: list[Floats] = []
        for column, values, of_train in zip(space.columns, columns_of(space, codes).T, known.T, strict=True):
            present = of_train[~np.isnan(of_train)]
            if is_number(column):
                scale = float(present.std()) if len(present) else 0.0
                absent = np.isnan(values)
                found.append(np.where(absent, 0, (values - (present.mean() if len(present) else 0)) / (scale or 1)))
                found.append(absent.astype(np.float64))
            else:
                places = np.where(np.isnan(values), column.levels[0] - 1, values)
                found += [*(places == np.arange(column.levels[0])[:, None]) / np.sqrt(2)]
        return np.stack(found, 1)

    return vectors
