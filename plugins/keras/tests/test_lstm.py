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
