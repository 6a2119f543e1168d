"""MADE is a distribution: causal, normalized, and sampled as it scores."""

from __future__ import annotations

import numpy as np
import pytest

import zoo


@pytest.fixture(scope="module")
def model(make):
    return make("made", zoo.Discrete(3, levels=4), spread=0.7, hidden=16, rank=3)


def test_a_low_temperature_gives_the_likeliest_level(model):
    x = model.sample(50, seed=0, temperature=0.01)
    first, rows = np.unique(x[:, 0]), np.unique(x, axis=0)
    assert len(rows) == len(first)  # untrained, all first levels are equally likely; the rest follows from them
    assert model.log_prob(x).mean() > model.log_prob(model.sample(50, seed=0)).mean()


def test_untrained_it_has_the_marginals_of_the_data(make):
    model = zoo.create("made", zoo.Image(2, 2, 1, levels=3))
    x = np.random.default_rng(0).integers(0, 2, (500, 2, 2, 1))
    model.network.adapt(x)
    expected = np.stack([np.bincount(c, minlength=3) for c in x.reshape(500, 4).T]) / 500
    got = model.network.marginals.exp().numpy()
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert np.isfinite(model.log_prob(np.full((1, 2, 2, 1), 2)))  # a level that the data never has


def test_one_dimension(make):
    model = make("made", zoo.Discrete(1, levels=5), hidden=8, rank=2)
    assert np.exp(model.log_prob(np.arange(5)[:, None])).sum() == pytest.approx(1, abs=1e-5)
    assert model.sample(10, seed=0).shape == (10, 1)
