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


def squares(s: Scope, counter: ir.Value, key: ir.Value, bits: int = 32) -> ir.Value:
    """Squares32 of uint64 counters: its highest `bits` bits, as uint64."""
    half = s.constant(2**32, "uint64")

    def swap(x: ir.Value) -> ir.Value:  # rotate by 32 bits: multiplication wraps around
        return s.op("Add", s.op("Div", x, half), s.op("Mul", x, half))

    y = s.op("Mul", counter, key)
    z = s.op("Add", y, key)
    x = y
    for addend in (y, z, y):
        x = swap(s.op("Add", s.op("Mul", x, x), addend))
    return s.op("Div", s.op("Add", s.op("Mul", x, x), z), s.constant(2 ** (64 - bits), "uint64"))


def seed_key(s: Scope, seed: ir.Value) -> ir.Value:
    """The key of an int64 seed, as `zoo.noise.key(seed)`."""
    two, constant = s.constant(2, "uint64"), s.constant(SEED_KEY, "uint64")
    even = s.op("Mul", s.cast(seed, "uint64"), two)
    high = squares(s, even, constant)
    low = squares(s, s.op("Add", even, s.constant(1, "uint64")), constant)
    whole = s.op("Add", s.op("Mul", high, s.constant(2**32, "uint64")), low)
    return s.op("Add", s.op("Mul", s.op("Div", whole, two), two), s.constant(1, "uint64"))


def uniform(s: Scope, counter: ir.Value, key: ir.Value) -> ir.Value:
    bits = s.cast(squares(s, counter, key, bits=23), "float32")
    return s.op("Mul", s.op("Add", bits, s.constant(0.5, "float32")), s.constant(2.0**-23, "float32"))


def draw(
    s: Scope,
    noise: Noise,
    index: ir.Value,
    key: ir.Value,
    stream: str,
    step: ir.Value | None = None,
    steps: ir.Value | None = None,
    options: Mapping[str, ir.Value] | None = None,
) -> ir.Value:
    """Noise for the examples `index` (N,) at a step: float32 of shape (N, *noise.shape)."""
    dims = [(options or {})[d] if isinstance(d, str) else s.constant(d, "int64") for d in noise.shape]
    fixed = math.prod(d for d in noise.shape if isinstance(d, int))
    size = s.constant(fixed, "int64")
    for value, d in zip(dims, noise.shape, strict=True):
        if isinstance(d, str):
            size = s.op("Mul", size, value)
    span = size  # of counters: two uniforms make two normals
    if noise.kind == "normal":
        two = s.constant(2, "int64")
        span = s.op("Mul", s.op("Div", s.op("Add", size, s.constant(1, "int64")), two), two)
    row = s.cast(index, "uint64")
    if step is not None and steps is not None:
        row = s.op("Add", s.op("Mul", row, s.cast(steps, "uint64")), s.cast(step, "uint64"))
    row = s.op("Mul", s.op("Reshape", row, s.constant([-1, 1], "int64")), s.cast(span, "uint64"))
    elements = s.cast(s.op("Range", s.constant(0, "int64"), span, s.constant(1, "int64")), "uint64")
    key = s.op("Add", key, s.constant(2 * GOLDEN * stream_id(stream) & MASK, "uint64"))
    flat = uniform(s, s.op("Add", row, elements), key)
    if noise.kind == "normal":
        flat, second = s.halves(flat)
        angle = s.op("Mul", second, s.constant(np.float32(2 * np.pi), "float32"))
        radius = s.op("Sqrt", s.op("Mul", s.op("Log", flat), s.constant(-2, "float32")))
        cosines, sines = s.op("Mul", radius, s.op("Cos", angle)), s.op("Mul", radius, s.op("Sin", angle))
        flat = s.op("Concat", cosines, sines, axis=1)
        if any(isinstance(d, str) for d in noise.shape) or fixed % 2:
            one = s.constant([1], "int64")
            flat = s.op("Slice", flat, s.constant([0], "int64"), s.op("Reshape", size, one), one)
    if len(noise.shape) == 1:
        return flat
    one = s.constant([1], "int64")
    lengths = [s.op("Reshape", d, one) for d in dims]
    return s.op("Reshape", flat, s.op("Concat", s.constant([-1], "int64"), *lengths, axis=0))
