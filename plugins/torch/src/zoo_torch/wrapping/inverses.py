"""The inverse of an autoregressive flow as a loop in the exported graph, instead of the unrolled passes of its library.

Tracing the libraries' code, with a pass for each dimension, takes minutes for a flow of 64 dimensions. Outside of
tracing, their own code runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._higher_order_ops.while_loop import while_loop

FEW = 4  # passes up to which they stay unrolled


def repeat(passes: int, once: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], y: torch.Tensor) -> torch.Tensor:
    """`x = once(x, y)` from zeros, `passes` times, or until nothing changes: then another pass would change nothing
    either, so rows stay independent. Dimensions that depend on few others converge long before the last pass."""
    if passes <= FEW:
        x = torch.zeros_like(y)
        for _ in range(passes):
            x = once(x, y)
        return x

    def body(left: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        new = once(x, y)
        return torch.where((new != x).sum() > 0, left - 1, 0), new, y.clone()

    start = (torch.full((), passes, dtype=torch.int64, device=y.device), torch.zeros_like(y), y)
    return while_loop(lambda left, x, y: left > 0, body, start)[1]


def zuko_inverse(transform: Any, y: torch.Tensor) -> torch.Tensor:
    """`transform.inv(y)` of a zuko transform."""
    if not torch.compiler.is_exporting():
        return transform.inv(y)
    if type(transform).__name__ == "ComposedTransform":
        for part in reversed(transform.transforms):
            y = zuko_inverse(part, y)
        return y
    if type(transform).__name__ == "AutoregressiveTransform":
        return repeat(transform.passes, lambda x, y: transform.meta(x).inv(y), y)
    return transform.inv(y)


def nflows_inverse(transform: Any, y: torch.Tensor) -> torch.Tensor:
    """`transform.inverse(y)[0]` of an nflows transform."""
    if not torch.compiler.is_exporting():
        return transform.inverse(y)[0]
    if type(transform).__name__ == "CompositeTransform":
        for part in reversed(transform._transforms):
            y = nflows_inverse(part, y)
        return y
    if hasattr(transform, "autoregressive_net") and hasattr(transform, "_elementwise_inverse"):
        net = transform.autoregressive_net
        return repeat(y.shape[1:].numel(), lambda x, y: transform._elementwise_inverse(y, net(x, None))[0], y)
    return transform.inverse(y)[0]
