"""The conformance suite is tested as hard as models are: honest models pass all of it, and for each check there is a
model that is broken in the one way that only this check sees."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from array_api_compat import array_namespace
from zoo_torch.network import TorchNetwork

import zoo
from zoo import noise
from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.network import Objective
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Loop, Noise, Option, Tensor
from zoo.spec import ModelSpec
from zoo.testing import CHECKS, Nonconformance, NotApplicable, Subject, conformance, statistics
from zoo.testing.subject import CLASSES, disturbed

SCALAR = Tensor("float32")
LABEL = {"label": Tensor("int64")}


@dataclass(frozen=True)
class Config:
    pass


# ---- honest models -------------------------------------------------------------------------------------------------


class Gaussian(NumpyNetwork):
    """A flow of one layer: a full covariance, and a mean for each class."""

    Config, spaces, density = Config, (zoo.Real,), "exact"
    family, has = "flow", ("sample", "log_prob", "encode", "decode")

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

    def centre(self, label):
        return self.mean + array_namespace(label).take(self.shift, label, axis=0)

    def encode(self, x, label):
        return (x - self.centre(label)) @ self.inverse.T

    def decode(self, z, label):
        return z @ self.factor.T + self.centre(label)

    def sample(self, z, label):
        return Gaussian.decode(self, z, label)

    def log_prob(self, x, label):
        xp = array_namespace(x)
        z = Gaussian.encode(self, x, label)
        log_det = xp.sum(xp.log(xp.linalg.diagonal(self.inverse)))
        return log_det - 0.5 * xp.sum(z**2, axis=1) - 0.5 * self.space.width * math.log(2 * math.pi)

    def methods(self):
        x, z = {"x": self.space.tensor}, {"z": self.space.tensor}
        normal = {"z": Noise("normal", self.space.shape)}
        return {
            "sample": Call(self.sample, LABEL, x, normal),
            "log_prob": Call(self.log_prob, x | LABEL, {"log_prob": SCALAR}),
            "encode": Call(self.encode, x | LABEL, z),
            "decode": Call(self.decode, z | LABEL, x),
        }

    def objectives(self):
        nll = Call(lambda **given: -self.log_prob(**given), {"x": self.space.tensor} | LABEL, {"loss": SCALAR})
        return {"nll": Objective(nll)}


class Plain(Gaussian):
    """The same without latents."""

    family, has = "energy", ("sample", "log_prob")

    def methods(self):
        return {name: method for name, method in super().methods().items() if name in self.has}


class Table(NumpyNetwork):
    """An autoregressive model: each dimension has probabilities that depend on the dimension before it."""

    Config, spaces, density = Config, (zoo.Discrete,), "exact"
    family, has = "autoregressive", ("sample", "log_prob")

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

    def step(self, i, state, u, v):
        x = state["x"].copy()
        x[:, i] = self.draw(i, x, u)
        return {"x": x}

    def methods(self):
        x, d = {"x": self.space.tensor}, self.space.width
        sample = Loop(
            d,
            lambda index: {"x": np.zeros((len(index), d), np.int64)},
            self.step,
            lambda state: state["x"],
            state=x,
            outputs=x,
            noise={"u": Noise("uniform"), "v": Noise("uniform")},
        )
        outputs = {"log_prob": SCALAR, "conditionals": Tensor("float32", (d,))}
        return {"sample": sample, "log_prob": Call(self.log_prob, x, outputs)}

    def objectives(self):
        nll = Call(lambda x: -self.log_prob(x)["log_prob"], {"x": self.space.tensor}, {"loss": SCALAR})
        return {"nll": Objective(nll)}


class Mixture(NumpyNetwork):
    """A latent-variable model: x_d are independent given one of two causes; the bound draws causes from the prior."""

    Config, spaces, density = Config, (zoo.Discrete,), "lower_bound"
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


class Halves(Gaussian):
    """Two Gaussians side by side; which one a row comes from is drawn by a loop of one step."""

    family, has = "energy", ("sample", "log_prob")

    def log_prob(self, x, label):
        apart = np.float32([3, 0])
        parts = [Gaussian.log_prob(self, x + side * apart, label) for side in (-1, 1)]
        return np.logaddexp(*parts) - np.float32(math.log(2))

    def place(self, index, u):
        return u < 0.5

    def init(self, index, z, u, label):
        side = np.where(self.place(index, u), -1, 1).astype("float32")
        return {"x": Gaussian.decode(self, z, label) + side[:, None] * np.float32([3, 0])}

    def methods(self):
        x = {"x": self.space.tensor}
        noises = {"z": Noise("normal", self.space.shape), "u": Noise("uniform")}
        sample = Loop(1, self.init, lambda i, state, label: state, lambda s: s["x"], x, LABEL, x, init_noise=noises)
        return {"sample": sample, "log_prob": Call(self.log_prob, x | LABEL, {"log_prob": SCALAR})}


class Classifier(TorchNetwork):
    """Logits of one linear layer."""

    Config, spaces, needs_classes = Config, (zoo.Real,), True
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


# ---- broken models, named for the check that sees it ---------------------------------------------------------------

BROKEN = {}


def breaks(check):
    def register(cls):
        BROKEN.setdefault(check, []).append(cls)
        return cls

    return register


@breaks("declared_methods")
class Undeclared(Table):
    """Answers `encode`, which its spec does not declare."""

    def methods(self):
        x = {"x": self.space.tensor}
        extra = Call(lambda x: x.astype(np.float32), x, {"z": Tensor("float32", self.space.shape)})
        return {**super().methods(), "encode": extra}


@breaks("shapes")
class DoublePrecision(Gaussian):
    def log_prob(self, x, label):
        return super().log_prob(x, label) * np.float64(1)


@breaks("batch_invariance")
class BatchStatistics(Classifier):
    """Batch normalization that never left training mode."""

    def logits(self, x):
        y = self.linear(x)
        return y - y.mean(0, keepdim=True)


@breaks("chunk_invariance")
class PlaceInBatch(Halves):
    """Which half a row comes from depends on its place in the batch, not on its noise."""

    def place(self, index, u):
        return np.arange(len(index)) % 2 == 0


@breaks("seeds")
class OneSeed(Halves):
    """Draws the same rows whatever the seed."""

    def init(self, index, z, u, label):
        return super().init(index, noise.draw(Noise("normal", (2,)), index, seed=0, stream="own"), index % 2, label)


@breaks("random_state")
class ThrowsDice(Gaussian):
    """Draws a number that it does not use."""

    def decode(self, z, label):
        np.random.random()
        return super().decode(z, label)


@breaks("random_state")
class Torch(Classifier):
    def logits(self, x):
        torch.rand(())
        return super().logits(x)


@breaks("inputs_matter")
class Constant(Classifier):
    """Predicts the same for everything, though its loss looks at the data."""

    def methods(self):
        y = Tensor("float32", (len(self.classes),))
        return {"predict": Call(lambda x: self.logits(0 * x).softmax(1), {"x": self.space.tensor}, {"y": y})}


@breaks("batch_invariance")
class ClassOfTheFirst(Gaussian):
    """In log_prob every row has the class of the first."""

    def log_prob(self, x, label):
        return super().log_prob(x, 0 * label + label[:1])


@breaks("batch_invariance")
class RunningSum(Classifier):
    """Adds up the wrong axis: a row depends on those before it."""

    def logits(self, x):
        return super().logits(x).cumsum(0)


@breaks("conditional")
class TwoClassesAlike(Gaussian):
    def reset(self, random):
        super().reset(random)
        self.shift[2] = self.shift[1]


@breaks("conditional")
class IgnoresTheClass(Gaussian):
    def reset(self, random):
        pass


@breaks("causality")
class Redraws(Table):
    """Each step draws the dimension before it once more, from the right probabilities: of the first two, the joint
    stays what it was because nothing depends on the first."""

    def reset(self, random):
        super().reset(random)
        self.p[1] = self.p[1, :1]  # x_1 does not depend on x_0

    def step(self, i, state, u, v):
        x = super().step(i, state, u, v)["x"]
        if i == 1:
            x[:, 0] = self.draw(0, x, v)
        return {"x": x}


@breaks("causality")
class Backwards(Table):
    """The terms are those of other dimensions."""

    def log_prob(self, x):
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each[:, ::-1]}


@breaks("density_normalised")
class OffByAConstant(Table):
    def conditionals(self, x):
        return super().conditionals(x) + np.float32(0.01)


@breaks("density_normalised")
class TooHigh(Mixture):
    """Forgets to divide by the number of samples: right with one."""

    def bound(self, log_p, samples):
        return np.log(np.exp(log_p).sum(1))


@breaks("sampler_matches_density")
class Warm(Gaussian):
    def sample(self, z, label):
        return super().sample(1.1 * z, label)


@breaks("sampler_matches_density")
class OtherCorrelation(Gaussian):
    def sample(self, z, label):
        return super().sample(
            np.stack([z[:, 0], np.float32(0.9) * z[:, 1] - np.float32(0.435889894) * z[:, 0]], 1), label
        )


@breaks("sampler_matches_density")
class OneSided(Halves):
    """Draws one of two modes too often."""

    def place(self, index, u):
        return u < 0.44


@breaks("sampler_matches_density")
class OtherOrder(Table):
    """Draws dimensions as if the one before were always at its lowest level."""

    def draw(self, i, x, u):
        return super().draw(i, x * 0, u)


@breaks("sampler_matches_density")
class SameNoise(Table):
    """Draws all dimensions with the first one's uniform."""

    def step(self, i, state, u, v):
        kept = u if i == 0 else self._u
        self._u = kept
        return super().step(i, state, kept, v)


