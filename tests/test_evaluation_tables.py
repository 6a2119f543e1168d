"""Figures of samples of a table: what they are of data itself, and that each sees its fault."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from zoo.columns import Boolean, Category, Integer, Real, Table
from zoo.evaluation.report import Report
from zoo.evaluation.table_vectors import columns_of, vectors_of_table
from zoo.evaluation.tables import column_shape, column_to_predict, pair_trends, table_figures
from zoo.evaluation.task import Task

SPACE = Table(
    [
        Integer(name="n", low=0, high=999, missing=True),
        Real(name="w", edges=tuple(np.linspace(-6, 6, 25).tolist())),
        Category(name="c", values=("u", "v", "w")),
        Boolean(name="y"),
    ]
)


def rows(count, seed, *, independent=False):
    """The last column follows from the others; one `n` of ten is missing."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=count)
    n = np.clip(500 + 200 * w + 50 * rng.normal(size=count), 0, 999).astype(int)
    c = rng.integers(0, 3, count)
    y = w + (c == 1) + 0.5 * rng.normal(size=count) > 0.5
    columns = [[None if i % 10 == 3 else int(v) for i, v in enumerate(n)], w, np.array([*"uvw"])[c], y]
    if independent:
        columns = [[column[i] for i in rng.permutation(count)] for column in columns]
    return SPACE.check(dict(zip(SPACE.names, map(list, columns), strict=True)))


@dataclass
class Drawing:
    """A model that gives these rows."""

    made: np.ndarray
    space: Table = SPACE
    name: str = "drawing"

    def run(self, method, count, **more):
        return {"x": self.made[:count]}


TRAIN, HELD_OUT = rows(800, 0), rows(300, 1)


def figures_of(made):
    report = Report("drawing", "data", "test", len(HELD_OUT), 0)
    data = SimpleNamespace(train=TRAIN, split=lambda name: (TRAIN, None))
    table_figures(Task(Drawing(made), data, HELD_OUT, None, report), SPACE)
    return report


def test_other_real_rows_are_as_good_as_real_ones():
    report = figures_of(rows(300, 2))
    for name in ("column_shapes", "pair_trends", "c2st_auc", "trained_on_samples"):
        figure = report[name]
        assert abs(figure.value - figure.real.value) < 4 * (figure.error + figure.real.error), name
    assert report["trained_on_samples"].value > 0.85
    assert "predicts the column 'y'" in " ".join(report.remarks)


def test_columns_that_are_independent_are_seen():
    report = figures_of(rows(300, 2, independent=True))
    shapes = report["column_shapes"]
    assert shapes.value > shapes.real.value - 4 * shapes.error, "of each column by itself nothing is wrong"
    assert report["pair_trends"].value < 0.9
    assert report["c2st_auc"].value > 0.8
    assert report["trained_on_samples"].value < 0.6


def test_a_column_that_is_shifted_is_seen():
    made = rows(300, 2)
    made[:, SPACE.names.index("c") + 2] = 0
    report = figures_of(made)
    assert report["column_shapes"].value < report["column_shapes"].real.value - 0.1


def test_shapes_and_trends_of_known_numbers():
    n, _, c, y = SPACE.columns
    a, b = np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, np.nan])
    assert column_shape(n, a, b) == pytest.approx(0.5)
    assert column_shape(c, np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 1, 2])) == pytest.approx(0.75)
    two = Table([n, SPACE.columns[1]])
    up, down = (np.stack([np.arange(9.0), sign * np.arange(9.0)], 1) for sign in (1, -1))
    assert pair_trends(two, up, up) == pytest.approx(1)
    assert pair_trends(two, up, down) == pytest.approx(0)
    pair = Table([c, y])
    same = np.array([[0.0, 0], [1, 1]] * 8)
    assert pair_trends(pair, same, same) == pytest.approx(1)
    assert pair_trends(pair, same, 1 - same) == pytest.approx(1)
    assert pair_trends(pair, same, same * [1, 0]) == pytest.approx(0.5)


def test_values_of_columns():
    codes = SPACE.check([{"n": None, "w": 0.0, "c": "w", "y": True}, {"n": 999, "w": 1.0, "c": "u", "y": False}])
    found = columns_of(SPACE, codes)
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[1], [999, 1, 0, 0], atol=0.01)
    assert found[0, 2:].tolist() == [2, 1]


def test_distances_of_rows():
    """Digits of numbers are no distances: 17 is as near to 16 as to 18."""
    vectors = vectors_of_table(SPACE, TRAIN)
    base = {"n": 500, "w": 0.01, "c": "u", "y": True}
    a, *others = (vectors(SPACE.check([{**base, **more}]))[0] for more in ({}, {"n": 501}, {"n": 499}, {"c": "v"}))
    near, also, category = (float(np.linalg.norm(a - b)) for b in others)
    assert near == pytest.approx(also)
    assert near < 0.01
    assert category == pytest.approx(1)


def test_a_column_to_predict():
    x = columns_of(SPACE, TRAIN)
    assert column_to_predict(SPACE, x, x) == 3
    rare = x.copy()
    rare[:, 3] = np.arange(len(x)) == 0
    assert column_to_predict(SPACE, rare, rare) == 2
    assert column_to_predict(Table(SPACE.columns[:2]), x[:, :2]) is None


def test_few_rows():
    report = Report("drawing", "data", "test", 20, 0)
    data = SimpleNamespace(train=TRAIN, split=lambda name: (TRAIN, None))
    table_figures(Task(Drawing(TRAIN), data, HELD_OUT[:20], None, report), SPACE)
    assert not report.figures
    assert "20 rows are too few" in report.remarks[0]
