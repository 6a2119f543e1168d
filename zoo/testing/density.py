"""Checks of densities: they sum to one, samplers draw from them, bounds lie below them, changes of variables are exact.

Small discrete spaces are gone through one observation at a time, the plane by quadrature, other real vectors by
importance sampling. A large discrete space is checked one dimension at a time, where log_prob gives `conditionals`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.model import Array
from zoo.signature import Call
from zoo.testing import statistics
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.statistics import Floats, Line
from zoo.testing.subject import Subject, levels

GRIDS = (300, 600, 1200)  # points on each axis of the plane: as many as it takes for two of them to agree
AGREE = 2e-3
DRAWS = 20_000  # of a sampler, where outcomes are counted
ROWS = 2000  # of a sampler, where they are real vectors
NODES = 600  # of the integral along a line through each of `LINES` rows; and half as many, which must agree
LINES = 800
PROPOSALS = 20_000
EVALUATIONS = 150_000  # of log_prob, where dimensions are varied one by one
REPEATS = 12  # of an estimate, for its standard error
ERRORS = 4.0  # standard errors that a mean of thousands may be off
TIGHT = 256  # samples of an importance-weighted bound that should be nearly tight


def measured(subject: Subject) -> bool:
    """Whether the mass of the space can be added up, as far as can be said before the model is made."""
    one_by_one = subject.enumerable or subject.spec.family == "autoregressive"
    return (
        subject.has("log_prob")
        and subject.spec.density != "unnormalized"
        and (one_by_one or (not subject.space.discrete and subject.space.size <= 8))
    )


def compared(subject: Subject) -> bool:
    """Whether the sampler can be held against the density, which may lack its constant where the space is small."""
    small = subject.enumerable or (not subject.space.discrete and subject.space.size <= 2)
    return subject.has("sample", "log_prob") and (measured(subject) or small or is_real_flow(subject))


def is_real_flow(subject: Subject) -> bool:
    exact = subject.spec.density == "exact" and not subject.space.discrete
    return exact and subject.spec.family == "flow" and subject.has("encode", "log_prob")


def may_be_bound(subject: Subject) -> bool:
    """A flow that is exact for real vectors has a bound for integers, which it dequantizes."""
    dequantized = subject.space.discrete and subject.spec.family == "flow"
    return subject.spec.density == "lower_bound" or (subject.spec.density == "exact" and dequantized)


def has_normal_base(subject: Subject) -> bool:
    """Whether a flow's samples are made of standard normals of the shape of its latents, as `sample` declares."""
    method = subject.eager.methods["sample"] if subject.has("sample") else None
    noises = [] if method is None else [*getattr(method, "init_noise", {}).values(), *method.noise.values()]
    latent = subject.model.signature("encode").outputs["z"].shape
    return [(n.kind, n.shape) for n in noises] == [("normal", latent)]


def draws_of_bound(subject: Subject, *wanted: int) -> list[dict[str, int]]:
    """The option `samples` of an importance-weighted bound at these values, as far as it goes."""
    option = subject.model.signature("log_prob").options.get("samples")
    if option is None:
        return []
    return [{"samples": n} for n in wanted if (option.low or 1) <= n <= (option.high or n)]


# ---- normalization -------------------------------------------------------------------------------------------------


