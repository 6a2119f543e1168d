"""The monotonic rational-quadratic spline of Durkan, Bekasov, Murray, Papamakarios, "Neural Spline Flows", arXiv
1906.04032, with the parameters of nflows 0.14.

It omits the parts of nflows' version that cannot be traced: selecting rows by masks, and checks. It replaces that
function while a flow of nflows is traced, and is the coupling of `zoo_torch.architectures.nsf`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import torch
from torch.nn import functional as F

NAME = "unconstrained_rational_quadratic_spline"
LOCK = threading.RLock()
MIN_DERIVATIVE = 1e-3


@contextlib.contextmanager
def traceable() -> Iterator[None]:
    """Inside, while exporting, the modules of nflows use `spline`."""
    if not torch.compiler.is_exporting():
        yield
        return
    with LOCK:
        modules = [m for name, m in list(sys.modules.items()) if name.startswith("nflows.")]
        own = [(m, f) for m in modules if (f := getattr(m, NAME, spline)) is not spline]  # none where already inside
        for module, _ in own:
            setattr(module, NAME, spline)
        try:
            yield
        finally:
            for module, function in own:
                setattr(module, NAME, function)


def spline(
    inputs: torch.Tensor,
    unnormalized_widths: torch.Tensor,
    unnormalized_heights: torch.Tensor,
    unnormalized_derivatives: torch.Tensor,
    inverse: bool = False,
    tails: str = "linear",
    tail_bound: float = 1.0,
    min_bin_width: float = 1e-3,
    min_bin_height: float = 1e-3,
    min_derivative: float = MIN_DERIVATIVE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The transformed inputs and the log of the derivative, elementwise; the identity beyond the bounds."""
    if tails != "linear":
        raise RuntimeError(f"{tails} tails are not implemented.")
    bound = tail_bound
    slopes = F.pad(min_derivative + F.softplus(unnormalized_derivatives), (1, 1), value=1.0)  # one at the bounds
    xs = _knots(unnormalized_widths, min_bin_width, bound)
    ys = _knots(unnormalized_heights, min_bin_height, bound)
    inside = (inputs >= -bound) & (inputs <= bound)
    value = inputs.clamp(-bound, bound)[..., None]
    place = ((value >= (ys if inverse else xs)[..., 1:-1]).sum(-1, keepdim=True)).clamp(max=xs.shape[-1] - 2)

    knots = xs.shape[-1]
    both = torch.arange(3)[:, None] * knots + torch.arange(2)  # ends of a bin, in each of three tables: one look-up
    ends = torch.cat([xs, ys, slopes], -1).gather(-1, place + both.flatten().to(place.device))
    x0, x1, y0, y1, d0, d1 = ends.unbind(-1)
    value, width, height = value.squeeze(-1), x1 - x0, y1 - y0
    delta = height / width
    bend = d0 + d1 - 2 * delta
    if inverse:
        rise = value - y0
        a, b, c = rise * bend + height * (delta - d0), height * d0 - rise * bend, -delta * rise
        theta = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
    else:
        theta = (value - x0) / width
    rest = theta * (1 - theta)
    denominator = delta + bend * rest
    top = delta.square() * (d1 * theta.square() + 2 * delta * rest + d0 * (1 - theta).square())
    log_slope = top.log() - 2 * denominator.log()
    if inverse:
        outputs, log_slope = theta * width + x0, -log_slope
    else:
        outputs = y0 + height * (delta * theta.square() + d0 * rest) / denominator
    return torch.where(inside, outputs, inputs), torch.where(inside, log_slope, torch.zeros_like(log_slope))


def _knots(unnormalized: torch.Tensor, least: float, bound: float) -> torch.Tensor:
    """The knots between bins, from -bound to bound: all sums of bin sizes as one matrix product."""
    bins = unnormalized.shape[-1]
    before = torch.ones(bins, bins + 1, device=unnormalized.device).triu(1)  # which bins lie before a knot
    sums = F.softmax(unnormalized, dim=-1) @ (2 * bound * (1 - least * bins) * before)
    return sums + (2 * bound * least * before.sum(0) - bound)
