"""A figure as an estimate: a value with its standard error and the number of rows behind it. Needs no numpy."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from zoo.errors import InputError

ERROR = "_standard_error"  # the end of a name in cards that were made before figures had errors of their own


@dataclass(frozen=True)
class Estimate:
    """`value` with its standard error (None where none is known) over `rows` observations (0: not recorded).

    `real` is the same figure with real data in place of what a model made: what there is to reach.
    """

    value: float
    error: float | None = None
    rows: int = 0
    real: Estimate | None = None

    def beside(self, real: Estimate) -> Estimate:
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
    def from_json(cls, data: Any) -> Estimate:
        """The figure of a dict that `to_json` made, or of a bare number; `InputError` for anything else."""
        found = cls._alone(data)
        real = data.get("real") if isinstance(data, Mapping) else None
        return found if real is None else found.beside(cls._alone(real))

    @classmethod
    def _alone(cls, data: Any) -> Estimate:
        known: Any = data if isinstance(data, Mapping) else {"value": data}
        value, error, rows = known.get("value"), known.get("error"), known.get("rows", 0)
        if not (is_number(value) and (error is None or is_number(error)) and is_number(rows)):
            raise InputError(f"a figure is {reprlib.repr(data)}; expected a number, or its value, error and rows.")
        return cls(value, error, rows)


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that a float can be."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def figures_of(test: Mapping[str, Any]) -> dict[str, Estimate]:
    """The figures of a card's test metrics, by name."""
    if "figures" in test:
        known = test["figures"]
        if not isinstance(known, Mapping):
            raise InputError(f"figures are {reprlib.repr(known)}; expected one for each name.")
        return {name: Estimate.from_json(data) for name, data in known.items()}
    # a card of before: bare numbers of one split
    return {
        name: Estimate.from_json({"value": value, "error": test.get(name + ERROR), "rows": test.get("rows", 0)})
        for name, value in test.items()
        if name != "rows" and not name.endswith(ERROR) and isinstance(value, (int, float))
    }


__all__ = ["Estimate", "figures_of"]
