"""The task of an evaluation: a model, on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import Dataset
from zoo.errors import InputError
from zoo.evaluation.report import Report
from zoo.model import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Task:
    """The evaluated rows are `x` (N, *shape), their classes `y` and their inputs `told` by name. `judge` is a
    classifier, `options` are those of samples. Parts of the evaluation write into `report`."""

    model: Model
    data: Dataset
    x: Array
    y: npt.NDArray[np.int64] | None
    report: Report
    judge: Model | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Array] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.report.seed

    @property
    def other(self) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """Real rows that are neither training rows nor in `x`."""
        return self.data.split("test" if self.report.split == "validation" else "validation")

    def some_training(self, count: int) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """At most `count` random training rows, and their classes."""
        order = noise.permutation(len(self.data.train), seed=self.seed, stream="evaluate/training")[:count]
        x, y = self.data.split("train")
        return x[order], None if y is None else y[order]

    def given(self, method: str) -> dict[str, Array]:
        """The arguments of a method other than the rows: their classes and inputs, as keyword arguments."""
        inputs, categories = self.model.signature(method).inputs, self.model.categories
        told = {name: values for name, values in self.told.items() if name in inputs}
        called = {name: categories[name].called(told[name]) for name in told if name in categories}
        return self.labels(method) | told | called

    def labels(self, method: str) -> dict[str, Array]:
        """The classes of the rows as a keyword argument, if the method takes them."""
        if "label" not in self.model.signature(method).inputs:
            return {}
        if self.y is None:
            raise InputError(f"{method} of {self.model.name} needs a class for each row, but this data has none.")
        assert self.model.classes is not None
        return {"label": self.model.classes.called(self.y)}
