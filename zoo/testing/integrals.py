"""Where the mass of a density lies, and how it is added up: one observation at a time in a small discrete space, one
dimension at a time where log_prob gives `conditionals`, by quadrature on the line and the plane, elsewhere by
importance sampling."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from zoo.model import Array
from zoo.spaces import Strings
from zoo.testing.check import NoPower, require
from zoo.testing.made_up import levels
from zoo.testing.statistics import Floats, Line
from zoo.testing.subject import Subject

GRIDS = (300, 600, 1200)  # points on each axis of the plane: as many as it takes for two of them to agree
AGREE = 2e-3
REPEATS = 12  # of an estimate, for its standard error
ROWS = 2000  # of a sampler, to find the mass
PROPOSALS = 40_000
SMALL = 2  # dimensions of real vectors that quadrature takes
MEDIUM = 8  # dimensions of real vectors that importance sampling takes


def measured(subject: Subject) -> bool:
    """Whether there is a density, or a bound of one, whose mass should add up."""
    return subject.scope != "outputs" and subject.has("log_prob") and subject.spec.density != "unnormalized"


def draws_of_bound(subject: Subject, *wanted: int) -> list[dict[str, int]]:
    """The option `samples` of an importance-weighted bound at these values, as far as it goes."""
    option = subject.model.signature("log_prob").options.get("samples")
    if option is None:
        return []
    return [{"samples": n} for n in wanted if (option.low or 1) <= n <= (option.high or n)]


@functools.lru_cache(maxsize=4)
def estimates(subject: Subject, samples: int | None) -> Floats:
    """Independent estimates (R, K) by a bound of the probabilities of all observations of a small space."""
    more = {} if samples is None else {"samples": samples}
    x = subject.everything()
    return np.stack([np.exp(subject.log_prob(x, seed=s, **more)) for s in range(REPEATS)])


def somewhere(subject: Subject) -> Floats:
    """Real vectors around which to look for the mass of a density, (N, D)."""
    if not subject.has("sample"):
        raise NoPower("there is no sampler to tell where the mass of the density lies")
    return subject.sample(ROWS).astype(np.float64)


@functools.lru_cache(maxsize=4)
def grid(subject: Subject) -> tuple[list[Line], Floats]:
    """The line or the plane in cells, and the mass of each: on the first grid that a finer one agrees with."""
    sample, last = somewhere(subject), math.nan
    for points in GRIDS:
        lines = [Line(column, points) for column in sample.T]
        found = mass(subject, *lines)
        if abs(found.sum() - last) < AGREE * found.sum():
            return lines, found
        last = found.sum()
    raise NoPower(f"the density is too sharp for quadrature: {GRIDS[-1]} points on an axis do not settle its sum")


def mass(subject: Subject, *lines: Line) -> Floats:
    """The mass of each cell of a grid: (points,) or (points, points)."""
    points = np.stack(np.meshgrid(*(line.points for line in lines), indexing="ij"), -1).reshape(-1, len(lines))
    weights = np.prod(np.meshgrid(*(line.weights for line in lines), indexing="ij"), axis=0)
    log_p = safe_log_prob(subject, points)
    return np.asarray(np.exp(log_p).reshape(weights.shape) * weights)


def safe_log_prob(subject: Subject, x: Floats) -> Floats:
    """Far from everything a density may underflow: there it is zero."""
    log_p = subject.log_prob(x.astype(np.float32))
    require(not np.isnan(log_p).any(), f"log_prob is NaN at {x[np.isnan(log_p)][:1]}.")
    return log_p


def conditionals(subject: Subject, rows: int) -> Iterator[tuple[int, Floats, Array]]:
    """For each dimension d: p(each level given the dimensions before) in samples, (N, K), and what was drawn, (N,)."""
    if "conditionals" not in subject.model.signature("log_prob").outputs:
        raise NoPower(
            "the space is too large to go through; give log_prob the output `conditionals` (N, D), the terms of its "
            "sum, to have them checked one by one"
        )
    x = subject.sample(rows, seed=5) if subject.has("sample") else subject.space.examples("random", rows)
    flat = x.reshape(rows, -1)
    is_text = isinstance(subject.space, Strings)
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
        terms = subject.model.run("log_prob", given, **subject.told("log_prob", len(varied)))["conditionals"]
        p = np.exp(terms.reshape(len(varied), -1)[:, d].astype(np.float64)).reshape(len(chosen), -1)
        yield d, p, chosen[:, d]
