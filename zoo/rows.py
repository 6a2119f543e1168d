"""Which rows a call computes: the seed and the index of each."""

from __future__ import annotations

import operator
import reprlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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
        if self.count == count:
            return self
        if self.count is not None:
            raise InputError(f"the inputs have {count} rows, and count, seed or index is for {self.count}.")
        check_start(self.start, count)
        return Rows(count, self.seed, self.index, self.start)

    def part(self, low: int, high: int) -> tuple[Numbers, Numbers]:
        """Seed and index of some of the rows, each (N,)."""
        if self.index is None:
            indices = np.arange(self.start + low, self.start + high, dtype=np.int64)
        else:
            indices = _cut(self.index, low, high)
        return _cut(self.seed, low, high), indices


def read_rows(count: Any = None, seed: Any = None, index: Any = None, start: Any = 0, stream: Any = "") -> Rows:
    """What a caller gave, checked. Without a seed one is made; rows with a seed each have the index `start`."""
    count = None if count is None else check_count(count)
    start = check_start(start, count or 1)
    if index is not None and start:
        raise InputError("both index and start are given; leave out start.")
    seeds = secrets.randbits(31) if seed is None else check_numbers("seed", seed, -LARGEST - 1)
    indices = None if index is None else check_numbers("index", index, 0)
    if indices is None and not isinstance(seeds, int):
        indices = start
    if stream != "" and check_stream(stream):
        seeds = derive_seed(seeds, stream) if isinstance(seeds, int) else derive_seeds(seeds, stream)
    counts = {"count": count} if count is not None else {}
    counts |= {name: len(a) for name, a in (("seed", seeds), ("index", indices)) if isinstance(a, np.ndarray)}
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"{name} is for {n} rows" for name, n in counts.items())
        raise InputError(f"{listed}; expected as many of each, or one number for all rows.")
    return Rows(next(iter(counts.values()), None), seeds, indices, start)


def check_count(count: Any, name: str = "count") -> int:
    number = _whole(count)
    if number is None or number < 1:
        raise InputError(f"{name} is {reprlib.repr(count)}; expected an integer of at least 1.")
    return number


def check_start(start: Any, count: int) -> int:
    """`start` as an int from which `count` rows can be numbered in int64."""
    number = _whole(start)
    if number is None or not 0 <= number <= LARGEST - count:
        most = "2**63 - 1 - count" + (f", where count is {count}" if count > 1 else "")
        raise InputError(f"start is {reprlib.repr(start)}; expected an integer from 0 to {most}.")
    return number


def check_stream(stream: Any) -> str:
    """`stream` as a name that has a hash: text, without lone surrogates."""
    with suppress(UnicodeEncodeError):
        if isinstance(stream, str):
            stream.encode()
            return stream
    raise InputError(f"stream is {reprlib.repr(stream)}; expected a name, as text.")


def check_numbers(name: str, value: Any, low: int) -> int | Numbers:
    """Whole numbers from `low` to 2**63 - 1: one, or one for each row."""
    if (number := _whole(value)) is not None:
        if low <= number <= LARGEST:
            return number
    elif (numbers := _whole_numbers(value)) is not None and len(numbers) and (numbers >= low).all():
        return numbers
    least = "-2**63" if low else "0"
    raise InputError(
        f"{name} is {_culprit(value, low)}; expected an integer from {least} to 2**63 - 1, or one for each row."
    )


def _culprit(value: Any, low: int) -> str:
    """The first of many that is not an integer from `low` to 2**63 - 1, and its row; else the value, shortened."""
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        for row, each in enumerate(value):
            if (number := _whole(each)) is None or not low <= number <= LARGEST:
                return f"{reprlib.repr(each.item() if isinstance(each, np.generic) else each)} in row {row}"
    return reprlib.repr(value)


def _whole(value: Any) -> int | None:
    """`value` as one integer; None where it is none, as True and 1.0 are."""
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


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
