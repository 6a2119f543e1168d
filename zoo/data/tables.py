"""Tables: CSV, Parquet and Arrow files, and frames in memory, as columns by name.

A first CSV row with anything that is not a number is the header. Rows come from the start, a block at a time, so a
table may be larger than memory. pyarrow does the reading; where it cannot, or where a value is missing or not finite,
a CSV file is read again by the slow csv module, to say in which line and column the trouble is.
"""

from __future__ import annotations

import csv
import glob
import itertools
import math
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from zoo.data.arrow import arrow
from zoo.data.sources import Array, Source, blocks
from zoo.data.spool import Spool
from zoo.errors import CorruptFile, InputError, ZooError, ZooWarning, did_you_mean, listed
from zoo.system.files import parse_json
from zoo.system.memory import available, check_fits, is_shortage

MAX_CLASSES = 1000
BLOCK = 1 << 22  # bytes that pyarrow parses at a time; a row must fit in it
BATCH = 1 << 15  # rows
# bytes of memory of a number, of a string, and of a row beside its values, where a file is read as a whole
CELL, WORD, ROW = 40, 80, 64
FEWER = "Take fewer rows or columns, or a machine with more."
EXACT = 2**24  # integers up to here are float32 numbers
SHOWN = 5  # columns or lines that are said one by one
COARSE = 1000  # rounding errors are small beside this part of the range of a column
MAX_PAGE = 2**31  # bytes of a page of a Parquet file
SMALLER = "Write it again with smaller row groups, or as several files."
SUFFIXES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")


@dataclass(frozen=True)
class Words:
    """A column of words: its values are `names[places]`."""

    names: list[str]
    places: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, row: int) -> str:
        return self.names[int(self.places[row])]


