"""ONNX for PyTorch operators that look up or write to one axis, and whose usual translation is slow.

It uses transposes, which take onnxruntime 3 ns per number: half of the time of a spline coupling of nflows. And
GatherElements takes 12 ns for a number of each row of the last axis, or 3 ns if the rows are flattened: the `log_prob`
of a categorical distribution has 64 per example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset20 as op
from onnxscript.function_libs.torch_lib.ops import core

LONG = 8  # rows of the last axis from which on flattening pays off


def only_index(indices: Sequence[ir.Value | None]) -> int | None:
    """The axis that is looked up, if it is a single one, by numbers."""
    given = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    numbers = [axis for axis, index in given if index.dtype == ir.DataType.INT64]
    return numbers[0] if len(given) == len(numbers) == 1 else None


def index(self: ir.Value, indices: Sequence[ir.Value | None]) -> Any:
    axis = only_index(indices)
    return core.aten_index(self, indices) if axis is None else op.Gather(self, indices[axis], axis=axis)


def index_put(self: ir.Value, indices: Sequence[ir.Value | None], values: ir.Value, accumulate: bool = False) -> Any:
    axis = only_index(indices)
    if axis is None or accumulate or not whole(self, indices[axis], values, axis):
        return core.aten_index_put(self, indices, values, accumulate)
    place = op.Reshape(indices[axis], op.Constant(value_ints=[-1 if a == axis else 1 for a in range(len(self.shape))]))
    return op.ScatterElements(self, op.Expand(place, op.Shape(values)), values, axis=axis)


def whole(self: ir.Value, index: ir.Value | None, values: ir.Value, axis: int) -> bool:
    """Whether there is a value for each position, without broadcasting."""
    if index is None or any(v.shape is None for v in (self, index, values)) or len(index.shape) != 1:
        return False
    shape = list(self.shape)
    shape[axis] = index.shape[0]
    return isinstance(shape[axis], int) and list(values.shape) == shape


def slice_scatter(
    self: ir.Value, src: ir.Value, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1
) -> Any:
    size = self.shape[dim] if self.shape is not None else None
    if step != 1 or not isinstance(size, int) or not all(isinstance(v, int | None) for v in (start, end)):
        return core.aten_slice_scatter(self, src, dim, start, end, step)
    low, high, _ = slice(start, end).indices(size)
    high = max(low, high)

    def part(begin: int, stop: int) -> Any:
        return op.Slice(self, *(op.Constant(value_ints=[v]) for v in (begin, stop, dim)))

    parts = [*([part(0, low)] if low else []), src, *([part(high, size)] if high < size else [])]
    return op.Concat(*parts, axis=dim) if len(parts) > 1 else op.Identity(src)


def gather(self: ir.Value, dim: int, index: ir.Value, sparse_grad: bool = False) -> Any:
    """A number of each row of the last axis, looked up in one long row per example. Unlike in torch, indices are not
    checked to be within their own row."""
    if not one_of_each(self, dim, index):
        return core.aten_gather(self, dim, index, sparse_grad)
    *rows, length = self.shape[1:]
    count = math.prod(rows)

    def joined(value: ir.Value, size: int) -> Any:
        return op.Reshape(value, op.Constant(value_ints=[-1, size]))

    begins = op.Constant(value=ir.tensor(np.arange(count) * length))
    places = op.Add(joined(op.Cast(index, to=ir.DataType.INT64), count), begins)
    found = op.GatherElements(joined(self, count * length), places, axis=1)
    return op.Reshape(found, op.Constant(value_ints=[-1, *rows, 1]))


def one_of_each(self: ir.Value, dim: int, index: ir.Value) -> bool:
    """Whether one number of each of many rows is looked up."""
    if self.shape is None or index.shape is None or not len(self.shape) == len(index.shape) > 2:
        return False
    *rows, length = self.shape[1:]
    known = all(isinstance(n, int) for n in (*rows, length))
    last = dim % len(self.shape) == len(self.shape) - 1
    return known and last and length > 0 and list(index.shape[1:]) == [*rows, 1] and math.prod(rows) >= LONG


OPERATORS = {
    torch.ops.aten.gather.default: gather,
    torch.ops.aten.index.Tensor: index,
    torch.ops.aten.index_put.default: index_put,
    torch.ops.aten.slice_scatter.default: slice_scatter,
}
