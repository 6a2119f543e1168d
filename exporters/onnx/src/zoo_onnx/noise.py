"""`zoo.noise` in ONNX operators: only integer Mul, Add and Div, for which the CUDA provider has kernels.

Equal to the numpy reference bit for bit for uniforms, and up to the last bits of log, sin and cos for normals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx_ir as ir

from zoo.noise import GOLDEN, WORDS, stream_offset
from zoo.signature import Noise
from zoo_onnx.graph import Scope

HALF = 2**32


def scalar(s: Scope, value: float, dtype: str = "uint64", *, axes: int = 2) -> ir.Value:
    """A constant with `axes` axes of length one. With fewer axes, onnxruntime multiplies an array whose last axis has
    length one ten times as slowly (1.31, 1024 rows: 8.8 instead of 0.8 microseconds)."""
    return s.constant(np.reshape(value, (1,) * axes), dtype)


def rounds(s: Scope, y: ir.Value, z: ir.Value) -> ir.Value:
    """The first three rounds of Squares."""
    x = y
    for addend in (y, z, y):
        x = swap(s, s.op("Add", s.op("Mul", x, x), addend))
    return x


def swap(s: Scope, x: ir.Value) -> ir.Value:
    """Rotate by 32 bits: multiplication wraps around."""
    half = scalar(s, HALF)
    return s.op("Add", s.op("Div", x, half), s.op("Mul", x, half))


def squares(s: Scope, counter: ir.Value, key: ir.Value, divisor: ir.Value) -> ir.Value:
    """Squares32 of uint64 counters and keys, as uint64: the highest of its 64 bits, which `divisor` leaves."""
    y = s.op("Mul", counter, key)
    z = s.op("Add", y, key)
    x = rounds(s, y, z)
    return s.op("Div", s.op("Add", s.op("Mul", x, x), z), divisor)


def row_keys(s: Scope, seed: ir.Value, index: ir.Value) -> ir.Value:
    """The keys of rows, (N, 1) uint64, from int64 (N,), as in `zoo.noise.row_keys` without the stream's number."""
    a, b, c = (s.constant([[word[place]] for word in WORDS], "uint64") for place in range(3))
    parts = [s.op("Mul", s.cast(value, "uint64"), factor) for value, factor in ((seed, a), (index, b))]
    words = s.op("Add", s.op("Add", *parts), c)  # (2, N)
    y, z = s.halves(s.op("Reshape", words, s.constant([1, -1], "int64")))
    x = rounds(s, y, z)
    last = s.op("Add", s.op("Mul", x, x), z)
    x = swap(s, last)
    fifth = s.op("Div", s.op("Add", s.op("Mul", x, x), y), scalar(s, HALF))
    keys = s.op("Mul", s.op("Add", last, fifth), scalar(s, 2))
    return s.op("Reshape", keys, s.constant([-1, 1], "int64"))


# CUDA reads the bounds of a Range on the host, and returns a Shape there. So these two move an integer without a copy
# between host and device, which would prevent capturing the graph.


def on_host(s: Scope, number: ir.Value) -> ir.Value:
    """A positive scalar on the host, where shapes are computed."""
    counted = s.op("Range", s.constant(0, "int64"), number, s.constant(1, "int64"))
    return s.op("Squeeze", s.op("Shape", counted), s.constant([0], "int64"))


def on_device(s: Scope, number: ir.Value) -> ir.Value:
    """A scalar on the device: the only element of a range with a huge step."""
    far = s.constant(2**62, "int64")
    return s.op("Squeeze", s.op("Range", number, far, far), s.constant([0], "int64"))


def draw(
    s: Scope,
    noise: Noise,
    keys: ir.Value,
    stream: str,
    step: ir.Value | None = None,
    options: Mapping[str, ir.Value] | None = None,
    block: int | None = None,
) -> ir.Value:
    """Noise for rows with these keys (N, 1) at a step: float32 of shape (N, *noise.shape). With `block`: for that many
    steps, from `step` on, (N, block, *noise.shape)."""
    named, each = noise.shape[: noise.group_axes], [int(d) for d in noise.shape[noise.group_axes :]]
    size = math.prod(each)
    span = size if noise.kind == "uniform" else (size + 1) // 2 * 2  # two uniforms make two normals
    dims = [on_host(s, (options or {})[d]) if isinstance(d, str) else s.constant(d, "int64") for d in named]
    width = s.constant(span, "int64")
    for dim in dims:
        width = s.op("Mul", width, dim)

    beyond = s.op("Add", width, s.constant(1, "int64"))
    counter = s.cast(s.op("Range", s.constant(1, "int64"), beyond, s.constant(1, "int64")), "uint64")
    if step is not None:
        steps = s.cast(step, "uint64")
        if block is not None:
            steps = s.op("Add", steps, s.constant(np.arange(block)[:, None], "uint64"))
        counter = s.op("Add", s.op("Mul", steps, scalar(s, GOLDEN)), counter)
        if block is not None:
            counter = s.op("Reshape", counter, s.constant([1, -1], "int64"))
    key = s.op("Add", keys, scalar(s, stream_offset(stream)))
    # the uniforms times 2**23, exact in float32, and exact when a power of two is multiplied in below
    flat = squares(s, counter, key, scalar(s, 2**41))
    flat = s.op("Add", s.cast(flat, "float32"), scalar(s, 0.5, "float32"))
    unit = np.float32(2.0**-23)

    # the axes before those of a group, whose number may depend on options; the axis of rows is inferred
    one = s.constant([1], "int64")
    outer = [s.constant([-1] if block is None else [-1, block], "int64"), *(s.op("Reshape", d, one) for d in dims)]

    def shaped(value: ir.Value, *inner: int) -> ir.Value:
        parts = [*outer, s.constant(inner, "int64")] if inner else outer
        return s.op("Reshape", value, s.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0])

    if noise.kind == "uniform":
        flat = s.op("Mul", flat, scalar(s, unit, "float32"))
    else:
        if block is not None or named:
            flat = shaped(flat, span)
        factor = partial(scalar, s, dtype="float32", axes=2 + len(named) + (block is not None))
        first, second = s.halves(flat)
        angle = s.op("Mul", second, factor(np.float32(2 * np.pi) * unit))
        radius = s.op("Sqrt", s.op("Mul", s.op("Log", s.op("Mul", first, factor(unit))), factor(-2)))
        flat = s.op("Mul", radius, s.op("Cos", angle))
        if size > 1:
            flat = s.op("Concat", flat, s.op("Mul", radius, s.op("Sin", angle)), axis=-1)
        if 1 < size < span:
            flat = s.op("Slice", flat, s.constant([0], "int64"), s.constant([size], "int64"), s.constant([-1], "int64"))
        if len(each) == 1:
            return flat
    return flat if len(each) == 1 and not named and block is None else shaped(flat, *each)
