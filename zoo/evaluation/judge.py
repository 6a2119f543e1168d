"""Judges samples by a classifier of the same data: their classes, and their distance from data in its log-odds. It is
blind to differences that it was not trained to distinguish."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.data import Dataset
from zoo.errors import InputError
from zoo.estimate import Estimate
from zoo.evaluation.estimates import jackknife, share
from zoo.evaluation.scikit_learn import single_threaded
from zoo.model import Model
from zoo.spec import PresetSpec

Array = npt.NDArray[Any]
LEAST = 1e-6  # smaller probabilities are clipped: float32 does not resolve them


def check_judge(judge: Model, data: Dataset) -> None:
    """`InputError` if a model cannot judge samples of a data set."""
    if "predict" not in judge.signatures or judge.classes is None:
        raise InputError(f"{judge.name} cannot judge: it is not a classifier. Name one: zoo list --method predict")
    if judge.space != data.space or judge.classes != data.classes:
        raise InputError(
            f"{judge.name} cannot judge samples of {data.name}: it takes {judge.space.describe()}, and "
            f"{judge.classes.describe()}; the data are {data.space.describe()}, and "
            + (f"{data.classes.describe()}." if data.classes else "have no classes.")
        )


def preset_judge(data: Dataset) -> Model | None:
    """The first preset classifier that was trained on a data set of this name and takes its observations."""
    from zoo import registry
    from zoo.api import open as open_artifact

    if data.classes is None:
        return None
    for spec in registry.find_models("*.*", family="classifier"):
        if isinstance(spec, PresetSpec) and spec.artifact and spec.card.get("data") == data.name:
            judge = open_artifact(spec.artifact, device="cpu")
            if judge.space == data.space and judge.classes == data.classes:
                judge.name = spec.name
                return judge
    return None


def log_odds(judge: Model, x: Array) -> Array:
    """Log-probabilities of the classes minus their mean, (N, classes): the features of this classifier."""
    log_p = np.log(np.maximum(judge.predict(x), LEAST).astype(np.float64))
    found: Array = (log_p - log_p.mean(1, keepdims=True)).round(6)
    return found


@single_threaded
def frechet_distance(a: Array, b: Array) -> Estimate:
    """The Fréchet distance of normals with the means and covariances of `a` and `b` (N, D), which have equal size.

    It is squared, and biased upwards for few rows: compare with the same figure of real data.
    """
    return jackknife(_frechet, a, b)


def _frechet(a: Array, b: Array) -> float:
    shift = a.mean(0) - b.mean(0)
    first, second = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return max(float(shift @ shift + np.trace(first) + np.trace(second) - 2 * cross), 0.0)


def class_shares(judge: Model, samples: Array, real: Array) -> dict[str, Estimate]:
    """The share of each class among the samples, and among real rows."""
    assert judge.classes is not None
    made, held_out = (judge.predict(x).argmax(1) for x in (samples, real))
    return {
        name: share(made == label).beside(share(held_out == label)) for label, name in enumerate(judge.classes.names)
    }


def class_difference(judge: Model, samples: Array, real: Array) -> Estimate:
    """Total variation between the classes of samples and real rows, in equal numbers: the share that has to change."""
    assert judge.classes is not None
    count = len(judge.classes)

    def statistic(a: Array, b: Array) -> float:
        first, second = (np.bincount(y, minlength=count) / len(y) for y in (a, b))
        return float(np.abs(first - second).sum() / 2)

    return jackknife(statistic, judge.predict(samples).argmax(1), judge.predict(real).argmax(1))
