"""Counter-based random numbers, in numpy: the reference for every other implementation.

Example `e` of a seed gets the same numbers everywhere, whatever the batch, chunk, thread or machine. The
generator is Squares32 with four rounds (Widynski, "Squares: A Fast Counter-Based RNG", arXiv 2004.06278),
because it needs nothing but 64-bit multiply, add and divide, for which every ONNX execution provider has kernels.

Element `k` of example `e` at step `t` of `steps` uses the counter `(e * steps + t) * size + k`; the key is made
from the seed and the name of the stream, so that different noises of one seed are independent.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.signature import Noise, resolve

SEED_KEY = 0x548C9DECBCE65297  # an odd constant with mixed hex digits, as the paper asks of a key
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
U64 = npt.NDArray[np.uint64]


def squares(counter: U64, key: int) -> U64:
    """Squares32: 32 random bits (as uint64) for each counter."""
    k = np.uint64(key)
    swap = np.uint64(32)
    with np.errstate(over="ignore"):
        y = counter * k
        z = y + k
        x = y
        for addend in (y, z, y):
            x = x * x + addend
            x = (x >> swap) | (x << swap)
        out: U64 = (x * x + z) >> swap
        return out


def stream_id(name: str) -> int:
    """A 32-bit number for a named stream, such as `"sample/z"`."""
    return zlib.crc32(name.encode())


def key(seed: int, stream: int = 0) -> int:
    """The odd 64-bit key of a seed and a stream."""
    counters = np.array([2 * seed & MASK, 2 * seed + 1 & MASK], dtype=np.uint64)
    high, low = (int(v) for v in squares(counters, SEED_KEY))
    return ((high << 32) + low) // 2 * 2 + 1 + 2 * GOLDEN * stream & MASK


def uniform_bits(counter: U64, key: int) -> npt.NDArray[np.float32]:
    """Uniforms strictly inside (0, 1): 23 bits and a half, so that every value is exact in float32."""
    bits = squares(counter, key) >> np.uint64(9)
    return (bits.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def draw(
    noise: Noise,
    index: npt.NDArray[np.int64],
    *,
    seed: int,
    stream: str,
    step: int = 0,
    steps: int = 1,
    options: Mapping[str, Any] | None = None,
) -> npt.NDArray[np.float32]:
    """Noise of shape `(len(index), *noise.shape)` for the examples `index` at one step.

    Normals come from Box-Muller: the first half of an example's elements are the cosines, the rest the sines.
    """
    shape = resolve(noise.shape, options or {})
    size = math.prod(shape)
    half = (size + 1) // 2
    span = size if noise.kind == "uniform" else 2 * half
    width = size if noise.kind == "uniform" else half
    k = key(seed, stream_id(stream))
    with np.errstate(over="ignore"):
        base: U64 = (index.astype(np.uint64) * np.uint64(steps) + np.uint64(step)) * np.uint64(span)
        counter: U64 = np.add.outer(base, np.arange(width, dtype=np.uint64))
        u = uniform_bits(counter, k)
        if noise.kind == "normal":
            angle = np.float32(2 * np.pi) * uniform_bits(counter + np.uint64(half), k)
            radius = np.sqrt(np.float32(-2) * np.log(u))
            u = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :size]
    return u.reshape(len(index), *shape)


def permutation(count: int, *, seed: int, stream: str) -> npt.NDArray[np.int64]:
    """A random order of `range(count)`, the same on every machine."""
    keys = draw(Noise("uniform", (2,)), np.arange(count), seed=seed, stream=stream)
    return np.lexsort((keys[:, 1], keys[:, 0])).astype(np.int64)