@breaks("sampler_matches_density")
class WarmFlow(Gaussian):
    """In so many dimensions nothing but the flow's own transform tells."""

    on = zoo.Real(12)

    def sample(self, z, label):
        return super().sample(1.1 * z, label)


@breaks("density_normalised")
class Denser(Plain):
    on = zoo.Real(3)

    def log_prob(self, x, label):
        return super().log_prob(x, label) + np.float32(0.05)


@breaks("sampler_matches_density")
class Tilted(Plain):
    on = zoo.Real(3)

    def sample(self, z, label):
        return super().sample(np.stack([z[:, 0], z[:, 1], 0.8 * z[:, 2] + 0.6 * z[:, 0]], axis=1), label)


@breaks("bounds_in_order")
class LooserWithMore(Mixture):
    def bound(self, log_p, samples):
        return super().bound(log_p, samples) - (1 if 1 < samples <= 16 else 0)


@breaks("inverse")
class NotQuiteBack(Gaussian):
    def decode(self, z, label):
        return super().decode(z * np.float32(1.01), label)


@breaks("log_determinant")
class NoDeterminant(Gaussian):
    """Forgets the determinant. In so many dimensions no sum over the space would tell."""

    on = zoo.Real(16)

    def log_prob(self, x, label):
        z = self.encode(x, label)
        return -0.5 * array_namespace(z).sum(z**2, axis=1) - 0.5 * self.space.width * math.log(2 * math.pi)


