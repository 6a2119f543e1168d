"""Tables in autoregressive models: a density over values in their own units, and only valid values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import zoo
from zoo.columns import FINE, Category, Integer, Real

SPACE = zoo.Table(
    [
        Category(name="city", values=("Basel", "Zug"), missing=True),
        Integer(name="n", low=0, high=300, missing=True),
        Real(name="w", edges=(0.0, 2.0, 10.0), atoms=(5.0,), missing=True),
    ]
)


def perturbed(architecture):
    """A model whose weights are far from where they began."""
    model = zoo.create(architecture, SPACE, seed=1, config={"bins": 32} if architecture == "table" else None)
    spread = 0.05 if architecture == "table" else 0.3
    with torch.no_grad():
        for n, weight in enumerate(model.network.parameters()):
            weight += spread * torch.randn(weight.shape, generator=torch.Generator().manual_seed(n))
    return model


def every_row():
    """The codes of all rows that there are."""
    columns = []
    for column in SPACE.columns:
        first, *rest = (range(levels) for levels in column.levels)
        codes = [c for c in itertools.product(first, *rest) if c[0] < column.open[0] or not any(c[1:])]
        columns.append(codes)
    return np.array([sum(row, ()) for row in itertools.product(*columns)])


@pytest.mark.parametrize("architecture", ["made", "transformer", "table"])
def test_the_density_is_one_of_values(architecture):
    model, rows = perturbed(architecture), every_row()
    log_p = model.log_prob(rows).astype(np.float64) + SPACE.log_volume(rows)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-4)
    wide_narrow_atom = SPACE.check([{"city": "Zug", "n": 3, "w": w} for w in (9.0, 1.0, 5.0)])
    np.testing.assert_allclose(np.exp(SPACE.log_volume(wide_narrow_atom)), [8 / FINE, 2 / FINE, 1])


@pytest.mark.parametrize("architecture", ["made", "transformer", "table"])
def test_samples_are_values(architecture):
    model = perturbed(architecture)
    codes = model.run("sample", count=400, seed=0)["x"]
    assert np.array_equal(SPACE.check(codes), codes)
    rows = model.sample(400, seed=0)
    assert rows.equals(SPACE.decode(codes))
    assert np.array_equal(model.log_prob(rows), model.log_prob(codes))
    assert any(column.null_count for column in rows.columns)
