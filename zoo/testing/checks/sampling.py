"""Checks of samplers that need no density: rows follow one law however far out, draws do not repeat each other, and the
noise that is declared is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from zoo.model import Array
from zoo.noise import draw
from zoo.parity.budget import loop_length
from zoo.parity.cases import another
from zoo.signature import Loop, Noise
from zoo.spaces import KINDS
from zoo.spec import ModelSpec
from zoo.testing import statistics
from zoo.testing.check import NoPower, NotApplicable, check, require
from zoo.testing.checks.latents import REACH
from zoo.testing.checks.rows import FAR, full
from zoo.testing.made_up import data, levels
from zoo.testing.statistics import Floats
from zoo.testing.subject import Subject

MOST = 10_000  # rows of each stretch that is compared
SLOW = 300  # draws of a sampler of which fewer stretches are
FEATURES, PROJECTIONS = 8, 4  # dimensions and sums of them that are compared
SEEN = 0.3  # of a distribution function: fewer rows than see such a difference say nothing
STATES = 1e6  # observations of a space in which draws need not repeat
NEAR = 0.01  # of the median distance of two draws: nearer ones are the same but for jitter
DIFFERENT = 20.0  # different draws; a law of one dimension has fifty by `NEAR`
COLLAPSED = 1e-3  # of the spread of the data that a network was adapted to
ROWS = (20, 5000)  # of which some answers must differ: the many where the few do not, of a sampler that is quick


# ---- one law -------------------------------------------------------------------------------------------------------


@check(lambda s: full(s) and s.has("sample"), statistical=True)
def rows_far_out_are_like_the_first(subject: Subject) -> str:
    """Rows 25,000, a million and further on of a seed, and those of another seed, follow the law of the first rows, and
    are independent of them and of each other."""
    period = subject.classes if "label" in subject.model.signature("sample").inputs else 1
    rows = max(min(MOST, subject.draws) // period, 2) * period
    first = _features(subject.sample(rows))
    tests = _uncorrelated(first[:-period], first[period:], period, "neighboring rows")
    others = {f"rows from {s:,} on": {"start": s} for s in ((rows, *FAR) if subject.draws > SLOW else FAR[::3])}
    for which, where in {**others, "rows of another seed": {"seed": 2**40}}.items():
        other = _features(subject.sample(rows, **where))
        tests |= _same_law(first, other, which) | _uncorrelated(first, other, period, f"{which}, row by row")
    said = statistics.judge(tests, "rows of one sampler do not follow one law, each drawn by itself")
    gap = math.sqrt(math.log(2 * len(tests) / statistics.ALPHA) / rows)
    said = f"{rows} rows each: distribution functions that differ by {gap:.2g} would be seen; {said}"
    if gap > SEEN:
        raise NoPower(said)
    return said


def _features(x: Array) -> Floats:
    """Some dimensions and some projections of rows, (N, F)."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    chosen = np.unique(np.linspace(0, flat.shape[1] - 1, FEATURES).round().astype(int))
    ways = np.random.default_rng(0).normal(size=(flat.shape[1], PROJECTIONS if flat.shape[1] > 1 else 0))
    return np.concatenate([flat[:, chosen], flat @ ways], axis=1)


def _same_law(a: Floats, b: Floats, which: str) -> dict[str, float]:
    from scipy import stats

    return {
        f"{which}, feature {k}": float(stats.ks_2samp(a[:, k], b[:, k], method="asymp").pvalue)
        for k in range(a.shape[1])
    }


def _uncorrelated(a: Floats, b: Floats, period: int, which: str) -> dict[str, float]:
    """p-values of correlations of features, which those of copies are not; nothing of a feature that is constant. Rows
    of one class have its mean in common, which is taken away."""
    from scipy import stats

    def centered(x: Floats) -> Floats:
        return np.concatenate([x[k::period] - x[k::period].mean(0) for k in range(period)])

    a, b = centered(a), centered(b)
    moving = [k for k in range(a.shape[1]) if np.abs(a[:, k]).max() > 1e-9 and np.abs(b[:, k]).max() > 1e-9]
    return {f"correlation of {which}, feature {k}": float(stats.pearsonr(a[:, k], b[:, k]).pvalue) for k in moving}


# ---- many draws ----------------------------------------------------------------------------------------------------


