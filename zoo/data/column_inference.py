"""The kinds of the columns of a table, from their values.

Every column is looked at as a whole before any is read: what is said of it goes into one list. `types` overrides what
would be found: `age=integer`, `id=drop`, `size=ordered:small:large`, `when=date:%d/%m/%Y`.
"""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import MOST_PLACES, AnyColumn, Boolean, Category, Date, Datetime, Decimal, Integer, Real, Table
from zoo.data import tables
from zoo.data.arrow import arrow
from zoo.data.records import NUMBER, THOUSANDS, WHOLE, is_words, parse_times, plain
from zoo.data.sources import Source
from zoo.errors import InputError, ZooWarning, did_you_mean, listed
from zoo.spec import natural

KINDS = ("real", "decimal", "integer", "category", "ordered", "boolean", "date", "datetime", "drop", "text")
MOST_VALUES = 1000  # of a category
SAMPLE, SAMPLE_OF_BATCH = 2**17, 2**12  # values that the intervals of a real column are made from, about
INTERVALS = 64
ATOM = 1 / 32  # share of the rows that makes a real value one of its own
DAY = 24 * 3600 * 10**6  # microseconds
FEW = 50  # rows among which values may all differ by chance
PAIRS = 40  # columns whose dependence on one another is looked for
LOOKED = 5000  # rows in which it is looked for
RARE = 10  # rows with other values than the most common one that a column has to have for that
MOST_UNITS = 2**31  # between the least and the greatest value of a column of decimals
ROUNDED = 0.01  # share of the values of a real column that may lie in other cells
ISO = "%Y-%m-%d"
BOOLEANS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"), ("off", "on"))
ZEROS = r"^[+-]?0\d"
ENDLESS = r"(?i)^[+-]?inf(inity)?$"
HUGE = r"^[+-]?\d{19,}$"
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y")
TIMES = ("", *DAYS, *(f"{day} %H:%M" for day in DAYS), *(f"{day} %H:%M:%S" for day in DAYS))
DIGITS_OF_DATE = r"^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T].*)?$"


class Unclear(Exception):
    """A column for which no kind fits."""


def parse_types(given: Mapping[str, str] | str | None) -> dict[str, str]:
    """`"age=integer,id=drop"` or a dict as what is said of each column by name: see `wrong_types`."""
    if given is None:
        return {}
    if isinstance(given, str):
        pairs = [part.partition("=") for part in given.split(",")]
        return {name.strip(): kind.strip() for name, _, kind in pairs}
    return dict(given)


def is_kind(said: str) -> bool:
    """Whether what is said of a column begins with one of `KINDS`."""
    return said.partition(":")[0] in KINDS


def wrong_types(table: tables.Table, types: Mapping[str, str]) -> list[str]:
    """What is wrong with `types` of a table, all of it: columns that are not there, and kinds that there are not."""
    found = []
    for name, said in types.items():
        if name not in table.titles:
            near = did_you_mean(name, table.titles)
            found.append(f"no column {name!r}; its columns are {tables.shorten(table.titles)}.{near}")
        if not is_kind(said):
            found.append(
                f"the type {said!r} of column {name!r} is not known; expected {', '.join(KINDS)}: "
                f"--types {name}=category.{did_you_mean(said.partition(':')[0], KINDS)}"
            )
    return found


