"""Counter-based random numbers, in numpy: the reference for every other implementation.

A row is a seed and an index, and its noise is a function of (seed, index, stream, step, element). So it is the same for
any batch, chunk, thread or machine, and no two rows share it, whatever their options. Two models whose noises have the
same names draw the same numbers from one seed (common random numbers); `derive_seed` makes a seed for another name.

The generator is Squares32 with four rounds (Widynski, "Squares: A Fast Counter-Based RNG", arXiv 2004.06278), because
it needs only 64-bit multiply, add and divide, for which every ONNX execution provider has kernels. Seed, index
and stream make its key; step and element make its counter, `step * GOLDEN + element + 1` modulo 2**64.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.signature import Noise, resolve

# Seed and index become two words modulo 2**64, y = seed * A + index * B + C and z = seed * D + index * E + F, one to
# one, for the determinant A * E - B * D is odd. A, B, C are the first 192 bits of the fraction of pi, and D, E, F those
# of the fraction of e, except for the lowest bit of B and D, which is set, and of E, which is cleared.
WORDS = (
    (0x243F6A8885A308D3, 0x13198A2E03707345, 0xA4093822299F31D0),
    (0xB7E151628AED2A6B, 0xBF7158809CF4F3C6, 0x62E7160F38B4DA56),
)
# 2**64 over the golden ratio. Its multiples are as far apart as can be, so that 2**31 steps of 2**32 numbers each have
# counters of their own, and all the bits of a counter change from step to step: with 2**32 in its place the lower half
# would stay, and the first of the four rounds would mix little.
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
HALF = np.uint64(32)  # bits of a word
ROUNDS = 8  # of the cipher for random orders
CACHED = 2**14  # numbers to draw at a time: intermediate results stay in the processor's cache
U64 = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


def squares(counter: U64, key: U64) -> U64:
    """Squares32: 32 random bits (as uint64) for each counter and odd key, which broadcast."""
    with np.errstate(over="ignore"):
        y = np.asarray(counter * key)
        bits = _four_rounds(y, np.asarray(y + key))
        bits >>= HALF
        return bits


def _four_rounds(y: U64, z: U64) -> U64:
    """Four rounds of Squares, the last without its swap, in place: allocating arrays takes as long as computing."""
    x, upper = y.copy(), np.empty_like(y)
    for addend in (y, z, y):
        x *= x
        x += addend
        np.right_shift(x, HALF, out=upper)
        x <<= HALF
        x |= upper
    x *= x
    x += z
    return x


def row_keys(seed: Numbers | int, index: Numbers, stream: str = "") -> U64:
    """The odd 64-bit keys of rows, shape (N,): the two words of seed and index through the five rounds of Squares64
    (whose last addition is a xor in the paper), doubled, plus the odd number of the stream."""
    with np.errstate(over="ignore"):
        s, i = np.asarray(seed, dtype=np.int64).astype(np.uint64), index.astype(np.uint64)
        y, z = (np.asarray(s * np.uint64(a) + i * np.uint64(b) + np.uint64(c)) for a, b, c in WORDS)
        last = _four_rounds(y, z)
        x = (last >> HALF) | (last << HALF)
        keys: U64 = (last + ((x * x + y) >> HALF)) * np.uint64(2) + np.uint64(stream_offset(stream))
        return keys


def stream_offset(name: str) -> int:
    """The odd number that a named stream, such as `"sample/z"`, adds to the keys of rows."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") | 1


def derive_seed(seed: int, name: str) -> int:
    """A seed for noise that is independent of that of `seed`, and of other names."""
    return int(derive_seeds(np.array([seed]), name)[0])


def derive_seeds(seeds: Numbers, name: str) -> Numbers:
    """`derive_seed` for an array of seeds."""
    return row_keys(seeds, np.zeros(1, dtype=np.int64), name).astype(np.int64)


def counters(step: int, count: int) -> U64:
    """The counters of the first `count` numbers of a step."""
    return np.arange(1, count + 1, dtype=np.uint64) + np.uint64(step * GOLDEN & MASK)


def uniform_bits(counter: U64, key: U64) -> npt.NDArray[np.float32]:
    """Uniforms strictly inside (0, 1): 23 bits and a half, so that every value is exact in float32."""
    bits = squares(counter, key)
    bits >>= np.uint64(9)
    uniforms = bits.view(np.int64).astype(np.float32)  # faster than from uint64
    uniforms += np.float32(0.5)
    uniforms *= np.float32(2.0**-23)
    return uniforms


def draw(
    noise: Noise,
    index: Numbers,
    *,
    seed: int | Numbers,
    stream: str,
    step: int = 0,
    options: Mapping[str, Any] | None = None,
) -> npt.NDArray[np.float32]:
    """Noise of shape `(len(index), *noise.shape)` for the rows of `seed` (one, or one per row) and `index` at one step.

    Normals come from Box-Muller: the first half of a group's elements are the cosines, the rest the sines.
    """
    shape = resolve(noise.shape, options or {})
    count, size = math.prod(shape[: noise.group_axes]), math.prod(shape[noise.group_axes :])
    span = size if noise.kind == "uniform" else (size + 1) // 2 * 2
    counter, keys = counters(step, count * span).reshape(count, span), row_keys(seed, index, stream)[:, None, None]
    numbers = np.empty((len(index), count, size), dtype=np.float32)
    rows = max(1, CACHED // counter.size)
    for low in range(0, len(index), rows):
        u = uniform_bits(counter, keys[low : low + rows])
        numbers[low : low + rows] = u if noise.kind == "uniform" else _normals(u)[..., :size]
    return numbers.reshape(len(index), *shape)


def _normals(uniforms: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Box-Muller along the last axis, whose length is even."""
    first, second = np.split(uniforms, 2, axis=-1)
    angle = np.float32(2 * np.pi) * second
    radius = np.sqrt(np.float32(-2) * np.log(first))
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def permutation(count: int, *, seed: int, stream: str) -> Numbers:
    """A random order of `range(count)`, the same on every machine."""
    order = np.arange(count)
    for block in np.split(order, range(CACHED, count, CACHED)):
        block[:] = shuffled(block, count, seed=seed, stream=stream)
    return order


def shuffled(places: Numbers, count: int, *, seed: int, stream: str) -> Numbers:
    """The elements at some positions, 0 to `count - 1`, of a random order of `range(count)`.

    The other positions take no memory: a Feistel cipher on pairs of digits permutes a range that is hardly longer than
    `count`, and results beyond it are enciphered again until they are inside (cycle walking; Black and Rogaway,
    "Ciphers with Arbitrary Finite Domains", CT-RSA 2002).
    """
    base = max(4, math.isqrt(count) + 1)
    base += base % 2  # of an odd base, all orders of `base**2` are even permutations
    keys = row_keys(derive_seed(seed, stream), np.arange(ROUNDS))
    numbers = _enciphered(places.astype(np.uint64), base, keys)
    while (beyond := np.flatnonzero(numbers >= np.uint64(count))).size:
        numbers[beyond] = _enciphered(numbers[beyond], base, keys)
    return numbers.astype(np.int64)


def _enciphered(numbers: U64, base: int, keys: U64) -> U64:
    """A permutation of `range(base**2)`."""
    radix = np.uint64(base)
    high, low = np.divmod(numbers, radix)
    for key in keys:
        high, low = low, (high + squares(low, key)) % radix
    return high * radix + low
