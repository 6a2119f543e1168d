"""A distribution over integer levels, for decoders: a mixture of discretized logistics (Salimans et al.,
"PixelCNN++", arXiv 1701.05517), independent from dimension to dimension.

Parameters are a tensor (N, 3, K, D): logits, centres and log-widths of K components for D dimensions. Centres and
widths are in levels. The mass beyond the lowest and the highest level belongs to them.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from zoo_keras.backend import ops


def unpack(parameters: Any, levels: int) -> tuple[Any, Any, Any]:
    """Logits, centres and inverse widths, each (..., K, D)."""
    logits, centre, log_width = (parameters[..., i, :, :] for i in range(3))
    return logits, centre, ops.exp(-ops.clip(log_width, -3.0, math.log(levels)))


def log_mass(x: Any, parameters: Any, levels: int) -> Any:
    """Log-probability (..., D) of the levels `x` (..., D).

    With a and b the standardized upper and lower edges of a level, sigmoid(a) - sigmoid(b) is
    sigmoid(a) sigmoid(-b) (1 - exp(b - a)): three logarithms, each exact far out in the tails.
    """
    logits, centre, inverse = unpack(parameters, levels)
    x = ops.cast(x, "float32")[..., None, :]
    # log sigmoid(a) as -softplus(-a): onnxruntime's own LogSigmoid is the logarithm of a sigmoid that ends at -18
    below = ops.where(x < levels - 1, ops.softplus((centre - x - 0.5) * inverse), 0.0)
    above = ops.where(x > 0, ops.softplus((x - 0.5 - centre) * inverse), 0.0)
    inside = ops.where((x > 0) & (x < levels - 1), ops.log(-ops.expm1(-inverse)), 0.0)
    each = inside - below - above + ops.log_softmax(logits, axis=-2)
    return ops.logsumexp(each, axis=-2)


def draw(parameters: Any, levels: int, u: Any, v: Any) -> Any:
    """Levels (N, D) as floats by inverse CDF: the uniforms `u` (N, D) choose a component, `v` a value of it."""
    logits, centre, inverse = unpack(parameters, levels)
    below = torch.cumsum(torch.softmax(logits, -2), -2) < u[:, None]
    chosen = ops.minimum(ops.cast(ops.sum(below, axis=-2, keepdims=True), "int64"), logits.shape[-2] - 1)
    centre, inverse = (torch.gather(t, -2, chosen)[:, 0] for t in (centre, inverse))
    return ops.clip(ops.round(centre + (ops.log(v) - ops.log(1 - v)) / inverse), 0, levels - 1)


def mean(parameters: Any, levels: int) -> Any:
    """Mean (N, D): a logistic variable clipped to 0 and `levels - 1` has the mean of the tail's integral, in which
    the sum over levels is the midpoint rule."""
    logits, centre, inverse = unpack(parameters, levels)
    area = ops.softplus(centre * inverse) - ops.softplus((centre - (levels - 1)) * inverse)
    return ops.sum(torch.softmax(logits, -2) * area / inverse, axis=-2)