@check(measured)
def density_normalised(subject: Subject) -> None:
    """exp(log_prob) adds up to one over the sample space; a lower bound to no more."""
    if subject.model.density == "lower_bound":
        _bound_is_normalised(subject)
    elif subject.enumerable:
        total = np.exp(subject.log_prob(subject.everything())).sum()
        require(abs(total - 1) < 1e-3, f"the probabilities of all observations sum to {total:.6g}; expected 1.")
    elif subject.space.discrete:
        for d, p, _ in _conditionals(subject, rows=30):
            worst = np.abs(p.sum(1) - 1).max()
            require(worst < 1e-3, f"p(x_{d} given what comes before) sums to one but for {worst:.2g}.")
    elif subject.space.size <= 2:
        total = _grid(subject)[1].sum()
        if abs(total - 1) >= 5e-3:  # where a density jumps, two grids may agree by chance: the finest decides
            total = _mass(subject, *(Line(column, GRIDS[-1]) for column in _somewhere(subject).T)).sum()
        require(abs(total - 1) < 5e-3, f"the density integrates to {total:.5g} by quadrature; expected 1.")
    else:
        _, weights = statistics.importance(subject.log_prob, _somewhere(subject), PROPOSALS)
        mean, error = weights.mean(), weights.std() / math.sqrt(len(weights))
        require(
            abs(mean - 1) < ERRORS * error + 2e-3,
            f"the density integrates to {mean:.4f} by importance sampling, standard error {error:.2g}; expected 1.",
        )


def _bound_is_normalised(subject: Subject) -> None:
    """exp of an importance-weighted bound is an unbiased estimate of the probability; exp of another is below it."""
    choices: list[dict[str, int]] = [{}, *draws_of_bound(subject, 8, TIGHT)]
    margin = statistics.margin(REPEATS, 2 * len(choices))
    for more in choices:
        if subject.enumerable:
            x = subject.everything()
            totals = np.array([np.exp(subject.log_prob(x, seed=s, **more)).sum() for s in range(REPEATS)])
        elif not subject.space.discrete:

            def bound(x: Floats, more: dict[str, Any] = more) -> Floats:
                return subject.log_prob(x, **more)

            count = PROPOSALS // more.get("samples", 1) + ROWS
            _, totals = statistics.importance(bound, _somewhere(subject), count)
        else:
            raise NotApplicable("the space is too large to go through")
        mean, error = totals.mean(), statistics.standard_error(totals)
        what = f"exp(log_prob) adds up to {mean:.4f} (standard error {error:.2g}, {more or 'default options'})"
        require(mean < 1 + margin * error + 1e-3, f"{what}: more than 1, so it is no lower bound.")
        require(
            more.get("samples") != TIGHT or mean > 1 - margin * error - 0.02,
            f"{what}: so many samples make an importance-weighted bound nearly tight, and 1 is expected. An option "
            "`samples` is logsumexp over samples less log(samples), not a mean.",
        )


def _somewhere(subject: Subject) -> Floats:
    """Real vectors around which to look for the mass of a density."""
    if not subject.has("sample"):
        raise NotApplicable("there is no sampler to tell where the mass of the density lies")
    return subject.sample(ROWS).astype(np.float64)


@functools.lru_cache(maxsize=2)
def _grid(subject: Subject) -> tuple[list[Line], Floats]:
    """The line or the plane in cells, and the mass of each: on the first grid that a finer one agrees with."""
    sample, last = _somewhere(subject), math.nan
    for points in GRIDS:
        lines = [Line(column, points) for column in sample.T]
        mass = _mass(subject, *lines)
        if abs(mass.sum() - last) < AGREE * mass.sum():
            return lines, mass
        last = mass.sum()
    raise NotApplicable(f"the density is too sharp for quadrature: {GRIDS[-1]} points on an axis do not settle its sum")


def _mass(subject: Subject, *lines: Line) -> Floats:
    """The mass of each cell of a grid: (points,) or (points, points)."""
    points = np.stack(np.meshgrid(*(line.points for line in lines), indexing="ij"), -1).reshape(-1, len(lines))
    weights = np.prod(np.meshgrid(*(line.weights for line in lines), indexing="ij"), axis=0)
    log_p = _safe_log_prob(subject, points)
    return np.asarray(np.exp(log_p).reshape(weights.shape) * weights)


def _safe_log_prob(subject: Subject, x: Floats) -> Floats:
    """Far from everything a density may underflow: there it is zero."""
    log_p = subject.log_prob(x.astype(np.float32))
    require(not np.isnan(log_p).any(), f"log_prob is NaN at {x[np.isnan(log_p)][:1]}.")
    return log_p


