"""Two interleaved half circles with normal noise: a data set whose law is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.data import Dataset, split_rows
from zoo.data.frozen_random import uniforms
from zoo.noise import draw
from zoo.signature import Noise
from zoo.spaces import Labels, Real

Array = npt.NDArray[Any]
ROWS, NOISE = 10_000, 0.1
NODES = 400  # of the quadrature over the angle of each half circle
CHUNK = 2000  # rows at a time, for memory


class Moons:
    """The law: an angle that is uniform on one of two half circles, and normal noise of `NOISE`."""

    def log_prob(self, x: Array) -> npt.NDArray[np.float64]:
        """Log-density of the points (N, 2), in nats, by Gauss-Legendre quadrature over the angle."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        angle = (nodes + 1) * np.pi / 2
        centers = np.concatenate(half_circles(angle))
        log_weights = np.log(np.tile(weights / 4, 2)) - np.log(2 * np.pi * NOISE**2)  # they add up to one
        found = []
        for low in range(0, len(x), CHUNK):
            square = ((x[low : low + CHUNK, None].astype(np.float64) - centers) ** 2).sum(2)
            terms = log_weights - square / (2 * NOISE**2)
            most = terms.max(1, keepdims=True)
            found.append(most[:, 0] + np.log(np.exp(terms - most).sum(1)))
        return np.concatenate(found)

    def sample(self, count: int, seed: int) -> tuple[Array, npt.NDArray[np.int64]]:
        """Fresh points (count, 2), and which half circle each comes from. None of them is in the data set."""
        u = draw(Noise("uniform", (4,)), np.arange(count), seed=seed, stream="moons/fresh").astype(np.float64)
        label = (u[:, 0] >= 0.5).astype(np.int64)
        upper, lower = half_circles(np.pi * u[:, 1])
        center = np.where(label[:, None] == 0, upper, lower)
        return (center + normals(u[:, 2:])).astype(np.float32), label


def half_circles(angle: Array) -> tuple[Array, Array]:
    """The points (N, 2) of the upper and of the lower half circle at angles from 0 to pi."""
    x, y = np.cos(angle), np.sin(angle)
    return np.stack([x, y], axis=1), np.stack([1 - x, 0.5 - y], axis=1)


def normals(u: Array) -> npt.NDArray[np.float64]:
    """Noise (N, 2) of two uniforms a row. Box-Muller in float64 over exact numbers: the same bits on every machine."""
    u = u.astype(np.float64)
    radius, turn = NOISE * np.sqrt(-2 * np.log(u[:, :1])), 2 * np.pi * u[:, 1:]
    return np.concatenate([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def moons() -> Dataset:
    """10,000 points on two interleaved half circles with normal noise of 0.1, as scikit-learn's `make_moons`."""
    half = ROWS // 2
    angle = np.linspace(0, np.pi, half)
    x = (np.concatenate(half_circles(angle)) + normals(uniforms(ROWS, stream="moons"))).astype(np.float32)
    y = np.repeat(np.arange(2, dtype=np.int64), half)
    source = f"two half circles, normal noise {NOISE}, made by genzoo"
    space, classes = Real(2, ("x", "y")), Labels(("upper", "lower"))
    return split_rows("moons", space, x, y, classes=classes, source=source, law=Moons())
