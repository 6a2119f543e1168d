"""The gradient of a network's output with respect to its input, as an operation that can be exported.

Autograd cannot be traced into an exported graph. While `torch.export` runs, the gradient is therefore traced
separately, including autograd, into a graph of plain operations, which the exporter sees instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.utils._python_dispatch import _disable_current_modes

aten = torch.ops.aten


def gradient(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """d module(x).sum() / dx, of the shape of x; for a module that maps (N, ...) to (N,), each example's gradient.

    No gradient flows through the result: it is a constant with respect to the weights.
    """
    if not torch.compiler.is_exporting():
        with torch.enable_grad():
            y = x.detach().requires_grad_(True)
            return torch.autograd.grad(module(y).sum(), y)[0]
    given = {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def function(tensors: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            y = x.detach().requires_grad_(True)
            total = torch.func.functional_call(module, tensors, (y,)).sum()
            return torch.autograd.grad(total, y)[0]

    with torch._guards.tracing(None), _disable_current_modes(), torch._C.DisableTorchFunction():
        mode = FakeTensorMode(shape_env=ShapeEnv())
        tensors = {
            name: mode.from_tensor(torch.empty(t.shape, dtype=t.dtype, device=t.device), static_shapes=True)
            for name, t in given.items()
        }
        example = torch.empty(3, *x.shape[1:], dtype=x.dtype, device=x.device)  # any batch but 0 and 1
        dynamic = [DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * (x.ndim - 1)
        fake = mode.from_tensor(example, symbolic_context=StatelessSymbolicContext(dynamic_sizes=dynamic))
        graph = make_fx(function, decompositions(), tracing_mode="fake")(tensors, fake)
    return graph(given, x)


def decompositions() -> dict[Any, Any]:
    """Backward operations in terms of forward ones, which the exporter knows."""
    known = torch._decomp.core_aten_decompositions().items()
    table = {op: function for op, function in known if "backward" in str(op)}
    table[aten.convolution_backward.default] = convolution_backward
    table[aten.avg_pool2d_backward.default] = avg_pool2d_backward
    return table


def convolution_backward(grad: Any, x: Any, weight: Any, bias: Any, *how: Any) -> tuple[torch.Tensor, None, None]:
    """With respect to the input. For stride one it is a convolution with flipped weights, whose layout runtimes
    optimize; for other strides a transposed convolution."""
    stride, padding, dilation, transposed, _, groups, _ = how
    if transposed:
        raise NotImplementedError("the gradient of a transposed convolution")
    size = weight.shape[2:]
    if all(s == 1 for s in stride) and groups == 1:
        turned = weight.flip(list(range(2, weight.ndim))).transpose(0, 1)
        around = [d * (k - 1) - p for k, p, d in zip(size, padding, dilation, strict=True)]
        return aten.convolution(grad, turned, None, stride, around, dilation, False, [0] * len(size), 1), None, None
    rest = [
        x.shape[2 + i] - ((grad.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (k - 1) + 1)
        for i, k in enumerate(size)
    ]
    return aten.convolution(grad, weight, None, stride, padding, dilation, True, rest, groups), None, None


def avg_pool2d_backward(
    grad: Any, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: Any, count_include_pad: Any, divisor: Any
) -> torch.Tensor:
    """Of pooling without overlap or remainder: the gradient is distributed evenly."""
    down, across = kernel
    if list(stride or kernel) != list(kernel) or any(padding) or x.shape[2] % down or x.shape[3] % across:
        raise NotImplementedError("the gradient of average pooling with overlap, padding or a remainder")
    lines = torch.stack([grad / (divisor or down * across)] * across, 4).flatten(3)  # the fastest way to repeat
    return torch.stack([lines] * down, 3).flatten(2, 3)