@breaks("gradients")
class Idle(Classifier):
    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.idle = torch.nn.Linear(2, 2)


@breaks("checkpoint_round_trip")
class Forgets(Gaussian):
    """Keeps what it learnt where no checkpoint looks."""

    def adapt(self, x):
        super().adapt(x)
        self._offset = np.float32(x.mean())

    def centre(self, label):
        return super().centre(label) + getattr(self, "_offset", 0)


@breaks("export_parity")
class OtherwiseInTheGraph(Gaussian):
    """Takes another way when it is traced."""

    def sample(self, z, label):
        return super().sample(z if isinstance(z, np.ndarray) else 0.5 * z, label)


# ---- the tests -----------------------------------------------------------------------------------------------------

SPACES = {zoo.Real: zoo.Real(2), zoo.Discrete: zoo.Discrete(3, levels=4)}
EXPORT = {"export_parity"}  # takes seconds, and most of these models are not meant to be traced


def subject_of(cls, space=None):
    spec = ModelSpec(
        name=cls.__name__.lower(), target="nowhere:Net", family=cls.family, framework=cls.framework, methods=cls.has,
        summary="", density=cls.density,
    )  # fmt: skip
    space = space or getattr(cls, "on", SPACES[cls.spaces[0]])

    def make():
        network = cls.create(space, {}, CLASSES)
        disturbed(network)
        return EagerModel(network, spec.name)

    return Subject(spec.name, spec, space, make)


