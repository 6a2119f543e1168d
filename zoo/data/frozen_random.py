"""The generator that made the moons and the splits of data sets. It stays as it was, so that these do.

Everything else draws from `zoo.noise`, which has a key for each row; this has one for each seed.
"""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.noise import GOLDEN, MASK, U64, squares, uniform_bits

SEED_KEY = 0x548C9DECBCE65297
BLOCK = 2**16  # rows whose keys are made at a time
SHARES = 32  # of keys that are sorted at a time


def uniforms(count: int, *, stream: str, start: int = 0) -> npt.NDArray[np.float32]:
    """Two numbers in (0, 1) for each of `count` rows from `start` on, shape `(count, 2)`."""
    counters: U64 = np.arange(2, dtype=np.uint64)
    high, low = (int(v) for v in squares(counters, np.array(SEED_KEY, np.uint64)))  # of seed 0
    key = ((high << 32) + low) // 2 * 2 + 1 + 2 * GOLDEN * zlib.crc32(stream.encode()) & MASK
    places = np.arange(2 * start, 2 * (start + count), dtype=np.uint64)
    return uniform_bits(places, np.array(key, np.uint64)).reshape(count, 2)


def split_order(count: int) -> npt.NDArray[np.integer[Any]]:
    """The order in which the rows of a data set are split: that of their two numbers, the first before the second."""
    keys = np.empty(count, dtype=np.uint64)
    for low in range(0, count, BLOCK):
        pair = uniforms(min(BLOCK, count - low), stream="split", start=low)
        bits = pair.view(np.uint32).astype(np.uint64)  # of positive numbers, which are in the same order
        keys[low : low + BLOCK] = (bits[:, 0] << np.uint64(32)) | bits[:, 1]
    return ascending(keys)


def ascending(keys: U64) -> npt.NDArray[np.integer[Any]]:
    """The order in which keys ascend, equal ones as they come. Many are sorted a share at a time, so that this takes
    six bytes a key and little more."""
    if len(keys) <= BLOCK:
        return np.argsort(keys, kind="stable").astype(np.int64, copy=False)
    order: npt.NDArray[np.integer[Any]] = np.empty(len(keys), dtype=np.uint32 if len(keys) <= 2**32 else np.int64)
    some = np.sort(keys[:: len(keys) // SHARES**2])
    edges = [0, *(int(k) for k in some[:: max(1, len(some) // SHARES)][1:]), 2**64]
    done = 0
    for low, high in itertools.pairwise(edges):
        mine = _between(keys, low, high)
        order[done : done + len(mine)] = mine[np.argsort(keys[mine], kind="stable")]
        done += len(mine)
    return order


def _between(keys: U64, low: int, high: int) -> npt.NDArray[np.int64]:
    """The places of the keys from `low` to below `high`, found a block of keys at a time."""
    found = []
    for first in range(0, len(keys), BLOCK):
        block = keys[first : first + BLOCK]
        inside = block >= np.uint64(low)
        if high < 2**64:
            inside &= block < np.uint64(high)
        found.append(first + np.flatnonzero(inside))
    return np.concatenate(found)