class Table:
    """Columns by name, whose rows are read from the start. `names` is empty for a CSV file without a header."""

    where: str  # what messages call it
    names: tuple[str, ...]
    width: int
    rows = 0  # how many there are, where the file says it
    typed = True  # whether columns have types of their own; in CSV files all are words
    faults: Sequence[str] = ()  # of the header
    problems: list[str] | None = None  # of header and rows: gathered here while they are read; None: raised

    def gather(self, problems: list[str] | None) -> None:
        """Put the problems of header and rows into this list, or raise them again (None)."""
        self.problems = problems

    def batches(self, numbers: Sequence[int], words: Sequence[int] = ()) -> Iterator[Any]:
        """Record batches of these columns: numbers as numbers, words as dictionaries of strings."""
        raise NotImplementedError

    def values(self) -> Iterator[Any]:
        """Record batches of all columns as they are; those of CSV files are strings."""
        raise NotImplementedError

    def explain(self, numbers: Sequence[int], words: Sequence[int]) -> None:
        """Raise the error of all values that are at fault, where a second reading can tell more of them."""

    @property
    def titles(self) -> tuple[str, ...]:
        return self.names or tuple(f"column {i + 1}" for i in range(self.width))

    def column(self, name: str) -> int:
        """The place of a column by its name."""
        if not self.names:
            raise InputError(f"{self.where} has no header, so no column {name!r}. Add a first line with the names.")
        if name not in self.names:
            near = did_you_mean(name, self.names)
            raise InputError(f"{self.where} has no column {name!r}; its columns are {shorten(self.names)}.{near}")
        return self.names.index(name)

    def read(self, numbers: Sequence[int], words: Sequence[int] = ()) -> tuple[Source, list[Words]]:
        """Columns as float32, shape `(N, len(numbers))`, all of them finite, and others as words."""
        spool, row = Spool(self.where, self.rows * len(numbers) * np.dtype(np.float32).itemsize), 0
        known: list[dict[str, int]] = [{} for _ in words]
        places: list[list[npt.NDArray[np.int32]]] = [[] for _ in words]
        merged, faults = Merged(2**53 if self.typed else 10**18), Faults(self.where)
        for batch in self.batches(numbers, words):
            block = np.empty((batch.num_rows, len(numbers)), dtype=np.float32)
            columns = [_floats(self, i, batch.column(place)) for place, i in enumerate(numbers)]
            for place, values in enumerate(columns):
                with np.errstate(over="ignore", invalid="ignore"):
                    block[:, place] = values
            if not np.isfinite(block).all():
                self.explain(numbers, words)
                self._add_missing(faults, block, numbers, row)
            elif not faults:
                for i, values in zip(numbers, columns, strict=True):
                    merged.add(values[:, None], [i])
            for n, i in enumerate(words):
                places[n].append(self._places(batch.column(len(numbers) + n), i, known[n], row))
            spool.add(block)
            row += len(block)
        if not row:
            raise InputError(f"{self.where} is empty: it has {self.width} columns and 0 rows.")
        faults.check()
        merged.warn(self.where, self.names)
        return spool.finish(), [Words(list(k), np.concatenate(p)) for k, p in zip(known, places, strict=True)]

    def _add_missing(self, faults: Faults, block: Array, numbers: Sequence[int], row: int) -> None:
        """What is no finite number in a block of rows, the first of which is number `row`."""
        for i, values in zip(numbers, block.T, strict=True):
            rows, column = np.flatnonzero(~np.isfinite(values)), f"column {self.titles[i]!r}"
            for at in rows[:SHOWN]:
                problem = f"row {row + at + 1}, {column} is missing or not finite ({values[at]})"
                faults.add(column, problem, "; expected float32 numbers everywhere. Drop the row or fill it in.")
            faults.counts[column] += len(rows[SHOWN:])

    def words(self, column: int) -> Words:
        """One column as words, none of them missing."""
        return self.read((), (column,))[1][0]

    def is_text(self, column: int) -> bool:
        """Whether a column may hold words: in a file without types any may."""
        return True

    def count_rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches((), (0,)))

    def _places(self, column: Any, i: int, known: dict[str, int], row: int) -> npt.NDArray[np.int32]:
        """Places of a batch of words in the dictionary `known`, which grows."""
        values = column.dictionary.to_pylist()
        if column.null_count or (not self.typed and "" in values):
            self.explain((), (i,))
            missing = int(np.asarray(column.is_null()).argmax())
            raise InputError(f"{self.where}, row {row + missing + 1}, column {self.titles[i]!r} is missing.")
        if all(isinstance(v, float) and v.is_integer() for v in values):
            values = [int(v) for v in values]  # integers that pandas stored as floats
        bad = next((v for v in values if not isinstance(v, (str, int))), None)
        if bad is not None:
            raise InputError(f"{self.where}: column {self.titles[i]!r} holds {bad!r}; expected names or integers.")
        mine = np.array([known.setdefault(str(v), len(known)) for v in values], dtype=np.int32)
        return np.asarray(mine[column.indices.to_numpy()])

    def strings(self, column: int, *, empty: bool = False) -> list[str]:
        """One column as strings; `empty` ones only if they may be."""
        found: list[Any] = []
        for batch in self.batches((), (column,)):
            values = batch.column(0)
            known = values.dictionary.to_pylist()
            found += [known[i] if i is not None else None for i in values.indices.to_pylist()]
            if None in found or (not empty and "" in found):
                self.explain((), (column,))
                bad = next(i for i, v in enumerate(found) if not v)
                raise InputError(f"{self.where}, row {bad + 1}, column {self.titles[column]!r} is missing.")
        return list(map(str, found))


def _is_number(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _floats(table: Table, i: int, column: Any) -> Array:
    """A column of a batch as numbers; missing ones become NaN."""
    pa = arrow()
    if not _is_number(column.type):
        name = table.titles[i]
        raise InputError(f"{table.where}: column {name!r} holds {column.type}; expected numbers.{label_hint(name)}")
    if column.null_count:
        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))


