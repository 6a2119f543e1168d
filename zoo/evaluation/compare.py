"""Compares models on the same rows: paired differences with errors, and a verdict if there is evidence for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.data import Dataset, check_split
from zoo.data.model_data import load_for
from zoo.data.sources import Split, blocks
from zoo.errors import InputError
from zoo.estimate import Estimate
from zoo.evaluation.estimates import ratio
from zoo.evaluation.likelihood import unit_of
from zoo.evaluation.training_data import SHARE, seen, training_data
from zoo.model import Model
from zoo.system.memory import available

Array = npt.NDArray[Any]
CHANCE = 0.05  # probability that a verdict names a best one among equally good models


@dataclass
class Comparison:
    """`figures` by quantity and model; `behind` is the paired difference of each model to the best, in the same unit
    and never negative. `verdicts` state the conclusion in a sentence, `remarks` which models have seen some of the rows
    in training. Lower is better, except for `accuracy`."""

    data: str
    split: str
    rows: int
    figures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    behind: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        plain = {
            part: {what: {name: f.to_json() for name, f in row.items()} for what, row in getattr(self, part).items()}
            for part in ("figures", "behind")
        }
        told = {"verdicts": self.verdicts, "remarks": self.remarks}
        return {"data": self.data, "split": self.split, "rows": self.rows, **plain, **told}


def compare(
    models: Sequence[Model], data: str | Path | Dataset, split: str = "test", *, label: str | None = None, seed: int = 0
) -> Comparison:
    """Compare models of one data set by the likelihood of each held-out row, or by whether they predict its class.

    The rows are the same for all, so the difficulty of a row cancels in the differences: their errors are much smaller
    than those of the figures. A best model is named if it is better than each of the others by more than chance
    explains, at 5 % for all comparisons together.
    """
    names = [model.name for model in models]
    if len(models) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"a comparison takes two or more models with different names; got {', '.join(names) or 'none'}."
        )
    dataset = load_for(models[0], data, label=label)
    measured: dict[str, dict[str, tuple[Array, Array]]] = {}
    check_split(split)
    found = Comparison(dataset.name, split, len(dataset.splits[split]))
    for model in models:
        fitted = dataset.keeping([n for n in dataset.inputs if n in model.conditions])
        fitted = fitted.fitted(model.space, model.classes, model.categories)
        for what, of_rows in losses(model, fitted.splits[split], seed).items():
            measured.setdefault(what, {})[model.name] = of_rows
        trained, _ = training_data(model, data, fitted, available() // SHARE)
        if trained is not None and (count := seen(fitted.splits[split].observations, trained)):
            found.remarks.append(f"{model.name} was trained on {count:,} of the {found.rows:,} rows.")
    for what, by_model in measured.items():
        settle(found, what, by_model)
    if not found.figures:
        raise InputError(f"{', '.join(names)} have neither log_prob nor predict: look at zoo evaluate of each.")
    return found


def losses(model: Model, rows: Split, seed: int) -> dict[str, tuple[Array, Array]]:
    """The quantities measured: for each its value for each row (N,), and how many units a row has (N,). A block of rows
    at a time, to bound memory."""
    parts = [_losses(model, rows[part], seed, part.start) for part in blocks(rows.observations)]
    found = {}
    for what in parts[0]:
        values, sizes = zip(*(part[what] for part in parts), strict=True)
        found[what] = np.concatenate(values), np.concatenate(sizes)
    return found


def _losses(model: Model, batch: Mapping[str, Array], seed: int, start: int) -> dict[str, tuple[Array, Array]]:
    """`losses` of the rows of a batch, the first of which is number `start`."""

    def run(method: str) -> dict[str, Array]:
        given = {name: batch.get(name) for name in model.signatures[method].inputs}
        return model.run(method, given, seed=seed, start=start)

    found, x, y = {}, batch["x"], batch.get("label")
    if "log_prob" in model.signatures and model.density != "unnormalized":
        unit, size = unit_of(model.space, x)
        found[unit] = -run("log_prob")["log_prob"].astype(np.float64), size
    if "predict" in model.signatures and model.classes is not None and y is not None:
        p = run("predict")["y"]
        if p.ndim == 2:  # else a real/fake score
            found["accuracy"] = (p.argmax(1) == y).astype(np.float64), np.ones(len(x))
    return found


def settle(found: Comparison, what: str, by_model: dict[str, tuple[Array, Array]]) -> None:
    """Figures, differences to the best, and the verdict for one quantity."""
    sign = -1.0 if what == "accuracy" else 1.0
    found.figures[what] = {name: ratio(values, size) for name, (values, size) in by_model.items()}
    best = min(by_model, key=lambda name: sign * found.figures[what][name].value)
    others = [name for name in by_model if name != best]
    if not others:
        return
    first, size = by_model[best]
    behind = {name: ratio(sign * (by_model[name][0] - first), size) for name in others}
    found.behind[what] = {best: Estimate(0.0, None, len(first)), **behind}
    sure = NormalDist().inv_cdf(1 - CHANCE / (len(by_model) * len(others)))  # the best was chosen after the fact
    near = [n for n, f in behind.items() if f.error is None or f.value <= sure * f.error]
    found.verdicts[what] = (
        f"{best} is the best: each of the others is behind by more than chance explains."
        if not near
        else f"None is the best: {best} is ahead of {', '.join(near)} by no more than chance explains."
    )


__all__ = ["Comparison", "compare"]
