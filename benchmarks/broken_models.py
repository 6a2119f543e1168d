"""Honest models, and models that are broken in one way each: what the conformance suite is tested with.

`BROKEN` has each broken model with its fault, its size, and the checks that see it. `python -m benchmarks.conformance`
runs the suite over all of them and writes the table of docs/conformance.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from array_api_compat import array_namespace
from zoo_torch.network import TorchNetwork

import zoo
from zoo import noise
from zoo.network import Network, Objective
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


# ---- honest models -------------------------------------------------------------------------------------------------


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
    Mixture, Classifier,
)  # fmt: skip


# ---- broken models -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A model with a fault of a size, and the checks that see it: none, where it is beyond what the suite sees."""

    fault: str
    size: str
    cls: type[Network]
    seen_by: tuple[str, ...]

    @property
    def kind(self) -> str:
        return next(base.__name__ for base in self.cls.__mro__ if base in HONEST)

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.size}".rstrip("-").replace(" ", "_")


BROKEN: list[Broken] = []


def broken(fault: str, *seen_by: str, size: str = "") -> Callable[[type], type]:
    def register(cls: type) -> type:
        BROKEN.append(Broken(fault, size, cls, seen_by))
        return cls

    return register


def sized(fault: str, sizes: dict[Any, tuple[str, ...]], unit: str = "{}") -> Callable[[type], type]:
    """A model once for each size, its attribute `size`."""

    def register(cls: type) -> type:
        for size, seen_by in sizes.items():
            BROKEN.append(Broken(fault, unit.format(size), type(cls.__name__, (cls,), {"size": size}), seen_by))
        return cls

    return register


# ---- what it declares

DECLARED, OUTPUTS = "methods_are_those_declared", "outputs_are_as_declared"
INPUTS, CLASS_USED = "inputs_change_the_answer", "each_class_has_answers_of_its_own"
ROWS, CHUNKS, SEEDS = "rows_do_not_depend_on_each_other", "rows_do_not_depend_on_chunks", "seeds_decide_the_rows"
GLOBAL, CAUSAL = "global_random_numbers_are_not_drawn", "later_dimensions_do_not_change_earlier_ones"
FAR, REPEAT, NOISE = "rows_far_out_are_like_the_first", "draws_do_not_repeat", "declared_noise_is_used"
OPTIONS, TEMPERATURE = "options_change_the_answer", "a_lower_temperature_narrows_samples"
GUIDANCE = "guidance_separates_the_classes"
INTEGRAL, EXACT, BOUND = "density_integrates_to_one", "only_bounds_are_random", "more_samples_tighten_the_bound"
SAMPLES, INVERSE = "samples_follow_the_density", "decode_inverts_encode"
VARIABLES, DECODES = "log_prob_is_the_change_of_variables", "sample_decodes_its_noise"
LATENTS, GRADIENT = "decode_answers_far_latents", "every_weight_gets_a_gradient"
CHECKPOINT, EXPORT = "a_checkpoint_restores_the_model", "an_export_gives_the_same_answers"


@broken("a method that the spec does not declare", DECLARED)
class Undeclared(Table):
    def methods(self):
        x = {"x": self.space.tensor}
        extra = Call(lambda x: x.astype(np.float32), x, {"z": Tensor("float32", self.space.shape)})
        return {**super().methods(), "encode": extra}


@broken("log_prob in double precision", OUTPUTS)
class DoublePrecision(Plain):
    def log_prob(self, x):
        return super().log_prob(x) * np.float64(1)


@broken("predicts the same for everything", INPUTS)
class Constant(Classifier):
    """Though its loss looks at the data."""

    def methods(self):
        y = Tensor("float32", (len(self.classes),))
        return {"predict": Call(lambda x: self.logits(0 * x).softmax(1), {"x": self.space.tensor}, {"y": y})}


@broken("a weight that no loss trains", GRADIENT)
class Idle(Classifier):
    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.idle = torch.nn.Linear(2, 2)


@broken("keeps what it learned where no checkpoint looks", CHECKPOINT)
class Forgets(Plain):
    def adapt(self, x):
        super().adapt(x)
        self._offset = np.float32(x.mean())

    def center(self, label=None):
        return super().center(label) + getattr(self, "_offset", 0)


@broken("takes another way when it is traced", EXPORT)
class OtherwiseInTheGraph(Plain):
    def sample(self, z):
        return super().sample(z if isinstance(z, np.ndarray) else 0.5 * z)


