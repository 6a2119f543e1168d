"""Replaces PyTorch functions without an ONNX translation by equivalent ones while a function is traced."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from zoo.wrapping.calling import FRAMEWORKS, OURS


@contextlib.contextmanager
def translations() -> Iterator[None]:
    """Inside, the functions of `WRITTEN_OUT` are replaced, `len(x)` of a tensor is `x.shape[0]`, distributions do not
    check arguments, which would branch on a tensor's value, and einsum does not reorder its operands, which would
    depend on the number of rows."""
    checked = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        with _Replace(), _len_of_rows(), torch.backends.opt_einsum.flags(enabled=False):
            yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(checked)


@contextlib.contextmanager
def _len_of_rows() -> Iterator[None]:
    """Python's `len` turns the number of rows into an int, a constant in the graph. Modules see a replacement, except
    for the frameworks, which know, and trace, the one of `builtins`."""
    skipped = {*OURS, *FRAMEWORKS, *sys.stdlib_module_names} - {"__main__"}
    modules = [m for name, m in list(sys.modules.items()) if name.split(".")[0] not in skipped]
    changed = [names for m in modules if "len" not in (names := getattr(m, "__dict__", {"len": len}))]
    for names in changed:
        names["len"] = _len
    try:
        yield
    finally:
        for names in changed:
            names.pop("len", None)


def _len(thing: Any, /) -> Any:
    return thing.shape[0] if isinstance(thing, torch.Tensor) and thing.dim() else len(thing)


class _Replace(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = dict(kwargs or {})
        named.pop("generator", None)  # cannot be traced: a draw is an error where it is used, whatever its seed
        if function not in WRITTEN_OUT:
            return function(*args, **named)
        out = named.pop("out", None)
        result = WRITTEN_OUT[function](*args, **named)
        return result if out is None else out.copy_(result)


def searchsorted(
    sorted_sequence: torch.Tensor,
    input: torch.Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: torch.Tensor | None = None,
) -> torch.Tensor:
    """The number of boundaries below each value, by counting, which is fast for the few of a spline or a mixture."""
    if sorter is not None:
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    value = torch.as_tensor(input, dtype=torch.result_type(sorted_sequence, input))[..., None]
    # boundaries (..., M) against values (..., K): the same leading axes, or one row of boundaries for all
    boundaries = sorted_sequence if sorted_sequence.dim() == 1 else sorted_sequence[..., None, :]
    above = boundaries > value if right or side == "right" else boundaries >= value
    return (~above).sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


def solve_triangular(
    A: torch.Tensor, B: torch.Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> torch.Tensor:
    """A X = B (or X A = B) by substitution, row by row: A has a fixed size."""
    if not left:
        done = solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular)
        return done.mT
    size = A.shape[-1]
    B = B.expand(*torch.broadcast_shapes(A.shape[:-2], B.shape[:-2]), *B.shape[-2:])
    order = range(size - 1, -1, -1) if upper else range(size)
    rows: dict[int, torch.Tensor] = {}
    for i in order:
        row = B[..., i, :]
        if rows:
            known = sorted(rows)
            solved = torch.stack([rows[j] for j in known], -2)
            row = row - (A[..., i, known[0] : known[-1] + 1].unsqueeze(-2) @ solved).squeeze(-2)
        rows[i] = row if unitriangular else row / A[..., i, i, None]
    return torch.stack([rows[i] for i in range(size)], -2)


def triangular_solve(
    b: torch.Tensor, A: torch.Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    matrix = A.mT if transpose else A
    solution = solve_triangular(matrix, b, upper=upper != transpose, unitriangular=unitriangular)
    return torch.return_types.triangular_solve((solution, A))


def lgamma(input: torch.Tensor) -> torch.Tensor:
    """log |Gamma(x)| by Stirling's series at x + 8, and by reflection below 1/2."""
    x = input.to(torch.float64).clamp(min=-1e300)  # at minus infinity as before it
    y = torch.where(x < 0.5, 1 - x, x)
    product = torch.ones_like(y)
    for k in range(8):
        product = product * (y.clamp(max=1e30) + k)  # beyond, its logarithm is negligible
    z = y + 8
    series = 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5) - 1 / (1680 * z**7)
    value = (z - 0.5) * (z.log() - 1) - 0.5 + 0.5 * math.log(2 * math.pi) + series - product.log()
    reflected = math.log(math.pi) - (math.pi * (x - x.round())).sin().abs().log() - value
    return torch.where(x < 0.5, reflected, value).to(_float(input))


def _float(input: torch.Tensor) -> torch.dtype:
    """The result type of a function of real numbers."""
    return input.dtype if input.is_floating_point() else torch.get_default_dtype()


def erfinv(input: torch.Tensor) -> torch.Tensor:
    x = input.to(torch.float32)
    return _erfinv(x, (1 - x) * (1 + x)).to(_float(input))


