"""The LSTM: an exact density over strings, and samples that follow it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import zoo
from zoo.eager import EagerModel
from zoo.spaces import Text


@pytest.fixture(scope="module")
def model() -> EagerModel:
    model = zoo.create("lstm", Text(4, "ab"), config={"hidden": 5, "embedding": 3})
    net = model.network
    net.load_arrays({name: 4 * a for name, a in net.arrays().items()})  # far from uniform
    return model


def strings(space: Text) -> list[str]:
    return ["".join(s) for n in range(space.length + 1) for s in itertools.product(space.alphabet, repeat=n)]


def test_all_strings_sum_to_one(model: EagerModel) -> None:
    every = strings(model.space)
    assert len(every) == 31
    p = np.exp(model.log_prob(model.space.encode(every)).astype(np.float64))
    assert abs(p.sum() - 1) < 1e-5
    assert p.max() > 3 * p.min()


def test_samples_follow_the_probabilities(model: EagerModel) -> None:
    every, n = strings(model.space), 20000
    drawn = model.space.decode(model.space.check(model.sample(n, seed=0, chunk=n)))
    p = np.exp(model.log_prob(model.space.encode(every)))
    counts = np.array([drawn.count(s) for s in every]) / n
    assert (np.abs(counts - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-4).all()


def test_the_loss_is_the_density(model: EagerModel) -> None:
    """Training goes over the whole string at once, `log_prob` step by step."""
    net, x = model.network, model.space.encode(strings(model.space))
    call = net.objectives()["nll"].loss
    with net.inference():
        ones = {name: net.tensor(np.ones((len(x), *n.shape), np.float32)) for name, n in call.noise.items()}
        loss = net.numpy(call.function(x=net.tensor(x), **ones))
    np.testing.assert_allclose(loss, -model.log_prob(x), rtol=1e-5)


def test_temperature(model: EagerModel) -> None:
    kinds = [len(set(model.space.decode(model.sample(200, seed=0, temperature=t)))) for t in (0.01, 0.5, 5.0)]
    assert kinds[0] <= 3 < kinds[1] < kinds[2]


def test_neighbours_do_not_matter(model: EagerModel) -> None:
    """Strings end at different steps; a chunk stops when all of its strings have."""
    whole = model.sample(64, seed=1)
    assert np.array_equal(whole, model.sample(64, seed=1, chunk=1))
    np.testing.assert_allclose(model.log_prob(whole), model.log_prob(whole, chunk=1), rtol=1e-6)
