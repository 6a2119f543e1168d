"""Third-party functions and modules as models: artifact rows == source rows == rows of the user's own code."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from zoo_torch import wrap

import zoo
from zoo import noise as reference
from zoo.errors import ExportError, InputError
from zoo.wrapping.modules import find

IMAGE = zoo.Image(6, 5, 1)


def generator(*last, inputs=8, outputs=30):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5),
                         nn.Linear(16, outputs), *last)  # fmt: skip


def drawn(noise, count, seed, stream, **more):
    return torch.from_numpy(reference.draw(noise, np.arange(count), seed=seed, stream=stream, **more))


def levels(y, low, high):
    return ((y - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8).numpy()


def exported(model, tmp_path):
    zoo.export(model, tmp_path / "artifact")
    return zoo.open(tmp_path / "artifact", device="cpu")


# ---- a generator -------------------------------------------------------------------------------------------------

LAYOUTS = {
    "channels_first": (nn.Unflatten(1, (1, 6, 5)), lambda y: y.permute(0, 2, 3, 1)),
    "channels_last": (nn.Unflatten(1, (6, 5, 1)), lambda y: y),
    "plane": (nn.Unflatten(1, (6, 5)), lambda y: y[..., None]),
    "flat": (nn.Identity(), lambda y: y.reshape(-1, 6, 5, 1)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_generator_of_images(layout, tmp_path):
    last, arrange = LAYOUTS[layout]
    net = generator(nn.Tanh(), last)
    net[1].running_mean += 0.3  # what evaluation mode uses and training mode does not
    modes = [m.training for m in net.modules()]
    before = {name: t.clone() for name, t in net.state_dict().items()}
    model = wrap(sample=net, noise=zoo.Normal(8), space=IMAGE)
    artifact = exported(model, tmp_path)
    rows = artifact.sample(9, seed=3)
    assert np.array_equal(rows, model.sample(9, seed=3))
    assert [m.training for m in net.modules()] == modes  # train mode, as the user left it
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    with torch.no_grad():
        own = net.eval()(drawn(zoo.Normal(8), 9, 3, "sample/noise"))
    assert np.array_equal(rows, levels(arrange(own), -1, 1))
    config = json.loads((tmp_path / "artifact" / "manifest.json").read_text())["config"]
    assert config["values"] == [-1.0, 1.0]
    assert "inferred from 32 draws" in config["values_from"]
    assert config["layouts"] == [f"sample: {layout}"]


def test_colors_come_last():
    last = nn.Sequential(nn.Sigmoid(), nn.Unflatten(1, (3, 5, 2)))
    net = generator(last, outputs=30)
    model = wrap(sample=net, noise=zoo.Normal(8), space=zoo.Image(5, 2, 3), predict=lambda x: x[:, 0].mean((1, 2)))
    own = net.eval()(drawn(zoo.Normal(8), 4, 0, "sample/noise")).detach()
    x = model.sample(4, seed=0)
    assert np.array_equal(x, levels(own.permute(0, 2, 3, 1), 0, 1))
    np.testing.assert_allclose(model.predict(x), x[..., 0].mean((1, 2)) / 255, rtol=1e-5)  # the first channel


def test_given_values_are_used_and_recorded():
    net = generator(nn.Tanh())
    model = wrap(sample=net, noise=zoo.Normal(8), space=IMAGE, values=(-2, 2))
    assert model.network.config.values_from == "given"
    own = net.eval()(drawn(zoo.Normal(8), 4, 0, "sample/noise")).detach()
    assert np.array_equal(model.sample(4, seed=0), levels(own, -2, 2).reshape(4, 6, 5, 1))


def test_the_range_of_floats_is_inferred_only_where_it_is_clear():
    assert wrap(sample=generator(nn.Sigmoid()), noise=zoo.Normal(8), space=IMAGE).network.config.values == (0.0, 1.0)
    for scale, shift in ((100.0, 0.0), (0.51, 0.5)):  # beyond any range; [0, 1] with a little overshoot
        net = nn.Sequential(generator(nn.Tanh()), Affine(scale, shift))
        with pytest.raises(InputError, match=r"values=\(low, high\)"):
            wrap(sample=net, noise=zoo.Normal(8), space=IMAGE)


class Affine(nn.Module):
    def __init__(self, scale, shift):
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, y):
        y = y / y.abs().amax(1, keepdim=True) * self.scale  # the largest is `scale` away from `shift`
        return y + self.shift


def test_levels_are_taken_as_they_are():
    model = wrap(sample=lambda z: (z * 255).to(torch.uint8), noise=zoo.Uniform(1, 6, 5), space=IMAGE)
    own = (drawn(zoo.Uniform(1, 6, 5), 4, 1, "sample/noise") * 255).to(torch.uint8)
    assert np.array_equal(model.sample(4, seed=1), own.permute(0, 2, 3, 1).numpy())
    assert model.network.config.values == ()


def test_several_noises_options_and_classes(tmp_path):
    table = nn.Embedding(3, 4)

    class Conditional(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.table = generator(inputs=8, outputs=2), table

        def forward(self, z, u, labels, temperature=1.0):
            return self.net(torch.cat([z, self.table(labels)], 1)) * temperature + u

    net = Conditional()
    noise = (zoo.Normal(4), zoo.Uniform(2))
    options = {"temperature": zoo.Option(0.5, low=0.0)}
    model = wrap(sample=net, noise=noise, space=zoo.Real(2), classes=["a", "b", "c"], options=options, name="mine")
    artifact = exported(model, tmp_path)
    assert artifact.name == "mine"
    rows = artifact.sample(5, seed=2, label=[0, 1, 2, 0, 1], temperature=2.0)
    parts = [drawn(n, 5, 2, f"sample/noise_{i}") for i, n in enumerate(noise)]
    own = net.eval()(*parts, torch.tensor([0, 1, 2, 0, 1]), temperature=2.0).detach()
    np.testing.assert_allclose(rows, own, rtol=1e-4, atol=1e-6)


# ---- a full set --------------------------------------------------------------------------------------------------


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 4))
        self.decoder = nn.Sequential(nn.Linear(2, 30), nn.Sigmoid(), nn.Unflatten(1, (1, 6, 5)))
        self.head = nn.Linear(4, 3)

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)[0]

    def classify(self, x):
        return self.head(self.encoder(x)).softmax(-1)

    def elbo(self, x):
        x = x.permute(0, 3, 1, 2).to(torch.float32) / 255
        return -((self.decoder(self.encode(x)) - x) ** 2).flatten(1).sum(1)


def test_a_full_set(tmp_path):
    vae = VAE()
    model = wrap(
        noise=zoo.Normal(2), encode=vae.encode, decode=vae.decoder, log_prob=vae.elbo, predict=vae.classify,
        space=IMAGE, classes=3, density="lower_bound", family="vae",
    )  # fmt: skip
    assert model.density == "lower_bound"
    artifact = exported(model, tmp_path)
    assert set(artifact.signatures) == {"sample", "log_prob", "encode", "decode", "predict"}
    x = artifact.sample(5, seed=1)
    z = drawn(zoo.Normal(2), 5, 1, "sample/noise")
    assert np.array_equal(x, levels(vae.decoder(z).permute(0, 2, 3, 1).detach(), 0, 1))
    assert np.array_equal(artifact.decode(z.numpy()), x)
    with torch.no_grad():
        scaled = torch.from_numpy(x).permute(0, 3, 1, 2) / 255
        np.testing.assert_allclose(artifact.encode(x), vae.encode(scaled), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(artifact.predict(x), vae.classify(scaled), rtol=1e-4)
        np.testing.assert_allclose(artifact.log_prob(x), vae.elbo(torch.from_numpy(x)), rtol=1e-4)


def test_a_method_may_be_a_call_of_its_own(tmp_path):
    net = nn.Linear(3, 3)

    def noisy(x, u):
        return net(x) + u

    x, z = zoo.Tensor("float32", (3,)), zoo.Tensor("float32", (3,))
    call = zoo.Call(noisy, {"x": x}, {"z": z}, noise={"u": zoo.Uniform(3)})
    model = wrap(encode=call, decode=net, latent=3, space=zoo.Real(3))
    artifact = exported(model, tmp_path)
    x = np.ones((4, 3), np.float32)
    own = net(torch.ones(4, 3)) + drawn(zoo.Uniform(3), 4, 9, "encode/u")
    np.testing.assert_allclose(artifact.encode(x, seed=9), own.detach(), rtol=1e-5)


# ---- an iterative sampler ----------------------------------------------------------------------------------------


def test_an_iterative_sampler_is_one_loop(tmp_path, loop_convolutions):
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(0)
    net = nn.Conv2d(1, 1, 3, padding=1)
    rates = torch.linspace(0.1, 0.5, 20)

    def init(z):
        return {"x": z, "sum": torch.zeros_like(z)}

    def step(i, state, fresh, size):
        x = state["x"] + rates[i] * size * (net(state["x"]) - state["x"]) + 0.1 * fresh
        return {"x": x, "sum": state["sum"] + x}

    def finish(state):
        return (state["sum"] / 5).tanh()

    noise = zoo.Normal(1, 6, 5)
    model = wrap(
        init=init, step=step, finish=finish, length="steps", options={"steps": 5, "size": 1.0}, noise=noise,
        step_noise=noise, space=IMAGE, values=(-1, 1),
    )  # fmt: skip
    artifact = exported(model, tmp_path)
    state = init(drawn(noise, 3, 4, "sample/noise"))
    with torch.no_grad():
        for i in range(7):
            state = step(i, state, drawn(noise, 3, 4, "sample/step_noise", step=i), 0.5)
    rows = artifact.sample(3, seed=4, steps=7, size=0.5)
    assert np.array_equal(rows, levels(finish(state).permute(0, 2, 3, 1), -1, 1))
    assert np.array_equal(rows, model.sample(3, seed=4, steps=7, size=0.5))
    nodes = onnx.load(tmp_path / "artifact" / "sample.onnx", load_external_data=False).graph.node
    assert sum(n.op_type == "Loop" for n in nodes) == 1


def test_a_state_of_one_tensor_that_stops_early(tmp_path):
    counts = []

    def step(i, x):
        counts.append(1)
        return (x / 2).floor()

    model = wrap(
        init=lambda u: (u * 100).floor(), step=step, until=lambda x: (x == 0).all(), length=50, noise=zoo.Uniform(2),
        space=zoo.Real(2),
    )  # fmt: skip
    artifact = exported(model, tmp_path)
    counts.clear()
    assert (model.sample(4, seed=0) == 0).all()
    assert len(counts) <= 8  # 2**7 > 100
    assert (artifact.sample(4, seed=0) == 0).all()


def test_a_loop_is_run_once_for_the_range_of_its_floats():
    counts = []

    def step(i, x):
        counts.append(1)
        return (x + 0.01).clamp(0, 1)

    model = wrap(init=lambda u: u, step=step, length=50, noise=zoo.Uniform(30), space=IMAGE)
    assert model.network.config.values_from.startswith("inferred from 4 draws")
    # the first and the last are looked at, five times each, of three rows or of one; and the last after the first again
    assert len(counts) == 50 + 13


def test_what_may_draw_and_does_not_is_taken():
    attention = nn.MultiheadAttention(2, 1, batch_first=True)
    net = nn.Sequential(nn.RReLU(), nn.LSTM(2, 2, 2, dropout=0.5, batch_first=True))

    def sample(z):
        z = net(z[:, None])[0]
        return nn.functional.scaled_dot_product_attention(z, z, z)[:, 0] + attention(z, z, z)[0][:, 0]

    assert wrap(sample=sample, noise=TWO, space=REAL).sample(3, seed=0).shape == (3, 2)


def test_noise_of_any_name_is_decoded():
    model = wrap(decode=lambda z: z * 2, noise={"z": TWO}, space=REAL)
    assert np.array_equal(model.sample(3, seed=0), 2 * drawn(TWO, 3, 0, "sample/z").numpy())


def test_an_autoregressive_sampler_starts_from_the_index(tmp_path):
    net = nn.Linear(4, 3)
    place = torch.arange(4)

    def step(i, tokens, u):
        p = net(tokens.to(torch.float32)).softmax(-1).cumsum(-1)
        return torch.where(place == i, (p < u).sum(-1, keepdim=True).clamp(max=2), tokens)

    model = wrap(
        init=lambda index: torch.zeros(len(index), 4, dtype=torch.int64), step=step, length=4,
        step_noise=zoo.Uniform(1), space=zoo.Discrete(4, levels=3),
    )  # fmt: skip
    artifact = exported(model, tmp_path)
    x = artifact.sample(50, seed=0)
    assert np.array_equal(x, model.sample(50, seed=0))
    assert set(np.unique(x)) == {0, 1, 2}


def test_a_gradient_inside_a_step(tmp_path):
    from zoo_torch.layers.gradient import gradient

    energy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))

    def step(i, x, fresh):
        return x - 0.1 * gradient(energy, x) + 0.01 * fresh

    two = zoo.Normal(2)
    model = wrap(init=lambda z: z, step=step, length=3, noise=two, step_noise=two, space=zoo.Real(2))
    artifact = exported(model, tmp_path)
    np.testing.assert_allclose(artifact.sample(4, seed=1), model.sample(4, seed=1), rtol=1e-5, atol=1e-6)


# ---- finding modules ---------------------------------------------------------------------------------------------

GLOBAL = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))


def _through_a_global(z):
    return _helper(z)


def _helper(z):
    return GLOBAL(z)


class Holder:
    def __init__(self, net):
        self.nets = {"one": [net]}

    def draw(self, z):
        return self.nets["one"][0](z)

    __call__ = draw


def _routes(net):
    nets = [net]
    return {
        "module": net,
        "method": net.forward,
        "partial": functools.partial(lambda net, z: net(z), net),
        "keyword": functools.partial(lambda z, net: net(z), net=net),
        "closure": lambda z: net(z),
        "container": lambda z: nets[0](z),
        "default": lambda z, net=net: net(z),
        "holder": Holder(net).draw,
        "callable": Holder(net),
        "decorated": torch.no_grad()(net.forward),
        "nested": lambda z: (lambda y: net(y))(z),
    }


@pytest.mark.parametrize("route", ["global", *_routes(GLOBAL)])
def test_modules_are_found_and_evaluated(route):
    net = GLOBAL if route == "global" else nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))
    function = _through_a_global if route == "global" else _routes(net)[route]
    net.train()
    model = wrap(sample=function, noise=zoo.Normal(3), space=zoo.Real(2))
    assert list(model.network.parts) == [net]
    z = drawn(zoo.Normal(3), 5, 0, "sample/noise")
    np.testing.assert_allclose(model.sample(5, seed=0), net[0](z).detach(), rtol=1e-5)  # no dropout
    assert net.training


def test_a_module_that_cannot_be_found_is_named():
    hidden = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train()
    places = [iter(())]
    places[0] = (hidden for _ in iter(int, 1))  # a generator hides it
    with pytest.raises(InputError, match="draws its own random numbers"):
        wrap(sample=lambda z: next(places[0])(z), noise=zoo.Normal(3), space=zoo.Real(2))
    model = wrap(sample=lambda z: next(places[0])(z), noise=zoo.Normal(3), space=zoo.Real(2), modules=[hidden])
    assert list(model.network.parts) == [hidden]


LATE = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9))


class Helped:
    def sample(self, z):
        return self.helper(z)

    def helper(self, z):
        return LATE(self.half * z)

    @property
    def half(self):
        return SCALE(torch.tensor(0.5))

    __call__ = sample


SCALE = nn.Identity()
HELPED = Helped()


@pytest.mark.parametrize("function", [HELPED.sample, HELPED, lambda z: HELPED.sample(z)])
def test_modules_of_the_methods_that_a_method_names(function):
    assert {*find(function, nn.Module)} == {LATE, SCALE}


def test_numbers_in_a_global_list_are_not_remembered():
    numbers = [0.5 + i for i in range(300_000)]
    tracemalloc.start()
    try:
        assert find(lambda z: numbers, nn.Module) == []
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


# ---- what is wrong, early ----------------------------------------------------------------------------------------

REAL = zoo.Real(2)
TWO = zoo.Normal(2)
with warnings.catch_warnings(action="ignore"):  # PyTorch advises against it
    SCRIPT = torch.jit.script(nn.Linear(2, 2))


def _later(i, state):
    return {"x": state["x"] + torch.randn(2) if i > 0 else state["x"]}


WRONG = {
    "nothing": ({"space": REAL}, "nothing to wrap"),
    "no noise": ({"sample": nn.Linear(2, 2), "space": REAL}, "needs noise="),
    "no noise kind": ({"sample": nn.Linear(2, 2), "noise": 3, "space": REAL}, r"zoo.Normal\(...\)"),
    "noise shape": (
        {"sample": nn.Linear(3, 2), "noise": TWO, "space": REAL},
        "sample fails on examples: RuntimeError: mat1",
    ),
    "two noises": ({"sample": lambda a, b: a, "noise": TWO, "space": REAL}, "cannot be called with noise"),
    "shape": (
        {"sample": nn.Linear(2, 3), "noise": TWO, "space": REAL},
        r"shape \(N, 3\); expected floats of shape \(N, 2\)",
    ),
    "image shape": ({"sample": nn.Linear(2, 3), "noise": TWO, "space": IMAGE}, r"expected \(N, 1, 6, 5\) or"),
    "dtype": ({"sample": lambda z: z.long(), "noise": TWO, "space": REAL}, "expected floats"),
    "discrete": ({"sample": lambda z: z, "noise": TWO, "space": zoo.Discrete(2, 3)}, "expected integers"),
    "levels": (
        {"sample": lambda z: z.long() + 9, "noise": TWO, "space": zoo.Discrete(2, 3)},
        "what sample gives has the value",
    ),
    "nan": ({"sample": lambda z: z / 0 * 0, "noise": TWO, "space": REAL}, "gives nan"),
    "rows": ({"sample": lambda z: z[z[:, 0] > 9], "noise": TWO, "space": REAL}, "expected one row each"),
    "tuple": ({"sample": lambda z: (z, z), "noise": TWO, "space": REAL}, "tuple of 2; expected one tensor"),
    "numpy": ({"sample": lambda z: z.numpy(), "noise": TWO, "space": REAL}, "numpy array: operations outside the"),
    "random": ({"sample": lambda z: z + torch.randn(2), "noise": TWO, "space": REAL}, r"in randn \(test_wrap.py:\d+\)"),
    "numpy random": (
        {"sample": lambda z: z + float(np.random.randn()), "noise": TWO, "space": REAL},
        "perhaps by random or numpy.random",
    ),
    "option": (
        {"sample": lambda z: z, "noise": TWO, "space": REAL, "options": {"t": 1.0}},
        "no function takes the option 't'",
    ),
    "classes": ({"sample": lambda z: z, "noise": TWO, "space": REAL, "classes": 3}, "takes a keyword 'label'"),
    "log_prob": ({"log_prob": lambda x: x, "space": REAL}, "expected one number per example"),
    "latent": ({"decode": nn.Linear(2, 2), "space": REAL}, "give latent=16"),
    "logits": ({"predict": lambda x: x, "classes": 2, "space": REAL}, "add the softmax"),
    "no classes": ({"predict": lambda x: x.softmax(-1), "space": REAL}, r"name their classes=\[...\]"),
    "raw image": ({"encode": nn.Linear(30, 2), "space": IMAGE}, r"with values=\(0, 1\)"),
    "values": ({"sample": lambda z: z, "noise": TWO, "space": REAL, "values": (0, 1)}, "are for images"),
    "values order": (
        {"decode": lambda z: z, "latent": 30, "space": IMAGE, "values": (1, 0)},
        "floats of black and white",
    ),
    "two samplers": ({"sample": lambda z: z, "step": lambda i, s: s, "noise": TWO, "space": REAL}, "two samplers"),
    "no init": ({"step": lambda i, s: s, "noise": TWO, "space": REAL}, "init= and step="),
    "no length": ({"init": lambda z: z, "step": lambda i, s: s, "noise": TWO, "space": REAL}, "length is None"),
    "length name": (
        {
            "init": lambda z: z,
            "step": lambda i, s: s,
            "noise": TWO,
            "space": REAL,
            "length": "stps",
            "options": {"steps": 5},
        },
        "Did you mean 'steps'",
    ),
    "state shape": (
        {"init": lambda z: z, "step": lambda i, s: torch.cat([s, s], 1), "noise": TWO, "space": REAL, "length": 5},
        "keeps its shape and dtype",
    ),
    "state names": (
        {"init": lambda z: {"a": z}, "step": lambda i, s: {"b": s["a"]}, "noise": TWO, "space": REAL, "length": 5},
        "expected a state like that of init",
    ),
    "script": ({"sample": SCRIPT, "noise": TWO, "space": REAL}, "TorchScript cannot be traced"),
    "count": ({"sample": lambda n: torch.zeros(n, 2), "noise": TWO, "space": REAL}, "not a number of rows"),
    "no space": ({"sample": lambda z: z, "noise": TWO, "space": 2}, "expected a sample space"),
    "taken by noise": (
        {"sample": lambda n, *, noise: n, "noise": TWO, "space": REAL, "options": {"noise": 0.1}},
        "option 'noise' has a name that is taken",
    ),
    **{
        f"taken {name}": (
            {"sample": lambda n, **more: n, "noise": TWO, "space": REAL, "options": {name: 1}},
            f"option '{name}' has a name that is taken",
        )
        for name in ("count", "seed", "start", "chunk", "index", "x", "z", "label", "i", "state")
    },
    "taken by a class": (
        {"sample": lambda n, y: n, "noise": TWO, "space": REAL, "options": {"y": 1}, "classes": 3},
        "option 'y' has a name that is taken",
    ),
    "taken twice": (
        {
            "init": lambda z: z,
            "step": lambda i, s, z: s,
            "noise": {"z": TWO},
            "step_noise": {"z": TWO},
            "length": 2,
            "space": REAL,
        },
        "step_noise 'z' has a name that is taken",
    ),
    "seeded inside": (
        {"sample": lambda z: torch.manual_seed(0) and z + torch.randn(2), "noise": TWO, "space": REAL},
        r"in randn \(test_wrap.py:\d+\)",
    ),
    "random in a call": (
        {"sample": zoo.Call(lambda z: z + torch.randn(2), {}, {"x": REAL.tensor}, {"z": TWO}), "space": REAL},
        r"sample draws its own random numbers, in randn",
    ),
    "random in a loop": (
        {
            "sample": zoo.Loop(
                9,
                lambda index, z: {"x": z},
                _later,
                lambda s: s["x"],
                {"x": REAL.tensor},
                {},
                {"x": REAL.tensor},
                init_noise={"z": TWO},
            ),
            "space": REAL,
        },
        r"sample draws its own random numbers, in randn",
    ),
    "random later": (
        {"init": lambda z: z, "step": lambda i, x: _later(i, {"x": x})["x"], "noise": TWO, "length": 9, "space": REAL},
        r"step draws its own random numbers, in randn",
    ),
    **{
        f"idle {name}": ({"sample": lambda z: z, "noise": TWO, "space": REAL, name: value}, f"{name}= has no effect")
        for name, value in {
            "length": 5,
            "until": lambda s: s,
            "schedule": [0.9, 0.1],
            "prediction": "epsilon",
            "latent": 2,
            "density": "exact",
            "init": lambda z: z,
            "finish": lambda s: s,
            "step_noise": TWO,
        }.items()
    },
    "tuple state": (
        {"init": lambda z: (z, z), "step": lambda i, x: x, "noise": TWO, "length": 3, "space": REAL},
        "init gives a tuple of 2; a state is one tensor or a dict of tensors",
    ),
    "class by position": (
        {"sample": lambda z, digit: z, "noise": TWO, "space": REAL},
        r"y, with classes= .*: sample=lambda noise, label: net\(noise, label\)",
    ),
    "noise after an input": (
        {
            "init": lambda z: z,
            "step": lambda i, state, prompt, eps: state,
            "noise": TWO,
            "step_noise": {"eps": TWO},
            "inputs": {"prompt": zoo.Tensor("int64")},
            "length": 2,
            "space": REAL,
        },
        r"noise comes before inputs, .*: step\(i, state, eps, prompt\)",
    ),
    "noise after a class": (
        {"sample": lambda label, z: z, "noise": TWO, "classes": 3, "space": REAL},
        r"noise comes before inputs, .*: sample\(z, label\)",
    ),
    "noise after an option": (
        {"sample": lambda scale, z: z, "noise": TWO, "options": {"scale": 1.0}, "space": REAL},
        r"noise comes before inputs, .*: sample\(z, scale\)",
    ),
    "state of another dtype": (
        {"init": lambda z: z.double(), "step": lambda i, x: x, "noise": TWO, "length": 3, "space": REAL},
        "as float64; expected one of float32.*Keep float32 and cast inside",
    ),
    "low precision": (
        {"sample": nn.Linear(2, 2).bfloat16(), "noise": TWO, "space": REAL},
        r"and BFloat16. The network computes in bfloat16; give model.float\(\)",
    ),
    "high precision": (
        {"sample": nn.Linear(2, 2).double(), "noise": TWO, "space": REAL},
        r"The network computes in float64; give model.float\(\)",
    ),
    "own line": (
        {"sample": zoo.Call(torch.nn.functional.dropout, {}, {"x": REAL.tensor}, {"input": TWO}), "space": REAL},
        r"in native_dropout, which|in bernoulli_?, which",
    ),
    "rows mixed": (
        {"sample": lambda z: z - z.mean(0), "noise": TWO, "space": REAL},
        r"sample mixes rows \(batch statistics\?\): row 0 alone differs from row 0 of 3",
    ),
    "rows mixed in a step": (
        {"init": lambda z: z, "step": lambda i, x: x / x.norm(), "noise": TWO, "length": 3, "space": REAL},
        "sample mixes rows",
    ),
    "rows before": (
        {"sample": lambda z: z.cumsum(0), "noise": TWO, "space": REAL},
        "row 2 alone differs from row 2 of 3",
    ),
    "rows mixed in a score": ({"log_prob": lambda x: x.sum(1).softmax(0), "space": REAL}, "log_prob mixes rows"),
    "batch norm": (
        {"sample": nn.BatchNorm1d(2, track_running_stats=False), "noise": TWO, "space": REAL},
        "a single row, fails on examples: ValueError.*batch statistics",
    ),
    "no steps": (
        {"init": lambda z: z, "step": lambda i, x: x, "noise": TWO, "options": {"steps": 0}, "space": REAL},
        "option steps=0; expected an integer of at least 1",
    ),
    "name": ({"sample": lambda z: z, "noise": TWO, "space": REAL, "name": "../mine"}, "without slashes"),
    "name of lines": ({"sample": lambda z: z, "noise": TWO, "space": REAL, "name": "a\nb"}, "control characters"),
    "family": ({"sample": lambda z: z, "noise": TWO, "space": REAL, "family": "gna"}, "Did you mean 'gan'"),
    "idle noise": ({"predict": lambda x: x[:, 0], "noise": TWO, "space": REAL}, "noise= has no effect"),
    "unknown model": ({"model": nn.Linear(2, 2), "space": REAL}, "wrap does not know what a Linear does"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_anything_is_exported(case):
    arguments, message = WRONG[case]
    model = arguments.pop("model", None)
    with pytest.raises(InputError, match=message):
        wrap(*([model] if model is not None else []), **arguments)


class Counting:
    """A scheduler that knows by itself how often it was called."""

    def __init__(self):
        self.calls = 0

    def step(self, x):
        self.calls += 1
        return x / self.calls


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.hidden = nn.LSTM(2, 2, batch_first=True), None

    def forward(self, z):
        y, self.hidden = self.lstm(z[:, None], self.hidden)
        return y[:, 0]


class StaticCache(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("keys", torch.zeros(3, 4, 2))
        self.place = 0

    def forward(self, z):
        self.keys[: len(z), self.place] = z
        self.place = (self.place + 1) % 4
        keys = self.keys[: len(z)]
        return nn.functional.scaled_dot_product_attention(z[:, None], keys, keys)[:, 0]


class GrowingCache(nn.Module):
    def __init__(self):
        super().__init__()
        self.keys = []

    def forward(self, z):
        self.keys.append(z)
        keys = torch.stack(self.keys, 1)
        return nn.functional.scaled_dot_product_attention(z[:, None], keys, keys)[:, 0]


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z):
        self.calls += 1
        return z * self.calls


COUNTING, CALLS = Counting(), [0]


def counted_in_a_list(z):
    CALLS[0] += 1
    return z * CALLS[0]


def other_the_first_time():
    first = True

    def function(z):
        nonlocal first
        factor, first = 1 + first, False
        return z * factor

    return function


REMEMBERED = {
    "scheduler": ({"init": lambda z: z, "step": lambda i, x: COUNTING.step(x), "length": 4}, "COUNTING.calls"),
    "lstm": ({"sample": Stateful()}, "Stateful.hidden"),
    "static cache": ({"sample": StaticCache()}, "StaticCache.keys, StaticCache.place"),
    "buffer": ({"sample": nn.Sequential(nn.Linear(2, 2), Counted())}, "Sequential.1.calls"),
    "list": ({"sample": counted_in_a_list}, r"CALLS\[0\]"),
    "first time": ({"sample": other_the_first_time()}, "first"),
    "call": ({"sample": zoo.Call(Counted(), {}, {"x": REAL.tensor}, {"z": TWO})}, "Counted.calls"),
}


@pytest.mark.parametrize("case", REMEMBERED)
def test_what_a_function_remembers_is_named(case):
    arguments, names = REMEMBERED[case]
    noise = {} if case == "call" else {"noise": TWO}
    with pytest.raises(InputError, match=f"remembers earlier calls: {names} changed .* is its state") as caught:
        wrap(**arguments, **noise, space=REAL)
    assert "attention" not in str(caught.value)


def test_what_a_function_remembers_may_fail_for_another_number_of_rows():
    with pytest.raises(
        InputError, match=r"on a single row, fails .*GrowingCache.keys\[\d\].*, which it changes"
    ) as caught:
        wrap(sample=GrowingCache(), noise=TWO, space=REAL)
    assert "draws random" not in str(caught.value)


class Cross(nn.Module):
    """Attends to a prompt whose keys it computes once, until it is reset."""

    def __init__(self):
        super().__init__()
        self.words, self.net, self.context = nn.Embedding(30, 2), nn.Linear(4, 2), None

    def forward(self, z, prompt):
        if self.context is None:
            self.context = self.words(prompt).mean(1)
        return self.net(torch.cat([z, self.context[: len(z)]], 1))


class KeyCache(nn.Module):
    """Attention over the keys of the steps so far, in a buffer or list, or in a tuple that grows."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.net, self.past = kind, nn.Linear(2, 2), None
        self.register_buffer("keys", torch.zeros(8, 3, 2))
        self.cache = [torch.zeros(8, 3, 2)]

    def forward(self, x, i):
        key, n = self.net(x), len(x)
        if self.kind == "tuple":
            self.past = (key[:, None],) if i == 0 else (torch.cat([self.past[0], key[:, None]], 1),)
            keys = self.past[0]
        elif self.kind == "list":
            self.cache[0][:n, i] = key
            keys = self.cache[0][:n, : i + 1]
        else:
            self.keys[:n].index_copy_(1, i.reshape(1), key[:, None])
            keys = self.keys[:n].masked_fill((torch.arange(3) > i)[:, None], 0)
        return x + keys.mean(1)