@broken("predicts the wrong class", size="every row")
class WrongClass(Classifier):
    def methods(self):
        y, x = {"y": Tensor("float32", (len(self.classes),))}, {"x": self.space.tensor}
        return {"predict": Call(lambda x: self.logits(x).softmax(1).roll(1, 1), x, y)}


# ---- rows


@broken("batch normalization in training mode", ROWS)
class BatchStatistics(Classifier):
    def logits(self, x):
        y = self.linear(x)
        return y - y.mean(0, keepdim=True)


@broken("all rows have the class of the first", ROWS)
class ClassOfTheFirst(PlainClasses):
    def log_prob(self, x, label):
        return super().log_prob(x, 0 * label + label[:1])


@broken("adds up over the rows before", ROWS)
class RunningSum(Classifier):
    def logits(self, x):
        return super().logits(x).cumsum(0)


@sized("centers each batch that is large enough", {16: (ROWS,), 256: (ROWS,), 4000: ()}, "{} rows")
class LargeBatches(Classifier):
    def logits(self, x):
        y = self.linear(x)
        return y - 0.1 * y.mean(0, keepdim=True) if len(y) >= self.size else y


@broken("which half a row comes from depends on its place in the batch", ROWS, CHUNKS)
class PlaceInBatch(Started):
    def init(self, index, z):
        return {"x": Gaussian.decode(self, z * np.where(np.arange(len(index)) % 2, 1, -1)[:, None].astype("float32"))}


@broken("draws the same rows whatever the seed", SEEDS, NOISE, FAR)
class OneSeed(Unmeasured):
    def init(self, index, z):
        return super().init(index, noise.draw(Noise("normal", (2,)), index, seed=0, stream="own"))


@sized("rows from 25,000 on are shifted", {0.2: (FAR,), 0.02: ()}, "{} standard deviations")
class FarOut(Unmeasured):
    def init(self, index, z):
        return super().init(index, z + np.float32(self.size) * (index[:, None] >= 25_000))


@sized(
    "some rows far out are shifted by one standard deviation",
    {"25,000 to 30,000": (FAR,), "5e5 to 6e5": ()},
    "{}",
)
class FarStretch(Unmeasured):
    def init(self, index, z):
        low, high = {"25,000 to 30,000": (25_000, 30_000), "5e5 to 6e5": (5e5, 6e5)}[self.size]
        return super().init(index, z + np.float32((index[:, None] >= low) & (index[:, None] < high)))


@broken("rows repeat after 25,000", FAR, NOISE, SEEDS)
class Repeats(Unmeasured):
    def init(self, index, z):
        return super().init(index, noise.draw(Noise("normal", (2,)), index % 25_000, seed=0, stream="own") + 0 * z)


@broken("draws a number that it does not use", GLOBAL)
class ThrowsDice(Gaussian):
    def decode(self, z, label=None):
        np.random.random()
        return super().decode(z, label)


@broken("draws a number of the framework that it does not use", GLOBAL)
class ThrowsTorchDice(Classifier):
    def logits(self, x):
        torch.rand(())
        return super().logits(x)


# ---- classes


@broken("two classes alike", CLASS_USED)
class TwoClassesAlike(PlainClasses):
    def reset(self, random):
        super().reset(random)
        self.shift[2] = self.shift[1]


@broken("the class is ignored", CLASS_USED)
class IgnoresTheClass(PlainClasses):
    def reset(self, random):
        pass


def in_class_one(label, value):
    return np.float32(value) * (label == 1)


@sized("density too high in one class alone", {0.05: (INTEGRAL,), 0.002: ()}, "{} nats")
class DenserInOneClass(PlainClasses):
    def log_prob(self, x, label):
        return super().log_prob(x, label) + in_class_one(label, self.size)


@sized("samples too wide in one class alone", {0.1: (SAMPLES,), 0.03: (SAMPLES,), 0.002: ()}, "{:.1%}")
class WiderInOneClass(PlainClasses):
    def sample(self, z, label):
        return super().sample(z * (1 + in_class_one(label, self.size))[:, None], label)


@broken("decode does not undo encode in one class alone", INVERSE, DECODES, size="1.0%")
class NotBackInOneClass(Classes):
    def decode(self, z, label):
        return super().decode(z * (1 + in_class_one(label, 0.01))[:, None], label)


# ---- options


@broken("temperature does nothing", OPTIONS)
class NoTemperature(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, np.float32(1), guidance)