def _erfinv(x: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Giles, "Approximating the erfinv function" (2010), the single-precision polynomials. `rest` is 1 - x**2."""
    w = -rest.log()
    center, tail = w - 2.5, w.clamp(min=5).sqrt() - 3
    p, q = torch.full_like(x, 2.81022636e-08), torch.full_like(x, -0.000200214257)
    for c in (3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
              0.246640727, 1.50140941):  # fmt: skip
        p = p * center + c
    for c in (0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406,
              2.83297682):  # fmt: skip
        q = q * tail + c
    value = torch.where(w < 5, p, q) * x
    return torch.where(rest == 0, x * math.inf, value)


def ndtri(input: torch.Tensor) -> torch.Tensor:
    """By `_erfinv`, and in the tails by the asymptotic series of the distribution function."""
    p = input.to(torch.float64)
    center = math.sqrt(2) * _erfinv(2 * p - 1, 4 * p * (1 - p))
    tail = torch.minimum(p, 1 - p)
    square = -2 * tail.log() - math.log(2 * math.pi)
    x = square.clamp(min=25).sqrt()
    for _ in range(5):
        s = x**-2
        x = (square - 2 * x.log() + 2 * (1 - s + 3 * s**2 - 15 * s**3 + 105 * s**4).log()).clamp(min=25).sqrt()
    far = (tail < 1e-8) & (tail > 0)
    return torch.where(far, torch.where(p < 0.5, -x, x), center).to(_float(input))


def cumprod(input: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """One product after another: the axis has a fixed length."""
    whole = not (input.is_floating_point() or input.is_complex())
    input = input.to(dtype or (torch.int64 if whole else input.dtype))
    if input.dim() == 0 or input.shape[dim] == 0:
        return input.clone()
    parts = list(input.unbind(dim))
    for i in range(1, len(parts)):
        parts[i] = parts[i - 1] * parts[i]
    return torch.stack(parts, dim)


def cdist(x1: torch.Tensor, x2: torch.Tensor, p: float = 2.0, compute_mode: str | None = None) -> torch.Tensor:
    gap = (x1[..., :, None, :] - x2[..., None, :, :]).abs()
    if p == 0:
        return (gap != 0).sum(-1).to(gap.dtype)
    if p == math.inf:
        return gap.amax(-1)
    return gap.square().sum(-1).sqrt() if p == 2 else (gap**p).sum(-1) ** (1 / p)


def hypot(input: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    squares = input.to(torch.float64).square() + other.to(torch.float64).square()  # float32 cannot overflow it
    return squares.sqrt().to(torch.result_type(input, other))


def _over_all(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`amax` and `amin` need explicit axes. `axis` and `keepdims` are the array API's names."""

    def replaced(input: torch.Tensor, dim: Any = (), keepdim: bool = False, **words: Any) -> torch.Tensor:
        dim, keepdim = words.get("axis", dim), words.get("keepdims", keepdim)
        return function(input, dim if dim not in ((), [], None) else tuple(range(input.dim())), keepdim)

    return replaced


def _by_sizes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`chunk` and `split` of an axis without a fixed size, such as the batch, by the sizes of the parts. ONNX would use
    a sequence, which onnxruntime does not optimize and onnxscript cannot."""

    def replaced(input: torch.Tensor, *args: Any, **words: Any) -> Any:
        parts = function(input, *args, **words)
        dim = words.get("dim", args[1] if len(args) > 1 else 0)
        sizes = [part.shape[dim] for part in parts]
        return parts if all(isinstance(size, int) for size in sizes) else input.split_with_sizes(sizes, dim)

    return replaced


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *args: Any,
    **words: Any,
) -> torch.Tensor:
    """Attention with one head and no head axis, which the exporter requires."""
    if query.dim() != 3:
        return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask, *args, **words)
    query, key, value = (t.unsqueeze(1) for t in (query, key, value))
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask.unsqueeze(1)
    return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask, *args, **words).squeeze(1)


def repeat_interleave(
    input: torch.Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> torch.Tensor:
    """Repeat by the number of rows, which the exporter's own translation treats as fixed."""
    if not isinstance(repeats, torch.SymInt):
        return torch.repeat_interleave(input, repeats, dim, output_size=output_size)
    whole = input.flatten() if dim is None else input
    dim = 0 if dim is None else dim % input.dim()
    shape = list(whole.shape)
    repeated = whole.unsqueeze(dim + 1).expand(*shape[: dim + 1], repeats, *shape[dim + 1 :])
    return repeated.reshape(*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])


WRITTEN_OUT: dict[Any, Callable[..., Any]] = {
    nn.functional.scaled_dot_product_attention: attention,
    torch.repeat_interleave: repeat_interleave,
    torch.Tensor.repeat_interleave: repeat_interleave,
    **{
        function: _by_sizes(function)
        for owner in (torch, torch.Tensor)
        for function in (owner.chunk, owner.split, owner.unsafe_chunk, owner.unsafe_split)
    },
    torch.searchsorted: searchsorted,
    torch.linalg.solve_triangular: solve_triangular,
    torch.triangular_solve: triangular_solve,
    torch.Tensor.triangular_solve: triangular_solve,
    torch.lgamma: lgamma,
    torch.Tensor.lgamma: lgamma,
    torch.special.gammaln: lgamma,
    torch.erfinv: erfinv,
    torch.Tensor.erfinv: erfinv,
    torch.special.erfinv: erfinv,
    torch.special.ndtri: ndtri,
    torch.cumprod: cumprod,
    torch.Tensor.cumprod: cumprod,
    torch.cdist: cdist,
    torch.hypot: hypot,
    torch.Tensor.hypot: hypot,
    torch.amax: _over_all(torch.amax),
    torch.Tensor.amax: _over_all(torch.amax),
    torch.amin: _over_all(torch.amin),
    torch.Tensor.amin: _over_all(torch.amin),
}
