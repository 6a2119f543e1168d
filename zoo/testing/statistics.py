"""Tests of "these rows come from this law", with the family-wise error controlled. All seeds are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.testing.check import require

Floats = npt.NDArray[np.float64]
ALPHA = 1e-3  # of all tests of one check together: how often a right sampler would be called wrong
LEAST = 5.0  # expected count of an outcome, for the chi-square approximation
SEEN = 0.2  # of each probability: counts that could not tell such an error say nothing
TAILS = (1.35e-3, 2.3e-4)  # mass beyond 3 and 3.5 standard deviations of a normal, on one side
FEW = 10.0  # expected rows in a tail, or draws of a kind, that are enough for a test
CLUSTERS = 40
FURTHEST = (0.005, 0.05)  # parts of the points that are furthest from draws
PROPOSALS_INSIDE = 50  # weighted points of a region that are enough to tell its mass


def judge(p_values: Mapping[str, float], what: str) -> str:
    """Fail where Holm's procedure rejects any of the hypotheses at a family-wise level of `ALPHA`. What there is to say
    of one that passes."""
    name, p = min(p_values.items(), key=lambda entry: entry[1])
    require(
        p > ALPHA / len(p_values),
        f"{what}: {name} gives p = {p:.2g} ({len(p_values)} tests, family-wise level {ALPHA:g}; one in {1 / ALPHA:g} "
        "right models would fail).",
    )
    return f"the least p of {len(p_values)} tests is {p:.2g}"


def uniformity(u: Floats, name: str, cells: Floats | None = None) -> dict[str, float]:
    """p-values of "u is uniform on (0, 1)": Kolmogorov-Smirnov on u, and on its distance from the middle, which sees a
    scale that is off; and how many lie far out in each tail, which neither sees.

    Where u comes from the masses of `cells` in a row, tails that are finer than these are left out: at an edge of the
    density, a cell has much mass.
    """
    from scipy import stats

    both = {name: u, f"{name}, distance from the median": np.abs(2 * u - 1)}
    tests = {key: float(stats.kstest(value, "uniform").pvalue) for key, value in both.items()}
    for share in TAILS:
        if share * len(u) >= FEW:
            for side, distance in (("lower", u), ("upper", 1 - u)):
                if cells is not None and _outermost(cells if side == "lower" else cells[::-1], share) > share:
                    continue
                found = stats.binomtest(int((distance < share).sum()), len(u), share)
                tests[f"{name}, rows in the {side} tail of {share:.2%}"] = float(found.pvalue)
    return tests


def _outermost(cells: Floats, share: float) -> float:
    """The mass of the cell in which a tail of so much mass ends, with all cells together one."""
    whole = np.cumsum(cells)
    return float(cells[np.searchsorted(whole, share * whole[-1])] / whole[-1])


def number(found: float, expected: float, variance: float, name: str) -> dict[str, float]:
    """p-value of a number of events, each of a probability of its own; nothing where too few are expected."""
    from scipy import stats

    if expected < FEW:
        return {}
    return {name: float(2 * stats.norm.sf(max(abs(found - expected) - 0.5, 0) / np.sqrt(variance)))}


def independence(u: Floats, v: Floats) -> dict[str, float]:
    """p-value of "u and v are uniform and independent": chi-square over the cells of the unit square, as many as there
    are rows for."""
    from scipy import stats

    bins = int(np.clip(np.sqrt(len(u) / 100), 4, 12))
    counts = np.histogram2d(u, v, bins=bins, range=[[0, 1], [0, 1]])[0].reshape(-1)
    return {"independence of neighboring dimensions' transforms": float(stats.chisquare(counts).pvalue)}


def standard_normal(z: Floats) -> dict[str, float]:
    """p-values of "z (N, D) is standard normal": each dimension, neighbors' correlations and their joint law, and the
    radius."""
    from scipy import stats

    tests: dict[str, float] = {}
    u = stats.norm.cdf(z)
    for d in range(z.shape[1]):
        tests |= uniformity(u[:, d], f"encode of samples, dimension {d}")
    tests |= uniformity(stats.chi2.cdf((z**2).sum(1), z.shape[1]), "encode of samples, squared radius")
    for d in range(z.shape[1] - 1):
        pair = f"encode of samples, {d} and {d + 1}"
        tests[f"{pair}, correlation"] = float(stats.pearsonr(z[:, d], z[:, d + 1]).pvalue)
        tests[f"{pair}, counts in cells"] = min(independence(u[:, d], u[:, d + 1]).values())
    return tests


def margin(repeats: int, tests: int) -> float:
    """How many standard errors of a mean of so many repeats are too many, with so many tests in one check."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / (2 * tests), repeats - 1))


def standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def energy_distance(a: Floats, b: Floats) -> float:
    """That of two samples (N, D) and (M, D), which is zero where their distributions are the same (Székely, Rizzo,
    "Energy statistics", 2013)."""
    from scipy.spatial.distance import cdist

    return float(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())


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


def frequencies(counts: Floats, estimates: Floats, where: str = "") -> dict[str, float]:
    """p-value of "these are counts of draws with these probabilities": chi-square, rare outcomes put together. Nothing
    where it could not see that each probability is off by `SEEN`.

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
    expected, repeats = estimates.mean(0), len(estimates)
    known = repeats == 1
    variance = expected + (np.zeros(len(expected)) if known else estimates.var(0, ddof=1) / repeats)
    freedom = len(counts) - known
    if not freedom or stats.chi2.sf(freedom + ((SEEN * expected) ** 2 / variance).sum(), freedom) > ALPHA:
        return {}
    statistic = ((counts - expected) ** 2 / variance).sum()
    return {f"chi-square test {where}".rstrip(): float(stats.chi2.sf(statistic, freedom))}


def against_weighted(drawn: Floats, x: Floats, share: Floats) -> dict[str, float]:
    """p-values of "`drawn` (N, D) have the law of the points `x` with the weights `share`": how many lie in deciles of
    each dimension and in clusters, and how dimensions go together."""
    from sklearn.cluster import KMeans

    chosen = x[np.random.default_rng(0).choice(len(x), len(drawn), p=share)]
    tests: dict[str, float] = {}
    places: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}  # the region of each point, and of each draw
    for d in range(x.shape[1]):
        edges = np.quantile(chosen[:, d], np.arange(1, 10) / 10)
        places[f"decile {{}} of dimension {d}"] = np.searchsorted(edges, x[:, d]), np.searchsorted(edges, drawn[:, d])
    clusters = KMeans(CLUSTERS, n_init=1, random_state=0).fit(np.unique(chosen, axis=0))
    places["cluster {}"] = clusters.predict(x), clusters.predict(drawn)
    for name, (of_x, of_drawn) in places.items():
        for k in range(int(of_x.max()) + 1):
            middle = np.array2string(x[of_x == k].mean(0), precision=2)
            inside = (of_x == k).astype(np.float64), (of_drawn == k).astype(np.float64)
            if inside[0].sum() >= PROPOSALS_INSIDE:
                tests |= _means(*inside, share, f"how many samples lie in {name.format(k)}, around {middle}")
    middle, scale = chosen.mean(0), chosen.std(0)
    bounded = [np.tanh((v - middle) / scale) for v in (x, drawn)]  # so that a few far points do not decide
    for i in range(x.shape[1]):
        for j in range(i):
            of_x, of_drawn = (v[:, i] * v[:, j] for v in bounded)
            tests |= _means(of_x, of_drawn, share, f"how dimensions {j} and {i} go together")
    return tests


def _means(of_x: Floats, of_drawn: Floats, share: Floats, name: str) -> dict[str, float]:
    """p-value of "the mean of a function over draws is its weighted mean over points"; nothing where so little is
    expected that the normal approximation is bad."""
    from scipy import stats

    mean = float((share * of_x).sum())
    variance = float((share * (of_x - mean) ** 2).sum())
    if variance * len(of_drawn) < FEW:
        return {}
    error = np.sqrt((share**2 * (of_x - mean) ** 2).sum() + variance / len(of_drawn))
    return {name: float(2 * stats.norm.sf(abs(of_drawn.mean() - mean) / error))}


def uncovered(drawn: Floats, reference: Floats) -> dict[str, float]:
    """p-values of "`reference` (M, D) are no further from draws than draws are from each other": where a mode is never
    drawn, its points are the furthest, and all of them of the reference."""
    from scipy import stats
    from scipy.spatial import cKDTree

    scale = drawn.std(0)
    fresh, tree = drawn[: len(reference)], cKDTree(drawn[len(reference) :] / scale)
    far = np.concatenate([tree.query(rows / scale)[0] for rows in (reference, fresh)])
    is_reference = np.arange(len(far)) < len(reference)
    tests = {}
    for part in FURTHEST:
        count = int(part * len(far))
        found = is_reference[np.argsort(far)[-count:]].sum()
        tests[f"whose points the furthest {part:.1%} from draws are"] = float(stats.binomtest(int(found), count).pvalue)
    return tests


def effective(weights: Floats) -> float:
    """How many points of equal weight would tell as much (Kish, 1965)."""
    total = float(weights.sum())
    return total**2 / float((weights**2).sum()) if total > 0 else 0.0


def tail_shape(weights: Floats) -> float:
    """The shape of the generalized Pareto law of the largest importance weights: above 0.5 their variance is infinite,
    above 0.7 their mean is not to be relied upon (Vehtari et al., "Pareto Smoothed Importance Sampling", arXiv
    1507.02646). By the fit of Zhang and Stephens (2009)."""
    count = int(min(len(weights) / 5, 3 * np.sqrt(len(weights))))
    ordered = np.sort(weights)
    excess = ordered[-count:] - ordered[-count - 1]
    if not excess[0] > 0:
        excess = excess[excess > 0]
    if len(excess) < 10:
        return 0.0
    n, tries = len(excess), 30 + int(np.sqrt(len(excess)))
    inverse = 1 / excess[-1] + (1 - np.sqrt(tries / (np.arange(1, tries + 1) - 0.5))) / (3 * excess[n // 4])
    shapes = np.log1p(-inverse[:, None] * excess).mean(1)
    likelihood = n * (np.log(-inverse / shapes) - shapes - 1)
    with np.errstate(over="ignore"):  # one over infinity
        plausible = 1 / np.exp(likelihood - likelihood[:, None]).sum(1)
    best = float((inverse * plausible).sum() / plausible.sum())
    return float(np.log1p(-best * excess).mean())


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
        rows = mass.reshape(-1, mass.shape[-1])
        whole = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)
        place = np.clip((self.to_unit(x) + 1) / 2 * mass.shape[-1], 0, mass.shape[-1] - 1e-9)
        cell = place.astype(int)
        index = np.arange(len(x)) % len(rows)
        inside = whole[index, cell] + (place - cell) * rows[index, cell]
        return np.asarray(inside / whole[index, -1])


def importance(log_prob: Callable[[Floats], Floats], sample: Floats, count: int) -> tuple[Floats, Floats]:
    """Points (count, D) of a broad law around `sample` and the weight of each as if drawn from `log_prob` (count,). The
    mean weight estimates the integral of the density.

    The law is a mixture of two Student t of five degrees of freedom, the second three times as wide: a mode that no
    sample is in lies further out than the samples tell."""
    from scipy import stats

    cov = np.cov(sample.T).reshape(sample.shape[1], sample.shape[1])
    parts = (0.7, 1.5), (0.3, 13.5)  # shares, and factors of the covariance
    laws = [
        stats.multivariate_t(sample.mean(0), k * cov + 1e-9 * np.eye(len(cov)), df=5, seed=i)
        for i, (_, k) in enumerate(parts)
    ]
    drawn = zip(parts, laws, strict=True)
    x = np.concatenate([np.asarray(law.rvs(round(share * count))).reshape(-1, len(cov)) for (share, _), law in drawn])
    log_p = [math.log(share) + np.asarray(law.logpdf(x)) for (share, _), law in zip(parts, laws, strict=True)]
    return x, np.exp(log_prob(x) - np.logaddexp(*log_p).reshape(-1))