@broken("a higher temperature narrows samples", TEMPERATURE)
class Reversed(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, 1 / np.maximum(temperature, np.float32(1e-3)), guidance)


@broken("guidance does nothing", OPTIONS)
class NoGuidance(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, temperature, np.float32(1))


@broken("more guidance is less of the class", GUIDANCE)
class LessOfTheClass(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, temperature, np.exp(-guidance))


@broken("more samples of a bound do nothing", OPTIONS)
class OneSample(Mixture):
    def log_prob(self, x, causes, samples):
        return super().log_prob(x, causes[:, :1], samples)


# ---- noise


@broken("noise that is multiplied by zero", NOISE)
class Multiplied(Plain):
    def sample(self, z, e):
        return super().sample(z + 0 * e)

    def methods(self):
        methods = super().methods()
        more = {**methods["sample"].noise, "e": Noise("normal", self.space.shape)}
        return {**methods, "sample": dataclasses.replace(methods["sample"], noise=more)}


@broken("the initial noise again in each step, declared noise unused", NOISE)
class InitialNoise(Walk):
    def step(self, i, state, e):
        return super().step(i, state, state["first"])


@broken("the initial noise again in each step, where none is declared for steps", size="every step")
class InitialNoiseUnseen(Walk):
    """To the suite it is a sampler like another: all of its randomness may be in where it starts."""

    def step(self, i, state):
        return super().step(i, state, state["first"])

    def methods(self):
        return {"sample": dataclasses.replace(super().methods()["sample"], noise={})}


@broken("one step's noise again in all later ones", NOISE, SAMPLES)
class SameNoise(Table):
    def step(self, i, state, u):
        kept = u if i == 0 else state["u"]
        return {**super().step(i, state, kept), "u": kept}


def cut(z, at):
    return z.clip(-at, at)


def cut_softly(z, at):
    """What lies too far out is drawn nearer, so that nothing looks cut."""
    return np.where(np.abs(z) > at, z / np.float32(2), z)


@sized(
    "noise is cut",
    {3.0: (NOISE, SAMPLES), 3.5: (NOISE, SAMPLES), 4.5: (NOISE,), 5.0: ()},
    "at {} standard deviations",
)
class Cut(Plain):
    def sample(self, z):
        return super().sample(cut(z, self.size))


@sized(
    "what lies too far out is drawn anew",
    {3.0: (SAMPLES,), 3.5: (SAMPLES,), 4.0: ()},
    "beyond {} standard deviations",
)
class CutSoftly(Plain):
    def sample(self, z):
        return super().sample(cut_softly(z, self.size))


@sized(
    "noise of a sampler without a density is cut", {3.0: (NOISE,), 4.5: (NOISE,), 5.0: ()}, "at {} standard deviations"
)
class CutWithoutDensity(Walk):
    def init(self, index, start):
        return super().init(index, start)

    def step(self, i, state, e):
        return super().step(i, state, cut(e, self.size))


@sized(
    "tails of a flow's sampler are drawn anew",
    {3.0: (DECODES, SAMPLES), 4.0: (DECODES,), 5.7: ()},
    "beyond {} standard deviations",
)
class CutFlow(Gaussian):
    def sample(self, z):
        return super().sample(cut_softly(z, self.size))


# ---- densities


@sized("noise in an exact density, declared", {0.1: (EXACT, INTEGRAL), 0.001: (EXACT,)}, "{} nats")
class NoisyDensity(Plain):
    def log_prob(self, x, e):
        return super().log_prob(x) + np.float32(self.size) * e

    def methods(self):
        methods = super().methods()
        return {**methods, "log_prob": dataclasses.replace(methods["log_prob"], noise={"e": Noise("normal")})}


@sized("noise in an exact density, made of the observation", {0.1: (EXACT,), 0.02: (EXACT,), 0.003: ()}, "{} nats")
class HashedNoise(Plain):
    def log_prob(self, x):
        bits = x.view(np.uint32).astype(np.uint64)
        u = (bits.sum(1) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)) / 2.0**24  # far from the next one's
        return (super().log_prob(x) + self.size * math.sqrt(12) * (u - 0.5)).astype(np.float32)


@sized("each probability of a discrete density too high", {0.01: (INTEGRAL,), 0.0001: ()}, "{} nats a dimension")
class OffByAConstant(Table):
    def conditionals(self, x):
        return super().conditionals(x) + np.float32(self.size)


