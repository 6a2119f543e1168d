"""Checks of densities: they sum to one, have no noise in them, and bounds lie below them."""

from __future__ import annotations

import math

import numpy as np

from zoo.estimate import Estimate
from zoo.testing import statistics
from zoo.testing.check import NoPower, NotApplicable, check, require
from zoo.testing.integrals import (
    GRIDS,
    MEDIUM,
    PROPOSALS,
    REPEATS,
    ROWS,
    SMALL,
    conditionals,
    draws_of_bound,
    estimates,
    grid,
    mass,
    measured,
    safe_log_prob,
    somewhere,
)
from zoo.testing.statistics import Floats, Line
from zoo.testing.subject import Subject, of_classes

ERRORS = 4.0  # standard errors that a mean of thousands may be off
TIGHT = 256  # samples of an importance-weighted bound that should be nearly tight
RESOLUTION = 0.1  # of the mass: an estimate that could not see so much missing, or too much, says nothing
GAIN = 0.5  # nats: a bound of more samples that could be so far below that of fewer unseen says nothing
EFFECTIVE = 100  # points of importance sampling that must have the mass
SHAPE = 0.7  # of the tail of importance weights, above which their standard error is not to be believed
# standard deviations from the middle; nearer the density of a right flow may rise for a while along a thin arm
RADII = (3000.0, 30000.0)
RAYS = 64
NOISE = 0.01  # nats that a density may change over a step in which a smooth one does not


def may_be_bound(subject: Subject) -> bool:
    """A flow that is exact for real vectors has a bound for integers, which it dequantizes."""
    dequantized = subject.space.discrete and subject.spec.family == "flow"
    return subject.spec.density == "lower_bound" or (subject.spec.density == "exact" and dequantized)


# ---- normalization -------------------------------------------------------------------------------------------------


@check(measured, statistical=True)
def density_integrates_to_one(subject: Subject) -> str:
    """exp(log_prob) adds up to one over the sample space, for each class; a lower bound to no more."""
    bound = subject.model.density == "lower_bound"
    return of_classes([(_bound_adds_up if bound else _adds_up)(view) for view in subject.each_class])


def _adds_up(subject: Subject) -> str:
    if subject.enumerable:
        total = np.exp(subject.log_prob(subject.everything())).sum()
        require(abs(total - 1) < 1e-3, f"the probabilities of all observations sum to {total:.6g}; expected 1.")
        return f"the sum is {total:.5f}"
    if subject.space.discrete:
        worst = 0.0
        for d, p, _ in conditionals(subject, rows=30):
            worst = max(worst, float(np.abs(p.sum(1) - 1).max()))
            require(worst < 1e-3, f"p(x_{d} given what comes before) sums to one but for {worst:.2g}.")
        return f"each dimension's sum is one but for {worst:.1g}"
    _falls_off(subject)
    _require_reach(subject)
    return _by_quadrature(subject) if subject.space.size <= SMALL else _by_importance(subject)


def _require_reach(subject: Subject) -> None:
    if subject.space.size > MEDIUM:
        raise NoPower(f"there are {subject.space.size} dimensions, and importance sampling reaches {MEDIUM}")


def _by_quadrature(subject: Subject) -> str:
    total = grid(subject)[1].sum()
    if abs(total - 1) >= 5e-3:  # where a density jumps, two grids may agree by chance: the finest decides
        total = mass(subject, *(Line(column, GRIDS[-1]) for column in somewhere(subject).T)).sum()
    require(abs(total - 1) < 5e-3, f"the density{subject.which} integrates to {total:.5g} by quadrature; expected 1.")
    return f"the integral is {total:.4f} by quadrature"


