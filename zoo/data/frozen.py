"""The generator that made the moons and the splits of data sets. It stays as it was, so that these do.

Everything else draws from `zoo.noise`, which has a key for each row; this has one for each seed.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from zoo.noise import GOLDEN, MASK, U64, squares, uniform_bits

SEED_KEY = 0x548C9DECBCE65297


def uniforms(count: int, *, stream: str) -> npt.NDArray[np.float32]:
    """Two numbers in (0, 1) for each of `count` rows, shape `(count, 2)`."""
    counters: U64 = np.arange(2, dtype=np.uint64)
    high, low = (int(v) for v in squares(counters, np.array(SEED_KEY, np.uint64)))  # of seed 0
    key = ((high << 32) + low) // 2 * 2 + 1 + 2 * GOLDEN * zlib.crc32(stream.encode()) & MASK
    return uniform_bits(np.arange(2 * count, dtype=np.uint64), np.array(key, np.uint64)).reshape(count, 2)


def split_order(count: int) -> npt.NDArray[np.int64]:
    """The order in which the rows of a data set are split."""
    keys = uniforms(count, stream="split")
    return np.lexsort((keys[:, 1], keys[:, 0])).astype(np.int64)
