"""Tables: CSV and Parquet files as columns by name.

A first CSV row with anything that is not a number is the header. pyarrow does the reading; where it cannot, or
where a value is missing or not finite, the file is read again by the slow csv module, to say in which line and
column the trouble is.
"""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from zoo.data.arrow import arrow
from zoo.errors import CorruptFile, InputError, did_you_mean
from zoo.memory import available, check_fits

Array = npt.NDArray[Any]
MAX_CLASSES = 1000
BLOCK = 1 << 24  # bytes that pyarrow parses at a time; a row must fit in it
# bytes of memory from the file to the data set, measured: of a number, of a string, and of a row beside its values
CELL, WORD, ROW = 40, 80, 64
FEWER = "Take fewer rows or columns, or a machine with more."


@dataclass(frozen=True)
class Table:
    """The columns of a file, not read yet. `names` is empty for a CSV file without a header."""

    path: Path
    names: tuple[str, ...]
    width: int
    read: Callable[[Sequence[int], Sequence[int], bool], tuple[Array, list[list[str]]]]

    def numbers(self, columns: Sequence[int]) -> Array:
        """These columns as float32, shape `(N, len(columns))`; all of them finite."""
        return self.read(columns, (), False)[0]

    def strings(self, column: int, *, empty: bool = False) -> list[str]:
        """This column as strings; `empty` ones only if they may be."""
        return self.read((), (column,), empty)[1][0]

    def column(self, name: str) -> int:
        """The place of a column by its name."""
        if not self.names:
            raise InputError(f"{self.path} has no header, so no column {name!r}. Add a first line with the names.")
        if name not in self.names:
            near = did_you_mean(name, self.names)
            raise InputError(f"{self.path} has no column {name!r}; its columns are {shorten(self.names)}.{near}")
        return self.names.index(name)


def shorten(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def open_table(path: Path) -> Table:
    """The table of a .csv, .tsv or .parquet file."""
    return _open_parquet(path) if path.suffix.lower() == ".parquet" else _open_csv(path)


# ---- Parquet --------------------------------------------------------------------------------------------------------


def _open_parquet(path: Path) -> Table:
    pa = arrow()
    try:
        file = pa.parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise CorruptFile(f"{path} is not a readable Parquet file: {first_line(error)}") from None
    names = tuple(schema.names)
    if not names or file.metadata.num_rows == 0:
        raise InputError(f"{path} is empty: it has {len(names)} columns and {file.metadata.num_rows} rows.")
    repeated, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} has two columns {repeated!r}; give each its own name.")

    def read(numbers: Sequence[int], strings: Sequence[int], empty: bool) -> tuple[Array, list[list[str]]]:
        for i in numbers:
            kind = schema.types[i]
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
                raise InputError(f"{path}: column {names[i]!r} holds {kind}; expected numbers.{label_hint(names[i])}")
        rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
        words = sum(file.metadata.row_group(g).column(i).total_uncompressed_size for g in groups for i in strings)
        check_fits(
            rows * (ROW + CELL * len(numbers) + WORD * len(strings)) + 2 * words, f"{path}, {rows:,} rows,", FEWER
        )
        try:
            table = pa.parquet.read_table(
                path,
                columns=[names[i] for i in (*numbers, *strings)],
                read_dictionary=[names[i] for i in strings],
                use_threads=False,  # where a thread cannot be started, for want of memory, Arrow waits for it forever
                pre_buffer=False,
            )
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise CorruptFile(f"{path} is not a readable Parquet file: {first_line(error)}") from None
        out = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
        for place, i in enumerate(numbers):
            column = table.column(names[i])
            with np.errstate(over="ignore", invalid="ignore"):
                out[:, place] = column.cast(pa.float64()).to_numpy() if column.null_count else column.to_numpy()
        _check_finite(path, out, [names[i] for i in numbers])
        return out, [_parquet_strings(path, names[i], table.column(names[i])) for i in strings]

    return Table(path, names, len(names), read)


def _check_finite(path: Path, values: Array, names: Sequence[str]) -> None:
    good = np.isfinite(values)
    if not good.all():
        row, place = (int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"{path}, row {row + 1}, column {names[place]!r} is missing or not finite ({values[row, place]}); expected "
            "float32 numbers everywhere. Drop the row or fill it in."
        )


def _parquet_strings(path: Path, name: str, column: Any) -> list[str]:
    values = _values(column)
    if None in values:
        raise InputError(f"{path}, row {values.index(None) + 1}, column {name!r} is missing.")
    if all(isinstance(v, float) and v.is_integer() for v in values):
        values = [int(v) for v in values]  # integers that pandas stored as floats
    bad = next((v for v in values if not isinstance(v, (str, int))), None)
    if bad is not None:
        raise InputError(f"{path}: column {name!r} holds {bad!r}; expected names or integers.")
    return [str(v) for v in values]


