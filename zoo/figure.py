"""A figure: a value with its standard error and the number of rows that it is about. Needs no numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

ERROR = "_standard_error"  # the end of a name in cards that were made before figures had errors of their own


@dataclass(frozen=True)
class Figure:
    """`value` with its standard error (None where none is known) over `rows` observations (0: not recorded).

    `real` is the same figure with real data in place of what a model made: what there is to reach.
    """

    value: float
    error: float | None = None
    rows: int = 0
    real: Figure | None = None

    def beside(self, real: Figure) -> Figure:
        """This figure with its control on real data."""
        return replace(self, real=real)

    def __str__(self) -> str:
        if self.error is None or not 0 < self.error < math.inf:
            return f"{self.value:.5g}"
        error = float(f"{self.error:.2g}")
        digits = max(1 - math.floor(math.log10(error)), 0)
        if digits > 6:
            return f"{self.value:.3e} ± {error:.1e}"
        return f"{self.value:.{digits}f} ± {error:.{digits}f}"

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"value": self.value, "error": self.error, "rows": self.rows}
        return found if self.real is None else {**found, "real": self.real.to_json()}

    @classmethod
    def from_json(cls, data: Any) -> Figure:
        """The figure of a dict that `to_json` made, or of a bare number."""
        if not isinstance(data, Mapping):
            return cls(float(data))
        real = data.get("real")
        return cls(data["value"], data["error"], data["rows"], None if real is None else cls.from_json(real))


def figures_of(test: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures of a card's test metrics, by name."""
    if "figures" in test:
        return {name: Figure.from_json(data) for name, data in test["figures"].items()}
    # a card of before: bare numbers of one split
    return {
        name: Figure(value, test.get(name + ERROR), test.get("rows", 0))
        for name, value in test.items()
        if name != "rows" and not name.endswith(ERROR) and isinstance(value, (int, float))
    }


__all__ = ["Figure", "figures_of"]
