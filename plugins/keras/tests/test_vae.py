"""The VAE's likelihood, its bounds and its conditional form."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from PIL import ImageDraw

import zoo
from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.noise import draw
from zoo.registry import architecture
from zoo.signature import Noise
from zoo.spaces import Image, Labels
from zoo.testing import CHECKS, Subject

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


def test_elbo_is_the_mean_of_the_one_sample_bound(model: EagerModel) -> None:
    net, x = model.network, model.sample(2, seed=3)
    e = draw(Noise("normal", (3,)), np.arange(4000), seed=5, stream="e")
    with net.inference():
        rows = net.tensor(np.repeat(x, 2000, axis=0))
        closed = -net.negative_elbo(rows, net.tensor(e)).reshape(2, -1)
        sampled = net.bound(rows, net.tensor(e[:, None]), net.tensor(np.int64(1))).reshape(2, -1)
    spread = (closed - sampled).std(1) / 2000**0.5
    assert ((closed.mean(1) - sampled.mean(1)).abs() < 4 * spread + 1e-3).all()


def test_several_draws_train_the_importance_weighted_bound() -> None:
    model = stirred(zoo.create("vae", Image(8, 8, levels=17), config={"latent": 3, "draws": 5}))
    (objective,) = model.network.objectives().values()
    x = torch.from_numpy(model.space.examples("random", 4))
    e = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = objective.loss.function(x=x, e=e)
        each = torch.stack([model.network.bound(x, e[:, k : k + 1], torch.tensor(1)) for k in range(5)])
    np.testing.assert_allclose(-loss, torch.logsumexp(each, 0) - np.log(5), rtol=1e-4)
    with pytest.raises(InputError, match="use beta=1"):
        zoo.create("vae", Image(8, 8), config={"draws": 5, "beta": 2.0})


def test_the_mean_is_shown_unless_draws_are_asked_for(model: EagerModel) -> None:
    z = draw(Noise("normal", (3,)), np.arange(1), seed=0, stream="sample/z")
    many = np.repeat(z, 4000, axis=0)
    shown, drawn = model.decode(many), model.decode(many, observe="draw")
    assert (shown == shown[0]).all()
    assert len(np.unique(drawn, axis=0)) > 1000
    assert np.abs(drawn.mean(0) - shown[0]).max() < 0.55, "levels are rounded"
    assert np.array_equal(model.sample(1, seed=0), shown[:1])
    assert np.array_equal(model.sample(9, seed=0), model.sample(9, seed=0, observe="mean"))


def faces(count: int, size: int = 8) -> np.ndarray:
    """Small color pictures: a disc of some color with two eyes, on a light ground."""
    rng, pictures = np.random.default_rng(0), []
    for _ in range(count):
        picture = Pictures.new("RGB", (4 * size, 4 * size), tuple(rng.integers(215, 256, 3)))
        pen, middle, radius = ImageDraw.Draw(picture), 2 * size + rng.normal(0, 1.5, 2), rng.uniform(1.3, 1.8) * size
        skin = tuple(int(255 * v) for v in colorsys.hsv_to_rgb(rng.uniform(0.08, 0.17), rng.uniform(0.6, 0.9), 0.95))
        pen.ellipse((*(middle - radius), *(middle + radius)), fill=skin)
        for side in (-0.4, 0.4):
            eye = middle + radius * np.array([side, -0.2])
            pen.ellipse((*(eye - 2), *(eye + 2)), fill=(60, 40, 30))
        pictures.append(np.asarray(picture.resize((size, size), Pictures.Resampling.LANCZOS)))
    return np.stack(pictures)


def test_color_pictures_are_better_known_than_by_their_marginals(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", faces(300))
    model = zoo.train("vae", tmp_path / "faces.npy", tmp_path / "run", epochs=40)
    report = zoo.evaluate(model, tmp_path / "faces.npy")
    better = report["bits_per_dim_above_marginals"]
    assert better.value < -5 * better.error
    assert any("means, which are more typical than draws" in remark for remark in report.remarks)
    noise = model.sample(200, seed=0, observe="draw").astype(float) - model.sample(200, seed=0)
    red, green, _ = noise.reshape(-1, 3).T
    assert np.corrcoef(red, green)[0, 1] > 0.3, "the noise of a pixel is not that of independent channels"


@pytest.mark.parametrize("check", ["density_integrates_to_one", "samples_follow_the_density"])
def test_draws_in_color_follow_the_density(check: str) -> None:
    space = Image(1, 2, 3, levels=3)
    subject = Subject("vae", architecture("vae"), space, lambda: stirred(zoo.create("vae", space, config=SMALL)))
    CHECKS[check](subject)


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
