"""Tables as a sample space: columns by name, each of a kind, with missing values or not.

Observations are rows of ordinary values, passed and returned as a `pyarrow.Table`. Internally, a column is one or more
codes, int64 numbers from 0 on, so a row is a vector of codes. The space defines the mapping:

| kind | codes |
|---|---|
| category, boolean | one: the index of the value in `values` |
| integer, decimal, date, datetime | `value - low` as digits, most significant first; `low` is the smallest value seen |
| real | an interval between `edges`, then `FINE`-ths of it; or the index of a value in `atoms`, which many rows share |

A missing value is the level after all others of the first code. If the first code determines the value (a missing value
or an atom), the others are 0. The probability of a row is that of its codes; `log_widths` makes it a density in data
units: a real value is uniform in its cell.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from zoo.data.arrow import arrow
from zoo.errors import InputError, listed
from zoo.spaces import Space, level_examples, levels_in

Array = npt.NDArray[Any]
Codes = npt.NDArray[np.int64]
DIGIT = 256  # levels of a digit, at most
FINE = 64  # cells of an interval of real numbers
DAY = datetime.date(1970, 1, 1)
MOST_PLACES = 6  # of decimals
SHOWN = 3  # values of a problem to show


class Problem(Exception):
    """What is wrong with the values of a column. `rows` are their numbers."""

    def __init__(self, what: str, values: Any, bad: Array) -> None:
        self.what, self.rows = what, np.flatnonzero(bad)
        self.values = [str(values[int(row)]) for row in self.rows[:SHOWN]]


class Column(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """A column by name. `missing` says whether values may be missing."""

    name: str
    missing: bool = False

    @property
    def kind(self) -> str:
        return str(type(self).__struct_config__.tag)

    @property
    def open(self) -> tuple[int, ...]:
        """The levels of each code, without those of the first that determine the value."""
        raise NotImplementedError

    @property
    def closed(self) -> int:
        """Levels of the first code that determine the value, other than a missing one."""
        return 0

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of each code."""
        first, *rest = self.open
        return (first + self.closed + self.missing, *rest)

    @property
    def arrow(self) -> Any:
        """The type of its values in a table of pyarrow."""
        raise NotImplementedError

    def encode(self, values: Any) -> Codes:
        """The codes (N, len(levels)) of an array of pyarrow of the column's type; `Problem` for values beyond it."""
        out = np.zeros((len(values), len(self.levels)), dtype=np.int64)
        absent = np.asarray(values.is_null())
        if absent.any():
            if not self.missing:
                raise Problem("is missing", values, absent)
            out[absent, 0] = self.levels[0] - 1
        out[~absent] = self._encode(values, ~absent)
        return out

    def decode(self, codes: Codes) -> Any:
        """The values of codes as an array of pyarrow."""
        absent = (codes[:, 0] == self.levels[0] - 1) & self.missing
        return self._decode(np.where(absent[:, None], 0, codes), absent)

    def _encode(self, values: Any, present: npt.NDArray[np.bool_]) -> Codes:
        raise NotImplementedError

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        raise NotImplementedError

    def describe(self) -> str:
        return f"{self.name} ({self.kind}{', perhaps missing' if self.missing else ''})"


