"""The check of samplers that have a density beside them: one follows the other."""

from __future__ import annotations

import numpy as np

from zoo.testing import statistics
from zoo.testing.check import NoPower, NotApplicable, check, require
from zoo.testing.checks.density import TIGHT
from zoo.testing.checks.latents import has_normal_base, is_real_flow
from zoo.testing.integrals import (
    MEDIUM,
    PROPOSALS,
    ROWS,
    SMALL,
    conditionals,
    draws_of_bound,
    estimates,
    grid,
    safe_log_prob,
    somewhere,
)
from zoo.testing.made_up import levels
from zoo.testing.statistics import Floats, Line
from zoo.testing.subject import Subject

LEAST = 20_000  # draws, however slow
NODES = 600  # of the integral along a line through each of `LINES` rows; and half as many, which must agree
LINES = 800
EVALUATIONS = 150_000  # of log_prob, where dimensions are varied one by one
REFERENCE, FEWEST = 5000, 500  # rows of a reference, at most and at least
TRANSFORMS = 1000  # of the conditionals of discrete dimensions: fewer say little
UNLIKELY = (0.01, 0.05, 0.2)  # probabilities of levels that a sampler must draw all the same
BLOCKS = 20  # of the plane, on each axis


def compared(subject: Subject) -> bool:
    """Whether there is a density to hold the sampler against; it may lack its constant."""
    return subject.scope != "outputs" and subject.has("sample", "log_prob")


@check(compared, statistical=True)
def samples_follow_the_density(subject: Subject) -> str:
    """Samples of each class follow exp(log_prob): by counting, by the probability-integral transform, by two-sample
    tests."""
    if subject.model.density == "lower_bound" and not draws_of_bound(subject, TIGHT, 64, 16):
        raise NotApplicable("log_prob is a bound that no option `samples` makes tight, so the density is not known")
    tests: dict[str, float] = {}
    silent: NoPower | None = None
    for view in subject.each_class:
        try:
            tests |= {f"{name}{view.which}": p for name, p in _tests(view).items()}
        except NoPower as reason:
            silent = reason
    said = statistics.judge(tests, "samples do not follow exp(log_prob)") if tests else ""
    if silent:  # of one class, whatever is known of the others
        raise silent
    return said


def _tests(subject: Subject) -> dict[str, float]:
    """p-values of "samples follow exp(log_prob)"; `NoPower` where there is no test that could see much."""
    if subject.enumerable:
        return _powerful(_counts(subject), "the bound is too loose for its draws to tell what the counts should be")
    density, size = subject.model.density, subject.space.size
    if subject.space.discrete:
        if density != "exact":
            raise NoPower(f"the space is too large to go through, and log_prob is {density!r}")
        return _transform_of_conditionals(subject)
    tests = _latents(subject) if is_real_flow(subject) and has_normal_base(subject) else {}
    reach = SMALL if density == "unnormalized" else MEDIUM
    try:
        if size <= SMALL and density != "lower_bound":
            tests |= _on_the_line(subject) if size == 1 else _on_the_plane(subject)
        elif size <= reach:
            tests |= _against_reference(subject)
        elif not tests:
            raise NoPower(f"there are {size} dimensions; where log_prob is {density!r}, {reach} are within reach")
    except NoPower:
        if not tests:
            raise
    return tests


def _powerful(tests: dict[str, float], otherwise: str) -> dict[str, float]:
    if not tests:
        raise NoPower(otherwise)
    return tests


def _draws(subject: Subject) -> int:
    return max(subject.draws, LEAST)


def _latents(subject: Subject) -> dict[str, float]:
    """The transform by the flow itself: its samples, encoded, are standard normal. (That `log_prob` is the density of
    this map is another check, `log_prob_is_the_change_of_variables`.)"""
    x = subject.sample(_draws(subject), seed=6)
    z = subject.model.encode(x, **subject.told("encode", len(x)))
    return statistics.standard_normal(z.reshape(len(x), -1).astype(np.float64))