def _conditionals(subject: Subject, rows: int) -> Iterator[tuple[int, Floats, Array]]:
    """For each dimension d: p(each level given the dimensions before) in samples, (N, K), and what was drawn, (N,)."""
    if "conditionals" not in subject.model.signature("log_prob").outputs:
        raise NotApplicable(
            "the space is too large to go through; give log_prob the output `conditionals` (N, D), the terms of its "
            "sum, to have them checked one by one"
        )
    x = subject.sample(rows, seed=5) if subject.has("sample") else subject.space.examples("random", rows)
    flat = x.reshape(rows, -1)
    is_text = subject.space.type == "text"
    alive = np.ones(rows, dtype=bool)
    for d in range(subject.space.size):
        chosen = flat[alive]
        if not len(chosen):
            return
        varied = np.repeat(chosen, levels(subject.space), axis=0)
        varied[:, d] = np.tile(np.arange(levels(subject.space)), len(chosen))
        if is_text:
            varied[:, d + 1 :] = 0  # what follows does not matter, and this is valid after any character
            alive = alive & (flat[:, d] != 0)
        given = {"x": varied.reshape(-1, *subject.space.shape)}
        terms = subject.model.run("log_prob", given, **subject.labels("log_prob"))["conditionals"]
        p = np.exp(terms.reshape(len(varied), -1)[:, d].astype(np.float64)).reshape(len(chosen), -1)
        yield d, p, chosen[:, d]


# ---- sampler and density -------------------------------------------------------------------------------------------


@check(compared)
def sampler_matches_density(subject: Subject) -> None:
    """Samples follow exp(log_prob): by counting, by the probability-integral transform, by two-sample tests."""
    bound = subject.model.density == "lower_bound"
    if bound and not draws_of_bound(subject, TIGHT, 64, 16):
        raise NotApplicable("log_prob is a bound that no option `samples` makes tight, so the density is not known")
    if subject.enumerable:
        tests = _counts(subject)
    elif subject.space.discrete:
        tests = _transform_of_conditionals(subject)
    else:
        tests = _latents(subject) if is_real_flow(subject) and has_normal_base(subject) else {}
        try:
            if subject.space.size <= 2 and not bound:
                tests |= _on_the_line(subject) if subject.space.size == 1 else _on_the_plane(subject)
            elif subject.space.size <= 8:
                tests |= _against_reference(subject)
        except NotApplicable:
            if not tests:
                raise
    if not tests:
        raise NotApplicable("the space is too large, and the model is no flow with a normal base")
    statistics.judge(tests, "samples do not follow exp(log_prob)")


def _latents(subject: Subject) -> dict[str, float]:
    """The transform by the flow itself: its samples, encoded, are standard normal. (That `log_prob` is the density of
    this map is another check, `log_determinant`.)"""
    x = subject.sample(DRAWS, seed=6)
    z = subject.model.encode(x, **subject.labels("encode"))
    return statistics.standard_normal(z.reshape(DRAWS, -1).astype(np.float64))