class Merged:
    """Different numbers of a column that are one in float32, which matters where they are large, or far closer to one
    another than to 0."""

    def __init__(self, most: int) -> None:
        self.most = most  # integers up to here are integers of a table
        self.width = 0  # of the last rows
        self.pairs: dict[int, tuple[float, float]] = {}  # by column
        self.others: set[int] = set()  # columns in which not all numbers are such integers

    def add(self, x: Array, columns: Sequence[int]) -> None:
        """Look at finite rows (N, width) of the columns of these numbers."""
        self.width = x.shape[1]
        if x.dtype.kind not in "iuf" or x.dtype.itemsize <= 2 or x.dtype == np.float32 or not len(x):
            return
        low, high = x.min(axis=0), x.max(axis=0)
        span = high.astype(np.float64) - low
        error = np.abs(x - x.astype(np.float32).astype(np.float64)).max(axis=0)
        suspect = (high >= EXACT) | (low <= -EXACT) | (error > span / COARSE)
        for place in np.flatnonzero(suspect & (low < high)).tolist():
            different = np.unique(x[:, place])
            same = np.flatnonzero(np.diff(different.astype(np.float32)) == 0)
            if len(same):
                pair = different[same[0]].item(), different[same[0] + 1].item()
                self.pairs.setdefault(columns[place], pair)
        other = (x != np.floor(x)) | (np.abs(x) > self.most) if x.dtype.kind == "f" else x >= 2**63
        self.others.update(columns[i] for i in np.flatnonzero(other.any(axis=0)).tolist())

    def warn(self, where: str, names: Sequence[str]) -> None:
        """A `ZooWarning` for each such column, or for the first ones of many."""
        for i, (one, other) in itertools.islice(self.pairs.items(), SHOWN):
            what = f"{where}: column {repr(names[i]) if names else i + 1}" if names or self.width > 1 else where
            keep = "or subtract what they have in common before, or scale them"
            if names and i not in self.others:
                keep = f"or keep its numbers in a table: --types {names[i]}=integer"
            warnings.warn(
                f"{what} has numbers that float32 does not tell apart, such as {_exact(one)} and {_exact(other)}. "
                f"Leave the column out, {keep}.",
                ZooWarning,
                stacklevel=2,
            )
        if len(self.pairs) > SHOWN:
            warnings.warn(f"{where}: so have {len(self.pairs) - SHOWN} more columns.", ZooWarning, stacklevel=2)


def _exact(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.17g}"


def warn_of_merged(where: str, x: Source) -> None:
    """A `ZooWarning` for each column of rows (N, ...) whose numbers float32 does not tell apart."""
    merged = Merged(2**53)
    for rows in blocks(x):
        part = x[rows]
        part = part.reshape(len(part), -1)
        merged.add(part, range(part.shape[1]))
    merged.warn(where, ())


class Faults:
    """Problems of cells and rows of a table as one error, which shows the first of each column."""

    def __init__(self, where: str) -> None:
        self.where, self.counts = where, Counter[str]()
        self.shown: list[str] = []
        self.said: set[str] = set()  # advice

    def __bool__(self) -> bool:
        return bool(self.shown)

    def add(self, of: str, problem: str, advice: str = ".") -> None:
        """A problem of a column, or of the rows, and what to do: how its sentence goes on, which is said once."""
        self.counts[of] += 1
        if self.counts[of] <= SHOWN:
            self.shown.append(problem + (advice if advice not in self.said else "."))
            self.said.add(advice)

    def check(self) -> None:
        """`InputError` if there are any."""
        if len(self.shown) == 1:
            raise InputError(f"{self.where}, {self.shown[0]}")
        if self.shown:
            more = {of: count - SHOWN for of, count in self.counts.items() if count > SHOWN}
            raise listed(self.where, [*self.shown, *(f"{of}: {n:,} more" for of, n in more.items())])