def _values(column: Any) -> list[Any]:
    """A column as a list. Strings that repeat, of a column with a dictionary, are one object each."""
    if not hasattr(column.type, "index_type"):
        return list(column.to_pylist())
    values: list[Any] = []
    for chunk in column.chunks:
        known = [*chunk.dictionary.to_pylist(), None]
        values += [known[i] for i in chunk.indices.fill_null(len(known) - 1).to_pylist()]
    return values


# ---- CSV ------------------------------------------------------------------------------------------------------------


def _open_csv(path: Path) -> Table:
    rows = _rows(path, delimiter := _delimiter(path))
    try:
        line, first = next(rows)
    except StopIteration:
        raise InputError(f"{path} is empty; expected a table of numbers.") from None
    names = _header(path, line, first)
    if names and next(rows, None) is None:
        raise InputError(f"{path} has a header and no rows.")
    rows.close()
    shown = names or tuple(f"column {i + 1}" for i in range(len(first)))

    def read(numbers: Sequence[int], strings: Sequence[int], empty: bool) -> tuple[Array, list[list[str]]]:
        pa = arrow()
        _check_memory(path, delimiter, len(strings))
        words_of = pa.dictionary(pa.int32(), pa.string())
        types = {shown[i]: pa.float32() for i in numbers} | dict.fromkeys((shown[i] for i in strings), words_of)
        read_options = pa.csv.ReadOptions(column_names=None if names else shown, block_size=BLOCK)
        parse_options = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        convert_options = pa.csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=False, quoted_strings_can_be_null=False
        )
        try:
            table = pa.csv.read_csv(path, read_options, parse_options, convert_options)
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            _diagnose(path, delimiter, shown, numbers, (), bool(names))
            raise InputError(f"{path} cannot be read as CSV: {first_line(error)}") from None
        out = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
        for place, i in enumerate(numbers):
            out[:, place] = table.column(shown[i]).to_numpy()
        words = [_values(table.column(shown[i])) for i in strings]
        if not np.isfinite(out).all() or (not empty and any("" in w for w in words)):
            _diagnose(path, delimiter, shown, numbers, () if empty else strings, bool(names))
            _check_finite(path, out, [shown[i] for i in numbers])
        return out, words

    return Table(path, names, len(first), read)


def _check_memory(path: Path, delimiter: str, strings: int) -> None:
    """`InputError` if the cells of a file do not fit in memory. They are counted only where that is in question."""
    size = os.path.getsize(path)
    if size * (CELL + ROW + WORD * strings) // 2 < available():  # a cell has two characters at least
        return
    check_fits(size, str(path), FEWER)  # or it would take long to count
    cells = lines = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            cells += block.count(delimiter.encode())
    check_fits(
        CELL * cells + (CELL + ROW) * lines + strings * (WORD * lines + size), f"{path}, {lines:,} lines,", FEWER
    )


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


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a file, none of them longer than a row may be."""
    while line := file.readline(BLOCK):
        if len(line) == BLOCK:
            raise InputError(
                f"{path} has a line of more than {BLOCK:,} characters; expected a table with shorter rows."
            )
        yield line


def _header(path: Path, line: int, cells: list[str]) -> tuple[str, ...]:
    """The names of the columns, empty if the first row is numbers."""
    numeric = [is_number(c) for c in cells]
    if all(numeric):
        return ()
    seen: set[str] = set()
    for i, name in enumerate(cells):
        if not name.strip():
            raise InputError(
                f"{path}, line {line}: column {i + 1} of the header has no name. Name it, or leave it out (pandas: "
                "to_csv(..., index=False))."
            )
        if name in seen:
            raise InputError(f"{path}, line {line}: the header has two columns {name!r}; give each its own name.")
        seen.add(name)
        if numeric[i] and not name.strip().isdigit():
            word = next(c for c, n in zip(cells, numeric, strict=True) if not n)
            raise InputError(
                f"{path}, line {line} is neither header nor data: column {i + 1} is the number {name} and another is "
                f"{word!r}. Add a first line with the names of the columns."
            )
    return tuple(cells)


def _diagnose(
    path: Path, delimiter: str, names: Sequence[str], numbers: Sequence[int], strings: Sequence[int], header: bool
) -> None:
    """Raise the error of the first cell that is at fault; return if there is none."""
    rows = _rows(path, delimiter)
    if header:
        next(rows)
    for line, cells in rows:
        if _plain(cells, numbers, strings, len(names)):
            continue
        if len(cells) != len(names):
            raise InputError(f"{path}, line {line} has {len(cells)} columns; the first line has {len(names)}.")
        empty = next((i for i in strings if not cells[i]), None)
        if empty is not None:
            raise InputError(f"{path}, line {line}, column {names[empty]!r} is empty; expected a class.")
        for i in numbers:
            if problem := _fault(cells[i]):
                hint = label_hint(names[i]) if header and problem.startswith("is '") else ""
                where = f"column {names[i]!r}" if header else names[i]
                raise InputError(f"{path}, line {line}, {where} {problem}; expected a finite float32 number.{hint}")


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
    return f" If it is the class, say so: --label {name}."


def first_line(error: BaseException) -> str:
    """The first line of another library's message, as a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300] + "."
