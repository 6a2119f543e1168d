"""The generator that made the moons and the splits of data sets. It stays as it was, so that these do.

Everything else draws from `zoo.noise`, which has a key for each row; this has one for each seed.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.noise import GOLDEN, MASK, U64, squares, uniform_bits

SEED_KEY = 0x548C9DECBCE65297
BLOCK = 2**16  # rows at a time
MOST_SHARES = 32


def uniforms(count: int, *, stream: str, start: int = 0) -> npt.NDArray[np.float32]:
    """Two numbers in (0, 1) for each of `count` rows from `start` on, shape `(count, 2)`."""
    counters: U64 = np.arange(2, dtype=np.uint64)
    high, low = (int(v) for v in squares(counters, np.array(SEED_KEY, np.uint64)))  # of seed 0
    key = ((high << 32) + low) // 2 * 2 + 1 + 2 * GOLDEN * zlib.crc32(stream.encode()) & MASK
    places = np.arange(2 * start, 2 * (start + count), dtype=np.uint64)
    return uniform_bits(places, np.array(key, np.uint64)).reshape(count, 2)


def split_order(count: int) -> npt.NDArray[np.integer[Any]]:
    """The order in which the rows of a data set are split: that of their two numbers, the first before the second.

    Many rows are sorted a share of them at a time, so that this takes 12 bytes a row and little more.
    """
    keys = np.empty((count, 2), dtype=np.float32)
    for low in range(0, count, BLOCK):
        keys[low : low + BLOCK] = uniforms(min(BLOCK, count - low), stream="split", start=low)
    order = np.empty(count, dtype=np.int64 if count > 2**32 else np.uint32)
    shares = min(MOST_SHARES, 1 + count // BLOCK)
    done = 0
    for edge in range(shares):
        mine = np.flatnonzero((keys[:, 0] >= edge / shares) & (keys[:, 0] < (edge + 1) / shares))
        share = keys[mine]
        order[done : done + len(mine)] = mine[np.lexsort((share[:, 1], share[:, 0]))]
        done += len(mine)
    return order