def failing(cls, names, space=None):
    """The checks of these names that a model fails."""
    subject, failed = subject_of(cls, space), set()
    for name in names:
        if CHECKS[name].applies(subject):
            try:
                CHECKS[name](subject)
            except Nonconformance:
                failed.add(name)
            except NotApplicable:
                pass
    return failed


@pytest.mark.parametrize("cls", [Gaussian, Table, Mixture, Halves, Classifier], ids=lambda cls: cls.__name__)
def test_an_honest_model_passes(cls):
    assert failing(cls, set(CHECKS) - (set() if cls in (Gaussian, Classifier) else EXPORT)) == set()


@pytest.mark.parametrize("cls", [Gaussian, Table], ids=lambda cls: cls.__name__)
def test_an_honest_model_passes_on_a_larger_space(cls):
    space = zoo.Real(4) if cls is Gaussian else zoo.Discrete(9, levels=4)
    subject = subject_of(cls, space)
    assert not subject.enumerable
    assert CHECKS["density_normalised"].applies(subject)
    assert failing(cls, {"density_normalised", "sampler_matches_density", "causality"}, space) == set()


@pytest.mark.parametrize(
    "cls", [OffByAConstant, OtherOrder, SameNoise, Warm, Denser, Tilted], ids=lambda cls: cls.__name__
)
def test_a_broken_model_is_seen_on_a_larger_space_too(cls):
    space = zoo.Discrete(9, levels=4) if cls.family == "autoregressive" else zoo.Real(3)
    (expected,) = (check for check, broken in BROKEN.items() if cls in broken)
    assert expected in failing(cls, {"density_normalised", "sampler_matches_density"}, space)


@pytest.mark.parametrize(("check", "cls"), [(check, cls) for check, all_ in BROKEN.items() for cls in all_])
def test_only_this_check_sees_what_is_broken(check, cls):
    assert failing(cls, set(CHECKS) - (EXPORT - {check})) == {check}


def test_a_bound_that_stays_loose_is_seen():
    class Mean(Mixture):
        """The mean of the samples' bounds: no tighter with more of them."""

        def bound(self, log_p, samples):
            return log_p.mean(1)

    assert "density_normalised" in failing(Mean, {"density_normalised", "bounds_in_order"})


def test_honest_models_of_other_kinds_pass():
    class Shallow(Mixture):
        """Its option does not go to 256."""

        def methods(self):
            methods = super().methods()
            scored = dataclasses.replace(methods["log_prob"], options={"samples": Option(1, low=1, high=64)})
            return {**methods, "log_prob": scored}

    class Far(Gaussian):
        """In units far from one."""

        def adapt(self, x):
            super().adapt(1e4 * x + 1e5)

    class Sharp(Gaussian):
        """Too sharp for a coarse grid."""

        def adapt(self, x):
            super().adapt(np.stack([x[:, 0], x[:, 0] + 0.002 * x[:, 1]], axis=1))

    class Frozen(Classifier):
        def __init__(self, space, config, classes=None):
            super().__init__(space, config, classes)
            self.requires_grad_(False)

    class Half(Gaussian):
        """Exponential columns: no density below the corner, and no standard normal base."""

        def encode(self, x, label):
            return np.log(np.maximum(x - self.shift[label] + 0, 1e-30))

        def decode(self, z, label):
            return np.exp(z) + self.shift[label]

        def sample(self, u, label):
            return (-np.log(u) + self.shift[label]).astype("float32")

        def log_prob(self, x, label):
            y = x - self.shift[label]
            return np.where((y >= 0).all(1), -y.sum(1), -np.inf).astype("float32")

        def methods(self):
            noise = {"u": Noise("uniform", self.space.shape)}
            return {**super().methods(), "sample": dataclasses.replace(super().methods()["sample"], noise=noise)}

    for cls in (Shallow, Far, Sharp, Frozen, Half):
        assert failing(cls, set(CHECKS) - EXPORT) == set(), cls


