"""How well a classifier predicts the classes of held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.evaluation.estimates import hardly_positive, mean, share
from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.task import Task
from zoo.evaluation.vectors import vectorizer

Array = npt.NDArray[Any]
ROWS = 10_000  # to fit the forest, at most
LEAST = 1e-30


def prediction(task: Task) -> None:
    model, figures = task.model, task.report.figures
    p = model.predict(task.x, seed=task.seed, **task.given("predict"))
    if p.ndim == 1:
        return  # the scores of a real/fake discriminator are reported with its samples
    if task.y is None:
        raise InputError(f"the accuracy of {model.name} needs the classes of the rows; name their column with label=.")
    right = p.argmax(1) == task.y
    figures["accuracy"] = share(right)
    of_class = np.take_along_axis(p, task.y[:, None], 1)[:, 0].astype(np.float64)
    figures["cross_entropy"] = mean(-np.log(np.maximum(of_class, LEAST)))
    train, y = task.data.split("train")
    assert y is not None
    forest = _forest(task, train[:ROWS], y[:ROWS]) == task.y
    commonest = np.bincount(y).argmax() == task.y
    figures["accuracy_of_commonest_class"], figures["accuracy_of_forest"] = share(commonest), share(forest)
    for what, other in (("always naming the commonest class", commonest), ("a random forest", forest)):
        gain = mean(right.astype(float) - other)
        if hardly_positive(gain):
            task.report.remarks.append(f"It is no better than {what}: its accuracy is {gain} higher.")


@single_threaded
def _forest(task: Task, train: Array, y: Array) -> Array:
    vectors = vectorizer(task.model.space, train)
    model = sklearn("ensemble").RandomForestClassifier(random_state=0).fit(vectors(train), y)
    return np.asarray(model.predict(vectors(task.x)))