def reset(module):
    def init(z, prompt):
        module.context = None
        return z

    return init


def caching(kind):
    net = KeyCache(kind)
    return lambda i, x: net(x, i)


class Keeper:
    kept = None

    def init(self, z):
        self.kept = z * 2
        return z

    def step(self, i, x):
        return x + self.kept


CROSS, KEEPER = Cross(), Keeper()
PROMPT = {"inputs": {"prompt": zoo.Tensor("int64", (5,), low=0, high=29)}}
KEPT = {
    "prompt": ({"sample": Cross(), **PROMPT}, "sample keeps Cross.context"),
    "prompt of a loop": ({"init": reset(CROSS), "step": lambda i, x, prompt: CROSS(x, prompt), "length": 3, **PROMPT},
                         "step keeps Cross.context"),
    "what init keeps": ({"init": KEEPER.init, "step": KEEPER.step, "length": 3}, "step keeps Keeper.kept"),
    **{kind: ({"init": lambda z: z, "step": caching(kind), "length": 3},
              f"step (keeps|remembers earlier calls:) KeyCache.{name} ")
       for kind, name in {"buffer": "keys", "list": r"cache\[0\]", "tuple": "past"}.items()},
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_what_is_kept_from_an_earlier_call_is_named(case):
    arguments, names = KEPT[case]
    with pytest.raises(InputError, match=f"{names}.*is its state") as caught:
        wrap(**arguments, noise=TWO, space=REAL)
    assert "mixes rows" not in str(caught.value)


def endless():
    while True:
        yield from (1.0, 0.5)


GENERATOR, COUNT, ITEMS = endless(), itertools.count(), iter([float(i) for i in range(100)])


class ActivationNorm(nn.Module):
    """As glow and normflows have it: the first batch gives the scale, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("done", torch.tensor(0.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.done == 0:
            self.scale.data.copy_(1 / x.std(0))
            self.done.fill_(1.0)
        return x * self.scale


def test_a_layer_that_the_first_batch_initializes_is_trained_before():
    layer = ActivationNorm()
    with pytest.raises(InputError, match=r"the first call sets .*scale.* Create the model again"):
        wrap(sample=layer, noise=zoo.Normal(2), space=zoo.Real(2))
    wrap(sample=layer, noise=zoo.Normal(2), space=zoo.Real(2))  # which now has its scale


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda i, x: x * next(GENERATOR), "GENERATOR"),
        (lambda i, x: x + next(COUNT), "COUNT"),
        (lambda i, x: x + next(ITEMS), "ITEMS"),
    ],
)
def test_an_iterator_is_remembered(step, name):
    with pytest.raises(InputError, match=f"step remembers earlier calls: {name} changed"):
        wrap(init=lambda z: z, step=step, noise=TWO, length=4, space=REAL)


def test_a_cache_of_tokens_is_named_where_the_export_fails(tmp_path):
    """Their draws seldom show on a few examples that a cache is used."""
    net = KeyCache("list")

    def step(i, state, u):
        p = net(state["token"][:, None].float().expand(-1, 2), i).softmax(-1)[:, 0]
        return {"token": (u < p).long()}

    model = wrap(
        init=lambda index: {"token": torch.zeros(len(index), dtype=torch.int64)},
        step=step,
        finish=lambda state: state["token"][:, None].float().expand(-1, 2),
        step_noise={"u": zoo.Uniform()},
        length=3,
        space=REAL,
        name="tokens",
    )
    with pytest.raises(
        ExportError, match=r"^tokens: its functions keep `KeyCache.cache\[0\]` .* is its state.*: tokens: sam"
    ):
        zoo.export(model, tmp_path / "artifact")


class Harmless(nn.Module):
    """A table that is made once, a workspace, kept activations, and a hook that keeps outputs."""

    def __init__(self):
        super().__init__()
        self.net, self.table = nn.Linear(2, 2), None
        self.register_buffer("workspace", torch.zeros(8, 2))
        self.net.register_forward_hook(lambda module, given, output: setattr(self, "output", output))

    def forward(self, z):
        if self.table is None:
            self.table = torch.arange(2.0)
        self.activation = self.net(z)
        self.workspace[: len(z)] = z
        return self.activation + self.table + self.workspace[: len(z)]


def test_what_is_kept_and_not_used_is_no_fault(tmp_path):
    net = Harmless()
    artifact = exported(wrap(init=lambda z: z, step=lambda i, x: net(x), length=2, noise=TWO, space=REAL), tmp_path)
    assert artifact.sample(5, seed=0).shape == (5, 2)


def test_statistics_of_a_batch_are_not_called_memory():
    net = Harmless()
    with pytest.raises(InputError, match=r"sample mixes rows \(batch statistics, or Harmless.*, which it changes"):
        wrap(sample=lambda z: net(z) / z.norm(), noise=TWO, space=REAL)


def test_an_argument_that_is_written_to_is_said():
    with pytest.raises(InputError, match="step writes to an argument in place"):
        wrap(init=lambda z: z, step=lambda i, x: x.mul_(2) + 1, noise=TWO, length=4, space=REAL)


def test_what_changes_and_does_not_matter_is_no_fault():
    calls = []

    def sample(z):
        calls.append(z)
        return z * 2

    assert wrap(sample=sample, noise=TWO, space=REAL)
    with pytest.raises(InputError, match=r"perhaps by random or numpy.random"):
        wrap(sample=lambda z: sample(z) + np.random.rand(), noise=TWO, space=REAL)


class Sampling(nn.Module):
    """An encoder that gives its mean and a sample."""

    def __init__(self, draw):
        super().__init__()
        self.net, self.draw = nn.Linear(2, 4), draw

    def forward(self, x):
        mean, scale = self.net(x).chunk(2, 1)
        return mean, self.draw(mean, scale)


DRAWS = {
    "randn": lambda mean, scale: mean + torch.randn_like(mean) * scale.exp(),
    "normal": lambda mean, scale: torch.distributions.Normal(mean, scale.exp()).rsample(),
    "gamma": lambda mean, scale: torch.distributions.Gamma(scale.exp(), scale.exp()).rsample(),
    "in place": lambda mean, scale: mean + torch.empty_like(mean).exponential_(),
    "view": lambda mean, scale: mean + torch.zeros_like(mean)[:, 0].bernoulli_(0.5)[:, None],
    "permutation": lambda mean, scale: mean[:, torch.randperm(2)],
    "dropout": lambda mean, scale: nn.functional.dropout(mean),
    "multinomial": lambda mean, scale: scale.exp().multinomial(1),
    "poisson": lambda mean, scale: torch.poisson(scale.exp()),
    "attention": lambda mean, scale: nn.functional.scaled_dot_product_attention(mean, scale, scale, dropout_p=0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_that_nothing_uses_is_no_fault(name, tmp_path):
    net = Sampling(DRAWS[name])
    artifact = exported(wrap(encode=lambda x: net(x)[0], space=REAL), tmp_path)
    x = np.ones((4, 2), np.float32)
    np.testing.assert_allclose(artifact.encode(x), net(torch.from_numpy(x))[0].detach(), rtol=1e-4, atol=1e-6)

    def seeded(x):
        torch.manual_seed(0)  # the same numbers each time, of which an artifact knows nothing
        mean, drawn = net(x)
        return mean + drawn[:, :1]

    with pytest.raises(InputError, match=r"draws its own random numbers, in (?!.*attention)\w+ \(test_wrap.py:\d+\)"):
        wrap(encode=seeded, space=REAL)
    decided = lambda x: torch.where(torch.tensor(bool(net(x)[1].sum() > -1e9)), x, -x)  # noqa: E731
    with pytest.raises(InputError, match="draws its own random numbers, in"):
        wrap(encode=decided, space=REAL)


def test_what_stands_beside_a_module_tells_what_it_is():
    net = nn.Sequential(nn.Linear(2, 2), nn.Softmax(-1))
    assert set(wrap(net, noise=TWO, space=REAL).methods) == {"sample"}
    assert set(wrap(net, classes=2, space=REAL).methods) == {"predict"}

    class Denoiser(nn.Linear):
        def forward(self, x, t):
            return super().forward(x)

    assert set(wrap(Denoiser(2, 2), schedule=[0.9, 0.5, 0.1], space=REAL).methods) == {"sample"}
    with pytest.raises(InputError, match="does not know what a Sequential does"):
        wrap(net, noise=TWO, decode=net, space=REAL)


def test_the_hint_about_a_number_of_rows_is_for_what_takes_one():
    with pytest.raises(InputError, match="mat1") as caught:
        wrap(sample=nn.Linear(3, 2), noise=TWO, space=REAL)
    assert "number of rows" not in str(caught.value)


def test_a_network_of_few_bits(tmp_path):
    net = nn.Linear(8, 30).bfloat16()
    model = wrap(sample=lambda z: net(z.bfloat16()).sigmoid(), noise=zoo.Normal(8), space=IMAGE)
    assert model.sample(3, seed=0).dtype == np.uint8
    with pytest.raises(zoo.errors.ExportError, match=r"computes in bfloat16.* model.float\(\)") as caught:
        zoo.export(model, tmp_path / "artifact")
    assert str(tmp_path) not in str(caught.value)


def test_a_compiled_module_is_traced_as_it_was(tmp_path):
    net = nn.Linear(2, 2)
    compiled = torch.compile(net, backend="eager")
    model = wrap(sample=lambda z: compiled(z) * 2, noise=TWO, space=REAL)
    artifact = exported(model, tmp_path)
    np.testing.assert_allclose(
        artifact.sample(3, seed=0), 2 * net(drawn(TWO, 3, 0, "sample/noise")).detach(), rtol=1e-4
    )


def test_two_runs_may_differ_in_the_last_bits():
    runs = []

    def sample(z):
        runs.append(1)
        return z * (1 + 2e-7 * (len(runs) % 2))

    assert wrap(sample=sample, noise=TWO, space=REAL)


def test_the_number_of_steps_is_at_least_one():
    model = wrap(init=lambda z: z, step=lambda i, x: x + 1, noise=TWO, length="n", options={"n": 200}, space=REAL)
    assert model.signatures["sample"].options["n"] == zoo.Option(200, low=1)
    with pytest.raises(InputError, match="of at least 1"):
        model.sample(2, n=0)


def test_importing_the_plugin_imports_no_torch():
    code = "import sys, zoo_torch, zoo_keras; assert not {'torch', 'keras', 'numpy'} & set(sys.modules), 1"
    subprocess.run([sys.executable, "-c", code], check=True)