def test_statistics_hold_their_level_and_see_what_they_should():
    rng = np.random.default_rng(0)
    z, other = rng.normal(size=(2, 2000, 3))
    copula = other.copy()
    copula[:, 2] = np.abs(copula[:, 2]) * np.sign(copula[:, 0] * copula[:, 1])
    assert min(statistics.two_samples(z, other).values()) > 0.01
    assert statistics.classifier_two_sample(z, copula) < 1e-6
    assert statistics.kernel_two_sample(z[:500], 1.3 * other[:500]) < 1e-3
    u, v = rng.uniform(size=(2, 5000))
    assert min(statistics.independence(u, v).values()) > 0.01
    assert min(statistics.independence(u, (u + 0.2 * v) % 1).values()) < 1e-6
    assert min(statistics.standard_normal(z).values()) > 1e-3
    assert min(statistics.standard_normal(1.1 * z).values()) < 1e-4
    failed = 0
    p = np.prod(np.meshgrid(*[[0.9, 0.1]] * 12), axis=0).reshape(-1)  # twelve coins: many outcomes are rare
    for _ in range(100):
        failed += min(statistics.frequencies(rng.multinomial(20000, p), p[None]).values()) < 0.01
    assert failed <= 5
    assert statistics.frequencies(np.array([20000.0, 0]), np.array([[1 - 1e-5, 1e-5]])) == {"chi-square test": 1.0}


def test_every_check_has_a_model_that_it_alone_sees():
    assert set(BROKEN) == set(CHECKS)


def test_a_wrong_name_is_said_at_once():
    with pytest.raises(InputError, match=r"no plugin 'genzoo-trch' is installed.*Did you mean 'genzoo-torch'"):
        conformance("genzoo-trch")
    with pytest.raises(InputError, match=r"there is no check 'invers'.*Did you mean.*'inverse'"):
        conformance("genzoo-keras", expected_failures={"mlp": {"invers": "because"}})
    with pytest.raises(InputError, match="expected_failures names 'mpl'"):
        conformance("genzoo-keras", expected_failures={"mpl": {"shapes": "because"}})
    with pytest.raises(InputError, match="settings names 'mpl'"):
        conformance("genzoo-keras", settings={"mpl": {}})
    with pytest.raises(InputError, match="say why"):
        conformance("genzoo-keras", expected_failures={"mlp": {"shapes": " "}})


def test_a_failure_that_is_expected_must_come(tmp_path):
    """`shapes` of mlp passes, so expecting it to fail is an error; the others are untouched."""
    file = tmp_path / "test_it.py"
    file.write_text(
        "from zoo.testing import conformance\n"
        "test_it = conformance('genzoo-keras', expected_failures={'mlp[real-2]': {'shapes': 'a test of this'}})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-k", "mlp and (shapes or seeds)", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1, result.stdout
    assert "[XPASS(strict)] a test of this" in result.stdout
    assert "1 failed, 5 passed" in result.stdout


def test_the_page_lists_every_check():
    page = (Path(__file__).parents[1] / "docs" / "conformance.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, flags=re.M)) == sorted(CHECKS)