class Category(Column, frozen=True, kw_only=True, tag="category", omit_defaults=True):
    """One of some `values`, all strings or all integers; `ordered` if their order means something."""

    values: tuple[str | int, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if len(set(self.values)) < len(self.values):
            raise ValueError(f"category {self.name!r} has a value twice")
        if len(set(map(type, self.values))) > 1:
            raise ValueError(f"category {self.name!r} has both strings and integers")

    @property
    def kind(self) -> str:
        return "ordered category" if self.ordered else "category"

    @property
    def open(self) -> tuple[int, ...]:
        return (len(self.values),)

    @property
    def arrow(self) -> Any:
        pa = arrow()
        return pa.int64() if self.values and isinstance(self.values[0], int) else pa.string()

    def _encode(self, values: Any, present: npt.NDArray[np.bool_]) -> Codes:
        pa = arrow()
        places = pa.compute.index_in(values, pa.array(self.values, self.arrow))
        unknown = np.asarray(places.is_null()) & present
        if unknown.any():
            raise Problem(f"is none of the {len(self.values)} values of {self.name!r}", values, unknown)
        return np.asarray(places.fill_null(0), dtype=np.int64)[present, None]

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        pa = arrow()
        if not self.values:
            return pa.nulls(len(codes), self.arrow)
        return pa.array(self.values, self.arrow).take(pa.array(codes[:, 0], mask=absent))


class Boolean(Column, frozen=True, kw_only=True, tag="boolean", omit_defaults=True):
    """False or true, or the two `words` that stand for them."""

    words: tuple[str, str] | None = None

    @property
    def open(self) -> tuple[int, ...]:
        return (2,)

    @property
    def arrow(self) -> Any:
        return arrow().bool_() if self.words is None else arrow().string()

    def _encode(self, values: Any, present: npt.NDArray[np.bool_]) -> Codes:
        pa = arrow()
        known = pa.array(self.words or (False, True), self.arrow)
        places = pa.compute.index_in(values, known)
        unknown = np.asarray(places.is_null()) & present
        if unknown.any():
            raise Problem(f"is neither {known[0]} nor {known[1]}", values, unknown)
        return np.asarray(places.fill_null(0), dtype=np.int64)[present, None]

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        pa = arrow()
        return pa.array(self.words or (False, True), self.arrow).take(pa.array(codes[:, 0], mask=absent))


class Whole(Column, frozen=True, kw_only=True, omit_defaults=True):
    """A column stored as an integer from `low` to `high`."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not -(2**63) <= self.low <= self.high < 2**63 or self.high - self.low >= 2**62:
            raise ValueError(f"column {self.name!r} goes from {self.low} to {self.high}")

    @property
    def open(self) -> tuple[int, ...]:
        count = self.high - self.low + 1
        digits = 1
        while DIGIT**digits < count:
            digits += 1
        base = round(count ** (1 / digits))
        while base**digits < count:
            base += 1
        base = min(base, DIGIT)
        return (-(-count // base ** (digits - 1)), *[base] * (digits - 1))

    def _encode(self, values: Any, present: npt.NDArray[np.bool_]) -> Codes:
        numbers = self._numbers(values)
        top = self.low + int(np.prod(self.open, dtype=object)) - 1
        beyond = ((numbers < self.low) | (numbers > top)) & present
        if beyond.any():
            raise Problem(f"is beyond {self._shown(self.low)} to {self._shown(self.high)}", values, beyond)
        rest = numbers[present] - self.low
        out = np.empty((len(rest), len(self.open)), dtype=np.int64)
        for place in range(len(self.open) - 1, 0, -1):
            rest, out[:, place] = np.divmod(rest, self.open[place])
        out[:, 0] = rest
        return out

    def _total(self, codes: Codes) -> npt.NDArray[np.int64]:
        """(N,) the integers that codes stand for."""
        total = np.zeros(len(codes), dtype=np.int64)
        for place, levels in enumerate(self.open):
            total = total * (levels if place else 1) + codes[:, place]
        return total + self.low

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        return arrow().array(self._total(codes), mask=absent).cast(self._inside).cast(self.arrow)

    @property
    def _inside(self) -> Any:
        """The type of integers that the values are cast to and from."""
        return arrow().int64()

    def _numbers(self, values: Any) -> npt.NDArray[np.int64]:
        return np.asarray(values.cast(self._inside).cast(arrow().int64()).fill_null(0), dtype=np.int64)

    def _shown(self, number: int) -> str:
        return f"{number:,}"


class Integer(Whole, frozen=True, kw_only=True, tag="integer", omit_defaults=True):
    """Integers, exact even beyond 2**53."""

    @property
    def arrow(self) -> Any:
        return arrow().int64()


class Decimal(Whole, frozen=True, kw_only=True, tag="decimal", omit_defaults=True):
    """Numbers of at most `places` decimals, such as prices; `low` and `high` count units of the last of them."""

    places: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.places <= MOST_PLACES or max(-self.low, self.high) > 2**53:
            raise ValueError(f"column {self.name!r} has {self.places} decimals from {self.low} to {self.high}")

    @property
    def arrow(self) -> Any:
        return arrow().float64()

    def _numbers(self, values: Any) -> npt.NDArray[np.int64]:
        numbers = np.asarray(values.fill_null(0), dtype=np.float64)
        whole = np.clip(np.rint(numbers * 10.0**self.places), -(2.0**62), 2.0**62)
        finer = whole / 10.0**self.places != numbers
        finer &= (np.abs(numbers) <= 2.0**53 / 10.0**self.places) | ~np.isfinite(numbers)  # else it is beyond the range
        if finer.any():
            raise Problem(f"is not a number of {self.places} decimals", values, finer)
        return np.asarray(whole.astype(np.int64))

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        return arrow().array(self._total(codes) / 10.0**self.places, mask=absent)

    def _shown(self, number: int) -> str:
        return f"{number / 10**self.places:,.{self.places}f}"


class Date(Whole, frozen=True, kw_only=True, tag="date", omit_defaults=True):
    """Days; `low` and `high` count from 1970-01-01. `format` is how CSV files write them, if not as 2026-11-28."""

    format: str = ""

    @property
    def arrow(self) -> Any:
        return arrow().date32()

    @property
    def _inside(self) -> Any:
        return arrow().int32()

    def _shown(self, number: int) -> str:
        return str(DAY + datetime.timedelta(days=number))


class Datetime(Whole, frozen=True, kw_only=True, tag="datetime", omit_defaults=True):
    """Points in time; `low` and `high` count `unit`s (s, ms, us or ns) from 1970-01-01. `zone` is the values' own."""

    unit: str = "s"
    zone: str | None = None
    format: str = ""

    @property
    def arrow(self) -> Any:
        return arrow().timestamp(self.unit, self.zone)

    def _shown(self, number: int) -> str:
        return str(arrow().scalar(number, arrow().timestamp(self.unit)))


class Real(Column, frozen=True, kw_only=True, tag="real", omit_defaults=True):
    """Real numbers between the first and the last of the ascending `edges`, or one of the `atoms`."""

    edges: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.edges) == 1 or not all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"the edges of {self.name!r} do not ascend")

    @property
    def open(self) -> tuple[int, ...]:
        return (len(self.edges) - 1, FINE) if self.edges else (0,)

    @property
    def closed(self) -> int:
        return len(self.atoms)

    @property
    def arrow(self) -> Any:
        return arrow().float64()

    def _encode(self, values: Any, present: npt.NDArray[np.bool_]) -> Codes:
        numbers = np.asarray(values.fill_null(0), dtype=np.float64)
        out = np.zeros((len(numbers), len(self.open)), dtype=np.int64)
        known = np.zeros(len(numbers), dtype=bool)
        for place, atom in enumerate(self.atoms):
            mine = numbers == atom
            out[mine, 0], known = self.open[0] + place, known | mine
        if self.edges:
            edges = np.array(self.edges)
            inside = (numbers >= edges[0]) & (numbers < edges[-1]) & ~known
            cell = np.searchsorted(edges, numbers[inside], side="right") - 1
            share = (numbers[inside] - edges[cell]) / (edges[cell + 1] - edges[cell])
            out[inside] = np.stack([cell, np.clip(share * FINE, 0, FINE - 1).astype(np.int64)], axis=1)
            known |= inside
        beyond = ~known & present
        if beyond.any():
            finite = "" if np.isfinite(numbers[beyond]).all() else " or not finite"
            ends = f"{self.edges[0]:g} to {self.edges[-1]:g}" if self.edges else "the values that there were"
            raise Problem(f"is beyond {ends}{finite}", values, beyond)
        return out[present]

    def _decode(self, codes: Codes, absent: npt.NDArray[np.bool_]) -> Any:
        numbers = np.zeros(len(codes))
        whole = codes[:, 0] >= self.open[0]
        if self.atoms:
            numbers[whole] = np.array(self.atoms)[np.clip(codes[whole, 0] - self.open[0], 0, len(self.atoms) - 1)]
        if self.edges:
            edges, cell = np.array(self.edges), codes[~whole, 0]
            numbers[~whole] = edges[cell] + (edges[cell + 1] - edges[cell]) * (codes[~whole, 1] + 0.5) / FINE
        return arrow().array(numbers, mask=absent)

    @property
    def log_widths(self) -> npt.NDArray[np.float64]:
        """The logarithm of the width of a cell of each interval."""
        return np.log(np.diff(self.edges) / FINE)


