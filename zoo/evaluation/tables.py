"""Figures of samples of a table: its columns one by one and in pairs, whether gradient boosting tells them from data,
and what a classifier is worth that was trained on them.

Column shapes and pair trends are after SDMetrics (Patki, Wedge, Veeramachaneni, "The Synthetic Data Vault", DSAA 2016),
from 0 to 1; here pairs count that hardly depend on each other, too. All are about rows as `columns_of` gives them.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import AnyColumn, Boolean, Category, Table
from zoo.estimate import Estimate
from zoo.evaluation.estimates import below, jackknife
from zoo.evaluation.scikit_learn import single_threaded, sklearn
from zoo.evaluation.table_vectors import columns_of, is_number
from zoo.evaluation.task import Task

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
ROWS = 5000  # at most, of each kind that are compared
FOLDS = 5
BINS = 10  # of the numbers in a pair with a category
LEAST = 100  # rows to train a classifier on
MOST_CLASSES = 20  # of a column that is predicted
FEWEST = 10  # rows of a class, of those that a classifier is tested on


def table_figures(task: Task, space: Table) -> None:
    """Samples drawn anew, as many as there are held-out rows, beside training rows as real."""
    count = min(ROWS, len(task.x), len(task.data.train))
    if count < LEAST:
        task.report.remarks.append(f"{count} rows are too few for the figures of a table; expected at least {LEAST}.")
        return
    made = task.model.run("sample", count=count, seed=task.seed, stream="evaluate/table", **task.options)["x"]
    train, _ = task.some_training(count)
    ours, real, held_out = (columns_of(space, codes) for codes in (made, train, task.x[:count]))
    figures = task.report.figures

    def shapes(a: Floats, b: Floats) -> float:
        return float(np.mean([column_shape(c, a[:, n], b[:, n]) for n, c in enumerate(space.columns)]))

    def trends(a: Floats, b: Floats) -> float:
        return pair_trends(space, a, b)

    figures["column_shapes"] = jackknife(shapes, ours, held_out).beside(jackknife(shapes, real, held_out))
    if len(space.columns) > 1:
        figures["pair_trends"] = jackknife(trends, ours, held_out).beside(jackknife(trends, real, held_out))
    figures["c2st_auc"] = auc(space, ours, held_out, task.seed).beside(auc(space, real, held_out, task.seed))
    target = column_to_predict(space, real, held_out)
    if target is None:
        task.report.remarks.append("No column is a class with enough rows of each, so none is predicted.")
        return
    scores = [prediction_auc(space, target, rows, held_out, task.seed) for rows in (ours, real)]
    figures["trained_on_samples"] = scores[0].beside(scores[1])
    task.report.remarks.append(f"trained_on_samples predicts the column {space.names[target]!r} from the others.")


def column_shape(column: AnyColumn, a: Floats, b: Floats) -> float:
    """One minus the Kolmogorov-Smirnov distance of numbers, or the total variation of categories. Missing values are
    the largest number, and a category of their own."""
    if is_number(column):
        ours, theirs = (np.sort(np.where(np.isnan(values), np.inf, values)) for values in (a, b))
        points = np.concatenate([ours, theirs])
        below_a, below_b = (np.searchsorted(rows, points, "right") / len(rows) for rows in (ours, theirs))
        return float(1 - np.abs(below_a - below_b).max())
    first, second = (_shares(_places(values, column)[:, None], [column.levels[0] + 1]) for values in (a, b))
    return float(1 - np.abs(first - second).sum() / 2)


def pair_trends(space: Table, a: Floats, b: Floats) -> float:
    """The mean over pairs of columns: of numbers one minus half the difference of their correlations; else one minus
    the total variation of how often two values meet, numbers being cut into `BINS` intervals."""
    edges = [_edges(b[:, n]) if is_number(c) else None for n, c in enumerate(space.columns)]
    each = [*zip(space.columns, edges, strict=True)]
    cut = [[_places(x[:, n], c) if e is None else _cut(x[:, n], e) for n, (c, e) in enumerate(each)] for x in (a, b)]
    sizes = [c.levels[0] + 1 if e is None else BINS + 1 for c, e in each]
    scores = []
    for i, j in combinations(range(len(space.columns)), 2):
        if edges[i] is not None and edges[j] is not None:
            ours, theirs = (_correlation(x[:, i], x[:, j]) for x in (a, b))
            scores.append(1 - abs(ours - theirs) / 2)
        else:
            first, second = (_shares(np.stack([x[i], x[j]], 1), [sizes[i], sizes[j]]) for x in cut)
            scores.append(1 - float(np.abs(first - second).sum()) / 2)
    return float(np.mean(scores))


def _places(values: Floats, column: AnyColumn) -> npt.NDArray[np.int64]:
    return np.where(np.isnan(values), column.levels[0], values).astype(np.int64)


def _edges(values: Floats) -> Floats:
    present = values[~np.isnan(values)]
    return np.linspace(present.min(), present.max(), BINS + 1)[1:-1] if len(present) else np.zeros(BINS - 1)


def _cut(values: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    return np.where(np.isnan(values), BINS, np.searchsorted(edges, values, "right"))


def _shares(places: npt.NDArray[np.int64], sizes: list[int]) -> Floats:
    flat = np.ravel_multi_index(tuple(places.T), sizes)
    return np.bincount(flat, minlength=int(np.prod(sizes))) / len(flat)


def _correlation(x: Floats, y: Floats) -> float:
    """Pearson's, where both are there; 0 where one does not vary."""
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 2 or not x.std() or not y.std():
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


