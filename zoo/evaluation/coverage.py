"""Density and coverage (Naeem, Oh, Uh, Choi and Yoo, "Reliable fidelity and diversity metrics for generative models",
arXiv 2002.09797), and spread."""

from __future__ import annotations

import math

import numpy as np

from zoo.estimate import Estimate
from zoo.evaluation.estimates import share
from zoo.evaluation.vectors import Matrix, mean_distances, squared_distances

NEIGHBORS = 5  # a real row's ball reaches its fifth nearest other real row


def spread(samples: Matrix, real: Matrix) -> Estimate:
    """Mean distance between two samples over that between two real rows: 1 if samples are as diverse as data, near 0 if
    they are one picture with a little noise. The error combines those of both, to first order. NaN if all real rows are
    equal."""
    (ours, our_error), (theirs, their_error) = (_mean_distance(rows) for rows in (samples, real))
    if not theirs:
        return Estimate(math.nan, None, samples.shape[0])
    value = ours / theirs
    return Estimate(value, math.hypot(our_error, value * their_error) / theirs, samples.shape[0])


def _mean_distance(rows: Matrix) -> tuple[float, float]:
    """Mean distance of two different rows (a U-statistic; Hoeffding, 1948), and its standard error."""
    count = rows.shape[0]
    of_row = mean_distances(rows, rows) * count / (count - 1)
    return float(of_row.mean()), float(2 * of_row.std(ddof=1) / math.sqrt(count))


def density_and_coverage(real: Matrix, samples: Matrix) -> tuple[Estimate, Estimate]:
    """Density: the number of balls of real rows that contain a sample, over that expected for a real row: below one if
    samples lie off the data; in many dimensions above it if they keep to its center. Coverage: the share of real rows
    whose ball contains a sample.

    The errors combine the spread over real rows and over samples, to first order.
    """
    among = squared_distances(real, real)
    np.fill_diagonal(among, -1)  # a row is not its own neighbor; -1 sorts it first
    radius = np.sort(among, 1)[:, NEIGHBORS]
    inside = squared_distances(real, samples) <= radius[:, None]  # (N, M)
    n, m = inside.shape
    by_sample, by_row = inside.sum(0) / NEIGHBORS, inside.sum(1) * n / (NEIGHBORS * m)
    spread = by_sample.var(ddof=1) / m + by_row.var(ddof=1) / n
    density = Estimate(float(by_sample.mean()), math.sqrt(float(spread)), m)

    covered = share(inside.sum(1) > 0)
    alone = inside[inside.sum(1) == 1].sum(0) / n  # the loss of coverage without a sample
    spread = float(((alone - alone.mean()) ** 2).sum() * (m - 1) / m)
    return density, Estimate(covered.value, math.hypot(covered.error or 0.0, math.sqrt(spread)), n)