AnyColumn = Category | Boolean | Integer | Decimal | Date | Datetime | Real


@dataclass(frozen=True)
class Table(Space):
    """Rows of a table: values of `columns`, each of its own kind. `zoo.columns` describes their int64 codes."""

    type: ClassVar[str] = "table"
    columns: tuple[AnyColumn, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise InputError("a table has no columns; expected at least one.")
        repeated, times = Counter(self.names).most_common(1)[0]
        if times > 1:
            raise InputError(f"a table has two columns {repeated!r}; give each its own name.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(len(c.open) for c in self.columns),)

    @property
    def dtype(self) -> str:
        return "int64"

    @property
    def levels(self) -> int:
        """The largest number of levels of a code."""
        return max(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """The levels of each code."""
        return tuple(n for c in self.columns for n in c.levels)

    @property
    def leads(self) -> tuple[int, ...]:
        """For each code the index of the first code of its column."""
        return tuple(place for place, c in self.places() for _ in c.open)

    @property
    def opens(self) -> tuple[int, ...]:
        """For each code the number of levels of its column's first code that do not determine the value."""
        return tuple(c.open[0] for c in self.columns for _ in c.open)

    def places(self) -> Iterator[tuple[int, AnyColumn]]:
        """Each column with the index of its first code."""
        place = 0
        for column in self.columns:
            yield place, column
            place += len(column.open)

    def log_widths(self) -> npt.NDArray[np.float64]:
        """The logarithm of the width of each level of each code in data units: (codes, levels). Zero except for the
        intervals of real numbers."""
        out = np.zeros((self.size, self.levels))
        for place, column in self.places():
            if isinstance(column, Real) and column.edges:
                out[place, : column.open[0]] = column.log_widths
        return out

    def log_volume(self, codes: Array) -> npt.NDArray[np.float64]:
        """The logarithm of the volume of rows of codes (N, codes) in data units, (N,): a density is the probability of
        the codes divided by it."""
        return np.asarray(np.take_along_axis(self.log_widths(), codes.T, 1).sum(0))

    # ---- codes and values --------------------------------------------------------------------------------------

    def check(self, x: Any, name: str = "x") -> Array:
        """The codes (N, codes) of rows: of a table of pyarrow, pandas or polars, a dict of columns, or codes."""
        if not (isinstance(x, np.ndarray) or (isinstance(x, (list, tuple)) and not (x and isinstance(x[0], Mapping)))):
            from zoo.data.records import encode_rows

            x = encode_rows(self, x, name)
        return super().check(x, name)

    def given(self, x: Any, name: str = "given") -> tuple[Array, npt.NDArray[np.bool_]]:
        """The codes of values of some columns, and which columns have one: (N, codes) and (N, columns) of a table, in
        which missing cells have none, or (codes,) and (columns,) of one value per column."""
        from zoo.data.records import encode_given

        return encode_given(self, x, name)

    def _check_values(self, array: Array, name: str) -> Array:
        codes = levels_in(array, self.levels, self.dtype, name, self.describe())
        closed = codes[:, self.leads] >= np.array(self.opens)
        closed[:, [place for place, _ in self.places()]] = False
        wrong = (codes >= np.array(self.counts)) | (closed & (codes != 0))
        if wrong.any():
            row, place = (int(i) for i in np.argwhere(wrong)[0])
            raise InputError(f"{name} row {row}: code {place} is {codes[row, place]}, which stands for no value.")
        return codes

    def shown(self, array: Array) -> Any:
        return self.decode(array)

    def decode(self, codes: Array) -> Any:
        """Rows of codes as a `pyarrow.Table` of values."""
        codes = np.asarray(codes, dtype=np.int64)
        found = [c.decode(codes[:, place : place + len(c.open)]) for place, c in self.places()]
        return arrow().Table.from_arrays(found, names=list(self.names))

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        x = level_examples(self.shape, self.levels, self.dtype, kind, count, seed) % np.array(self.counts)
        closed = x[:, self.leads] >= np.array(self.opens)
        closed[:, [place for place, _ in self.places()]] = False
        return np.where(closed, 0, x)

    def describe(self) -> str:
        shown = ", ".join(c.describe() for c in self.columns[:6])
        more = f", ... ({len(self.columns)} columns)" if len(self.columns) > 6 else ""
        return f"rows of a table: {shown}{more}"

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, "columns": msgspec.to_builtins(self.columns)}


def problems_of(found: Sequence[tuple[str, Problem]], where: str) -> InputError:
    """One error with all problems of the values of a table, each on a line."""
    lines = []
    for name, problem in found:
        shown = ", ".join(f"{v!r} (row {int(r) + 1})" for v, r in zip(problem.values, problem.rows, strict=False))
        more = f" and {len(problem.rows) - SHOWN} more" if len(problem.rows) > SHOWN else ""
        lines.append(f"column {name!r} {problem.what}: {shown}{more}")
    return listed(where, lines)


__all__ = ["Boolean", "Category", "Column", "Date", "Datetime", "Decimal", "Integer", "Real", "Table"]