# ---- with gradient boosting -----------------------------------------------------------------------------------------


def boosting(space: Table, seed: int, without: int | None = None) -> Any:
    """A classifier of rows of a table, but for one column."""
    kept = [c for n, c in enumerate(space.columns) if n != without]
    categories = [isinstance(c, (Category, Boolean)) and c.levels[0] < 255 for c in kept]
    return sklearn("ensemble").HistGradientBoostingClassifier(
        categorical_features=categories if any(categories) else None, random_state=seed
    )


@single_threaded
def auc(space: Table, a: Floats, b: Floats, seed: int = 0) -> Estimate:
    """How often gradient boosting, cross-validated, finds a row of `b` likelier to be one than a row of `a`."""
    rows, kind = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    selection = sklearn("model_selection")
    folds = selection.StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    p = selection.cross_val_predict(boosting(space, seed), rows, kind, cv=folds, method="predict_proba")[:, 1].round(9)
    return below(p[kind == 0], p[kind == 1])


def column_to_predict(space: Table, *rows: Floats) -> int | None:
    """The last column that is a category of few values, each often enough."""
    for n in reversed(range(len(space.columns))):
        if len(space.columns) > 1 and not is_number(space.columns[n]) and space.columns[n].levels[0] <= MOST_CLASSES:
            counts = [np.unique(_places(x[:, n], space.columns[n]), return_counts=True)[1] for x in rows]
            if all(len(c) > 1 and c.min() >= FEWEST for c in counts):
                return n
    return None


@single_threaded
def prediction_auc(space: Table, target: int, train: Floats, held_out: Floats, seed: int = 0) -> Estimate:
    """The area under the ROC curve, on `held_out`, of a classifier of a column that was trained on `train`: the mean
    over classes, each against the others."""
    y, truth = (_places(x[:, target], space.columns[target]) for x in (train, held_out))
    model = boosting(space, seed, without=target)
    others = [n for n in range(len(space.columns)) if n != target]
    if len(np.unique(y)) < 2:
        return Estimate(0.5, None, len(truth))
    model.fit(train[:, others], y)
    p = np.zeros((len(truth), space.columns[target].levels[0] + 1))
    p[:, model.classes_] = model.predict_proba(held_out[:, others]).round(9)

    def mean_auc(p: Array, y: Array) -> float:
        classes = np.unique(y)
        classes = classes[1:] if len(classes) == 2 else classes  # of two, the areas are the same
        return float(np.mean([below(p[y != k, k], p[y == k, k]).value for k in classes]))

    return jackknife(mean_auc, p, truth)
