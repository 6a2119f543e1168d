"""Tests of "these rows come from this law", with the family-wise error controlled. All seeds are fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from zoo.testing.check import require

Floats = npt.NDArray[np.float64]
ALPHA = 1e-3  # of all tests of one check together: how often a right sampler would be called wrong
PERMUTATIONS = 9999
KERNEL_ROWS = 500
LEAST = 5.0  # expected count of an outcome, for the chi-square approximation


def judge(p_values: Mapping[str, float], what: str) -> None:
    """Fail where Holm's procedure rejects any of the hypotheses at a family-wise level of `ALPHA`."""
    name, p = min(p_values.items(), key=lambda entry: entry[1])
    require(
        p > ALPHA / len(p_values),
        f"{what}: {name} gives p = {p:.2g} ({len(p_values)} tests, family-wise level {ALPHA:g}; one in {1 / ALPHA:g} "
        "right models would fail). Compare what the sampler draws with what log_prob says, at one point first.",
    )


def uniformity(u: Floats, name: str) -> dict[str, float]:
    """p-values of "u is uniform on (0, 1)": Kolmogorov-Smirnov on u, and on its distance from the middle, which sees a
    scale that is off."""
    from scipy import stats

    tests = {name: u, f"{name}, distance from the median": np.abs(2 * u - 1)}
    return {key: float(stats.kstest(value, "uniform").pvalue) for key, value in tests.items()}


def independence(u: Floats, v: Floats) -> dict[str, float]:
    """p-value of "u and v are uniform and independent": chi-square over the cells of the unit square."""
    from scipy import stats

    counts = np.histogram2d(u, v, bins=4, range=[[0, 1], [0, 1]])[0].reshape(-1)
    return {"independence of neighboring dimensions' transforms": float(stats.chisquare(counts).pvalue)}


def standard_normal(z: Floats) -> dict[str, float]:
    """p-values of "z (N, D) is standard normal": each dimension, neighbors' correlations, and the radius."""
    from scipy import stats

    tests: dict[str, float] = {}
    for d in range(z.shape[1]):
        tests |= uniformity(stats.norm.cdf(z[:, d]), f"encode of samples, dimension {d}")
    tests |= uniformity(stats.chi2.cdf((z**2).sum(1), z.shape[1]), "encode of samples, squared radius")
    for d in range(z.shape[1] - 1):
        tests[f"encode of samples, correlation of {d} and {d + 1}"] = float(stats.pearsonr(z[:, d], z[:, d + 1]).pvalue)
    return tests