def _against_reference(subject: Subject) -> dict[str, float]:
    """Whether a classifier tells samples from points drawn by importance, and how much mass lies in each of many
    regions. Weights may be random, if unbiased: those of an importance-weighted bound are."""
    x, weights = statistics.importance(subject.log_prob, somewhere(subject), PROPOSALS)
    effective = statistics.effective(weights)
    count = min(REFERENCE, int(effective) // 2)
    if count < FEWEST:
        raise NoPower(
            f"importance sampling has {effective:.0f} effective points{subject.which} to draw a reference from; "
            f"{2 * FEWEST} are needed"
        )
    share = weights / weights.sum()
    reference = x[np.random.default_rng(0).choice(len(x), count, replace=False, p=share)]
    drawn = subject.sample(LEAST, seed=6).astype(np.float64)
    p = statistics.classifier_two_sample(drawn[:count], reference)
    tests = {"classifier two-sample test": p} | statistics.against_weighted(drawn, x, share)
    return tests | statistics.uncovered(drawn, reference)


def _counts(subject: Subject) -> dict[str, float]:
    everything, draws = subject.everything(), _draws(subject)
    if subject.model.density == "lower_bound":
        p = estimates(subject, draws_of_bound(subject, TIGHT, 64, 16)[0]["samples"])
    else:
        p = np.exp(subject.log_prob(everything))[None]
    code = levels(subject.space) ** np.arange(subject.space.size)
    order = {int(c): i for i, c in enumerate(everything.reshape(len(everything), -1).astype(np.int64) @ code)}
    drawn = subject.sample(draws, seed=6).reshape(draws, -1).astype(np.int64) @ code
    values, numbers = np.unique(drawn, return_counts=True)
    counts = np.zeros(len(everything))
    for value, number in zip(values, numbers, strict=True):
        require(int(value) in order, "sample gave an observation outside its space.")
        counts[order[int(value)]] = number
    return statistics.frequencies(counts, p)


def _transform_of_conditionals(subject: Subject) -> dict[str, float]:
    """The randomized transform of each dimension given those before it (Brockwell, "Universal residuals", 2007), and
    how often a level is drawn that is unlikely."""
    rng, found = np.random.default_rng(0), []
    rows = int(np.clip(EVALUATIONS // (levels(subject.space) * subject.space.size), 50, ROWS))
    expected, drawn_unlikely = (np.zeros(len(UNLIKELY)) for _ in range(2))
    variance = np.zeros(len(UNLIKELY))
    for _, p, drawn in conditionals(subject, rows):
        index = np.arange(len(p))
        own = p[index, drawn]
        below = np.cumsum(p, axis=1)[index, drawn] - own
        found.append(below + rng.uniform(size=len(p)) * own)
        for i, most in enumerate(UNLIKELY):
            mass = np.where(p < most, p, 0).sum(1)
            expected[i] += mass.sum()
            variance[i] += (mass * (1 - mass)).sum()
            drawn_unlikely[i] += (own < most).sum()
    transforms = np.concatenate(found)
    if len(transforms) < TRANSFORMS:
        raise NoPower(f"{len(transforms)} draws of single dimensions can be compared; {TRANSFORMS} are needed")
    tests = statistics.uniformity(transforms, "probability-integral transform")
    for most, mean, var, number in zip(UNLIKELY, expected, variance, drawn_unlikely, strict=True):
        tests |= statistics.number(number, mean, var, f"how often a level of less than {most:g} is drawn")
    full = [u for u in found if len(u) == rows]  # dimensions that every row has
    if len(full) > 1:
        tests |= statistics.independence(np.concatenate(full[:-1]), np.concatenate(full[1:]))
    return tests


def _on_the_line(subject: Subject) -> dict[str, float]:
    (line,), mass = grid(subject)
    u = line.cdf(subject.sample(_draws(subject), seed=6)[:, 0].astype(np.float64), mass)
    return statistics.uniformity(u, "probability-integral transform", mass)


def _on_the_plane(subject: Subject) -> dict[str, float]:
    """Transforms of x_1, x_2, and x_2 given x_1 (Rosenblatt, 1952); counts in blocks of the plane."""
    lines, mass = grid(subject)
    many = subject.sample(_draws(subject), seed=6).astype(np.float64)
    tests: dict[str, float] = {}
    for axis, line in enumerate(lines):
        cells = mass.sum(1 - axis)
        u = line.cdf(many[:, axis], cells)
        tests |= statistics.uniformity(u, f"probability-integral transform of x_{axis + 1}", cells)
    place = [line.to_unit(x) for line, x in zip(lines, many.T, strict=True)]
    counts = np.histogram2d(place[0], place[1], BLOCKS, [[-1, 1], [-1, 1]])[0]
    within = mass.reshape(BLOCKS, len(mass) // BLOCKS, BLOCKS, -1).sum((1, 3))
    tests |= statistics.frequencies(counts.reshape(-1), within.reshape(1, -1), f"in {BLOCKS**2} blocks of the plane")
    x = many[:LINES]
    fine, coarse = (_along(subject, x, Line(x[:, 1], nodes)) for nodes in (NODES, NODES // 2))
    if np.abs(fine - coarse).max() < 0.01:  # else it is too sharp for so many nodes, and this test says nothing
        tests |= statistics.uniformity(fine, "probability-integral transform of x_2 given x_1")
    return tests


def _along(subject: Subject, x: Floats, line: Line) -> Floats:
    """The distribution function of x_2 given x_1 at rows `x`, by the masses at the points of a line."""
    points = len(line.points)
    pairs = np.stack([np.repeat(x[:, 0], points), np.tile(line.points, len(x))], 1)
    density = safe_log_prob(subject, pairs).reshape(len(x), points)
    return line.cdf(x[:, 1], np.exp(density - density.max(1, keepdims=True)) * line.weights)