def _by_importance(subject: Subject) -> str:
    weights = statistics.importance(subject.log_prob, somewhere(subject), PROPOSALS)[1]
    found = Estimate(float(weights.mean()), float(weights.std() / math.sqrt(len(weights))), len(weights))
    said = f"the integral{subject.which} is {found} by importance sampling"
    seen = ERRORS * (found.error or 0.0)
    # where points miss the mass, an estimate and its error are too low
    require(found.value < 1 + seen + 2e-3, f"{said}; expected 1.")
    effective, shape = statistics.effective(weights), statistics.tail_shape(weights)
    if effective < EFFECTIVE or shape > SHAPE:
        raise NoPower(
            f"{said}, whose error is not to be believed: {effective:.0f} points have the mass, and the weights a tail "
            f"of shape {shape:.2f}"
        )
    require(found.value > 1 - seen - 2e-3, f"{said}; expected 1.")
    _require_power(seen, said)
    return said


def _require_power(seen: float, said: str) -> None:
    if seen > RESOLUTION:
        raise NoPower(f"{said}: what is missing of one, or too much, would be seen from {seen:.2g} on")


def _falls_off(subject: Subject) -> None:
    """Far out a density of D dimensions falls faster than 1 / r^D, or its integral is infinite. Rays in all directions,
    those of the axes among them."""
    sample = somewhere(subject)
    d = sample.shape[1]
    ways = np.random.default_rng(0).normal(size=(RAYS, d))
    ways = np.concatenate([np.eye(d), -np.eye(d), ways / np.linalg.norm(ways, axis=1, keepdims=True)])
    near, far = (safe_log_prob(subject, sample.mean(0) + r * sample.std(0) * ways) for r in RADII)
    with np.errstate(invalid="ignore"):  # two zeros far out
        slope = np.nan_to_num((far - near) / math.log(RADII[1] / RADII[0]), nan=-np.inf)
    row = int(slope.argmax())
    require(
        bool(slope[row] < -d),
        f"the density{subject.which} is improper: from {RADII[0]:g} to {RADII[1]:g} standard deviations from its "
        f"middle, in the direction {np.round(ways[row], 2)}, it goes as r^{slope[row]:.3g}; its integral is finite "
        f"only if it falls faster than r^-{d}. Is log_prob bounded from below, or something added to the density?",
    )


def _bound_adds_up(subject: Subject) -> str:
    """exp of an importance-weighted bound is an unbiased estimate of the probability; exp of another is below it."""
    choices: list[dict[str, int]] = [{}, *draws_of_bound(subject, 8, TIGHT)]
    margin, said = statistics.margin(REPEATS, 2 * len(choices)), ""
    for more in choices:
        totals = _totals_of_bound(subject, more)
        found = Estimate(float(totals.mean()), statistics.standard_error(totals), len(totals))
        seen = margin * (found.error or 0.0)
        said = f"exp(log_prob) adds up to {found} ({more or 'default options'}{subject.which})"
        require(found.value < 1 + seen + 1e-3, f"{said}: more than 1, so it is no lower bound.")
        require(
            more.get("samples") != TIGHT or found.value > 1 - seen - 0.02,
            f"{said}: so many samples make an importance-weighted bound nearly tight, and 1 is expected. An option "
            "`samples` is logsumexp over samples less log(samples), not a mean.",
        )
    _require_power(seen, said)  # of the last, which is the tightest
    return said


