"""The conformance suite is tested as hard as models are: honest models pass all of it, and every broken model fails the
checks that see its fault and no others (`benchmarks/broken`)."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import zoo
from benchmarks.broken import (
    BROKEN,
    claims,
    classes,
    collapsed,
    declared,
    densities,
    honest,
    learning,
    noises,
    options,
    rows,
    samplers,
    transforms,
)
from benchmarks.broken.claims import EXPORT
from benchmarks.broken.honest import HONEST, Classes, Classifier, Gaussian, Mixture, subject_of
from benchmarks.conformance import table as conformance_table
from zoo.errors import InputError
from zoo.signature import Noise, Option
from zoo.testing import CHECKS, Nonconformance, check_network, conformance, network_checks, statistics

ROOT = Path(__file__).parents[1]


def failing(cls, names=None, space=None):
    """What the checks say that a model fails, by name; of all of them but the export, which takes seconds."""
    subject = subject_of(cls, space)
    chosen = [CHECKS[name] for name in (set(CHECKS) - {EXPORT} if names is None else names)]
    results = [check.run(subject) for check in chosen if check.applies(subject)]
    return {result.check: result.said for result in results if result.failed}


@pytest.mark.parametrize("cls", HONEST, ids=lambda cls: cls.__name__)
def test_an_honest_model_passes(cls):
    assert failing(cls, set(CHECKS) if cls in (Classes, Classifier) else None) == {}


@pytest.mark.parametrize("cls", [Gaussian, honest.Table], ids=lambda cls: cls.__name__)
def test_an_honest_model_passes_on_a_larger_space(cls):
    space = zoo.Real(4) if cls is Gaussian else zoo.Discrete(9, levels=4)
    subject = subject_of(cls, space)
    assert not subject.enumerable
    assert CHECKS["density_integrates_to_one"].applies(subject)
    assert failing(cls, space=space) == {}


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_these_checks_see_what_is_broken_and_no_others(broken):
    """Those of a size that nothing sees pass: what the table of docs/conformance.md says of them is true. Of the others
    this leaves the statistical checks to `python -m benchmarks.conformance`, which takes its time."""
    names = {name for name, check in CHECKS.items() if not (broken.seen_by and check.statistical)} - {EXPORT}
    assert set(failing(broken.cls, names | set(broken.seen_by))) == set(broken.seen_by)


def test_every_check_has_a_model_that_it_sees():
    assert {check for broken in BROKEN for check in broken.seen_by} == set(CHECKS)


@pytest.mark.parametrize(
    ("cls", "check", "cause"),
    [
        (classes.DenserInOneClass, claims.INTEGRAL, r"density of class 1 integrates to 1\.05"),
        (options.NoTemperature, claims.OPTIONS, r"same for temperature=1\.0 and 4, 0\.25, 2, 0\. Is the option used"),
        (options.Reversed, claims.TEMPERATURE, r"from temperature 0\.1 to 10 the distance between draws shrinks by"),
        (
            options.LessOfTheClass,
            claims.GUIDANCE,
            r"samples of classes 0 and 1 shrinks by.*more typical of their class",
        ),
        (densities.NoisyDensity, claims.EXACT, r"'exact' and moves by .* with the seed"),
        (
            densities.HashedNoise,
            claims.EXACT,
            r"jumps by about 0\.1 nats between observations that are next to each other",
        ),
        (rows.LargeBatches, claims.ROWS, r"in a batch of 256, rows change when every other row is replaced"),
        (rows.FarOut, claims.FAR, r"rows from [\d,]+ on, feature"),
        (rows.Repeats, claims.FAR, r"correlation of rows from 25,000 on, row by row"),
        (noises.Cut, claims.NOISE, r"noise 'z' of 4\.8 and of 5\.6 standard deviations\. Is it cut"),
        (noises.CutSoftly, claims.SAMPLES, r"rows in the (lower|upper) tail of"),
        (samplers.NeverDrawn, claims.SAMPLES, r"400 blocks of the plane"),
        (
            transforms.SaturatedFlow,
            claims.INVERSE,
            r"where a latent is 4 standard deviations out\. Is something clipped",
        ),
        (transforms.SaturatedDecoder, claims.LATENTS, r"4\.8 and 5\.6 standard deviations on 2 of 2 axes"),
        (noises.InitialNoise, claims.NOISE, r"same for other noise 'e'\. It is declared"),
        (noises.SameNoise, claims.NOISE, r"noise 'u' in all steps but the first\. Is the noise of an earlier step"),
        (densities.Floor, claims.INTEGRAL, r"is improper: .* it goes as r\^0"),
        (learning.ZeroMeans, claims.UPDATES, r"`update` gives means the same values whatever the rows are"),
        (learning.Rises, claims.UPDATES, r"in 10 epochs of `update` the loss of the training rows went from"),
        (learning.WrongWay, claims.REACHES, r"Does the sampler run from noise to data, with the sign that the loss"),
        (declared.OtherState, claims.STATES, r"init of sample of .* gives z as float32 \(2, 2\) .* declares .*\(3,\)"),
        (collapsed.Collapsed, claims.REPEAT, r"as if there were .* different observations|spread 0 times as far"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_message_names_the_cause(cls, check, cause):
    broken = next(b for b in BROKEN if issubclass(b.cls, cls) and check in b.seen_by)
    assert re.search(cause, failing(broken.cls, {check})[check])


# ---- no power ------------------------------------------------------------------------------------------------------


class Spikes(honest.Plain):
    """A right density in eight dimensions that points miss: 200 narrow Gaussians."""

    on = zoo.Real(8)
    width = np.float32(0.02)

    def centers(self):
        return Gaussian.decode(self, np.random.default_rng(0).normal(size=(200, 8)).astype("float32"))

    def sample(self, z, u):
        return self.centers()[(u * 200).astype(int)] + self.width * z

    def log_prob(self, x):
        squares = (((x[:, None] - self.centers()) / self.width) ** 2).sum(2)
        log_p = np.logaddexp.reduce(-0.5 * squares, axis=1) - np.log(200) - 8 * np.log(self.width * np.sqrt(2 * np.pi))
        return log_p.astype(np.float32)

    def methods(self):
        sample = super().methods()["sample"]
        sample = dataclasses.replace(sample, noise={**sample.noise, "u": Noise("uniform")})
        return {**super().methods(), "sample": sample}


class Loose(Mixture):
    """An unbiased estimate of the density whose draws differ by many nats, however many samples."""

    def log_prob(self, x, causes, samples):
        wild = 16 * (causes[:, -1] - 0.5) - np.log(np.sinh(8) / 8)
        return super().log_prob(x, causes, samples) + wild.astype(np.float32)

    def methods(self):
        scored = dataclasses.replace(super().methods()["log_prob"], options={"samples": Option(1, low=1, high=64)})
        return {**super().methods(), "log_prob": scored}


class Lukewarm(honest.Guided):
    """Options that change nothing in what is measured, though something."""

    def sample(self, z, label, temperature, guidance):
        return Gaussian.decode(self, z, label) + np.float32(1e-3) * (temperature + guidance)


class SlowToLearn(honest.FlowMatching):
    """Samples of so short a training are the normals that they begin with."""

    recipe = dataclasses.replace(honest.FlowMatching.recipe, learning_rate=1e-7)


class Slow(honest.Walk):
    """So slow that only few rows are drawn."""

    on = zoo.Real(12)


class Wide(honest.Plain):
    """More dimensions than importance sampling reaches."""

    on = zoo.Real(12)


class LongMixture(Mixture):
    """A bound, and more outcomes than are gone through one by one."""

    on = zoo.Discrete(9, levels=4)


class Energy(honest.Plain):
    """Without its constant, in more dimensions than quadrature takes."""

    on, density = zoo.Real(3), "unnormalized"


WITHOUT_POWER = [
    (Wide, claims.INTEGRAL, r"12 dimensions, and importance sampling reaches 8"),
    (Wide, claims.SAMPLES, r"12 dimensions; where log_prob is 'exact', 8 are within reach"),
    (LongMixture, claims.INTEGRAL, r"the space is too large to go through"),
    (LongMixture, claims.SAMPLES, r"too large to go through, and log_prob is 'lower_bound'"),
    (Energy, claims.SAMPLES, r"3 dimensions; where log_prob is 'unnormalized', 2 are within reach"),
    (Spikes, claims.INTEGRAL, r"points have the mass, and the weights a tail of shape"),
    (Spikes, claims.SAMPLES, r"effective points to draw a reference from; 1000 are needed"),
    (Loose, claims.INTEGRAL, r"what is missing of one, or too much, would be seen from"),
    (Loose, claims.SAMPLES, r"the bound is too loose for its draws to tell"),
    (Loose, claims.BOUND, r"4 samples gain .* nats: a loss would be seen from"),
    (Lukewarm, claims.TEMPERATURE, r"from temperature 0\.1 to 10 the distance between draws"),
    (Lukewarm, claims.GUIDANCE, r"from guidance 0\.333333 to 3 the distance"),
    (Slow, claims.FAR, r"100 rows each: distribution functions that differ by 0\.3\d would be seen"),
    (SlowToLearn, claims.REACHES, r"so short a training says nothing"),
    (honest.Table, claims.REPEAT, r"must repeat: there are 64 at most"),
]


@pytest.mark.parametrize(("cls", "check", "said"), WITHOUT_POWER, ids=lambda value: getattr(value, "__name__", ""))
def test_a_statistical_check_without_power_says_so(cls, check, said):
    subject = subject_of(cls)
    if cls is Slow:
        subject.draws = 100
    assert CHECKS[check].applies(subject)
    result = CHECKS[check].run(subject)
    assert result.outcome == "no power", result
    assert re.search(said, result.said), result.said


def test_every_statistical_check_has_a_model_without_power():
    assert {check for _, check, _ in WITHOUT_POWER} == {check.name for check in CHECKS.values() if check.statistical}


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

        def encode(self, x):
            return np.log(np.maximum(x - self.shift[0], 1e-30))

        def decode(self, z):
            return np.exp(z) + self.shift[0]

        def sample(self, u):
            return (-np.log(u) + self.shift[0]).astype("float32")

        def log_prob(self, x):
            y = x - self.shift[0]
            return np.where((y >= 0).all(1), -y.sum(1), -np.inf).astype("float32")

        def methods(self):
            noise = {"u": Noise("uniform", self.space.shape)}
            return {**super().methods(), "sample": dataclasses.replace(super().methods()["sample"], noise=noise)}

    for cls in (Shallow, Far, Sharp, Frozen, Half):
        assert failing(cls) == {}, cls


def test_statistics_hold_their_level_and_see_what_they_should():
    rng = np.random.default_rng(0)
    z, other = rng.normal(size=(2, 2000, 3))
    copula = other.copy()
    copula[:, 2] = np.abs(copula[:, 2]) * np.sign(copula[:, 0] * copula[:, 1])
    assert statistics.classifier_two_sample(z, other) > 0.01
    assert statistics.classifier_two_sample(z, copula) < 1e-6
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
    assert statistics.frequencies(np.array([20000.0, 0]), np.array([[1 - 1e-5, 1e-5]])) == {}  # one outcome
    loose = np.random.default_rng(1).lognormal(0, 3, size=(12, 64))
    assert statistics.frequencies(rng.multinomial(20000, np.full(64, 1 / 64)).astype(float), loose) == {}
    weights = np.exp(z[:, 0] ** 2 / 4)  # a tail of shape one half
    assert statistics.tail_shape(weights) < 0.7 < statistics.tail_shape(weights**3)
    assert statistics.tail_shape(np.ones(2000)) == 0


def test_a_wrong_name_is_said_at_once():
    with pytest.raises(InputError, match=r"no plugin 'genzoo-trch' is installed.*Did you mean 'genzoo-torch'"):
        conformance("genzoo-trch")
    with pytest.raises(
        InputError, match=r"there is no check 'decode_invert_encode'.*Did you mean.*'decode_inverts_encode'"
    ):
        conformance("genzoo-keras", expected_failures={"mlp": {"decode_invert_encode": "because"}})
    with pytest.raises(InputError, match="expected_failures names 'mpl'"):
        conformance("genzoo-keras", expected_failures={"mpl": {"outputs_are_as_declared": "because"}})
    with pytest.raises(InputError, match="settings names 'mpl'"):
        conformance("genzoo-keras", settings={"mpl": {}})
    with pytest.raises(InputError, match="say why"):
        conformance("genzoo-keras", expected_failures={"mlp": {"outputs_are_as_declared": " "}})


def test_a_failure_that_is_expected_must_come(tmp_path):
    """`outputs_are_as_declared` of mlp passes, so expecting it to fail is an error; the others are untouched."""
    expected = {"mlp[real-2]": {"outputs_are_as_declared": "a test of this"}}
    file = tmp_path / "test_it.py"
    file.write_text(
        f"from zoo.testing import conformance\ntest_it = conformance('genzoo-keras', expected_failures={expected})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-k", "mlp and (outputs_are or seeds_decide)", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1, result.stdout
    assert "[XPASS(strict)] a test of this" in result.stdout
    assert "1 failed, 6 passed" in result.stdout


# ---- one network ---------------------------------------------------------------------------------------------------


def test_a_class_that_is_not_installed_is_checked_and_printed_line_by_line():
    lines = []
    wrong_by = next(b for b in BROKEN if b.cls.__name__ == "Denser").cls
    results = check_network(wrong_by, zoo.Real(2), progress=lines.append)
    (wrong,) = (r for r in results if r.failed)
    assert wrong.check == claims.INTEGRAL
    assert isinstance(wrong.error, Nonconformance)
    assert len(lines) == len(results)
    assert re.match(r" 1/\d+  (passed|failed|no power|not applicable) +\w+ \(\d\.\d s\)", lines[0])
    (line,) = (line for line in lines if "failed" in line)
    assert re.search(r"density_integrates_to_one \(\d\.\d s\): the density integrates to ", line)


def test_families_are_guessed_from_methods():
    def names(cls, **more):
        return {str(case) for case in network_checks(cls, cls.on, **more)}

    assert claims.INVERSE in names(Gaussian)
    assert claims.INVERSE not in names(Gaussian, family="energy")
    assert claims.CAUSAL in names(honest.Table)
    assert claims.BOUND in names(Mixture)
    assert claims.LATENTS in names(honest.Generator)
    assert claims.SAMPLES not in names(Classifier)


def test_what_a_model_raises_is_a_failure_and_the_others_go_on():
    class Raises(Gaussian):
        def decode(self, z):
            raise RuntimeError("no decoder")

    results = {r.check: r for r in check_network(Raises, zoo.Real(2), progress=None)}
    assert results[claims.INVERSE].said == "it raised RuntimeError: no decoder"
    assert results[claims.INTEGRAL].outcome == "passed"


def test_checks_of_a_network_are_pytest_parameters(tmp_path):
    """A check without power is skipped, and says so; the class is in the test file itself."""
    (tmp_path / "test_mine.py").write_text(
        "import pytest, zoo\n"
        "from benchmarks.broken.honest import Table\n"
        "from zoo.testing import network_checks\n"
        "@pytest.mark.parametrize('case', network_checks(Table, zoo.Discrete(3, levels=4)), ids=str)\n"
        "def test_mine(case):\n"
        "    case()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-k", "repeat or seeds", "test_mine.py"]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=here)
    assert "1 passed, 1 skipped" in result.stdout, result.stdout
    assert "no power: draws of vectors of 3 integers from 0 to 3 must repeat" in result.stdout


def test_the_page_lists_every_fault():
    """With the checks that see it, as the broken models say: `python -m benchmarks.conformance`."""
    assert conformance_table() in (ROOT / "docs" / "conformance.md").read_text()


def test_the_page_lists_every_check():
    page = (ROOT / "docs" / "conformance.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, flags=re.M)) == sorted(CHECKS)
