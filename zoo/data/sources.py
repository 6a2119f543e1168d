"""Rows by number: what a data set reads its observations from.

A numpy array is a `Source`, a memory map too; the others here make rows as they are asked for. None of them copies
what it reads from: `x[rows]` is a new array of those rows alone.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.spaces import Space

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.integer[Any]]
GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio, odd
WIDE = 1024  # bytes of a row
BLOCK_BYTES = 2**20  # of rows that are looked at one after another


class Source(Protocol):
    """Rows by number. `source[rows]` is an array (N, *shape of a row) for a slice or an array of numbers from 0 to
    `len(source) - 1`, in the order of the numbers. A source may have `hashes`, a number for each row (N,) that stands
    for its content, where to read all of it would take long."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Array: ...


def in_memory(source: Source) -> bool:
    """Whether a source is an array in memory: a memory map is none."""
    while isinstance(source, Taken):
        source = source.source
    return isinstance(source, np.ndarray) and not isinstance(source, np.memmap)


def numbers_of(rows: slice | Numbers, count: int) -> Numbers:
    """A slice as the numbers that it stands for."""
    return np.arange(*rows.indices(count)) if isinstance(rows, slice) else np.asarray(rows)


def blocks(source: Source) -> Iterator[slice]:
    """Slices that are all rows of a source one after another, each of a size that memory does not notice."""
    count = len(source)
    each = source[:1]
    step = max(1, BLOCK_BYTES // max(1, each.nbytes))
    return (slice(low, min(low + step, count)) for low in range(0, count, step))


@dataclass(frozen=True)
class Taken:
    """Some rows of another source, in an order of its own."""

    source: Source
    numbers: Numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Array:
        return self.source[self.numbers[rows]]


@dataclass(frozen=True)
class Mapped:
    """The rows of another source through a function of arrays of rows."""

    source: Source
    function: Callable[[Array], Array]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Any) -> Array:
        return self.function(self.source[rows])


class Parts:
    """Several sources as one: the rows of the first, then those of the second, and so on."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = parts
        self.starts = [0, *accumulate(len(part) for part in parts)]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, slice):
            low, high, step = rows.indices(len(self))
            place = bisect_right(self.starts, low) - 1
            if step == 1 and low < high <= self.starts[place + 1]:  # a view, where one part has them all
                return self.parts[place][low - self.starts[place] : high - self.starts[place]]
        numbers = numbers_of(rows, len(self))
        places = np.searchsorted(self.starts, numbers, side="right") - 1
        found: Array | None = None
        for place in np.unique(places):
            mine = np.flatnonzero(places == place)
            part = self.parts[place][numbers[mine] - self.starts[place]]
            if found is None:
                found = np.empty((len(numbers), *part.shape[1:]), dtype=part.dtype)
            found[mine] = part
        return self.parts[0][:0] if found is None else found


@dataclass(frozen=True)
class Split:
    """The rows of one split by number: `split[rows]` is a batch, arrays by the names that methods and losses take.

    `x` are the observations (N, *space.shape), `label` the classes (N,) where the data has some, others what
    `Dataset.inputs` names. `rows` is an array of numbers or a slice. A batch has the dtype of the space, and its values
    have been checked.
    """

    space: Space
    sources: Mapping[str, Source]
    name: str = "x"

    def __len__(self) -> int:
        return len(self.sources["x"])

    def __getitem__(self, rows: slice | Numbers) -> dict[str, Array]:
        return {name: self.take(name, rows) for name in self.sources}

    def take(self, name: str, rows: slice | Numbers = slice(None)) -> Array:
        """One of the arrays for these rows."""
        source = self.sources[name]
        found = source[rows]
        if name != "x":
            return found
        if in_memory(source):  # was checked when the data set was made
            return found.astype(self.space.dtype, copy=False)
        return self.space.check(found, self.name)

    @property
    def observations(self) -> Source:
        """The observations as a source whose rows have been checked."""
        return _Checked(self)

    def sample(self, most: int) -> Array:
        """The observations, or, if they take more than `most` bytes, so many of them, evenly spread."""
        count = len(self)
        rows = max(1, most // max(1, self.take("x", slice(0, 1)).nbytes))
        return self.take("x", slice(None) if count <= rows else np.arange(rows) * count // rows)

    @cached_property
    def in_memory(self) -> bool:
        return all(in_memory(source) for source in self.sources.values())


@dataclass(frozen=True)
class _Checked:
    split: Split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, rows: Any) -> Array:
        return self.split.take("x", rows)


def row_hashes(source: Source) -> npt.NDArray[np.uint64]:
    """A number for each row, the same for equal rows and, but for one chance in 2**64, for those alone."""
    if isinstance(source, Taken):
        return row_hashes(source.source)[source.numbers] if known_hashes(source.source) else _hashes(source)
    return np.asarray(getattr(source, "hashes", None)) if known_hashes(source) else _hashes(source)


def known_hashes(source: Source) -> bool:
    """Whether the rows of a source need not be read for what `row_hashes` says of them."""
    return known_hashes(source.source) if isinstance(source, Taken) else hasattr(source, "hashes")


def _hashes(source: Source) -> npt.NDArray[np.uint64]:
    found = np.empty(len(source), dtype=np.uint64)
    for rows in blocks(source):
        part = np.ascontiguousarray(source[rows])
        values = part.reshape(len(part), -1).view(np.uint8)
        found[rows] = _of_bytes(values) if values.shape[1] > WIDE else _of_words(values)
    return found


def _of_bytes(rows: npt.NDArray[np.uint8]) -> list[int]:
    return [int.from_bytes(hashlib.blake2b(row.data, digest_size=8).digest(), "little") for row in rows]


def _of_words(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """All rows at once, eight bytes after another: faster where rows are short."""
    total = np.zeros(len(rows), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for low in range(0, rows.shape[1], 8):
            piece = np.zeros((len(rows), 8), dtype=np.uint8)
            piece[:, : rows.shape[1] - low] = rows[:, low : low + 8]
            total = (total ^ piece.view(np.uint64)[:, 0]) * np.uint64(GOLDEN)
            total ^= total >> np.uint64(29)
    return total


def check_rows(space: Space, source: Source, name: str) -> None:
    """`InputError` if a row is none of the space. Looks at some rows at a time, so that memory stays flat."""
    if len(source) == 0:
        space.check(source[:0], name)
    for rows in blocks(source):
        try:
            space.check(source[rows], name)
        except InputError:
            space.check(source[: rows.stop], name)  # from the first row on, for the number of the row in the message
            raise
