"""The losses of a training, as figures and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zoo.estimate import ERROR, Estimate

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 512  # of a curve, at most
EPOCH = "epoch"
COUNT = "_rows"  # the end of the name of a column that counts what a figure is about
Epoch = Mapping[str, float | Estimate]  # a row of the history: `epoch`, its number, and figures; bare in runs of before


@dataclass
class Curve:
    """Figures by step: each row has the means over `window` steps, which is as many as keep the rows few."""

    window: int = 1
    rows: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)  # of the steps since the last row
    count: int = 0

    def can_be_of(self, names: set[str]) -> bool:
        """Whether `add` with figures of these names may have left it so."""
        rows = len(self.rows) < ROWS and all(row.keys() == names | {"step"} for row in self.rows)
        return rows and self.window > 0 and self.count >= 0 and self.sums.keys() <= names

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step, the first of which is 1."""
        self.count += 1
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if step % self.window:
            return
        self.rows.append({"step": step, **{name: total / self.count for name, total in self.sums.items()}})
        self.sums, self.count = {}, 0
        if len(self.rows) >= ROWS:
            self.rows = [merged(*pair) for pair in zip(self.rows[::2], self.rows[1::2], strict=True)]
            self.window *= 2


def merged(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Two rows as one."""
    return {name: value if name == "step" else (first[name] + value) / 2 for name, value in second.items()}


def mean_of_steps(total: float, squares: float | None, steps: int, rows: int) -> Estimate:
    """The mean of a loss over the steps of an epoch, of `rows` observations in all, from its sum and that of squares.

    A step gives the mean of its batch and no more. So the error is that of these means, and whatever the weights have
    gained within the epoch is in it. Without squares, or of one step, none is known.
    """
    mean = total / steps
    if squares is None or steps < 2:
        return Estimate(mean, None, rows)
    variance = squares / steps - mean * mean
    return Estimate(mean, math.sqrt(max(variance, 0.0) / (steps - 1)) if math.isfinite(variance) else None, rows)


def figures_in(row: Epoch) -> dict[str, Estimate]:
    """The figures of a row of the history, by name."""
    return {
        name: value if isinstance(value, Estimate) else Estimate(value) for name, value in row.items() if name != EPOCH
    }


def flat(row: Epoch) -> dict[str, float | None]:
    """A row of the history as numbers: of each figure its value, its standard error, and its number of rows."""
    found: dict[str, float | None] = {}
    for name, figure in figures_in(row).items():
        found |= {name: figure.value, f"{name}{ERROR}": figure.error, f"{name}{COUNT}": figure.rows}
    return found


def table(rows: Sequence[Mapping[str, float | None]]) -> pa.Table:
    """Rows as an Arrow table: `to_pandas()`, `to_pylist()` and so on."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})
