"""Which rows a call computes: the seed and the index of each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.noise import derive_seed, derive_seeds

Numbers = npt.NDArray[np.int64]
Seeds = int | Sequence[int] | Numbers  # of all rows, or of each
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Rows:
    """`seed` and `index` are one number, or one for each row; without an index rows are numbered from `start` on.
    `count` is None until the inputs give it."""

    count: int | None
    seed: int | Numbers
    index: int | Numbers | None
    start: int

    def of(self, count: int) -> Rows:
        """These rows, of which the inputs give the number."""
        if self.count not in (None, count):
            raise InputError(f"the inputs have {count} rows, and count, seed or index is for {self.count}.")
        return replace(self, count=count)

    def part(self, low: int, high: int) -> tuple[Numbers, Numbers]:
        """Seed and index of some of the rows, each (N,)."""
        if self.index is None:
            indices = np.arange(self.start + low, self.start + high, dtype=np.int64)
        else:
            indices = _cut(self.index, low, high)
        return _cut(self.seed, low, high), indices


def read_rows(count: Any = None, seed: Any = None, index: Any = None, start: Any = 0, stream: str = "") -> Rows:
    """What a caller gave, checked. Without a seed one is made; rows with a seed each have the index `start`."""
    count = None if count is None else check_count(count)
    if not isinstance(start, (int, np.integer)) or not 0 <= start <= LARGEST - (count or 1):
        raise InputError(f"start is {start!r}; expected a whole number of at least 0.")
    if index is not None and start:
        raise InputError("both index and start are given; leave out start.")
    seeds = secrets.randbits(31) if seed is None else check_numbers("seed", seed, -LARGEST - 1)
    indices = None if index is None else check_numbers("index", index, 0)
    if indices is None and not isinstance(seeds, int):
        indices = int(start)
    if stream:
        seeds = derive_seed(seeds, stream) if isinstance(seeds, int) else derive_seeds(seeds, stream)
    counts = {"count": count} if count is not None else {}
    counts |= {name: len(a) for name, a in (("seed", seeds), ("index", indices)) if isinstance(a, np.ndarray)}
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"{name} is for {n} rows" for name, n in counts.items())
        raise InputError(f"{listed}; expected as many of each, or one number for all rows.")
    return Rows(next(iter(counts.values()), None), seeds, indices, int(start))


def check_count(count: Any) -> int:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise InputError(f"count is {count!r}; expected a whole number of at least 1.")
    return int(count)


def check_numbers(name: str, value: Any, low: int) -> int | Numbers:
    """Whole numbers from `low` to 2**63 - 1: one, or one for each row."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if low <= value <= LARGEST:
            return int(value)
    elif (numbers := _whole_numbers(value)) is not None and len(numbers) and (numbers >= low).all():
        return numbers
    least = "below 2**63" if low else "of at least 0"
    raise InputError(f"{name} is {value!r}; expected a whole number {least}, or one for each row.")


def _whole_numbers(value: Any) -> Numbers | None:
    """`value` as int64 (N,); None where it is no such thing."""
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        return None
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.dtype == np.uint64 and (array > LARGEST).any()):
        return None
    return array.astype(np.int64)


def _cut(numbers: int | Numbers, low: int, high: int) -> Numbers:
    if isinstance(numbers, int):
        return np.full(high - low, numbers, dtype=np.int64)
    return numbers[low:high]
