"""The VAE's likelihood, its bounds and its conditional form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_keras import likelihood

import zoo
from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.noise import draw
from zoo.signature import Noise
from zoo.spaces import Image, Labels

DIGITS = Labels(tuple("0123456789"))
SMALL = {"latent": 3, "filters": (4, 6), "mixtures": 2}


def stirred(model: EagerModel, scale: float = 0.3) -> EagerModel:
    """With weights far from their start, so that q and p are neither the prior nor constant."""
    arrays = model.network.arrays()
    for i, (name, a) in enumerate(arrays.items()):
        arrays[name] = a + scale * draw(Noise("normal", a.shape), np.array([i]), seed=0, stream="stir")[0]
    model.network.load_arrays(arrays)
    return model


@pytest.fixture(scope="module")
def model() -> EagerModel:
    return stirred(zoo.create("vae", Image(8, 8, 1, levels=5), config=SMALL))


@pytest.mark.parametrize("levels", [2, 5, 256])
def test_likelihood_sums_to_one(levels: int) -> None:
    p = torch.randn(4, 3, 3, 2) * torch.tensor([1.0, levels / 2, 1.0])[:, None, None] + levels / 2
    x = torch.arange(levels)[:, None, None].expand(levels, 4, 2)
    total = torch.logsumexp(likelihood.log_mass(x, p[None], levels), 0)
    torch.testing.assert_close(total, torch.zeros(4, 2), atol=1e-4, rtol=0)


def test_draws_follow_the_likelihood() -> None:
    levels, n = 6, 20000
    p = torch.tensor([[0.0, 1.0], [0.5, 4.0], [-0.5, 0.7]]).reshape(1, 3, 2, 1)
    u, v = (torch.from_numpy(draw(Noise("uniform", (1,)), np.arange(n), seed=1, stream=s)) for s in "uv")
    x = likelihood.draw(p.expand(n, 3, 2, 1), levels, u, v)
    counts = np.bincount(x.long().flatten().numpy(), minlength=levels) / n
    mass = likelihood.log_mass(torch.arange(levels)[:, None], p, levels).exp().flatten().numpy()
    assert np.abs(counts - mass).max() < 4 * np.sqrt(0.25 / n)
    mean = likelihood.mean(p, levels).item()
    assert abs(mean - (mass * np.arange(levels)).sum()) < 0.02


def test_tails_are_finite_and_have_gradients() -> None:
    p = torch.zeros(1, 3, 2, 2)
    p[:, 1], p[:, 2] = 300.0, -20.0
    p.requires_grad_()
    loss = likelihood.log_mass(torch.tensor([[0, 255]]), p, 256).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(p.grad).all()


def test_elbo_is_the_mean_of_the_one_sample_bound(model: EagerModel) -> None:
    net, x = model.network, model.sample(2, seed=3)
    e = draw(Noise("normal", (3,)), np.arange(4000), seed=5, stream="e")
    with net.inference():
        rows = net.tensor(np.repeat(x, 2000, axis=0))
        closed = -net.negative_elbo(rows, net.tensor(e)).reshape(2, -1)
        sampled = net.bound(rows, net.tensor(e[:, None]), net.tensor(np.int64(1))).reshape(2, -1)
    spread = (closed - sampled).std(1) / 2000**0.5
    assert ((closed.mean(1) - sampled.mean(1)).abs() < 4 * spread + 1e-3).all()


@pytest.mark.parametrize("space", [Image(7, 10, 3), Image(5, 5, 1, levels=2), Image(1, 1)])
def test_any_size(space: Image) -> None:
    model = zoo.create("vae", space, config=SMALL)
    x = model.sample(3, seed=0)
    space.check(x)
    assert np.isfinite(model.log_prob(x)).all()
    out = model.run("encode", {"x": x})
    assert out["z"].shape == out["log_var"].shape == (3, 3)
    space.check(model.decode(out["z"]))


def test_adapt_starts_at_the_pixels_distributions() -> None:
    space = Image(4, 4, 2, levels=17)
    x = np.clip(space.examples("random", 300) // 4 + np.arange(16).reshape(4, 4, 1)[None] // 2, 0, 16).astype("uint8")
    net = zoo.create("vae", space, config=SMALL).network
    model = EagerModel(net, "vae")
    before = model.log_prob(x).mean()
    net.adapt(x)
    assert model.log_prob(x).mean() > before
    low, high = model.decode(np.zeros((1, 3), np.float32))[0, [0, 3], [0, 3], 0]
    assert low < high


def test_conditional_needs_a_label() -> None:
    model = zoo.create("vae", Image(8, 8, levels=5), config={**SMALL, "conditional": True}, classes=DIGITS)
    x = model.sample(3, seed=0, label=[1, 2, 3])
    assert not np.array_equal(model.log_prob(x, label=1), model.log_prob(x, label=2))
    for call in (
        lambda: model.sample(3),
        lambda: model.log_prob(x),
        lambda: model.encode(x),
        lambda: model.decode(np.zeros((1, 3))),
    ):
        with pytest.raises(InputError, match="needs a class"):
            call()
    with pytest.raises(InputError, match="needs class labels"):
        zoo.create("vae", Image(8, 8), config={"conditional": True})
    with pytest.raises(InputError, match="not conditional"):
        zoo.create("vae", Image(8, 8), classes=DIGITS).sample(2, label=1)