@sized("density too high", {0.05: (INTEGRAL,), 0.005: (INTEGRAL,), 0.002: ()}, "{} nats")
class Denser(Plain):
    def log_prob(self, x):
        return super().log_prob(x) + np.float32(self.size)


@sized("density in three dimensions too high", {0.05: (INTEGRAL,), 0.005: ()}, "{} nats")
class DenserInThree(Denser):
    on = zoo.Real(3)


FLOORS = {-10: (INTEGRAL,), -100: (INTEGRAL,), -1e5: (INTEGRAL,), -1e10: ()}


@sized("improper: log_prob is bounded from below", FLOORS, "at {:g}")
class Floor(Plain):
    on = zoo.Real(3)

    def log_prob(self, x):
        return np.maximum(super().log_prob(x), np.float32(self.size))


@sized("improper: flat in one dimension of six", {6: (INTEGRAL,)}, "")
class Flat(Plain):
    on = zoo.Real(6)

    def log_prob(self, x):
        return super().log_prob(np.concatenate([x[:, :5], 0 * x[:, 5:] + self.mean[5:]], 1))


@broken("a bound that does not divide by the number of samples", INTEGRAL)
class TooHigh(Mixture):
    """Right with one."""

    def bound(self, log_p, samples):
        return np.log(np.exp(log_p).sum(1))


@broken("a bound that is the mean of its samples: no tighter with more", INTEGRAL, SAMPLES)
class MeanOfBounds(Mixture):
    def bound(self, log_p, samples):
        return log_p.mean(1)


@broken("a bound that is looser with more samples", BOUND, size="1 nat")
class LooserWithMore(Mixture):
    def bound(self, log_p, samples):
        return super().bound(log_p, samples) - (1 if 1 < samples <= 16 else 0)


# ---- samplers with a density


@sized("samples too wide", {0.1: (SAMPLES,), 0.02: (SAMPLES,), 0.005: ()}, "{:.1%}")
class Warm(Plain):
    def sample(self, z):
        return super().sample(np.float32(1 + self.size) * z)


@sized("samples too wide in twelve dimensions", {0.1: (SAMPLES, DECODES), 0.002: (DECODES,)}, "{:.1%}")
class WarmFlow(Gaussian):
    """Nothing but the flow's own transform tells."""

    on = zoo.Real(12)

    def sample(self, z):
        return super().sample(np.float32(1 + self.size) * z)


@sized("samples of another correlation", {0.4: (SAMPLES,), 0.05: (SAMPLES,), 0.005: ()}, "{}")
class OtherCorrelation(Plain):
    def sample(self, z):
        along = np.float32(math.sqrt(1 - self.size**2)) * z[:, 1] + np.float32(self.size) * z[:, 0]
        return super().sample(np.stack([z[:, 0], along], 1))


@sized("samples of another correlation in three dimensions", {0.6: (SAMPLES,), 0.1: (SAMPLES,), 0.02: ()}, "{}")
class Tilted(Plain):
    on = zoo.Real(3)

    def sample(self, z):
        along = np.float32(math.sqrt(1 - self.size**2)) * z[:, 2] + np.float32(self.size) * z[:, 0]
        return super().sample(np.stack([z[:, 0], z[:, 1], along], axis=1))


@sized("a mode that is never drawn", {0.01: (SAMPLES,), 0.001: (SAMPLES,), 0.0001: ()}, "{:.2%} of the mass")
class NeverDrawn(Modes):
    def log_prob(self, x):
        self.rare = self.size
        return super().log_prob(x)

    def sample(self, z, u):
        return Gaussian.decode(self, np.where(u[:, None] < 0.5, z, -z))  # what `u` is for is not drawn


@sized(
    "a mode in three dimensions that is never drawn",
    {0.03: (SAMPLES,), 0.01: (SAMPLES,), 0.001: ()},
    "{:.1%} of the mass",
)
class NeverDrawnInThree(NeverDrawn):
    on = zoo.Real(3)


@sized("one mode is drawn too often", {0.06: (SAMPLES,), 0.002: ()}, "{:.1%} of the mass")
class OneSided(Modes):
    rare, apart = 0.5, 4.0

    def is_rare(self, u):
        return u < self.rare - self.size


@broken("draws as if the dimension before were always at its lowest level", SAMPLES)
class OtherOrder(Table):
    def draw(self, i, x, u):
        return super().draw(i, x * 0, u)


