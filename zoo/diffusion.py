"""A step of a diffusion sampler: DDIM (Song, Meng, Ermon, arXiv 2010.02502, equation 12) or DPM-Solver++ 2M (Lu, Zhou,
Bao, Chen, Li, Zhu, arXiv 2211.01095, algorithm 2), in the notation of the latter. The arguments are tensors of PyTorch.

A noised observation at the time t is x_t = alpha_t x_0 + sigma_t epsilon, with epsilon standard normal.

| paper | here | meaning |
|---|---|---|
| alpha_t | `Level.alpha` | what is left of the observation |
| sigma_t | `Level.sigma` | the standard deviation of the noise |
| lambda_t | `Level.half_log_snr` | log(alpha_t / sigma_t), infinite where there is no noise |
| x_theta | `data` | the prediction of x_0 |
| epsilon_theta | `epsilon` | the prediction of the noise: x_t = alpha_t data + sigma_t epsilon |
| 1 / (2 r_i) | `extrapolation` | how far the prediction is carried on along the line through the last one |
| D_i | `data` of `step` | the prediction at the middle of a step |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Levels:
    """The noise levels of a schedule as tables, (T,) each."""

    alpha: Any
    sigma: Any
    half_log_snr: Any

    def at(self, t: Any) -> Level:
        """The level at the times `t`, (1,) int64."""
        return Level(*(table.index_select(0, t) for table in (self.alpha, self.sigma, self.half_log_snr)))


@dataclass(frozen=True)
class Level:
    """The noise level at one time, tensors of shape (1,)."""

    alpha: Any
    sigma: Any
    half_log_snr: Any

    def data(self, x: Any, epsilon: Any) -> Any:
        """The data that is in `x` with this noise."""
        return (x - self.sigma * epsilon) / self.alpha

    def epsilon(self, x: Any, data: Any) -> Any:
        """The noise that is in `x` with this data."""
        return (x - self.alpha * data) / self.sigma


def extrapolation(order: Any, last: Level, now: Level, then: Level) -> Any:
    """1 / (2 r), (1,): the prediction half way to `then` is data + extrapolation * (data - last data).

    It is 0 in order 1, in the first step, where there is no line yet (`last` is `now`), and in a step that ends without
    noise, to which it is too far.
    """
    before, here, after = last.half_log_snr, now.half_log_snr, then.half_log_snr
    possible = (order > 1) & (here > before) & (after < math.inf)
    return ((after - here) / (2 * (here - before))).where(possible, 0.0)


def step(data: Any, epsilon: Any, z: Any, now: Level, then: Level, eta: Any) -> Any:
    """x at the level `then`, from the prediction at `now`. `eta` is how much of the noise is fresh: 0 none (DDIM), 1 as
    much as in DDPM, where it has the deviation of x_then given x_now and the data; `z` is standard normal."""
    added = (now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2).clamp(min=0) ** 0.5
    fresh = eta * then.sigma / now.sigma * added
    return then.alpha * data + (then.sigma**2 - fresh**2).clamp(min=0) ** 0.5 * epsilon + fresh * z
