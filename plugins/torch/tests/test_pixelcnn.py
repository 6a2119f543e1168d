"""PixelCNN: convolutions with the masks of the paper, for images of any shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from zoo_torch.architectures.pixelcnn import Masked

import zoo


@pytest.mark.parametrize("own", [False, True], ids=["A", "B"])
@torch.no_grad()
def test_a_masked_convolution(own):
    """The mask of the paper: 1 above and to the left of the middle, and in it for type B."""
    layer = Masked(2, 3, above=1, beside=2, own=own)
    mask = torch.zeros(3, 5)
    mask[0], mask[1, :2], mask[1, 2] = 1, 1, own
    kernel = torch.zeros(3, 2, 15)
    kernel[:, :, mask.flatten() == 1] = layer.weight
    h = torch.randn(4, 2, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(h), F.conv2d(h, kernel.unflatten(2, (3, 5)), padding=(1, 2)))


def test_untrained_it_has_the_marginals_of_the_data():
    model = zoo.create("pixelcnn", zoo.Image(2, 2, 1, levels=3))
    x = np.random.default_rng(0).integers(0, 2, (500, 2, 2, 1))
    model.network.adapt(x)
    share = np.stack([np.bincount(c, minlength=3) for c in x.reshape(500, 4).T]) / 500
    expected = np.log(np.take_along_axis(share, x[:20].reshape(20, 4).T, 1)).T
    got = model.run("log_prob", {"x": x[:20]})["conditionals"]
    np.testing.assert_allclose(got, expected, atol=0.01)
    assert np.isfinite(model.log_prob(np.full((1, 2, 2, 1), 2)))  # a level that the data never has


def test_one_pixel(make):
    model = make("pixelcnn", zoo.Image(1, 1, 1, levels=5), channels=4)
    assert np.exp(model.log_prob(np.arange(5).reshape(5, 1, 1, 1))).sum() == pytest.approx(1, abs=1e-5)
    assert model.sample(10, seed=0).shape == (10, 1, 1, 1)


def test_mixtures_of_logistics_are_drawn_as_they_are_scored(make):
    """All images of two pixels: their probabilities sum to one, and they come as often as these say."""
    model = make("pixelcnn", zoo.Image(1, 2, 1, levels=4), channels=4, mixtures=2, spread=0.5)
    images = np.stack(np.meshgrid(*[np.arange(4)] * 2, indexing="ij"), -1).reshape(16, 1, 2, 1)
    probability = np.exp(model.log_prob(images.astype(np.uint8)))
    assert probability.sum() == pytest.approx(1, abs=1e-5)
    drawn = model.sample(4000, seed=0).reshape(-1, 2) @ [4, 1]
    count = np.bincount(drawn, minlength=16)
    assert ((count - 4000 * probability) ** 2 / (4000 * probability)).sum() < 40  # chi-squared with 15 degrees


def test_mixtures_start_near_the_marginals_and_export(tmp_path):
    model = zoo.create("pixelcnn", zoo.Image(3, 4, 3, levels=256), config={"channels": 4, "mixtures": 3})
    x = np.random.default_rng(0).normal(100, 10, (300, 3, 4, 3)).clip(0, 255).astype(np.uint8)
    uniform = -36 * np.log(256)
    assert model.log_prob(x[:20]).mean() == pytest.approx(uniform, rel=0.2)
    model.network.adapt(x)
    assert model.log_prob(x[:20]).mean() > 0.75 * uniform
    zoo.export(model, tmp_path / "artifact")


@pytest.mark.parametrize(
    ("config", "error"),
    [({"kernel": 4}, "kernel=4 has no middle; choose an odd"), ({"layers": 0}, "choose at least 1")],
)
def test_settings_that_make_no_network(config, error):
    with pytest.raises(zoo.ZooError, match=error):
        zoo.create("pixelcnn", zoo.Image(4, 4, 1), config=config)