@check(lambda s: full(s) and s.has("sample"), statistical=True)
def draws_do_not_repeat(subject: Subject) -> str:
    """Draws are not all from a few observations, exactly or nearly; nor, of a network that was adapted to data, all in
    one place."""
    space = subject.space
    if space.discrete and space.size * math.log(levels(space)) < math.log(STATES):
        raise NoPower(f"draws of {space.describe()} must repeat: there are {levels(space) ** space.size} at most")
    rows, said = min(1000, subject.draws_of_a_class), []
    for view in subject.each_class:
        x = view.sample(rows, seed=8).reshape(rows, -1).astype(np.float64)
        _require_spread(view, x)
        gaps = np.sqrt(((x[: rows // 2, None] - x[None, rows // 2 :]) ** 2).sum(2)).reshape(-1)
        near = int((gaps <= NEAR * np.median(gaps)).sum())
        kinds = len(gaps) / max(near, 1)
        require(
            kinds > DIFFERENT,
            f"{near} of {len(gaps)} pairs of draws{view.which} are the same, or nearly: as if there were {kinds:.3g} "
            "different observations. Has the sampler collapsed?",
        )
        said.append(f"{'more than ' * (not near)}{kinds:.2g} different draws{view.which}")
    return ", ".join(said)


def _require_spread(subject: Subject, x: Floats) -> None:
    """Of a network that was adapted to data that are known."""
    if subject.space.discrete or not isinstance(subject.spec, ModelSpec):
        return
    spread = float((x.std(0) / data(subject.space, 256).std(0)).max())
    require(
        spread > COLLAPSED,
        f"samples{subject.which} spread {spread:.2g} times as far as the data that the network was adapted to: they "
        "are one observation with a little noise.",
    )


# ---- noise ---------------------------------------------------------------------------------------------------------


@check(full)
def declared_noise_is_used(subject: Subject) -> str:
    """Each noise that a method declares changes its answer, with the default options or others; that of a loop's steps
    in the first step and in later ones; and normal noise as far out as it reaches."""
    said = []
    for method, definition in subject.eager.methods.items():
        for name, noise in definition.noises.items():
            _require_used(Runs(subject, method, name), noise)
            said.append(f"{method}/{name}")
    if not said:
        raise NotApplicable("no method is random")
    return ", ".join(said)


def _require_used(runs: Runs, noise: Noise) -> None:
    what = f"{runs.method} gives the same for other noise {runs.name!r}"
    require(runs.differ(same, all_other), f"{what}. It is declared: use it, or leave it out.")
    if runs.each_step:
        require(runs.differ(same, other_first), f"{what} in the first step. Is the initial noise used again?")
        require(
            runs.differ(same, other_rest),
            f"{what} in all steps but the first. Is the noise of an earlier step, or the initial one, used again?",
        )
    if noise.kind == "normal":
        near, far = REACH[-2:]
        require(
            runs.differ(one_at(near), one_at(far)) or runs.differ(all_at(near), all_at(far)),
            f"{runs.method} gives the same for noise {runs.name!r} of {near:g} and of {far:g} standard deviations. Is "
            "it cut?",
        )


Change = Callable[[int, Array, Array], Array]  # step, its noise, other noise -> the noise to take


def same(step: int, noise: Array, other: Array) -> Array:
    return noise


def all_other(step: int, noise: Array, other: Array) -> Array:
    return other


def other_first(step: int, noise: Array, other: Array) -> Array:
    return noise if step else other


def other_rest(step: int, noise: Array, other: Array) -> Array:
    return other if step else noise


def one_at(reach: float) -> Change:
    """One element of each row that is so many standard deviations out."""

    def change(step: int, noise: Array, other: Array) -> Array:
        flat = noise.reshape(len(noise), -1).copy()
        index = np.arange(len(flat))
        flat[index, index % flat.shape[1]] = reach
        return flat.reshape(noise.shape)

    return change


def all_at(reach: float) -> Change:
    return lambda step, noise, other: np.copysign(np.float32(reach), noise)


class Runs:
    """A method on some rows, whose noise of one name is changed, with the default options and with others."""

    def __init__(self, subject: Subject, method: str, name: str) -> None:
        self.subject, self.method, self.name = subject, method, name
        self.definition = subject.eager.methods[method]
        is_loop = isinstance(self.definition, Loop) and name in self.definition.noise
        self.each_step = is_loop and loop_length(subject.model.signature(method)) > 1

    def differ(self, one: Change, other: Change) -> bool:
        """Whether any answer differs, with the default options or with others."""
        few, many = ROWS
        for rows in (few, max(few, min(many, self.subject.draws)) if self.method == "sample" else few):
            for kind in KINDS:
                a, b = (self._run(rows, kind, change) for change in (one, other))
                if any(not np.array_equal(a[name], b[name]) for name in a):
                    return True
        return False

    def _run(self, rows: int, kind: str, change: Change) -> dict[str, Array]:
        eager = self.subject.eager
        signature = eager.signature(self.method)
        given = {name: o.given(another(o, kind)) for name, o in signature.options.items()}
        inputs, index = self.subject.inputs(self.method, rows), np.arange(rows)
        arrays, options = eager._arguments(self.method, signature, {**inputs, **given}, rows)

        def noises(declared: Mapping[str, Noise], step: int = 0) -> dict[str, Array]:
            def drawn(name: str, seed: int) -> Array:
                when: dict[str, Any] = {"seed": seed, "step": step, "options": options}
                return draw(declared[name], index, stream=f"{self.method}/{name}", **when)

            made = {name: drawn(name, 0) for name in declared}
            if self.name in made:
                made[self.name] = change(step, made[self.name], drawn(self.name, 1))
            return made

        return eager.compute(self.method, arrays, index, options, noises)