def shorten(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def open_table(path: Path) -> Table:
    """The table of a .csv, .tsv, .parquet, .arrow or .feather file."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ParquetTable(path)
    return ArrowTable.of_file(path) if suffix in (".arrow", ".feather") else CsvTable(path)


def find_parts(source: str | Path) -> list[Path]:
    """The files that a pattern such as `parts/*.parquet` names, or those of a folder that holds tables alone, or text
    files alone, in natural order; none where it is neither."""
    from zoo.spec import natural

    path = Path(source)
    if path.is_dir():
        found = [p for p in path.iterdir() if p.name[0] not in "._"]
        kinds = {p.suffix.lower() if p.is_file() else "folder" for p in found}
        found = found if kinds <= set(SUFFIXES) or kinds == {".txt"} else []
    else:
        found = [] if path.exists() or not glob.has_magic(str(source)) else [Path(p) for p in glob.glob(str(source))]
    return sorted(found, key=lambda p: natural(str(p)))


# ---- Arrow ----------------------------------------------------------------------------------------------------------


class ArrowTable(Table):
    """Whatever gives record batches of one schema: a table of pyarrow, an Arrow file, a frame."""

    table: Any  # of pyarrow, where there is one

    def __init__(self, where: str, schema: Any) -> None:
        names = tuple(schema.names)
        self.where, self.schema = where, schema
        repeated = {name: times for name, times in Counter(names).items() if times > 1}
        if repeated:
            raise listed(where, [f"column {name!r} is there {times} times" for name, times in repeated.items()])
        left_out = [n for n in names if n in _unnamed_index(schema)]
        if left_out:
            warnings.warn(
                f"{where}: left out the column {left_out[0]!r}, {_what_index(schema.field(left_out[0]).type)}",
                ZooWarning,
                stacklevel=4,
            )
        self.names = tuple(n for n in names if n not in left_out)
        self.width = len(self.names)
        if not names:
            raise InputError(f"{where} is empty: it has no columns.")

    @classmethod
    def of_table(cls, where: str, table: Any) -> ArrowTable:
        """A table of pyarrow in memory."""
        found = cls(where, table.schema)
        found.table = table
        return found

    @classmethod
    def of_file(cls, path: Path) -> ArrowTable:
        """An Arrow file, mapped into memory: its rows are read from the disk as they are needed."""
        pa = arrow()
        import pyarrow.feather
        import pyarrow.ipc

        with _readable(path, "Arrow"):
            try:
                with pa.memory_map(str(path)) as file:
                    table = pyarrow.ipc.open_file(file).read_all()
            except pa.ArrowInvalid:  # compressed, of the first version, or a stream
                try:
                    with pa.memory_map(str(path)) as file:
                        table = pyarrow.ipc.open_stream(file).read_all()
                except pa.ArrowInvalid:
                    table = pyarrow.feather.read_table(path)
        return cls.of_table(str(path), table)

    def is_text(self, column: int) -> bool:
        kind = self.schema.field(self.names[column]).type
        types = arrow().types
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))

    def count_rows(self) -> int:
        return int(self.table.num_rows)

    def selected(self, names: Sequence[str]) -> Iterator[Any]:
        """Record batches with these columns."""
        return iter(self.table.select(list(names)).to_batches(max_chunksize=BATCH))

    def batches(self, numbers: Sequence[int], words: Sequence[int] = ()) -> Iterator[Any]:
        pa = arrow()
        kinds = {self.names[i]: self.schema.field(self.names[i]).type for i in numbers}
        others = [name for name, kind in kinds.items() if not _is_number(kind)]
        if others:
            found = ", ".join(f"column {name!r} holds {kinds[name]}" for name in others)
            raise InputError(f"{self.where}: {found}; expected numbers.{label_hint(others[0])}")
        for name in (self.names[i] for i in words):
            if pa.types.is_nested(kind := self.schema.field(name).type):
                raise InputError(f"{self.where}: column {name!r} holds {kind}; expected names or integers.")
        for batch in self.selected([self.names[i] for i in (*numbers, *words)]):
            columns = batch.columns[: len(numbers)]
            for column in batch.columns[len(numbers) :]:
                column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
                columns.append(column)
            if not columns:
                yield batch
                continue
            yield pa.RecordBatch.from_arrays(columns, names=[str(i) for i in range(len(columns))])

    def values(self) -> Iterator[Any]:
        return self.selected(self.names)


@contextmanager
def _unreported(handler: Any) -> Iterator[None]:
    """Arrow reads the text of a row for its handler: where it is no UTF-8, Python prints that nobody hears of that. The
    row is an error of the reader's all the same."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda found: None if found.object is handler else before(found)
    try:
        yield
    finally:
        sys.unraisablehook = before


class ParquetTable(ArrowTable):
    """A Parquet file, or several of one schema, read a part at a time."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        schemas = []
        for path in paths:
            with _readable(path, "Parquet"), self.opened(path) as file:
                schemas.append(file.schema_arrow)
                self.rows += file.metadata.num_rows
        where = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        super().__init__(where, schemas[0])
        if self.rows == 0:
            raise InputError(f"{where} is empty: it has {self.width} columns and 0 rows.")
        for path, schema in zip(paths, schemas, strict=True):
            if not set(self.names) <= set(schema.names):
                missing = next(n for n in self.names if n not in schema.names)
                raise InputError(f"{path} has no column {missing!r}, which {paths[0]} has; expected the same in each.")

    def count_rows(self) -> int:
        return self.rows

    @staticmethod
    def opened(path: Path) -> Any:
        # where a thread cannot be started, for want of memory, Arrow waits for it forever: no buffering ahead
        return arrow().parquet.ParquetFile(path, pre_buffer=False)

    def selected(self, names: Sequence[str]) -> Iterator[Any]:
        for path in self.paths:
            with _readable(path, "Parquet"), self.opened(path) as file:
                check_fits(_largest_page(file.metadata, names), f"a part of {path}", SMALLER)
                for batch in file.iter_batches(batch_size=BATCH, columns=list(names), use_threads=False):
                    yield batch.select(list(names))


def _largest_page(about: Any, names: Sequence[str]) -> int:
    """Bytes of the largest page that these columns of a Parquet file may have: a page is unpacked as a whole, and is no
    larger than its column is in a row group."""
    free, largest = available(), 0
    for group in map(about.row_group, range(about.num_row_groups)):
        if group.total_byte_size > free:  # else none of its columns is too large
            columns = map(group.column, range(group.num_columns))
            sizes = (c.total_uncompressed_size for c in columns if c.path_in_schema.partition(".")[0] in names)
            largest = max(largest, *sizes, 0)
    return min(largest, MAX_PAGE)


class ManyTables(Table):
    """Several tables with the same columns as one."""

    def __init__(self, parts: Sequence[Table]) -> None:
        first, self.parts = parts[0], parts
        self.where, self.names, self.width, self.typed = first.where, first.names, first.width, first.typed
        for part in parts:
            if set(part.names) != set(first.names) or part.width != first.width:
                raise InputError(
                    f"{part.where} has the columns {shorten(part.titles)}; {first.where} has "
                    f"{shorten(first.titles)}. Expected the same in each."
                )

    def batches(self, numbers: Sequence[int], words: Sequence[int] = ()) -> Iterator[Any]:
        for part in self.parts:
            yield from part.batches(self._places_in(part, numbers), self._places_in(part, words))

    def values(self) -> Iterator[Any]:
        for part in self.parts:
            found = None if self.problems is None else list[str]()
            part.gather(found)
            for batch in part.values():
                yield batch.select(list(self.titles))
            part.gather(None)
            if self.problems is not None:
                self.problems += [f"{part.where}, {problem}" for problem in found or ()]

    def is_text(self, column: int) -> bool:
        return all(part.is_text(place) for part in self.parts for place in self._places_in(part, [column]))

    def explain(self, numbers: Sequence[int], words: Sequence[int]) -> None:
        for part in self.parts:
            part.explain(self._places_in(part, numbers), self._places_in(part, words))

    def _places_in(self, part: Table, columns: Sequence[int]) -> list[int]:
        return [part.names.index(self.names[i]) if self.names else i for i in columns]


def open_parts(paths: Sequence[Path]) -> Table:
    """The tables of several files as one."""
    if len(paths) > 1 and all(p.suffix.lower() == ".parquet" for p in paths):
        return ParquetTable(*paths)
    tables = [open_table(path) for path in paths]
    return tables[0] if len(tables) == 1 else ManyTables(tables)


def _what_index(kind: Any) -> str:
    """What an index without a name is, and what to do with it."""
    if arrow().types.is_integer(kind):
        return "the row numbers of pandas. Write without: to_parquet(..., index=False)."
    return f"the index of pandas ({kind}), which has no name. To keep it, name it: frame.index.name = 'key'."


def _unnamed_index(schema: Any) -> set[str]:
    """The columns in which pandas kept an index without a name."""
    about = (schema.metadata or {}).get(b"pandas")
    try:
        kept = parse_json(about)["index_columns"] if about else []
        return {n for n in kept if isinstance(n, str) and re.fullmatch(r"__index_level_\d+__", n)}
    except (ValueError, KeyError, TypeError):  # not pandas's own
        return set()


@contextmanager
def _readable(path: Path, kind: str) -> Iterator[None]:
    """Whatever pyarrow raises in the block becomes a `CorruptFile`, or of a shortage of memory an `InputError`."""
    try:
        yield
    except ZooError:
        raise
    except (arrow().ArrowException, OSError, MemoryError) as error:
        if is_shortage(error):
            raise InputError(f"there is not enough memory to read {path} ({first_line(error)}). {SMALLER}") from error
        raise CorruptFile(f"{path} is not a readable {kind} file: {first_line(error)}") from None


# ---- CSV ------------------------------------------------------------------------------------------------------------


class CsvTable(Table):
    """A CSV file. Its columns have no types: they are read as what is asked for."""

    typed = False

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)
        self.delimiter = _delimiter(path)
        rows = _rows(path, self.delimiter)
        try:
            line, first = next(rows)
        except StopIteration:
            raise InputError(f"{path} is empty; expected a table of numbers.") from None
        self.names, self.faults = _header(line, first)
        if self.names and next(rows, None) is None:
            raise InputError(f"{path} has a header and no rows.")
        rows.close()
        self.width = len(first)

    def batches(self, numbers: Sequence[int], words: Sequence[int] = ()) -> Iterator[Any]:
        pa = arrow()
        kinds = [pa.float64()] * len(numbers) + [pa.dictionary(pa.int32(), pa.string())] * len(words)
        needed = words if numbers else ()  # words alone may be text, of which a row may be empty
        return self._stream([*numbers, *words], kinds, numbers, needed)

    def values(self) -> Iterator[Any]:
        return self._stream(range(self.width), [arrow().string()] * self.width)

    def _stream(
        self, columns: Sequence[int], kinds: Sequence[Any], numbers: Sequence[int] = (), words: Sequence[int] = ()
    ) -> Iterator[Any]:
        pa = arrow()
        titles, ragged = self.titles, []
        wanted = [titles[i] for i in columns]
        if self.problems is not None:
            self.problems += self.faults
        elif self.faults:
            self.explain(numbers, words)

        def skip(row: Any) -> str:
            ragged.append(row)
            return "error" if self.problems is None else "skip"

        read = pa.csv.ReadOptions(column_names=None if self.names else titles, block_size=BLOCK, use_threads=False)
        if self.faults:  # the names are others than those in the file
            read.column_names, read.skip_rows_after_names = titles, 1
        try:
            with _unreported(skip):
                reader = pa.csv.open_csv(
                    self.path,
                    read,
                    pa.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=skip),
                    pa.csv.ConvertOptions(
                        column_types=dict(zip(wanted, kinds, strict=True)),
                        include_columns=wanted,
                        strings_can_be_null=False,
                        quoted_strings_can_be_null=False,
                    ),
                )
            while True:
                with _unreported(skip):
                    batch = next(reader, None)
                if batch is None:
                    break
                if batch.num_rows:
                    yield batch
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            self.explain(numbers, words)
            raise InputError(f"{self.path} cannot be read as CSV: {first_line(error)}") from None
        if ragged and self.problems is not None:
            self.problems += _ragged(_rows(self.path, self.delimiter), self.width, len(ragged))

    def column(self, name: str) -> int:
        self._check_header()
        return super().column(name)

    def _check_header(self) -> None:
        if self.faults:
            raise InputError(f"{self.where}, {'; '.join(self.faults)}")

    def explain(self, numbers: Sequence[int], words: Sequence[int]) -> None:
        _diagnose(self.path, self.delimiter, self.titles, numbers, words, bool(self.names), self.faults)


def _delimiter(path: Path) -> str:
    """Tab for .tsv; else the comma, unless the first line has none and has semicolons or tabs."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    line = ""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    return next((d for d in ",;\t" if d in line), ",")


def _rows(path: Path, delimiter: str) -> Any:
    """(line number, cells) of each row that is not blank. Slow: for the header and for finding faults."""

    def generate() -> Iterator[tuple[int, list[str]]]:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(_lines(file, path), delimiter=delimiter)
            last = 0
            try:
                for cells in reader:
                    line, last = last + 1, reader.line_num  # a row with quoted line breaks spans several lines
                    check_utf8("".join(cells), path, line)
                    if cells:
                        yield line, cells
            except csv.Error as error:
                raise InputError(f"{path}, line {reader.line_num}: {error}.") from None

    return generate()


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    """The lines of a file, none of which fills the memory."""
    number = 0
    while line := file.readline(BLOCK):
        number += 1
        if len(line) == BLOCK:
            raise InputError(f"{path}, line {number} has more than {BLOCK:,} characters; expected a table.")
        yield line


def _header(line: int, cells: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The names of the columns, empty if the first row is numbers, and what is wrong with them. Where something is, the
    names are others, so that what is wrong with the rows can be said too."""
    if all(map(is_number, cells)):
        return (), []
    problems, names = [], list(cells)
    word = next(c for c in cells if not is_number(c))
    times, first = Counter(cells), {name: i for i, name in reversed(list(enumerate(cells)))}
    for i, name in enumerate(cells):
        if not name.strip():
            problems.append(
                f"line {line}: column {i + 1} of the header has no name. Name it, or leave it out (pandas: "
                "to_csv(..., index=False))."
            )
            names[i] = f"column {i + 1}"
        elif times[name] > 1:
            if first[name] == i:
                many = "two" if times[name] == 2 else times[name]
                problems.append(f"line {line}: the header has {many} columns {name!r}; give each its own name.")
            names[i] = f"{name}, column {i + 1}"
        elif is_number(name) and math.isfinite(float(name)) and not name.strip().isdigit():  # "inf" may be a name
            found = f"column {i + 1} is the number {name} and another is {word!r}"
            problems.append(
                f"line {line} is neither header nor data: {found}. Add a first line with the names of the columns."
            )
            break
    return tuple(names), problems


def _ragged(rows: Iterator[tuple[int, list[str]]], width: int, count: int) -> list[str]:
    """What is wrong with so many rows that have more or fewer columns than the first."""
    odd = itertools.islice(((line, len(cells)) for line, cells in rows if len(cells) != width), min(count, SHOWN))
    found = [f"line {line} has {columns} columns; the first line has {width}" for line, columns in odd]
    more = count - len(found)
    return [*found, f"{more:,} more lines have more or fewer columns than the first"] if more > 0 else found


def _diagnose(
    path: Path,
    delimiter: str,
    names: Sequence[str],
    numbers: Sequence[int],
    strings: Sequence[int],
    header: bool,
    problems: Sequence[str],
) -> None:
    """Raise the error of all rows and cells that are at fault, and of a header with `problems`; return if none is."""
    found = Faults(str(path))
    for problem in problems:
        found.add("header", problem.removesuffix("."))
    rows = _rows(path, delimiter)
    if header:
        next(rows)
    for line, cells in rows:
        if _plain(cells, numbers, strings, len(names)):
            continue
        if len(cells) != len(names):
            found.add("rows", f"line {line} has {len(cells)} columns; the first line has {len(names)}")
            continue
        for i in strings:
            if not cells[i]:
                column = f"column {names[i]!r}"
                found.add(column, f"line {line}, {column} is empty", "; expected a word.")
        for i in numbers:
            if problem := _fault(cells[i]):
                hint = label_hint(names[i]) if header and problem.startswith("is '") else ""
                column = f"column {names[i]!r}" if header else names[i]
                found.add(column, f"line {line}, {column} {problem}", f"; expected a finite float32 number.{hint}")
    found.check()


def _plain(cells: list[str], numbers: Sequence[int], strings: Sequence[int], width: int) -> bool:
    """Surely nothing is wrong with a row: the quick answer for nearly all of them."""
    text = "".join(cells)
    if len(cells) != width or not text.isascii() or "_" in text or not all(cells[i] for i in strings):
        return False
    try:
        return all(abs(float(cells[i])) < 1e38 for i in numbers)
    except ValueError:
        return False


def _fault(cell: str) -> str:
    """What is wrong with a cell that should be a number, or nothing."""
    if not cell.strip():
        return "is empty"
    if not is_number(cell):
        return f"is {cell[:60]!r}"
    with np.errstate(over="ignore"):
        return "" if math.isfinite(np.float32(float(cell))) else f"has the value {cell.strip()}"


def is_number(cell: str) -> bool:
    """A number as CSV files hold it: Python's `1_000` is none."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell


def check_utf8(text: str, path: Path, line: int) -> None:
    """Raise for bytes that are no UTF-8, which reading with "surrogateescape" left in the text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}, line {line} is not UTF-8 text. Save the file as UTF-8.") from None


def label_hint(name: str) -> str:
    return f" If it is the class, say so: --label {name}; or leave it out: --types {name}=drop."


def first_line(error: BaseException) -> str:
    """The first line of another library's message, as a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300] + "."
