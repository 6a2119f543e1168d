"""The classifier two-sample test (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", arXiv 1610.06545)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import Table
from zoo.estimate import Estimate
from zoo.evaluation.estimates import share
from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.vectors import flat, vectorizer
from zoo.spaces import Space, Strings

Array = npt.NDArray[Any]
FOLDS = 5
TREES = 100


@single_threaded
def classifier_two_sample(
    space: Space, a: Array, b: Array, labels: tuple[Array, Array] | None = None, *, seed: int = 0
) -> Estimate:
    """Cross-validated accuracy of a classifier that distinguishes rows of `a` from rows of `b`: 0.5 is chance.

    It is a random forest, or for text a logistic regression on n-grams of characters. With `labels`, the classes of `a`
    and of `b`, it judges the pairs of row and class.
    """
    rows, kind = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    if isinstance(space, Strings):
        features, model = vectorizer(space, rows)(rows), sklearn("linear_model").LogisticRegression(max_iter=2000)
    else:
        features = vectorizer(space, rows)(rows) if isinstance(space, Table) else flat(rows)
        model = sklearn("ensemble").RandomForestClassifier(TREES, n_jobs=-1, random_state=seed)
    if labels is not None:
        known = np.concatenate(labels)
        classes = (known[:, None] == np.unique(known)).astype(np.float64)
        features = np.hstack([features.toarray() if isinstance(space, Strings) else features, classes])
    selection = sklearn("model_selection")
    folds = selection.StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    p = selection.cross_val_predict(model, features, kind, cv=folds, method="predict_proba")[:, 1].round(9)
    return share(np.where(p == 0.5, 0.5, (p > 0.5) == kind))
