"""The likelihood of pixels: normalized, equal to an independent computation, and consistent with draws and means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zoo.logistic_mixture import LogisticMixture
from zoo.noise import draw
from zoo.signature import Noise

torch = pytest.importorskip("torch")
COMPONENTS, PIXELS = 3, 2


def parameters(mixture, batch=1, seed=0, dtype="float64"):
    """Some (batch, rows, K, M), centers within the levels and a little beyond them."""
    z = np.random.default_rng(seed).normal(size=(batch, mixture.rows, COMPONENTS, PIXELS))
    c, top = mixture.channels, mixture.levels - 1
    z[:, 1 : c + 1] = (z[:, 1 : c + 1] / 2 + 0.5) * top
    z[:, c + 1 : 2 * c + 1] += np.log(mixture.levels / 12)
    return torch.from_numpy(z.astype(dtype))


def all_levels(channels, levels):
    """Every color, (levels ** channels, channels, 1)."""
    return torch.tensor(list(itertools.product(range(levels), repeat=channels)))[:, :, None]


def uniforms(count, channels, pixels=1):
    shapes = {"u": (pixels,), "v": (channels, pixels)}
    return [torch.from_numpy(draw(Noise("uniform", s), np.arange(count), seed=1, stream=n)) for n, s in shapes.items()]


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (2, 256), (3, 5), (4, 3)])
def test_all_levels_sum_to_one(channels, levels):
    mixture, x = LogisticMixture(channels, levels), all_levels(channels, levels)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-5)):
        log_p = mixture.log_mass(x, parameters(mixture, dtype=dtype))
        total = torch.logsumexp(log_p.double(), 0)
        torch.testing.assert_close(total, torch.zeros(PIXELS).double(), atol=tolerance, rtol=0)


def test_it_is_the_mixture_of_the_paper():
    """By differences of scipy's logistic distribution functions, a channel after another."""
    logistic = pytest.importorskip("scipy.stats").logistic
    mixture = LogisticMixture(3, 8)
    p, x = parameters(mixture)[..., :1], all_levels(3, 8)
    logits, red, green, blue, *rest = p[0, ..., 0].numpy()
    widths, (a, b, c) = np.exp(np.clip(rest[:3], -3, np.log(8))), np.tanh(rest[3:])
    expected = 0
    for k, share in enumerate(np.exp(logits) / np.exp(logits).sum()):
        levels = x[..., 0].numpy()
        away = levels[:, 0] - red[k], levels[:, 1] - green[k]
        centers = [red[k], green[k] + a[k] * away[0], blue[k] + b[k] * away[0] + c[k] * away[1]]
        for channel, center in enumerate(centers):
            level = levels[:, channel]
            upper = np.where(level == 7, 1, logistic.cdf((level + 0.5 - center) / widths[channel, k]))
            lower = np.where(level == 0, 0, logistic.cdf((level - 0.5 - center) / widths[channel, k]))
            share = share * (upper - lower)
        expected = expected + share
    np.testing.assert_allclose(mixture.log_mass(x, p)[:, 0].exp(), expected, rtol=1e-9, atol=1e-14)


def test_draws_follow_the_likelihood():
    stats = pytest.importorskip("scipy.stats")
    mixture, count = LogisticMixture(3, 3), 40_000
    p = parameters(mixture)[..., :1]
    drawn = torch.stack(mixture.draw(p.expand(count, -1, -1, -1), *uniforms(count, 3)), 1)
    code = (drawn[..., 0] * torch.tensor([9.0, 3.0, 1.0])).sum(1).long().numpy()
    mass = mixture.log_mass(all_levels(3, 3), p)[:, 0].exp().numpy()
    assert stats.chisquare(np.bincount(code, minlength=27), count * mass / mass.sum()).pvalue > 1e-3


def test_channels_of_a_draw_depend_on_each_other():
    mixture, count = LogisticMixture(2, 256), 5000
    p = torch.zeros(1, mixture.rows, 1, 1)
    p[:, 1:3], p[:, 3], p[:, 4], p[:, 5] = 128.0, 2.5, 0.0, 0.8
    first, second = (x[:, 0].numpy() for x in mixture.draw(p.expand(count, -1, -1, -1), *uniforms(count, 2)))
    slope, _ = np.polyfit(first, second, 1)
    assert slope == pytest.approx(np.tanh(0.8), abs=0.01)
    assert mixture.mean(p)[1].item() == pytest.approx(second.mean(), abs=0.5)


@pytest.mark.parametrize("levels", [6, 256])
def test_the_mean_is_that_of_the_mass(levels):
    """To within the midpoint rule's error at both ends, where components are at least a level wide."""
    mixture = LogisticMixture(1, levels)
    p, x = parameters(mixture), torch.arange(levels, dtype=torch.float64)[:, None]
    p[:, 2].clamp_(min=0)
    expected = (x * mixture.log_mass(x[:, None], p).exp()).sum(0)
    torch.testing.assert_close(mixture.mean(p)[0][0], expected, atol=0.02, rtol=0)


def test_tails_are_finite_and_have_gradients():
    mixture = LogisticMixture(3, 256)
    p = torch.zeros(1, mixture.rows, 2, 2)
    p[:, 1:4], p[:, 4:7], p[:, 7:] = 300.0, -20.0, 9.0
    p.requires_grad_()
    loss = mixture.log_mass(torch.tensor([[[0, 255]] * 3]), p).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(p.grad).all()
