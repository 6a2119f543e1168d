"""A likelihood of pixels that architectures share: a mixture of discretized logistics (Salimans et al., "PixelCNN++",
arXiv 1701.05517).

A pixel chooses one of K components for all of its channels. In a component a channel is a logistic variable, rounded to
the levels 0 to `levels - 1`: the mass beyond the lowest and the highest of them belongs to these. Its center moves with
how far the channels before it lie from theirs, so the channels of a pixel depend on each other.

Tensors are PyTorch's, those of Keras on PyTorch included. PyTorch is not imported: only their methods are called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NARROWEST = -3.0  # log-width in levels, at which a level has all the mass of its component


class Parts(NamedTuple):
    """Parameters by their meaning. Each tensor is (..., K, M); a list has one for each channel."""

    logits: Any
    centers: Sequence[Any]  # in levels, where the channels before lie at theirs
    inverses: Sequence[Any]  # of the widths in levels
    slopes: Sequence[Sequence[Any]]  # of a channel: one for each channel before it, between -1 and 1


class LogisticMixture:
    """The distribution of images of `channels` channels and `levels` levels, given its parameters.

    Parameters are a tensor (..., rows, K, M) for K components and M pixels: a row of logits, the centers of the
    channels in levels, the logarithms of their widths in levels, and the slopes, as what tanh makes them of.
    """

    def __init__(self, channels: int, levels: int) -> None:
        self.channels, self.levels = channels, levels
        self.rows = 1 + 2 * channels + channels * (channels - 1) // 2

    def scales(self) -> list[float]:
        """How far each row of the parameters moves when a network's output moves by one: a quarter of the range for
        centers."""
        others = [1.0] * (self.rows - 1 - self.channels)
        return [1.0, *[(self.levels - 1) / 4] * self.channels, *others]

    def marginals(self, x: npt.NDArray[Any], components: int) -> npt.NDArray[np.float64]:
        """Parameters (rows, K, M) by which images `x` (N, channels, M) have about their pixels' own distributions: the
        components at their quantiles. For a network to start from."""
        c, flat = self.channels, x.astype(np.float64)
        found = np.zeros((self.rows, components, x.shape[2]))
        found[1 : c + 1] = np.quantile(flat, (np.arange(components) + 0.5) / components, axis=0).swapaxes(0, 1)
        found[c + 1 : 2 * c + 1] = np.log(np.maximum(flat.std(0) / components, 0.1))[:, None]
        return found

    def parts(self, parameters: Any) -> Parts:
        rows = iter([parameters[..., i, :, :] for i in range(self.rows)])
        logits = next(rows)
        centers = [next(rows) for _ in range(self.channels)]
        widest = math.log(self.levels)
        inverses = [(-next(rows).clamp(NARROWEST, widest)).exp() for _ in range(self.channels)]
        slopes = [[next(rows).tanh() for _ in range(channel)] for channel in range(self.channels)]
        return Parts(logits, centers, inverses, slopes)

    def log_mass(self, x: Any, parameters: Any) -> Any:
        """Log-probability (..., M) of pixels with the levels `x` (..., channels, M)."""
        parts = self.parts(parameters)
        total, away = parts.logits.log_softmax(-2), list[Any]()
        for channel, inverse in enumerate(parts.inverses):
            level = x[..., channel, None, :].to(inverse.dtype)
            total = total + self._log_mass(level, moved(parts, channel, away), inverse)
            away.append(level - parts.centers[channel])
        return total.logsumexp(-2)

    def _log_mass(self, level: Any, center: Any, inverse: Any) -> Any:
        """Of one channel in each component.

        With a and b the standardized upper and lower edges of a level, sigmoid(a) - sigmoid(b) is
        sigmoid(a) sigmoid(-b) (1 - exp(b - a)): three logarithms, each exact far out in the tails.
        """
        lowest, highest = level <= 0, level >= self.levels - 1
        below = softplus((center - level - 0.5) * inverse).masked_fill(highest, 0.0)
        above = softplus((level - 0.5 - center) * inverse).masked_fill(lowest, 0.0)
        inside = (-(-inverse).expm1()).log().masked_fill(lowest | highest, 0.0)
        return inside - below - above

    def draw(self, parameters: Any, u: Any, v: Any) -> list[Any]:
        """Levels as floats, (N, M) of each channel, by inverse CDF: the uniforms `u` (N, M) choose components, `v`
        (N, channels, M) the values in them."""
        parts = self.parts(parameters)
        below = parts.logits.softmax(-2).cumsum(-2) < u[:, None]
        component = below.sum(-2, keepdim=True).clamp(max=parts.logits.shape[-2] - 1)
        chosen = Parts(*(_each(part, lambda t: t.gather(-2, component)[:, 0]) for part in parts))
        drawn: list[Any] = []
        for channel, inverse in enumerate(chosen.inverses):
            away = [level - center for level, center in zip(drawn, chosen.centers, strict=False)]
            logistic = (v[:, channel].log() - (1 - v[:, channel]).log()) / inverse
            drawn.append((moved(chosen, channel, away) + logistic).round().clamp(0, self.levels - 1))
        return drawn

    def mean(self, parameters: Any) -> list[Any]:
        """Means, (N, M) of each channel: of a component's channel that of a logistic variable clipped to 0 and
        `levels - 1`, where the channels before it are at their means.

        It is the integral of the tail, in which the sum over levels is the midpoint rule. Where clipping bends the
        mean of a channel, that of the channels after it is near, not exact.
        """
        parts, top = self.parts(parameters), self.levels - 1
        share, away, means = parts.logits.softmax(-2), list[Any](), list[Any]()
        for channel, inverse in enumerate(parts.inverses):
            center = moved(parts, channel, away)
            each = (softplus(center * inverse) - softplus((center - top) * inverse)) / inverse
            means.append((share * each).sum(-2))
            away.append(each - parts.centers[channel])
        return means


def moved(parts: Parts, channel: int, away: Sequence[Any]) -> Any:
    """The centers of a channel. `away` is how far each channel before it lies from its own."""
    center = parts.centers[channel]
    for slope, distance in zip(parts.slopes[channel], away, strict=True):
        center = center + slope * distance
    return center


def softplus(x: Any) -> Any:
    """log(1 + exp(x)). As -softplus(-x) also log sigmoid(x), which runtimes end at -18 or so."""
    return x.clamp(min=0) + (-x.abs()).exp().log1p()


def _each(part: Any, function: Any) -> Any:
    """A function of each tensor of a part."""
    return [_each(one, function) for one in part] if isinstance(part, list) else function(part)


__all__ = ["LogisticMixture"]
