"""Diffusion: deterministic given its noise, steered by class and guidance, for images of any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import zoo

SPACE = zoo.Image(8, 8, 1, levels=256)
CLASSES = zoo.Labels(("a", "b", "c"))


@pytest.fixture(scope="module", params=["ddpm", "flow-matching"])
def architecture(request):
    return request.param


@pytest.fixture(scope="module")
def model(architecture, make):
    return make(architecture, SPACE, CLASSES, channels=16)


def step(model, z, **options):
    definition = model.methods["sample"]
    options = {name: torch.tensor(options.get(name, o.number)) for name, o in definition.options.items()}
    start = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 1])
    with torch.no_grad():
        first = definition.init(torch.arange(2), start=start, label=label, **options)
        shift = first.pop("told_shift")
        return definition.step(torch.tensor(5), first, z=z, label=label, told_shift=shift, **options)["y"]


def test_ddim_steps_use_no_fresh_noise(model):
    a, b = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    assert torch.equal(step(model, a, eta=0.0), step(model, b, eta=0.0))
    assert not torch.equal(step(model, a, eta=1.0), step(model, b, eta=1.0))


def test_a_seed_is_one_sample_in_any_chunks(model):
    whole = model.sample(6, seed=3, label=1, steps=5)
    parts = np.concatenate(
        [model.sample(2, seed=3, start=0, label=1, steps=5), model.sample(4, seed=3, start=2, label=1, steps=5)]
    )
    assert (whole != parts).mean() < 0.01
    assert (whole != model.sample(6, seed=4, label=1, steps=5)).any()


def test_guidance_and_class_steer(model):
    given = {"seed": 0, "steps": 5}
    free = model.sample(4, label=0, guidance=0.0, **given)
    assert np.array_equal(free, model.sample(4, label=2, guidance=0.0, **given))  # without guidance, no class
    assert not np.array_equal(model.sample(4, label=0, **given), model.sample(4, label=2, **given))
    assert not np.array_equal(
        model.sample(4, label=0, guidance=1.0, **given), model.sample(4, label=0, guidance=4.0, **given)
    )


@pytest.mark.parametrize("steps", [1, 3, 100])
def test_any_number_of_steps(architecture, make, steps):
    model = make(architecture, zoo.Image(5, 6, 3), channels=16)  # not conditional, and of a size that cannot be halved
    assert model.sample(2, seed=0, steps=steps).shape == (2, 5, 6, 3)
    with pytest.raises(zoo.ZooError, match="no class"):
        model.sample(2, seed=0, label=1)


def predict_with(net, data):
    """Have the network predict what follows from `data(y, alpha, sigma)`."""

    def predict(y, t, label):
        alpha, sigma = net.alpha[t], net.sigma[t]
        image = data(y, alpha, sigma)
        return net.target(image, (y - alpha * image) / sigma, alpha, sigma)

    net.predict = predict


def test_the_last_step_leaves_no_noise(architecture, make):
    """With a network that knows the image, one step is enough, and any number of steps gives the same."""
    model = make(architecture, SPACE, channels=16)
    net = model.network
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    predict_with(net, lambda y, alpha, sigma: image)
    expected = net.finish({"y": image}).numpy()
    for steps, order, eta in itertools.product((1, 7), (1, 2), (0.0, 1.0)):
        assert np.array_equal(model.sample(1, seed=0, steps=steps, order=order, eta=eta), expected)


def denoised(model, start, **options):
    """What the steps make of this noise, in floats."""
    definition = model.methods["sample"]
    chosen = {name: torch.tensor(options.get(name, o.number)) for name, o in definition.options.items()}
    with torch.no_grad():
        state = definition.init(torch.arange(len(start)), start=start)
        for i in range(int(chosen["steps"])):
            state = definition.step(torch.tensor(i), state, z=torch.zeros_like(start), **chosen)
    return state["y"]


def test_order_two_is_nearer_to_the_exact_solution_in_fewer_steps(architecture, make):
    """For pixels that are normal with a deviation of s, the best estimate and where the equation leads are known."""
    model, s = make(architecture, SPACE, channels=16), 0.25
    net = model.network
    predict_with(net, lambda y, alpha, sigma: alpha * s**2 / (alpha**2 * s**2 + sigma**2) * y)
    start = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = start * s / (net.alpha[-1] ** 2 * s**2 + net.sigma[-1] ** 2).sqrt()

    def error(steps, order):
        return float((denoised(model, start, steps=steps, order=order) - exact).square().mean().sqrt())

    for steps in (5, 10, 20, 50):
        assert error(steps, 2) < error(steps, 1) / 2
    assert error(10, 2) < error(50, 1)


def test_the_times_of_both_orders(make):
    net = make("ddpm", SPACE, channels=16).network
    for steps in (1, 2, 3, 7, 20, 50, 333, 999, 1000):
        for order in (1, 2):
            walk = [net.times(*map(torch.tensor, (i, steps, order))).tolist() for i in range(steps)]
            visited = [now for _, now, _ in walk] + [walk[-1][2]]
            assert (visited[0], visited[-1]) == (1000, 0)
            assert all(a > b for a, b in itertools.pairwise(visited))
            assert [before for before, _, _ in walk] == [1000, *visited[: steps - 1]]
            assert [then for _, _, then in walk] == visited[1:]
            if order == 1:
                assert visited == [(steps - i) * 1000 // steps for i in range(steps + 1)]


def test_attention_looks_at_other_places(make):
    model = make("ddpm", zoo.Image(8, 8), channels=16, depth=2, attention=16)
    y = torch.zeros(1, 1, 8, 8)
    block = model.network.unet.attention[4]  # in the middle, at 4x4
    h = torch.randn(1, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = h.clone()
    changed[..., 0, 0] += 1
    with torch.no_grad():
        assert (block(changed) != block(h))[..., 3, 3].any()
        assert model.network.unet(y, torch.zeros(1, model.network.width)).shape == y.shape
