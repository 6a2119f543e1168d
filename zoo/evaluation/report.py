"""The result of an evaluation: figures by name, and remarks on what they mean for the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.estimate import Estimate

REPORTED = ("model", "data", "split", "rows", "seed", "judge", "options", "remarks")


@dataclass
class Report:
    """The figures of a model on one split of a data set; `zoo.evaluation.meaning` describes each. `options` are those
    of the samples.

    `histogram` has the share of each class among the samples, according to `judge`. `remarks` are sentences: what the
    model is no better than, and what could not be measured.
    """

    model: str
    data: str
    split: str
    rows: int
    seed: int
    judge: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Estimate] = field(default_factory=dict)
    histogram: dict[str, Estimate] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    meanings: dict[str, str] = field(default_factory=dict)  # what figures are that the model brings itself

    def __getitem__(self, name: str) -> Estimate:
        return self.figures[name]

    def __contains__(self, name: str) -> bool:
        return name in self.figures

    def to_json(self) -> dict[str, Any]:
        def plain(figures: Mapping[str, Estimate]) -> dict[str, Any]:
            return {name: figure.to_json() for name, figure in figures.items()}

        found = {name: getattr(self, name) for name in REPORTED}
        return {**found, "figures": plain(self.figures), "histogram": plain(self.histogram)}