@dataclass
class Sketch:
    """What is seen of the values of a column."""

    name: str
    rows: int = 0
    missing: int = 0
    values: Counter[Any] = field(default_factory=Counter)  # and how often, while there are few
    many: bool = False  # there are more than `values` has
    numbers: int = 0  # values that are numbers
    whole: int = 0
    thousands: int = 0
    zeros: int = 0  # integers that begin with a zero, as codes do
    huge: int = 0  # integers that take more than 64 bits
    endless: int = 0  # infinities
    times: Counter[str] = field(default_factory=Counter)  # values that are dates, by pattern
    ends: dict[str, tuple[int, int]] = field(default_factory=dict)  # the first and the last, in microseconds
    clock: bool = False  # some have a time of day
    dates: int = 0  # that look like one
    low: int | None = None
    high: int | None = None
    places: int = 0  # the most decimals of a number; more than `MOST_PLACES` where there are others
    ends_of_numbers: tuple[float, float] = (0.0, 0.0)
    sample: list[npt.NDArray[np.float64]] = field(default_factory=list)
    thinned: int = 1  # of so many values one is kept
    odd: list[str] = field(default_factory=list)  # words among numbers
    kind: Any = None  # the type of the column, where it has one
    ordered: tuple[str, ...] = ()
    pattern: str = ""  # of dates, that the user says

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def is_decimal(self) -> bool:
        """Whether its numbers have few decimals, and few values between the least and the greatest."""
        low, high = (end * 10.0**self.places for end in self.ends_of_numbers)
        return self.places <= MOST_PLACES and high - low < MOST_UNITS and max(-low, high) < 2**53

    def add(self, column: Any) -> None:
        """Look at a batch of values."""
        pa = arrow()
        self.kind = column.type if self.kind is None or not pa.types.is_null(column.type) else self.kind
        if pa.types.is_dictionary(column.type) and column.type.ordered:
            self.ordered = tuple(map(str, column.dictionary.to_pylist()))
        values = plain(column)
        self.rows += len(values)
        self.missing += values.null_count
        if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
            return
        counted = pa.compute.value_counts(values.drop_null())
        different, counts = counted.field(0), np.asarray(counted.field(1))
        self._count(different, counts)
        if is_words(values.type):
            self._look_at_words(different, counts)
        elif pa.types.is_temporal(values.type):
            self._range(different.cast(pa.int64() if values.type.bit_width == 64 else pa.int32()).cast(pa.int64()))
        elif not pa.types.is_boolean(values.type) and not pa.types.is_null(values.type):
            self._look_at_numbers(different, counts)

    def _count(self, different: Any, counts: npt.NDArray[np.int64]) -> None:
        if self.many:
            return
        if len(different) > MOST_VALUES:
            self.many = True
        else:
            self.values.update(dict(zip(different.to_pylist(), counts.tolist(), strict=True)))
            self.many = len(self.values) > MOST_VALUES

    def _look_at_words(self, words: Any, counts: npt.NDArray[np.int64]) -> None:
        pc = arrow().compute

        def matching(pattern: str) -> npt.NDArray[np.bool_]:
            return np.asarray(pc.match_substring_regex(words, pattern), dtype=bool)

        if not len(words):
            return
        separated = matching(THOUSANDS)
        bare = pc.if_else(separated, pc.replace_substring(words, ",", ""), words) if separated.any() else words
        words_whole = np.asarray(pc.match_substring_regex(bare, WHOLE), dtype=bool)
        endless = matching(ENDLESS)
        number = np.asarray(pc.match_substring_regex(bare, NUMBER), dtype=bool)
        self.thousands += int(counts[separated].sum())
        self.zeros += int(counts[matching(ZEROS) & words_whole].sum())
        self.huge += int(counts[matching(HUGE)].sum())
        self.endless += int(counts[endless].sum())
        self.whole += int(counts[words_whole].sum())
        self.numbers += int(counts[number | endless].sum())
        if words_whole.any():
            self._range(bare.filter(words_whole).cast(arrow().int64()))
        if number.any():
            self._keep(np.asarray(bare.filter(number).cast(arrow().float64())), counts[number])
        other = ~(number | endless)
        if other.any() and len(self.odd) < 3:
            self.odd += [w for w in words.filter(other).slice(0, 3).to_pylist() if w not in self.odd]
        dates = matching(DIGITS_OF_DATE)
        if self.pattern:
            self._count_dates(words, counts, self.pattern)
        if dates.any():
            self._look_at_dates(words.filter(dates), counts[dates])

    def _look_at_dates(self, words: Any, counts: npt.NDArray[np.int64]) -> None:
        self.dates += int(counts.sum())
        self.clock |= bool(np.asarray(arrow().compute.match_substring(words, ":")).any())
        for pattern in TIMES:
            if pattern != self.pattern or not pattern:
                self._count_dates(words, counts, pattern)

    def _count_dates(self, words: Any, counts: npt.NDArray[np.int64], pattern: str) -> None:
        found = parse_times(words, pattern)
        known = np.asarray(found.is_valid())
        if known.any():
            self.times[pattern] += int(counts[known].sum())
            ticks = np.asarray(found.filter(known).cast(arrow().int64()))
            low, high = self.ends.get(pattern, (ticks[0], ticks[0]))
            self.ends[pattern] = (min(low, int(ticks.min())), max(high, int(ticks.max())))

    def _look_at_numbers(self, values: Any, counts: npt.NDArray[np.int64]) -> None:
        pa = arrow()
        numbers = np.asarray(values.cast(pa.float64(), safe=False))
        finite = np.isfinite(numbers)
        self.endless += int(counts[~finite].sum())
        self.numbers += int(counts.sum())
        if pa.types.is_integer(values.type):
            fits = numbers < 2**63 if pa.types.is_uint64(values.type) else np.ones(len(numbers), bool)
            self.huge += int(counts[~fits].sum())
            self.whole += int(counts[fits].sum())
            self._range(values.filter(pa.array(fits)).cast(pa.int64()))
        else:
            whole = finite & (numbers == np.floor(numbers)) & (np.abs(numbers) <= 2**53)
            self.whole += int(counts[whole].sum())
            if whole.any():
                self._range(pa.array(numbers[whole].astype(np.int64)))
        self._keep(numbers[finite], counts[finite])

    def _range(self, values: Any) -> None:
        if len(values):
            ends = arrow().compute.min_max(values)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)

    def _keep(self, values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> None:
        """Keep at most some of the values of each batch, evenly spread, and its ends."""
        if not len(values):
            return
        with np.errstate(over="ignore"):
            while self.places <= MOST_PLACES and (np.round(values, self.places) != values).any():
                self.places += 1
        known = [*self.ends_of_numbers] if self.sample else []
        self.ends_of_numbers = (min([float(values.min()), *known]), max([float(values.max()), *known]))
        order = np.argsort(values)
        every = np.repeat(values[order], counts[order])
        step = self.thinned * max(1, len(every) // SAMPLE_OF_BATCH)
        self.sample.append(np.concatenate([every[::step], every[-1:]]) if step > 1 else every)
        if sum(map(len, self.sample)) > 2 * SAMPLE:
            self.sample, self.thinned = [np.sort(np.concatenate(self.sample))[::2]], 2 * self.thinned


def infer(
    table: tables.Table, types: Mapping[str, str] | str | None = None, besides: Collection[str] = ()
) -> tuple[Table, list[str]]:
    """The space of a table, but for the columns `besides`, which are not observations, and what to know of its columns.
    One `InputError` lists all columns for which no kind fits."""
    wanted = parse_types(types)
    columns: list[AnyColumn] = []
    problems, notes = wrong_types(table, wanted), list[str]()
    wanted = {name: said for name, said in wanted.items() if is_kind(said)}
    names = [name for name in table.titles if wanted.get(name) != "drop" and name not in besides]
    sketches = [Sketch(name, pattern=pattern_of(wanted.get(name, ""))) for name in names]
    places = {name: place for place, name in enumerate(table.titles)}
    table.gather(problems)
    try:
        for batch in table.values():
            for sketch in sketches:
                sketch.add(batch.column(places[sketch.name]))
    finally:
        table.gather(None)
    for sketch in sketches:
        try:
            column, remarks = decide(sketch, wanted.get(sketch.name))
        except (Unclear, ValueError) as error:
            problems.append(f"column {sketch.name!r} {error}")
        else:
            columns.append(column)
            notes += [f"column {sketch.name!r} {remark}" for remark in remarks]
    if problems:
        raise listed(table.where, problems)
    if not columns:
        raise InputError(f"{table.where} has no columns left; expected at least one.")
    space = Table(tuple(columns))
    dropped = [name for name, kind in wanted.items() if kind == "drop"]
    if dropped:
        notes.append(f"left out {tables.shorten(dropped)}")
    return space, notes


def say_kinds(where: str, space: Table, notes: Sequence[str]) -> None:
    """A `ZooWarning` with the kinds of the columns, and what to know of them."""
    shown = tables.shorten([c.describe() for c in space.columns], 20)
    lines = "".join(f"\n  {note}" for note in notes)
    warnings.warn(f"{where} is read as a table: {shown}. Otherwise: --types NAME=KIND.{lines}", ZooWarning, 4)


def pattern_of(kind: str) -> str:
    """How dates are written, of a kind such as `date:%d/%m/%Y`."""
    kind, _, pattern = kind.partition(":")
    return pattern if kind in ("date", "datetime") else ""


def decide(sketch: Sketch, wanted: str | None) -> tuple[AnyColumn, list[str]]:
    """The column that values make, and what to know of it."""
    kind, _, more = (wanted or _kind(sketch)).partition(":")
    given: dict[str, Any] = {"name": sketch.name, "missing": sketch.missing > 0}
    remarks = _remarks(sketch, kind)
    if kind in ("category", "ordered"):
        return _category(sketch, given, kind == "ordered", tuple(more.split(":")) if more else ()), remarks
    if kind == "boolean":
        return _boolean(sketch, given), remarks
    if kind in ("date", "datetime"):
        return _time(sketch, given, kind, more), remarks
    if kind == "integer" and sketch.huge:
        raise Unclear(_too_large(sketch))
    if kind == "integer":
        if sketch.whole < sketch.present or sketch.low is None or sketch.high is None:
            raise Unclear(f"has values that are not integers{_shown(sketch)}")
        return Integer(low=sketch.low, high=sketch.high, **given), remarks
    if sketch.endless:
        raise Unclear(
            f"has {sketch.endless:,} infinite values; replace them, or leave it out: --types {sketch.name}=drop"
        )
    if sketch.numbers < sketch.present:
        raise Unclear(f"has values that are not numbers{_shown(sketch)}")
    if kind == "decimal":
        return _decimal(sketch, given), remarks
    return _real(sketch, given), remarks


def _kind(sketch: Sketch) -> str:
    """The kind that fits all values."""
    pa, name = arrow(), sketch.name
    if not sketch.present or sketch.ordered:
        return "ordered" if sketch.ordered else "category"
    if pa.types.is_boolean(sketch.kind):
        return "boolean"
    if pa.types.is_date(sketch.kind):
        return "date"
    if pa.types.is_timestamp(sketch.kind):
        return "datetime"
    if pa.types.is_nested(sketch.kind) or pa.types.is_binary(sketch.kind) or pa.types.is_temporal(sketch.kind):
        raise Unclear(f"holds {sketch.kind}, which is no kind of column; leave it out: --types {name}=drop")
    if sketch.endless and sketch.numbers == sketch.present:
        return "real"
    if sketch.huge and sketch.whole + sketch.huge == sketch.present and not sketch.zeros:
        raise Unclear(_too_large(sketch))
    if sketch.whole == sketch.present and not sketch.zeros:
        return "integer"
    if sketch.numbers == sketch.present and not sketch.zeros:
        return "decimal" if sketch.is_decimal else "real"
    if _truths(sketch):
        return "boolean"
    if sketch.dates == sketch.present:
        if any(count == sketch.present for count in sketch.times.values()):
            return "datetime" if sketch.clock else "date"
        found = ", ".join(pattern or ISO for pattern, _ in sketch.times.most_common(3))
        raise Unclear(f"has dates in several formats ({found}); write all in one, or leave it out: --types {name}=drop")
    if sketch.numbers > sketch.present / 2 and not sketch.zeros:
        raise Unclear(
            f"has {sketch.present - sketch.numbers:,} words{_shown(sketch)} among {sketch.numbers:,} numbers; make "
            f"them numbers or empty, or take all for words: --types {name}=category"
        )
    return "category"


def _too_large(sketch: Sketch) -> str:
    return (
        f"has {sketch.huge:,} integers of more than 18 digits: leave it out, or take them for real numbers or "
        f"words: --types {sketch.name}=drop, =real, =category"
    )


def _shown(sketch: Sketch) -> str:
    return f" ({', '.join(map(repr, sketch.odd[:3]))})" if sketch.odd else ""


def _remarks(sketch: Sketch, kind: str) -> list[str]:
    """What to know of a column."""
    found, name = [], sketch.name
    if not sketch.present:
        found.append("has no value at all")
    elif len(sketch.values) == 1 and not sketch.many:
        found.append("has one value alone" + (", or none" if sketch.missing else ""))
    if kind == "category" and not sketch.many and sketch.present > FEW:
        once = sum(count == 1 for count in sketch.values.values())
        if once:
            found.append(f"has {once:,} values that occur once, of which little is learned")
    if kind == "integer" and sketch.present > FEW and sketch.low is not None and sketch.high is not None:
        differ = sketch.many or len(sketch.values) == sketch.present
        steps = differ and sketch.high - sketch.low + 1 == sketch.present
        if steps:
            found.append(f"looks like the numbers of the rows; leave it out: --types {name}=drop")
    if kind == "category" and sketch.numbers + sketch.dates and not sketch.zeros and sketch.numbers < sketch.present:
        mixed = [f"{n:,} {what}" for n, what in ((sketch.numbers, "numbers"), (sketch.dates, "dates")) if n]
        found.append(f"has {' and '.join(mixed)} among its words, which are taken for words")
    if sketch.thousands and kind in ("integer", "decimal", "real"):
        found.append(f"has commas between thousands in {sketch.thousands:,} values")
    if sketch.zeros and kind == "category":
        found.append("has numbers that begin with a zero, so they are taken for words")
    if kind in ("date", "datetime"):
        fits = [pattern for pattern, count in sketch.times.items() if count == sketch.present]
        if len(fits) > 1:
            may = " or ".join(pattern or ISO for pattern in fits)
            found.append(f"may be {may}; the first is taken. Otherwise: --types {name}={kind}:{fits[1]}")
    return found


def _category(sketch: Sketch, given: dict[str, Any], ordered: bool, values: tuple[str, ...]) -> Category:
    if values or sketch.ordered:
        return Category(values=values or sketch.ordered, ordered=True, **given)
    if sketch.many:
        raise Unclear(
            f"has more than {MOST_VALUES:,} different values in {sketch.present:,} rows: an identifier or free text? "
            f"Leave it out, or take it alone for text: --types {sketch.name}=drop, =text"
        )
    whole = sketch.whole == sketch.present and not sketch.zeros and sketch.present > 0
    if whole:
        return Category(values=tuple(sorted(int(v) for v in sketch.values)), ordered=ordered, **given)
    words = sorted(map(str, sketch.values), key=natural)
    return Category(values=tuple(words), ordered=ordered, **given)


def _truths(sketch: Sketch) -> tuple[str, str] | None:
    """The two words that the values are, as they are written most often."""
    if sketch.many or not all(isinstance(v, str) for v in sketch.values):
        return None
    written: dict[str, Counter[str]] = {}
    for word, count in sketch.values.items():
        written.setdefault(word.lower(), Counter())[word] += count
    pair = next((p for p in BOOLEANS if set(written) == set(p)), None)
    return None if pair is None else (written[pair[0]].most_common(1)[0][0], written[pair[1]].most_common(1)[0][0])


def _boolean(sketch: Sketch, given: dict[str, Any]) -> Boolean:
    if arrow().types.is_boolean(sketch.kind):
        return Boolean(**given)
    words = _truths(sketch)
    if words is None:
        raise Unclear(f"has other values than {' or '.join('/'.join(p) for p in BOOLEANS)}")
    return Boolean(words=words, **given)


def _time(sketch: Sketch, given: dict[str, Any], kind: str, pattern: str) -> Date | Datetime:
    pa = arrow()
    if is_words(sketch.kind):
        if not pattern:
            fits = [p for p, count in sketch.times.items() if count == sketch.present]
            if not fits:
                raise Unclear(f"has values that are no {kind}{_shown(sketch)}; say how it is written: {kind}:%d/%m/%Y")
            pattern = fits[0]
        if sketch.times[pattern] < sketch.present:
            raise Unclear(f"has values that are not written as {pattern or ISO}{_shown(sketch)}")
        low, high = sketch.ends[pattern]
        if kind == "date":
            return Date(low=low // DAY, high=high // DAY, format=pattern, **given)
        return Datetime(low=low, high=high, unit="us", format=pattern, **given)
    assert sketch.low is not None
    assert sketch.high is not None
    if pa.types.is_date32(sketch.kind):
        return Date(low=sketch.low, high=sketch.high, **given)
    if pa.types.is_date64(sketch.kind):
        return Date(low=sketch.low * 1000 // DAY, high=sketch.high * 1000 // DAY, **given)
    return Datetime(low=sketch.low, high=sketch.high, unit=sketch.kind.unit, zone=sketch.kind.tz, **given)


def _decimal(sketch: Sketch, given: dict[str, Any]) -> Decimal:
    if not sketch.is_decimal:
        name = sketch.name
        raise Unclear(f"has too many decimals, or too large numbers; keep it as real numbers: --types {name}=real")
    places = max(sketch.places, 1)
    low, high = (round(end * 10**places) for end in sketch.ends_of_numbers)
    return Decimal(low=low, high=high, places=places, **given)


def _real(sketch: Sketch, given: dict[str, Any]) -> Real:
    """Intervals with as many values each, wide ones beyond the least and the greatest value, and atoms."""
    values = np.sort(np.concatenate(sketch.sample))
    different, counts = np.unique(values, return_counts=True)
    atoms = different[counts >= max(3, ATOM * len(values))]
    rest = values[~np.isin(values, atoms)]
    if len(rest) == 0:
        return Real(atoms=tuple(atoms.tolist()), **given)
    low, high = rest[0], rest[-1]
    inner = np.unique(np.quantile(rest, np.linspace(0, 1, INTERVALS + 1)[1:-1]))
    span = (high - low) or max(1.0, abs(high))
    least = max(0.0, low - span) if low >= 0 else low - span
    edges = np.unique(np.concatenate([[least, low], inner, [np.nextafter(high, np.inf), high + span]]))
    return Real(edges=tuple(edges.tolist()), atoms=tuple(atoms.tolist()), **given)


# ---- rows as a whole ------------------------------------------------------------------------------------------------


def remarks_of_rows(space: Table, codes: Source) -> list[str]:
    """What rows, or some of many, say of columns: which may be identifiers, and which follow from others."""
    count = len(codes)
    if count <= FEW:
        return []
    rows = codes[np.arange(LOOKED) * count // LOOKED if count > LOOKED else slice(None)].astype(np.int64)
    columns = list(itertools.islice(space.places(), PAIRS))
    ranks = {c.name: _ranks(c, rows[:, place : place + len(c.levels)]) for place, c in columns}
    whole = [c for _, c in columns if isinstance(c, Integer)]
    numbers = [c.name for c in whole if c.high - c.low + 1 == count]  # of the rows, perhaps, which has been said
    ids = [c.name for c in whole if c.name not in numbers and len(np.unique(ranks[c.name])) == len(rows)]
    found = [f"column {name!r} has no value twice: an identifier? Leave it out: --types {name}=drop" for name in ids]
    for first, second in dependent({name: rank for name, rank in ranks.items() if name not in numbers}):
        found.append(f"column {second!r} follows from {first!r}; it may be left out: --types {second}=drop")
    return found


def _ranks(column: AnyColumn, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of each value among the different ones in their order; -1 where it is missing."""
    total = codes[:, 0].copy()
    for place, levels in enumerate(column.levels[1:], 1):
        total = total * levels + codes[:, place]
    present = ~((codes[:, 0] == column.levels[0] - 1) & column.missing)
    total[present] = np.unique(total[present], return_inverse=True)[1]
    return np.where(present, total, -1)


def dependent(ranks: Mapping[str, npt.NDArray[np.int64]]) -> list[tuple[str, str]]:
    """Pairs of columns of which the second is a function of the first in these rows, from the ranks of their
    values."""
    found: list[tuple[str, str]] = []
    known: set[str] = set()  # which follow from others
    for first, second in itertools.permutations(ranks, 2):
        if known.isdisjoint((first, second)) and all(
            _follows(ranks[first][rows], ranks[second][rows]) for rows in (slice(0, FEW * 10), slice(None))
        ):
            found.append((first, second))
            known.add(second)
    return found


def _follows(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> bool:
    """Whether the second is a function of the first, by more than chance: of a first that has each value many times, or
    one that keeps or turns the order."""
    present = (first >= 0) & (second >= 0)
    if (second[first < 0] >= 0).any() or present.sum() <= FEW:
        return False
    pairs = np.unique(first[present] * LOOKED + second[present]) % LOOKED
    firsts, counts = len(np.unique(first[present])), np.bincount(second[present])
    if np.count_nonzero(counts) < 2 or counts.sum() - counts.max() < RARE:
        return False
    if firsts <= counts.sum() / 10:
        return len(pairs) == firsts
    steps = np.diff(pairs)
    return len(pairs) - firsts <= ROUNDED * firsts and bool((steps >= 0).all() or (steps <= 0).all())