def margin(repeats: int, tests: int) -> float:
    """How many standard errors of a mean of so many repeats are too many, with so many tests in one check."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / (2 * tests), repeats - 1))


def standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def two_samples(a: Floats, b: Floats) -> dict[str, float]:
    """p-values of "both come from one law"."""
    return {
        "kernel two-sample test": kernel_two_sample(a[:KERNEL_ROWS], b[:KERNEL_ROWS]),
        "classifier two-sample test": classifier_two_sample(a, b),
    }


def kernel_two_sample(a: Floats, b: Floats) -> float:
    """Maximum mean discrepancy, Gaussian kernels of several widths, by permutation (Gretton et al., "A Kernel
    Two-Sample Test", JMLR 2012)."""
    rows = np.concatenate([a, b])
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    median = np.median(squared[squared > 0]) if (squared > 0).any() else 1.0
    kernel = np.sum([np.exp(-squared / (median * width)) for width in (1, 1 / 8, 1 / 64)], axis=0)
    rng = np.random.default_rng(0)
    sign = np.where(np.arange(len(rows)) < len(a), 1 / len(a), -1 / len(b))
    signs = rng.permuted(np.tile(sign, (PERMUTATIONS, 1)), axis=1)
    others = ((signs @ kernel) * signs).sum(1)
    return float((1 + (others >= sign @ kernel @ sign).sum()) / (1 + PERMUTATIONS))


def classifier_two_sample(a: Floats, b: Floats) -> float:
    """Can a forest, trained on one half of the rows, tell the samples apart on the other (Lopez-Paz, Oquab,
    "Revisiting Classifier Two-Sample Tests", arXiv 1610.06545)?"""
    from scipy import stats
    from sklearn.ensemble import RandomForestClassifier

    count = min(len(a), len(b))
    x, y = np.concatenate([a[:count], b[:count]]), np.repeat([0, 1], count)
    train = np.random.default_rng(0).permutation(2 * count) < count
    forest = RandomForestClassifier(50, min_samples_leaf=5, random_state=0).fit(x[train], y[train])
    right = int((forest.predict(x[~train]) == y[~train]).sum())
    return float(stats.binomtest(right, int((~train).sum()), 0.5, alternative="greater").pvalue)


def frequencies(counts: Floats, estimates: Floats) -> dict[str, float]:
    """p-value of "these are counts of draws with these probabilities": chi-square, rare outcomes put together.

    `estimates` (R, K) are independent estimates of the K probabilities, R = 1 where they are known; how far apart they
    lie is counted as an error of their mean.
    """
    from scipy import stats

    estimates = estimates * (counts.sum() / estimates.mean(0).sum())  # whether they sum to one is another check
    order = np.argsort(estimates.mean(0))
    counts, estimates = counts[order], estimates[:, order]
    mean = estimates.mean(0)
    rare = int((mean < LEAST).sum())  # all of these are one outcome, with the next one if they are too few together
    if 0 < rare < len(mean) and mean[:rare].sum() < LEAST:
        rare += 1
    if rare > 1:
        counts = np.concatenate([[counts[:rare].sum()], counts[rare:]])
        estimates = np.concatenate([estimates[:, :rare].sum(1, keepdims=True), estimates[:, rare:]], axis=1)
    if len(counts) < 2:
        return {"chi-square test": 1.0}
    expected, repeats = estimates.mean(0), len(estimates)
    known = repeats == 1
    error = np.zeros(len(expected)) if known else estimates.var(0, ddof=1) / repeats
    statistic = ((counts - expected) ** 2 / (expected + error)).sum()
    return {"chi-square test": float(stats.chi2.sf(statistic, len(counts) - known))}


class Line:
    """The real line as (-1, 1), so that sums over a fixed number of points are integrals over all of it."""

    def __init__(self, sample: Floats, points: int) -> None:
        """Fine where the values of `sample` are."""
        low, self.middle, high = np.quantile(sample, [0.1, 0.5, 0.9])
        self.scale = max((high - low) / 2, 1e-6)
        self.edges = np.linspace(-1, 1, points + 1)
        t = (self.edges[1:] + self.edges[:-1]) / 2
        self.points = self.from_unit(t)
        self.weights = self.scale * (1 + t**2) / (1 - t**2) ** 2 * (2 / points)  # dx for each point

    def from_unit(self, t: Floats) -> Floats:
        return np.asarray(self.middle + self.scale * t / (1 - t**2))

    def to_unit(self, x: Floats) -> Floats:
        y = (x - self.middle) / self.scale
        return np.asarray(2 * y / (1 + np.sqrt(1 + 4 * y**2)))

    def cdf(self, x: Floats, mass: Floats) -> Floats:
        """The distribution function at `x` (N,), from the masses (points,) or, for each x its own, (N, points)."""
        rows = np.broadcast_to(mass, (len(x), mass.shape[-1]))
        whole = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
        place = np.clip((self.to_unit(x) + 1) / 2 * mass.shape[-1], 0, mass.shape[-1] - 1e-9)
        cell = place.astype(int)
        index = np.arange(len(x))
        inside = whole[index, cell] + (place - cell) * rows[index, cell]
        return np.asarray(inside / whole[:, -1])


def importance(log_prob: Callable[[Floats], Floats], sample: Floats, count: int) -> tuple[Floats, Floats]:
    """Points (count, D) of a broad law around `sample`, a Student t of five degrees of freedom, and the weight of each
    as if drawn from `log_prob` (count,). The mean weight estimates the integral of the density."""
    from scipy import stats

    cov = np.cov(sample.T).reshape(sample.shape[1], sample.shape[1])
    law = stats.multivariate_t(sample.mean(0), 1.5 * cov + 1e-9 * np.eye(len(cov)), df=5, seed=0)
    x = np.asarray(law.rvs(count)).reshape(count, -1)
    return x, np.exp(log_prob(x) - np.asarray(law.logpdf(x)).reshape(-1))