def _against_reference(subject: Subject) -> dict[str, float]:
    """Two-sample tests against points drawn by importance. Weights may be random, if unbiased: those of an
    importance-weighted bound are."""
    x, weights = statistics.importance(subject.log_prob, _somewhere(subject), PROPOSALS)
    share = weights / weights.sum()
    count = min(ROWS, int(1 / (share**2).sum()) // 2)
    if count < statistics.KERNEL_ROWS:
        raise NotApplicable("importance sampling has too few effective points here to draw a reference from")
    reference = x[np.random.default_rng(0).choice(len(x), count, replace=False, p=share)]
    return statistics.two_samples(subject.sample(count, seed=6).astype(np.float64), reference)


def _counts(subject: Subject) -> dict[str, float]:
    everything = subject.everything()
    if subject.model.density == "lower_bound":
        more = draws_of_bound(subject, TIGHT, 64, 16)[0]
        p = np.stack([np.exp(subject.log_prob(everything, seed=s, **more)) for s in range(REPEATS)])
    else:
        p = np.exp(subject.log_prob(everything))[None]
    code = levels(subject.space) ** np.arange(subject.space.size)
    order = {int(c): i for i, c in enumerate(everything.reshape(len(everything), -1).astype(np.int64) @ code)}
    drawn = subject.sample(DRAWS, seed=6).reshape(DRAWS, -1).astype(np.int64) @ code
    values, numbers = np.unique(drawn, return_counts=True)
    counts = np.zeros(len(everything))
    for value, number in zip(values, numbers, strict=True):
        require(int(value) in order, "sample gave an observation outside its space.")
        counts[order[int(value)]] = number
    return statistics.frequencies(counts, p)


def _transform_of_conditionals(subject: Subject) -> dict[str, float]:
    """The randomized transform of each dimension given those before it (Brockwell, "Universal residuals", 2007)."""
    rng, found = np.random.default_rng(0), []
    rows = int(np.clip(EVALUATIONS // (levels(subject.space) * subject.space.size), 50, ROWS))
    for _, p, drawn in _conditionals(subject, rows):
        index = np.arange(len(p))
        below = np.cumsum(p, axis=1)[index, drawn] - p[index, drawn]
        found.append(below + rng.uniform(size=len(p)) * p[index, drawn])
    tests = statistics.uniformity(np.concatenate(found), "probability-integral transform")
    full = [u for u in found if len(u) == rows]  # dimensions that every row has
    if len(full) > 1:
        tests |= statistics.independence(np.concatenate(full[:-1]), np.concatenate(full[1:]))
    return tests


def _on_the_line(subject: Subject) -> dict[str, float]:
    (line,), mass = _grid(subject)
    u = line.cdf(subject.sample(DRAWS, seed=6)[:, 0].astype(np.float64), mass)
    return statistics.uniformity(u, "probability-integral transform")


def _on_the_plane(subject: Subject) -> dict[str, float]:
    """Transforms of x_1, x_2, and x_2 given x_1 (Rosenblatt, 1952); two-sample tests against draws from a grid."""
    lines, mass = _grid(subject)
    many = subject.sample(DRAWS, seed=6).astype(np.float64)
    tests: dict[str, float] = {}
    for axis, line in enumerate(lines):
        u = line.cdf(many[:, axis], mass.sum(1 - axis))
        tests |= statistics.uniformity(u, f"probability-integral transform of x_{axis + 1}")
    x = many[:LINES]
    fine, coarse = (_along(subject, x, Line(x[:, 1], nodes)) for nodes in (NODES, NODES // 2))
    if np.abs(fine - coarse).max() < 0.01:  # else it is too sharp for so many nodes, and this test says nothing
        tests |= statistics.uniformity(fine, "probability-integral transform of x_2 given x_1")
    rng = np.random.default_rng(0)
    cells = np.unravel_index(rng.choice(mass.size, ROWS, p=mass.reshape(-1) / mass.sum()), mass.shape)
    units = (
        line.edges[c] + rng.uniform(size=ROWS) * np.diff(line.edges)[c] for line, c in zip(lines, cells, strict=True)
    )
    reference = np.stack([line.from_unit(t) for line, t in zip(lines, units, strict=True)], 1)
    return tests | statistics.two_samples(many[:ROWS], reference)


def _along(subject: Subject, x: Floats, line: Line) -> Floats:
    """The distribution function of x_2 given x_1 at rows `x`, by the masses at the points of a line."""
    points = len(line.points)
    pairs = np.stack([np.repeat(x[:, 0], points), np.tile(line.points, len(x))], 1)
    density = _safe_log_prob(subject, pairs).reshape(len(x), points)
    return line.cdf(x[:, 1], np.exp(density - density.max(1, keepdims=True)) * line.weights)


# ---- bounds and changes of variables -------------------------------------------------------------------------------


@check(lambda s: not s.density_only and may_be_bound(s))
def bounds_in_order(subject: Subject) -> None:
    """A bound of more samples is tighter: ELBO <= IWAE_4 <= IWAE_16 (Burda et al., arXiv 1509.00519, theorem 1)."""
    draws = draws_of_bound(subject, 1, 4, 16)
    if subject.model.density != "lower_bound" or len(draws) < 2:
        raise NotApplicable("log_prob is no bound with an option `samples`")
    x, last = subject.space.examples("random", 20), None
    for more in draws:
        values = np.array([subject.log_prob(x, seed=s, **more) for s in range(REPEATS)])
        if last is not None:
            gain = (values - last).mean(1)
            mean, error = gain.mean(), statistics.standard_error(gain)
            require(
                mean > -statistics.margin(REPEATS, len(draws) - 1) * error - 1e-4,
                f"the bound of {more['samples']} samples lies {-mean:.3g} nats below that of fewer (standard error "
                f"{error:.2g}). It is logsumexp over the samples less log(samples).",
            )
        last = values


@check(lambda s: not s.density_only and s.spec.family == "flow" and s.has("encode", "decode"))
def inverse(subject: Subject) -> None:
    """decode undoes encode, and encode undoes decode."""
    model = subject.model
    x = subject.sample(50, seed=7) if subject.has("sample") else subject.space.examples("random", 50)
    back = model.decode(model.encode(x, seed=1, **subject.labels("encode")), **subject.labels("decode"))
    if subject.space.discrete:
        share = float((back != x).mean())
        require(share < 0.01, f"decode(encode(x)) differs from x in {share:.1%} of the values.")
        return
    spread, far = x.std(), np.abs(x).max()
    gap = np.abs(back - x).max()
    require(
        gap < 1e-3 * spread + 1e-5 * far, f"decode(encode(x)) differs from x by {gap:.2g} (x spreads {spread:.2g})."
    )
    z = subject.inputs("decode", 50)["z"]
    again = model.encode(model.decode(z, **subject.labels("decode")), **subject.labels("encode"))
    gap = np.abs(again - z).max()
    require(gap < 1e-3 * np.abs(z).max() + 1e-5 * far / spread, f"encode(decode(z)) differs from z by {gap:.2g}.")


@check(lambda s: not s.density_only and is_real_flow(s))
def log_determinant(subject: Subject) -> None:
    """log_prob is the standard normal's at encode(x) plus log |det d encode / dx|, by automatic differentiation."""
    eager = subject.eager
    definition, x = eager.methods["encode"], subject.space.examples("random", 20)
    if not isinstance(definition, Call) or definition.noise:
        raise NotApplicable("encode is a loop or random: there is no Jacobian to take")
    if not has_normal_base(subject):
        raise NotApplicable("sample is not made of one standard normal of the latents' shape, so the base is not known")
    given = {name: eager.network.tensor(np.asarray(o.number, o.dtype)) for name, o in definition.options.items()}
    given |= {
        name: eager.network.tensor(subject.classes.check(label, len(x)).copy())
        for name, label in subject.labels("encode").items()
    }

    def encode(rows: Any) -> Any:
        z = definition.function(x=rows, **given)
        return z["z"] if isinstance(z, dict) else z

    with eager.network.inference():
        jacobian = eager.network.jacobian(encode, x)
    z = eager.encode(x, **subject.labels("encode")).astype(np.float64)
    base = -0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
    expected, got = base + np.linalg.slogdet(jacobian).logabsdet, subject.log_prob(x)
    gap = np.abs(expected - got)
    row = int(gap.argmax())
    require(
        bool(gap.max() < 2e-3 * max(1.0, np.abs(expected).max())),
        f"log_prob({x[row]}) is {got[row]:.5g}; the standard normal at encode(x) and the determinant of its Jacobian "
        f"give {expected[row]:.5g}.",
    )
