"""Flows are changes of variables: exact determinants, exact inverses, densities that integrate to one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_torch.architectures.maf import MAX_LOG_SCALE

import zoo
from zoo.eager import EagerModel
from zoo.spaces import KINDS

FLOWS = ["maf", "nsf", "realnvp"]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("space", [zoo.Real(1), zoo.Real(4), zoo.Image(4, 3, 2, levels=5)], ids=str)
def test_decoding_undoes_encoding(name, space, make):
    model = make(name, space, layers=3, hidden=16)
    for kind in KINDS:
        x = space.examples(kind, 20)
        back = model.decode(model.encode(x, seed=1))
        if space.discrete:
            assert (back != x).mean() < 0.01 if kind == "random" else True  # a level's edge, in float32
        else:
            np.testing.assert_allclose(back, x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0])
def test_extreme_latents_give_observations(name, spread, make):
    real = make(name, zoo.Real(6), spread=spread, layers=3, hidden=16)
    z = np.concatenate([np.eye(6), -np.eye(6), np.ones((1, 6))]) * 30.0
    assert np.isfinite(real.decode(z)).all()
    assert np.isfinite(real.log_prob(zoo.Real(6).examples("tail", 50))).all()


class Counted(EagerModel):
    """A model that counts the steps of its loops."""

    def count(self, z):
        definition, steps = self.methods["decode"], []
        state = definition.init(torch.arange(len(z)), z=z)
        for i in range(definition.length):
            state = definition.step(torch.tensor(i), state, z=z)
            steps.append(state["y"].clone())
            if definition.until(state):
                break
        return len(steps), steps[-1]


def test_maf_stops_at_the_exact_fixed_point_and_soon(make):
    model = make("maf", zoo.Real(64), layers=3, hidden=32)
    z = torch.randn(9, 64, generator=torch.Generator().manual_seed(0))
    counted = Counted(model.network, "maf")
    steps, y = counted.count(z)
    assert steps < 3 * 65 / 2
    with torch.no_grad():
        for layer in (2, 1, 0):  # one dimension after the other, as the definition says
            out = torch.zeros_like(z)
            for d in range(64) if layer % 2 == 0 else reversed(range(64)):
                shift, scale = model.network.conditioners(
                    out, torch.tensor([layer]), model.network.conditioners.weights()
                )
                out[:, d] = z[:, d] * (MAX_LOG_SCALE * scale[:, d]).exp() + shift[:, d]
            z = out
    torch.testing.assert_close(y, z, rtol=1e-5, atol=1e-5)


def test_a_row_of_maf_does_not_depend_on_its_neighbors(make):
    model = make("maf", zoo.Real(16), layers=3, hidden=32)
    z = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    wild = np.concatenate([z[:1], 20 * z[1:]])
    np.testing.assert_allclose(model.decode(wild)[:1], model.decode(z[:1]), rtol=1e-5, atol=1e-5)


def test_a_spline_flow_begins_as_the_identity_and_is_it_beyond_its_bound(make):
    z = np.linspace([-9, 4], [9, -9], 50).astype(np.float32)
    np.testing.assert_allclose(make("nsf", zoo.Real(2), spread=0).decode(z), z, atol=1e-5)
    model = make("nsf", zoo.Real(2), spread=1.0, bound=3.0)
    x, far = model.decode(z), np.abs(z) > 3
    np.testing.assert_allclose(x[far], z[far], atol=1e-5)
    assert np.abs(x - z)[~far].max() > 0.1


@pytest.mark.parametrize("name", ["nsf", "realnvp"])
def test_both_directions_of_a_coupling_give_its_determinant(name, make):
    coupling = make(name, zoo.Real(5), layers=1, hidden=16, spread=0.3).network.couplings[0]
    half, kept = torch.randn(50, 5, generator=torch.Generator().manual_seed(0)).split([2, 3], 1)
    with torch.no_grad():
        moved, logs = coupling(half, kept)
        back, logs_back = coupling.inverse(moved, kept)
    assert not torch.allclose(moved, half, atol=0.1)
    torch.testing.assert_close(back, half, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logs_back, -logs, rtol=1e-3, atol=1e-3)


def test_both_directions_of_layers_of_glow_give_their_determinants(make):
    net = make("glow", zoo.Image(8, 8, 2), scales=2, layers=1, hidden=8, spread=0.3).network
    h = torch.randn(6, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        moved, log_det = net.steps[0][0](h)
        back, log_det_back = net.steps[0][0].inverse(moved)
        stay, z, split_det = net.splits[0](h)
        joined, split_det_back = net.splits[0].inverse(stay, z)
    assert log_det.abs().min() > 0.1
    torch.testing.assert_close(back, h, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_det_back, -log_det, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(joined, h, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(split_det_back, -split_det, rtol=1e-4, atol=1e-3)
