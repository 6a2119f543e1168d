"""The losses of a training, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 512  # of a curve, at most


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


def table(rows: Sequence[Mapping[str, float]]) -> pa.Table:
    """Rows as an Arrow table: `to_pandas()`, `to_pylist()` and so on."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})
