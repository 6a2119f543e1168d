"""Data units for continuous models: maps between raw observations and the numbers that a network transforms.

Those for densities come with the log-determinant of their Jacobian, so that a density refers to raw observations.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from zoo.spaces import Image, Space


class Standardize(nn.Module):
    """Real vectors to zero mean and unit variance, column by column."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(space.size))
        self.register_buffer("scale", torch.ones(space.size))

    def adapt(self, x: np.ndarray) -> None:
        self.mean.copy_(torch.from_numpy(x.mean(0, dtype=np.float64)))
        scale = x.std(0, dtype=np.float64)
        self.scale.copy_(torch.from_numpy(np.where(scale > 0, scale, 1)))  # a constant column keeps its units

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) raw -> (N, D) standardized, (N,) log-determinant."""
        log_det = -self.scale.log().sum()
        return (x - self.mean) / self.scale, log_det.expand(x.shape[0])

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        return y * self.scale + self.mean


class Dequantize(nn.Module):
    """Integer levels to the real line: uniform dequantization (Uria et al., "RNADE", arXiv 1306.0186), then each
    dimension's empirical distribution function of the training data, then the logit.

    In these units every dimension on its own is logistic, so a flow on top starts from the pixel marginals and has
    only the dependence between dimensions to learn. With `u` uniform, E[log p(x + u)] is a lower bound on log P(x).
    """

    def __init__(self, space: Space, levels: int) -> None:
        super().__init__()
        self.levels = levels
        for name in ("mass", "below", "above"):  # p(level), p(less), p(more) for each dimension
            self.register_buffer(name, torch.zeros(space.size, levels))
        self.register_buffer("edges", torch.zeros(space.size, levels - 1))  # where one level ends, in model units
        self._set(np.full((space.size, levels), 1 / levels))

    def adapt(self, x: np.ndarray) -> None:
        flat = x.reshape(len(x), -1)
        counts = np.stack([np.bincount(column, minlength=self.levels) for column in flat.T])
        smooth = counts + 1 / self.levels  # Perks' prior: one observation, spread over the levels
        self._set(smooth / smooth.sum(1, keepdims=True))

    def _set(self, mass: np.ndarray) -> None:
        # both tails by separate sums, in float64: 1 - below would lose all digits near one
        below = mass.cumsum(1) - mass
        above = mass[:, ::-1].cumsum(1)[:, ::-1] - mass
        edges = np.log(below[:, 1:]) - np.log(above[:, :-1])
        for name, value in (("mass", mass), ("below", below), ("above", above), ("edges", edges)):
            getattr(self, name).copy_(torch.from_numpy(np.maximum(value, 0) if name != "edges" else value))

    def forward(self, x: torch.Tensor, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) integer levels and (N, D) uniforms -> (N, D) reals, (N,) log-determinant."""
        mass, below, above = (t.T.gather(0, x) for t in (self.mass, self.below, self.above))
        log_f = (below + u * mass).log()
        log_g = (above + (1 - u) * mass).log()
        return log_f - log_g, (mass.log() - log_f - log_g).sum(1)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """(N, D) reals -> (N, D) integer levels."""
        # the short axis of levels is not the last one, and they are floats, which runtimes add faster
        return (y[:, None] >= self.edges.T).to(torch.float32).sum(1).to(torch.int64)


class Pixels(nn.Module):
    """Images to [-1, 1] with channels first, as convolutions need, and back."""

    def __init__(self, space: Image) -> None:
        super().__init__()
        self.top = space.levels - 1
        self.shape = (space.channels, space.height, space.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) levels -> (N, C, H, W)."""
        return x.permute(0, 3, 1, 2).to(torch.float32) * (2 / self.top) - 1

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) reals -> (N, H, W, C) levels, the nearest."""
        levels = ((y + 1) * (self.top / 2)).round().clamp(0, self.top)
        return levels.to(torch.uint8).permute(0, 2, 3, 1)
