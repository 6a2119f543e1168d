"""Does a sampler draw from the density that its model states? A kernel two-sample test with permutations (Gretton et
al., "A Kernel Two-Sample Test", JMLR 2012) against points drawn from the density itself, on a grid."""

from __future__ import annotations

import numpy as np
import pytest

import zoo

POINTS = 1000


def from_density(model, count, seed):
    """Points of a 2-D model by inverse CDF over the cells of a fine grid, with no use of its sampler."""
    side = np.linspace(-3, 4, 350)
    cell = side[1] - side[0]
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)
    mass = np.exp(model.log_prob(grid).astype(np.float64)) * cell**2
    assert mass.sum() == pytest.approx(1, abs=5e-3)
    rng = np.random.default_rng(seed)
    return grid[rng.choice(len(grid), count, p=mass / mass.sum())] + rng.uniform(-cell / 2, cell / 2, (count, 2))


def two_sample_p(a, b, permutations=300, seed=0):
    """p-value of "both come from one law": maximum mean discrepancy, Gaussian kernels of several widths."""
    rows = np.concatenate([a, b]).astype(np.float64)
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    median = np.median(squared[squared > 0])
    kernel = sum(np.exp(-squared / (median * width)) for width in (1, 1 / 8, 1 / 64))
    rng = np.random.default_rng(seed)

    def discrepancy(order):
        sign = np.where(order < len(a), 1 / len(a), -1 / len(b))
        return sign @ kernel @ sign

    observed = discrepancy(np.arange(len(rows)))
    others = [discrepancy(rng.permutation(len(rows))) for _ in range(permutations)]
    return (1 + sum(d >= observed for d in others)) / (1 + permutations)


@pytest.mark.parametrize("name", ["realnvp.moons", "maf.moons"])
def test_the_sampler_draws_from_the_density(name):
    model = zoo.open(name, device="cpu")
    truth = from_density(model, POINTS, seed=1)
    assert two_sample_p(model.sample(POINTS, seed=2), truth) > 0.01


@pytest.mark.parametrize("fault", ["wide", "shifted", "collapsed", "repeated"])
def test_a_planted_fault_is_caught(fault):
    model = zoo.open("realnvp.moons", device="cpu")
    truth, z = from_density(model, POINTS, seed=1), model.encode(model.sample(POINTS, seed=2))
    faulty = {
        "wide": lambda: model.decode(z * 1.3),
        "shifted": lambda: model.decode(z + np.float32([0.3, 0])),
        "collapsed": lambda: model.sample(POINTS, seed=2)[np.abs(z[:, 0]) < 1],  # one part of the latent space only
        "repeated": lambda: np.repeat(model.sample(POINTS // 40, seed=2), 40, axis=0),
    }[fault]()
    assert two_sample_p(faulty, truth) < 0.01