@broken("the same in nine dimensions", SAMPLES)
class OtherOrderInNine(LongTable):
    def draw(self, i, x, u):
        return super().draw(i, x * 0, u)


@sized("unlikely levels are never drawn", {0.1: (SAMPLES,), 0.02: (SAMPLES,), 0.0003: ()}, "below {:g}")
class OnlyLikely(LongTable):
    def reset(self, random):
        p = random.uniform(0.2, 1, self.p.shape)
        p[:, :, 0] = self.size / 2
        p[:, :, 1:] *= (1 - self.size / 2) / p[:, :, 1:].sum(2, keepdims=True)
        self.p = p.astype("float32")

    def draw(self, i, x, u):
        return np.maximum(super().draw(i, x, u), 1)


# ---- changes of variables and decoders


@broken("terms of later dimensions", CAUSAL)
class Backwards(Table):
    def log_prob(self, x):
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each[:, ::-1]}


@broken("a step draws the dimension before it once more", CAUSAL)
class Redraws(Table):
    """From the right probabilities: of the first two, the joint stays what it was because nothing depends on the
    first."""

    noises = {"u": Noise("uniform"), "v": Noise("uniform")}

    def reset(self, random):
        super().reset(random)
        self.p[1] = self.p[1, :1]  # x_1 does not depend on x_0

    def step(self, i, state, u, v):
        state = super().step(i, state, u)
        x = state["x"]
        if i <= 1:
            x[:, 0] = np.where(v < 0.5, self.draw(0, x, 2 * v), x[:, 0])
        return {**state, "x": x}


@sized("decode does not quite undo encode", {0.01: (INVERSE, DECODES), 1e-5: ()}, "{:.3%}")
class NotQuiteBack(Gaussian):
    def decode(self, z):
        return super().decode(z * np.float32(1 + self.size))


@broken("no determinant in log_prob, in 16 dimensions", VARIABLES)
class NoDeterminant(Gaussian):
    """No sum over the space would tell."""

    on = zoo.Real(16)

    def log_prob(self, x):
        z = self.encode(x)
        return -0.5 * array_namespace(z).sum(z**2, axis=1) - 0.5 * self.space.width * math.log(2 * math.pi)


@sized(
    "a flow's decoder saturates",
    {3.5: (INVERSE, DECODES), 5.0: (INVERSE, DECODES), 5.7: ()},
    "beyond {} standard deviations",
)
class SaturatedFlow(Gaussian):
    def decode(self, z):
        return super().decode(cut(z, self.size))


@sized(
    "a decoder without an encoder saturates",
    {3.5: (LATENTS, NOISE), 4.5: (LATENTS, NOISE), 5.0: ()},
    "beyond {} standard deviations",
)
class SaturatedDecoder(Generator):
    def decode(self, z):
        return super().decode(cut(z, self.size))

    def sample(self, z):
        return self.decode(z)


# ---- samplers without a density


@sized("collapsed onto a few points", {1: (SEEDS, REPEAT, NOISE), 10: (REPEAT,), 100: ()}, "{} of them")
class Collapsed(Walk):
    def methods(self):
        def finish(state):
            z = state["z"]
            kind = np.floor(np.abs(z[:, :1]) * 1e4) % self.size
            return Gaussian.decode(self, np.concatenate([kind, -kind], 1).astype(np.float32))

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


@sized("collapsed onto ten points with noise", {0.001: (REPEAT,), 0.3: ()}, "{} standard deviations")
class NearlyCollapsed(Walk):
    def methods(self):
        def finish(state):
            z = state["z"]
            kind = np.floor(np.abs(z[:, :1]) * 1e4) % 10
            return Gaussian.decode(
                self, np.concatenate([kind, -kind], 1).astype(np.float32) + np.float32(self.size) * z
            )

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


@sized("samples too narrow, without a density", {1e-4: (REPEAT,), 0.01: ()}, "{:g} of the spread")
class Narrow(Walk):
    def methods(self):
        def finish(state):
            return Gaussian.decode(self, np.float32(self.size) * state["z"])

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


def subject_of(cls: type[Network], space: Space | None = None) -> Subject:
    """An untrained network, as the suite tests it."""
    spec = ModelSpec(
        name=cls.__name__.lower(), target="nowhere:Net", family=cls.family, framework=cls.framework, methods=cls.has,
        summary="", density=cls.density,
    )  # fmt: skip
    return network_subject(cls, space or cls.on, spec, {}, classes=CLASSES)
