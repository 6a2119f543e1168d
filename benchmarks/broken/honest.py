"""The honest models that broken ones are made from."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from array_api_compat import array_namespace
from zoo_torch.network import TorchNetwork

import zoo
from zoo.network import Network, Objective, Recipe
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Loop, Noise, Option, Tensor
from zoo.spaces import Space
from zoo.spec import ModelSpec
from zoo.testing.subject import CLASSES, Subject, network_subject

SCALAR = Tensor("float32")
LABEL = {"label": Tensor("int64")}


@dataclass(frozen=True)
class Config:
    pass


class Gaussian(NumpyNetwork):
    """A flow of one layer: a full covariance."""

    Config, spaces, density, on = Config, (zoo.Real,), "exact", zoo.Real(2)
    family, has = "flow", ("sample", "log_prob", "encode", "decode")
    given = {}  # inputs of all methods

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        d = space.width
        self.mean, self.shift = np.zeros(d, "float32"), np.zeros((3, d), "float32")
        self.factor, self.inverse = np.eye(d, dtype="float32"), np.eye(d, dtype="float32")

    def reset(self, random):
        self.shift = random.normal(size=self.shift.shape).astype("float32")

    def adapt(self, x):
        self.mean = x.mean(0).astype("float32")
        factor = np.linalg.cholesky(np.cov(x.T))
        self.factor, self.inverse = factor.astype("float32"), np.linalg.inv(factor).astype("float32")

    def center(self, label=None):
        return self.mean if label is None else self.mean + array_namespace(label).take(self.shift, label, axis=0)

    def encode(self, x, label=None):
        return (x - self.center(label)) @ self.inverse.T

    def decode(self, z, label=None):
        return z @ self.factor.T + self.center(label)

    def sample(self, z, label=None):
        return Gaussian.decode(self, z, label)

    def log_prob(self, x, label=None):
        xp = array_namespace(x)
        z = Gaussian.encode(self, x, label)
        log_det = xp.sum(xp.log(xp.linalg.diagonal(self.inverse)))
        return log_det - 0.5 * xp.sum(z**2, axis=1) - 0.5 * self.space.width * math.log(2 * math.pi)

    def methods(self):
        x, z = {"x": self.space.tensor}, {"z": self.space.tensor}
        normal = {"z": Noise("normal", self.space.shape)}
        methods = {
            "sample": Call(self.sample, self.given, x, normal),
            "log_prob": Call(self.log_prob, x | self.given, {"log_prob": SCALAR}),
            "encode": Call(self.encode, x | self.given, z),
            "decode": Call(self.decode, z | self.given, x),
        }
        return {name: method for name, method in methods.items() if name in self.has}

    def objectives(self):
        x = {"x": self.space.tensor}
        nll = Call(lambda **given: -Gaussian.log_prob(self, **given), x | self.given, {"loss": SCALAR})
        return {"nll": Objective(nll)}


class Classes(Gaussian):
    """The same with a mean for each class."""

    given = LABEL


class Plain(Gaussian):
    """A density and its sampler, without latents."""

    family, has = "energy", ("sample", "log_prob")


class PlainClasses(Plain):
    given = LABEL


class Started(Plain):
    """The same sampler as a loop, whose `init` gets the numbers of the rows."""

    def init(self, index, z):
        return {"x": Gaussian.decode(self, z)}

    def methods(self):
        x, noises = {"x": self.space.tensor}, {"z": Noise("normal", self.space.shape)}
        sample = Loop(1, self.init, lambda i, state: state, lambda s: s["x"], x, {}, x, init_noise=noises)
        return {**super().methods(), "sample": sample}


class Unmeasured(Started):
    """The same without a density."""

    family, has, density = "diffusion", ("sample",), None

    def methods(self):
        return {"sample": super().methods()["sample"]}


class Modes(Plain):
    """Two Gaussians, the second `apart` standard deviations from the first and with little mass, `rare`."""

    rare, apart = 0.01, 6.0

    def log_prob(self, x):
        parts = (math.log(1 - self.rare), x), (math.log(self.rare), x - self.way)
        return np.logaddexp(*(Gaussian.log_prob(self, where) + np.float32(log_p) for log_p, where in parts))

    @property
    def way(self):
        return np.float32(self.apart) * self.factor[:, 0]

    def is_rare(self, u):
        return u < self.rare

    def sample(self, z, u):
        return Gaussian.decode(self, z) + self.is_rare(u)[:, None] * self.way

    def methods(self):
        sample = super().methods()["sample"]
        sample = dataclasses.replace(sample, noise={**sample.noise, "u": Noise("uniform")})
        return {**super().methods(), "sample": sample}


class Generator(Gaussian):
    """A sampler and its decoder, without a density."""

    family, has, density = "gan", ("sample", "decode"), None


class Guided(Classes):
    """A sampler with a temperature and guidance, without a density."""

    family, has, density = "diffusion", ("sample",), None

    def sample(self, z, label, temperature, guidance):
        return Gaussian.decode(self, temperature * z) + guidance * array_namespace(label).take(
            self.shift, label, axis=0
        )

    def methods(self):
        sample = super().methods()["sample"]
        options = {"temperature": Option(1.0, low=0.0), "guidance": Option(1.0, low=0.0)}
        return {"sample": dataclasses.replace(sample, options=options)}


class Walk(Gaussian):
    """A Markov chain of 20 steps from a normal start, without a density."""

    family, has, density = "diffusion", ("sample",), None
    keep = np.float32(0.8)

    def init(self, index, start):
        return {"z": start, "first": start}

    def step(self, i, state, e):
        return {**state, "z": self.keep * state["z"] + np.sqrt(1 - self.keep**2) * e}

    def methods(self):
        x, normal = {"x": self.space.tensor}, Noise("normal", self.space.shape)
        state = {"z": self.space.tensor, "first": self.space.tensor}
        return {
            "sample": Loop(
                20, self.init, self.step, lambda s: Gaussian.decode(self, s["z"]), state, {}, x,
                init_noise={"start": normal}, noise={"e": normal},
            )
        }  # fmt: skip


class Table(NumpyNetwork):
    """An autoregressive model: each dimension has probabilities that depend on the dimension before it."""

    Config, spaces, density, on = Config, (zoo.Discrete,), "exact", zoo.Discrete(3, levels=4)
    family, has = "autoregressive", ("sample", "log_prob")
    noises = {"u": Noise("uniform")}

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.p = np.zeros((space.width, space.levels, space.levels), "float32")  # [d, x_{d-1}, x_d]

    def reset(self, random):
        p = random.uniform(0.2, 1, self.p.shape)
        self.p = (p / p.sum(2, keepdims=True)).astype("float32")

    def before(self, x):
        return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)

    def conditionals(self, x):
        return np.log(self.p[np.arange(self.space.width), self.before(x), x])

    def log_prob(self, x):
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each}

    def draw(self, i, x, u):
        known = x[:, i - 1] if i else np.zeros_like(x[:, 0])
        cdf = np.cumsum(self.p[int(i), known], axis=1)
        return np.minimum((cdf < u[:, None]).sum(1), self.space.levels - 1)

    def step(self, i, state, u):
        x = state["x"].copy()
        x[:, i] = self.draw(i, x, u)
        return {**state, "x": x}

    def init(self, index):
        return {"x": np.zeros((len(index), self.space.width), np.int64), "u": np.zeros(len(index), np.float32)}

    def methods(self):
        x, d = {"x": self.space.tensor}, self.space.width
        state = {**x, "u": SCALAR}
        sample = Loop(d, self.init, self.step, lambda s: s["x"], state=state, outputs=x, noise=self.noises)
        outputs = {"log_prob": SCALAR, "conditionals": Tensor("float32", (d,))}
        return {"sample": sample, "log_prob": Call(self.log_prob, x, outputs)}

    def objectives(self):
        nll = Call(lambda x: -self.log_prob(x)["log_prob"], {"x": self.space.tensor}, {"loss": SCALAR})
        return {"nll": Objective(nll)}


class LongTable(Table):
    """So many outcomes that they are not gone through one by one."""

    on = zoo.Discrete(9, levels=4)


class Pixels(NumpyNetwork):
    """Images of independent pixels."""

    Config, spaces, density, on = Config, (zoo.Image,), "exact", zoo.Image(8, 8, 1, levels=5)
    family, has = "autoregressive", ("sample", "log_prob")

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.p = np.zeros((space.size, space.levels), "float32")

    def reset(self, random):
        p = random.uniform(0.2, 1, self.p.shape)
        self.p = (p / p.sum(1, keepdims=True)).astype("float32")

    def rows(self, x):
        return x.reshape(len(x), self.space.size).astype(np.int64)

    def log_prob(self, x):
        each = np.log(self.p[np.arange(self.space.size), self.rows(x)])
        return {"log_prob": each.sum(1), "conditionals": each}

    def sample(self, u):
        cdf = np.cumsum(self.p, axis=1).reshape(*self.space.shape, -1)
        return np.minimum((cdf < u[..., None]).sum(-1), self.space.levels - 1).astype(self.space.dtype)

    def methods(self):
        x = {"x": self.space.tensor}
        outputs = {"log_prob": SCALAR, "conditionals": Tensor("float32", (self.space.size,))}
        noises = {"u": Noise("uniform", self.space.shape)}
        return {"sample": Call(self.sample, outputs=x, noise=noises), "log_prob": Call(self.log_prob, x, outputs)}

    def objectives(self):
        nll = Call(lambda x: -self.log_prob(x)["log_prob"], {"x": self.space.tensor}, {"loss": SCALAR})
        return {"nll": Objective(nll)}


class Clusters(NumpyNetwork):
    """A mixture of two round normals, fitted by EM (Dempster, Laird, Rubin 1977)."""

    Config, spaces, density, on = Config, (zoo.Real,), "exact", zoo.Real(2)
    family, has, full_batch = "mixture", ("sample", "log_prob"), True

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.means, self.weights = np.zeros((2, space.size), "float32"), np.full(2, 0.5, "float32")
        self.variances = np.ones(2, "float32")

    def adapt(self, x):
        self.means[...] = x.mean(0) + [[-1.0], [1.0]] * x.std(0)
        self.variances[...] = x.var()

    def parts(self, x):
        squares = ((x[:, None] - self.means) ** 2).sum(2)
        d = self.space.size
        return np.log(self.weights) - 0.5 * (squares / self.variances + d * np.log(2 * np.pi * self.variances))

    def log_prob(self, x):
        return np.logaddexp(*self.parts(x).T).astype("float32")

    def responsibilities(self, x):
        return np.exp(self.parts(x) - self.log_prob(x)[:, None])

    def update(self, objective, inputs, noise, learning_rate):
        x = inputs["x"]
        r = self.responsibilities(x)
        self.weights[...] = r.sum(0) / len(x)
        self.means[...] = r.T @ x / r.sum(0)[:, None]
        squares = ((x[:, None] - self.means) ** 2).mean(2)
        self.variances[...] = (r * squares).sum(0) / r.sum(0)

    def sample(self, u, z):
        one = (u > self.weights[0]).astype(np.int64)
        return self.means[one] + np.sqrt(self.variances)[one][:, None] * z

    def methods(self):
        x, noises = {"x": self.space.tensor}, {"u": Noise("uniform"), "z": Noise("normal", self.space.shape)}
        sample = Call(self.sample, outputs=x, noise=noises)
        return {"sample": sample, "log_prob": Call(self.log_prob, x, {"log_prob": SCALAR})}

    def objectives(self):
        return {"nll": Objective(Call(lambda x: -self.log_prob(x), {"x": self.space.tensor}, {"loss": SCALAR}))}


class Mixture(NumpyNetwork):
    """A latent-variable model: x_d are independent given one of two causes; the bound draws causes from the prior."""

    Config, spaces, density, on = Config, (zoo.Discrete,), "lower_bound", zoo.Discrete(3, levels=4)
    family, has = "vae", ("sample", "log_prob")

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.p = np.zeros((2, space.width, space.levels), "float32")

    def reset(self, random):
        p = random.uniform(0.2, 1, self.p.shape)
        self.p = (p / p.sum(2, keepdims=True)).astype("float32")

    def log_prob(self, x, causes, samples):
        cause = (causes > 0.5).astype(np.int64)  # (N, S)
        log_p = np.log(self.p[cause[..., None], np.arange(self.space.width), x[:, None]]).sum(2)
        return self.bound(log_p, samples).astype(np.float32)

    def bound(self, log_p, samples):
        return np.log(np.exp(log_p).mean(1))

    def sample(self, cause, u):
        cdf = np.cumsum(self.p[(cause > 0.5).astype(np.int64)], axis=2)
        return np.minimum((cdf < u[..., None]).sum(2), self.space.levels - 1)

    def methods(self):
        x, d = {"x": self.space.tensor}, self.space.width
        uniform = {"cause": Noise("uniform"), "u": Noise("uniform", (d,))}
        options = {"samples": Option(1, low=1)}
        causes = {"causes": Noise("uniform", ("samples",))}
        return {
            "sample": Call(self.sample, outputs=x, noise=uniform),
            "log_prob": Call(self.log_prob, x, {"log_prob": SCALAR}, causes, options),
        }

    def objectives(self):
        one = {"causes": Noise("uniform", (1,))}
        loss = Call(lambda x, causes: -self.log_prob(x, causes, 1), {"x": self.space.tensor}, {"loss": SCALAR}, one)
        return {"negative_elbo": Objective(loss)}


class FlowMatching(TorchNetwork):
    """A velocity from noise to data along straight lines (Lipman et al., arXiv 2210.02747), and its ODE."""

    Config, spaces, on = Config, (zoo.Real,), zoo.Real(2)
    family, has, density = "diffusion", ("sample",), None
    recipe = Recipe(epochs=100, batch_size=128, learning_rate=1e-2)

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.register_buffer("mean", torch.zeros(space.size))
        self.register_buffer("scale", torch.ones(space.size))
        self.kinds = torch.nn.Parameter(torch.zeros(len(classes or CLASSES), 32))
        self.into, self.out = torch.nn.Linear(space.size + 3, 32), torch.nn.Linear(32, space.size)
        self.between = torch.nn.Linear(32, 32)

    def adapt(self, x):
        self.mean.copy_(torch.from_numpy(x.mean(0)))
        self.scale.copy_(torch.from_numpy(x.std(0)))

    def velocity(self, y, t, label):
        times = torch.cat([t, torch.cos(3 * t), torch.sin(3 * t)], 1)
        h = torch.nn.functional.silu(self.into(torch.cat([y, times], 1)) + self.kinds.index_select(0, label))
        return self.out(torch.nn.functional.silu(self.between(h)))

    def loss(self, x, label, t, e):
        y = (x - self.mean) / self.scale
        return ((self.velocity((1 - t) * e + t * y, t, label) - (y - e)) ** 2).sum(1)

    def step(self, i, state, label):
        t = torch.zeros_like(state["y"][:, :1]) + i.to(torch.float32) / 20
        return {"y": state["y"] + self.velocity(state["y"], t, label) / 20}

    def methods(self):
        sample = Loop(
            20, lambda index, label, z: {"y": z}, self.step, lambda s: self.mean + self.scale * s["y"],
            {"y": self.space.tensor}, LABEL, {"x": self.space.tensor},
            init_noise={"z": Noise("normal", self.space.shape)},
        )  # fmt: skip
        return {"sample": sample}

    def objectives(self):
        noises = {"t": Noise("uniform", (1,)), "e": Noise("normal", self.space.shape)}
        return {"matching": Objective(Call(self.loss, {"x": self.space.tensor} | LABEL, {"loss": SCALAR}, noises))}


class Classifier(TorchNetwork):
    """Logits of one linear layer."""

    Config, spaces, needs_classes, on = Config, (zoo.Real,), True, zoo.Real(2)
    family, has = "classifier", ("predict",)

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.linear = torch.nn.Linear(space.width, len(classes))

    def logits(self, x):
        return self.linear(x)

    def methods(self):
        y = Tensor("float32", (len(self.classes),))
        return {"predict": Call(lambda x: self.logits(x).softmax(1), {"x": self.space.tensor}, {"y": y})}

    def objectives(self):
        def loss(x, label):
            return torch.nn.functional.cross_entropy(self.logits(x), label, reduction="none")

        return {"cross_entropy": Objective(Call(loss, {"x": self.space.tensor} | LABEL, {"loss": SCALAR}))}


HONEST = (
    Gaussian, Classes, Plain, PlainClasses, Started, Unmeasured, Modes, Generator, Guided, Walk, Table, LongTable,
    Pixels, Clusters, Mixture, FlowMatching, Classifier,
)  # fmt: skip


def subject_of(cls: type[Network], space: Space | None = None) -> Subject:
    """An untrained network, as the suite tests it."""
    spec = ModelSpec(
        name=cls.__name__.lower(), target="nowhere:Net", family=cls.family, framework=cls.framework, methods=cls.has,
        summary="", density=cls.density,
    )  # fmt: skip
    how = {"classes": getattr(cls, "told", CLASSES), "scope": getattr(cls, "scope", "all")}
    return network_subject(cls, space or cls.on, spec, {}, **how)
