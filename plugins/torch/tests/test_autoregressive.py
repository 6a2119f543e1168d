"""The caches in the loop of an autoregressive sampler equal one pass over all dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import zoo
from zoo.spaces import Text

SMALL = {"transformer": {"width": 8, "heads": 2, "layers": 2}, "pixelcnn": {"channels": 6, "layers": 2}}
CASES = [
    ("transformer", zoo.Discrete(7, levels=3)),
    ("transformer", zoo.Image(2, 3, 2, levels=4)),
    ("transformer", Text(6, "abc")),
    ("pixelcnn", zoo.Image(4, 4, 1, levels=3)),
    ("pixelcnn", zoo.Image(3, 2, 3, levels=4)),
    ("pixelcnn", zoo.Image(1, 5, 1, levels=3)),
    ("pixelcnn", zoo.Image(5, 1, 1, levels=3)),
]
WIDE = ("pixelcnn", zoo.Image(3, 11, 1, levels=3))  # wider than its convolutions see


def label(case):
    return f"{case[0]}-{case[1].type}-{'x'.join(map(str, case[1].shape))}"


@pytest.fixture(params=CASES, ids=label)
def network(request, make):
    architecture, space = request.param
    return make(architecture, space, spread=0.3, **SMALL[architecture]).network


def levels(network, count):
    x = network.space.examples("random", count).reshape(count, -1)
    return torch.from_numpy(x.astype(np.int64))


@pytest.mark.parametrize("network", [*CASES, WIDE], ids=label, indirect=True)
@torch.no_grad()
def test_a_step_with_caches_gives_the_logits_of_the_whole_pass(network):
    x = levels(network, 5)
    state = network.init(torch.arange(5), torch.tensor(1.0))
    for i, whole in enumerate(network.logits(x).unbind(1)):
        logits, caches = network.advance(torch.tensor(i), state)
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)
        drawn = torch.where(torch.arange(network.dim) <= i, x, 0).to(state["x"].dtype)
        state = {**caches, "x": drawn, "last": x[:, i]}


@torch.no_grad()
def test_a_dimension_depends_on_all_before_it_and_on_no_other(network):
    x = levels(network, 20)
    before = network.logits(x)
    for d in range(network.dim):
        changed = x.clone()
        changed[:, d] = (x[:, d] + 1) % network.levels
        moved = (network.logits(changed) - before).abs().amax((0, 2)) > 1e-6
        assert not moved[: d + 1].any()
        assert moved[d + 1 :].all()


def test_dropout_is_off_but_in_training(network):
    x, u = levels(network, 3), torch.full((3, *network.dropped), 0.01)  # takes everything away
    given = network.space.examples("random", 3)
    assert torch.equal(network.nll(x, u), -network.log_prob(torch.from_numpy(given))["log_prob"])
    assert not torch.equal(network.train().nll(x, u), network.eval().nll(x, u))
