"""How much information latents retain about observations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.estimate import Estimate
from zoo.evaluation.estimates import hardly_positive, mean, share
from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.task import Task
from zoo.evaluation.vectors import flat

Array = npt.NDArray[Any]


def representation(task: Task) -> None:
    model, figures, given = task.model, task.report.figures, task.given("encode")
    z = model.encode(task.x, seed=task.seed, **given)
    if "decode" in model.signatures:
        again = model.decode(z, seed=task.seed, **task.given("decode"))
        x, middle = flat(task.x), flat(task.data.train).mean(0)
        figures["reconstruction_rmse"] = ours = rmse(flat(again), x)
        figures["reconstruction_rmse_of_mean"] = floor = rmse(middle, x)
        if hardly_positive(mean(((middle - x) ** 2 - (flat(again) - x) ** 2).mean(1))):
            task.report.remarks.append(
                "Its reconstructions are no better than the mean of the training data: their root mean square error is "
                f"{ours}, that of the mean {floor}."
            )
    if task.y is not None and not given:  # an encoder that receives the class may just copy it
        _probe(task, z, task.y)


def _probe(task: Task, z: Array, labels: Array) -> None:
    """Figures of classes in the latents `z` (N, ...) of the rows, or a remark why there are none."""
    report, (train, y) = task.report, task.data.split("train")
    assert y is not None
    if len(np.unique(y)) < 2:
        report.remarks.append("The training rows are of one class, so no linear probe is fitted.")
        return
    latents = task.model.encode(train, seed=task.seed)
    if not (np.isfinite(latents).all() and np.isfinite(z).all()):
        report.remarks.append("Some latents are not finite, so no linear probe is fitted.")
        return
    report.figures["linear_probe"] = linear_probe(latents, y, z, labels)
    report.figures["linear_probe_of_raw_data"] = linear_probe(train, y, task.x, labels)


def rmse(a: Array, b: Array) -> Estimate:
    """The root mean square of a - b, both (N, D), with its error by the delta method."""
    square = mean(((a - b) ** 2).mean(1))
    root = float(np.sqrt(square.value))
    return Estimate(root, None if square.error is None or not root else square.error / (2 * root), square.rows)


@single_threaded
def linear_probe(train: Array, labels: Array | None, x: Array, y: Array) -> Estimate:
    """Accuracy on `x` of a logistic regression on standardized features, fitted to `train`."""
    first, second = flat(train), flat(x)
    center, scale = first.mean(0), first.std(0)
    scale = np.where(scale > 0, scale, 1)
    probe = sklearn("linear_model").LogisticRegression(max_iter=2000).fit((first - center) / scale, labels)
    return share(probe.predict((second - center) / scale) == y)