def _totals_of_bound(subject: Subject, more: dict[str, int]) -> Floats:
    """Independent estimates of what exp of a bound adds up to."""
    if subject.enumerable:
        return np.asarray(estimates(subject, more.get("samples")).sum(1))
    if subject.space.discrete:
        raise NoPower("the space is too large to go through")
    _require_reach(subject)

    def bound(x: Floats) -> Floats:
        return subject.log_prob(x, **more)

    return statistics.importance(bound, somewhere(subject), PROPOSALS // more.get("samples", 1) + ROWS)[1]


# ---- noise ---------------------------------------------------------------------------------------------------------


@check(lambda s: s.scope == "all" and s.has("log_prob") and s.spec.density != "lower_bound")
def only_bounds_are_random(subject: Subject) -> str:
    """A density that is exact, or exact but for a constant, is one number: it has no seed, and does not jump about."""
    if subject.model.density == "lower_bound":
        raise NotApplicable("log_prob is a lower bound here, whose draws may be seen in it")
    x = subject.space.examples("random", 50)
    first, second = subject.log_prob(x), subject.log_prob(x, seed=1)
    with np.errstate(invalid="ignore"):  # where both are zero
        gap = np.where(first == second, 0, np.abs(first - second))
    at = int(gap.argmax())
    require(
        bool(gap[at] <= 1e-4 * max(1.0, abs(first[at]))),
        f"log_prob is {subject.model.density!r} and moves by {gap[at]:.2g} nats with the seed. Integrate the noise "
        'out, or declare density = "lower_bound".',
    )
    if subject.space.discrete:
        return "the same for two seeds"
    coarse, fine, rounding = (_roughness(subject, step) for step in (1e-4, 2.5e-5, 0.0))
    least = NOISE + 8 * rounding
    # over a quarter of the step a smooth density bends by a sixteenth, one with an edge by a quarter, noise as much
    require(
        not (coarse > least and fine > coarse / 2),
        f"log_prob jumps by about {fine / 2.2:.2g} nats between observations that are next to each "
        "other. There is noise in it: a density is a function of its observation alone.",
    )
    return f"two seeds give the same, and so do neighbors to {max(coarse, fine):.1g} nats"


def _roughness(subject: Subject, step: float) -> float:
    """Median of how far log_prob is from a straight line over two steps, one of so many standard deviations and a
    shorter one back; for a step of zero, of what float32 rounds. Of normal noise it is 2.2 standard deviations."""
    x = somewhere(subject)[:200] if subject.has("sample") else subject.space.examples("random", 200).astype(np.float64)
    way = np.random.default_rng(0).normal(size=x.shape) * x.std(0)
    ahead, here, behind = (safe_log_prob(subject, x + k * step * way) for k in (1, 0, -0.6))
    inside = np.isfinite(ahead) & np.isfinite(here) & np.isfinite(behind)
    require(bool(inside.any()), "log_prob is infinite at the model's own samples, or next to them.")
    ahead, here, behind = ahead[inside], here[inside], behind[inside]
    if not step:
        return float(np.median(np.abs(here))) * float(np.finfo(np.float32).eps)
    return float(np.median(np.abs(ahead - here - (here - behind) / 0.6)))


# ---- bounds --------------------------------------------------------------------------------------------------------


@check(lambda s: s.scope == "all" and may_be_bound(s), statistical=True)
def more_samples_tighten_the_bound(subject: Subject) -> str:
    """A bound of more samples is tighter: ELBO <= IWAE_4 <= IWAE_16 (Burda et al., arXiv 1509.00519, theorem 1)."""
    draws = draws_of_bound(subject, 1, 4, 16)
    if subject.model.density != "lower_bound" or len(draws) < 2:
        raise NotApplicable("log_prob is not a bound with an option `samples`")
    return of_classes([_tightens(view, draws) for view in subject.each_class])


def _tightens(subject: Subject, draws: list[dict[str, int]]) -> str:
    x, last, said = subject.space.examples("random", 20), None, []
    margin = statistics.margin(REPEATS, len(draws) - 1)
    for more in draws:
        values = np.array([subject.log_prob(x, seed=s, **more) for s in range(REPEATS)])
        if last is not None:
            gain = (values - last).mean(1)
            found = Estimate(float(gain.mean()), statistics.standard_error(gain), len(gain))
            seen = margin * (found.error or 0.0)
            require(
                found.value > -seen - 1e-4,
                f"the bound of {more['samples']} samples{subject.which} lies {Estimate(-found.value, found.error)} "
                "nats below that of fewer. It is logsumexp over the samples less log(samples).",
            )
            if found.value < seen and seen > GAIN:
                raise NoPower(
                    f"{more['samples']} samples{subject.which} gain {found} nats: a loss would be seen from {seen:.2g} "
                    "nats on"
                )
            said.append(f"{found} nats by {more['samples']} samples")
        last = values
    return "gains " + ", ".join(said)
