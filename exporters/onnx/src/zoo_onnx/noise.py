"""`zoo.noise` in ONNX operators: nothing but integer Mul, Add and Div, for which the CUDA provider has kernels.

Equal to the numpy reference bit for bit for uniforms, and to the last bits of log, sin and cos for normals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from zoo.noise import GOLDEN, MASK, SEED_KEY, stream_id
from zoo.signature import Noise
from zoo_onnx.graph import Scope

HALF = 2**32


def squares(s: Scope, counter: ir.Value, key: ir.Value, divisor: ir.Value) -> ir.Value:
    """Squares32 of uint64 counters, as uint64: the highest of its 64 bits, those that `divisor` leaves."""
    half = s.constant(HALF, "uint64")

    def swap(x: ir.Value) -> ir.Value:  # rotate by 32 bits: multiplication wraps around
        return s.op("Add", s.op("Div", x, half), s.op("Mul", x, half))

    y = s.op("Mul", counter, key)
    z = s.op("Add", y, key)
    x = y
    for addend in (y, z, y):
        x = swap(s.op("Add", s.op("Mul", x, x), addend))
    return s.op("Div", s.op("Add", s.op("Mul", x, x), z), divisor)


def seed_key(s: Scope, seed: ir.Value) -> ir.Value:
    """The key of an int64 seed, as `zoo.noise.key(seed)`, (1,) uint64. Both its halves in one pass; the lowest bit
    is set."""
    counters = s.op("Add", s.op("Mul", s.cast(seed, "uint64"), s.constant(2, "uint64")), s.constant([0, 1], "uint64"))
    halves = squares(s, counters, s.constant(SEED_KEY, "uint64"), s.constant([HALF, 2 * HALF], "uint64"))
    high, low = s.halves(s.op("Mul", halves, s.constant([HALF, 2], "uint64")))
    return s.op("Add", s.op("Add", high, low), s.constant(1, "uint64"))


# CUDA reads the bounds of a Range on the host, and gives a Shape there. So these two move a whole number without a copy
# between host and device, which would keep a graph from being captured.


def on_host(s: Scope, number: ir.Value) -> ir.Value:
    """A positive scalar where shapes are made."""
    counted = s.op("Range", s.constant(0, "int64"), number, s.constant(1, "int64"))
    return s.op("Squeeze", s.op("Shape", counted), s.constant([0], "int64"))


def on_device(s: Scope, number: ir.Value) -> ir.Value:
    """A scalar where numbers are computed: the only one in a range of giant steps."""
    far = s.constant(2**62, "int64")
    return s.op("Squeeze", s.op("Range", number, far, far), s.constant([0], "int64"))


def draw(
    s: Scope,
    noise: Noise,
    index: ir.Value,
    key: ir.Value,
    stream: str,
    step: ir.Value | None = None,
    steps: ir.Value | None = None,
    options: Mapping[str, ir.Value] | None = None,
    block: int | None = None,
) -> ir.Value:
    """Noise for the examples `index` (N,) at a step: float32 of shape (N, *noise.shape). With a `block`: of that many
    steps, from `step` on, (N, block, *noise.shape)."""
    dims = [on_host(s, (options or {})[d]) if isinstance(d, str) else s.constant(d, "int64") for d in noise.shape]
    fixed = math.prod(d for d in noise.shape if isinstance(d, int))
    size = s.constant(fixed, "int64")
    for value, d in zip(dims, noise.shape, strict=True):
        if isinstance(d, str):
            size = s.op("Mul", size, value)
    span = size  # counters of a step: two uniforms make two normals
    if noise.kind == "normal":
        two = s.constant(2, "int64")
        span = s.op("Mul", s.op("Div", s.op("Add", size, s.constant(1, "int64")), two), two)
    row = s.cast(index, "uint64")
    if step is not None and steps is not None:
        row = s.op("Add", s.op("Mul", row, s.cast(steps, "uint64")), s.cast(step, "uint64"))
    each = span if all(isinstance(d, int) for d in noise.shape) else on_device(s, span)
    row = s.op("Mul", s.op("Reshape", row, s.constant([-1, 1], "int64")), s.cast(each, "uint64"))
    width = span if block is None else s.op("Mul", span, s.constant(block, "int64"))
    elements = s.cast(s.op("Range", s.constant(0, "int64"), width, s.constant(1, "int64")), "uint64")
    key = s.op("Add", key, s.constant(2 * GOLDEN * stream_id(stream) & MASK, "uint64"))
    # the uniforms times 2**23, exact in float32, and exact when a power of two is multiplied in below
    flat = squares(s, s.op("Add", row, elements), key, s.constant(2**41, "uint64"))
    flat = s.op("Add", s.cast(flat, "float32"), s.constant(0.5, "float32"))
    unit, one = np.float32(2.0**-23), s.constant([1], "int64")
    if block is not None:
        flat = s.op(
            "Reshape", flat, s.op("Concat", s.constant([-1, block], "int64"), s.op("Reshape", span, one), axis=0)
        )
    if noise.kind == "uniform":
        flat = s.op("Mul", flat, s.constant(unit, "float32"))
    else:
        first, second = s.halves(flat)
        angle = s.op("Mul", second, s.constant(np.float32(2 * np.pi) * unit, "float32"))
        logarithm = s.op("Log", s.op("Mul", first, s.constant(unit, "float32")))
        radius = s.op("Sqrt", s.op("Mul", logarithm, s.constant(-2, "float32")))
        cosines, sines = s.op("Mul", radius, s.op("Cos", angle)), s.op("Mul", radius, s.op("Sin", angle))
        flat = s.op("Concat", cosines, sines, axis=-1)
        if any(isinstance(d, str) for d in noise.shape) or fixed % 2:
            flat = s.op("Slice", flat, s.constant([0], "int64"), s.op("Reshape", size, one), s.constant([-1], "int64"))
    if len(noise.shape) == 1:
        return flat
    lengths = [s.op("Reshape", d, one) for d in dims]
    rows = [-1] if block is None else [-1, block]
    return s.op("Reshape", flat, s.op("Concat", s.constant(rows, "int64"), *lengths, axis=0))
