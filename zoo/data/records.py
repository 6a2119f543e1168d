"""Values of tables and the codes that `zoo.columns` has for them: parsing, and rows of whatever holds a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import (
    Boolean,
    Category,
    Codes,
    Column,
    Date,
    Datetime,
    Decimal,
    Integer,
    Problem,
    Real,
    Table,
    problems_of,
)
from zoo.data import tables
from zoo.data.arrow import arrow
from zoo.data.sources import Source
from zoo.data.spool import Spool
from zoo.errors import InputError, did_you_mean

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "none", "#N/A", "<NA>")
WHOLE = r"^[+-]?\d{1,18}$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d*)?$"


def is_words(kind: Any) -> bool:
    types = arrow().types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def plain(values: Any) -> Any:
    """An array of pyarrow without dictionaries; words without spaces around them, and None where there is no value."""
    pa = arrow()
    pc = pa.compute
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if is_words(values.type):
        words = pc.utf8_trim_whitespace(values.cast(pa.string()))
        return pc.if_else(pc.is_in(words, pa.array(MISSING)), None, words)
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(values), None, values)
    return values


def parse(values: Any, column: Column) -> Any:
    """`plain` values as the type of a column; `Problem` for those that are no such thing."""
    pa = arrow()
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), column.arrow)
    if is_words(values.type):
        return _parse_words(values, column)
    if isinstance(column, Boolean) and column.words and pa.types.is_boolean(values.type):
        return pa.array(column.words).take(values.cast(pa.int8()))
    try:
        return values.cast(column.arrow, safe=not isinstance(column, (Real, Decimal)))  # large integers are rounded
    except pa.ArrowInvalid:
        numbers = np.asarray(values.cast(pa.float64(), safe=False).fill_null(0))
        fraction, large = numbers != np.floor(numbers), np.abs(numbers) >= 2**63
        if large.any() and not fraction.any():
            raise Problem("exceeds 64-bit integers", values, large) from None
        bad = fraction | large
        raise Problem(f"is no {column.kind}", values, bad if bad.any() else np.ones(len(values), bool)) from None
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        every = np.asarray(values.is_valid())
        raise Problem(f"holds {values.type}, and the column is of the kind {column.kind}", values, every) from None


def _parse_words(words: Any, column: Column) -> Any:
    pa = arrow()
    pc = pa.compute
    if isinstance(column, Boolean):
        lower = pc.utf8_lower(words)
        known = column.words or ("false", "true")
        places = pc.index_in(lower, pa.array([w.lower() for w in known]))
        _refuse(words, places.is_null(), f"is neither {known[0]} nor {known[1]}")
        return pa.array(column.words or (False, True), column.arrow).take(places)
    if isinstance(column, Category) and column.arrow == pa.string():
        return words
    if isinstance(column, (Integer, Real, Decimal, Category)):
        whole = not isinstance(column, (Real, Decimal))
        numbers = pc.if_else(pc.match_substring_regex(words, THOUSANDS), pc.replace_substring(words, ",", ""), words)
        good = pc.match_substring_regex(numbers, WHOLE if whole else NUMBER)
        _refuse(words, pc.invert(good), "is not an integer" if whole else "is not a number")
        return numbers.cast(pa.int64() if whole else pa.float64())
    assert isinstance(column, (Date, Datetime))
    times = parse_times(words, column.format)
    _refuse(words, times.is_null(), f"is no {column.kind}" + (f" as {column.format}" if column.format else ""))
    return times.cast(column.arrow, safe=False)


def parse_times(words: Any, pattern: str) -> Any:
    """Words as points in time, None where they are none of the pattern (ISO 8601 if there is none)."""
    pa = arrow()
    pc = pa.compute
    if pattern:
        return pc.strptime(words, format=pattern, unit="us", error_is_null=True)
    iso = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?$"
    good = pc.if_else(pc.match_substring_regex(words, iso), words, None)
    try:
        return good.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # such as the 31st of February
        found = [pc.strptime(good, format=f, unit="us", error_is_null=True) for f in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")]
        return pc.coalesce(*found)


def _refuse(words: Any, wrong: Any, what: str) -> None:
    bad = np.asarray(wrong.fill_null(False)) & np.asarray(words.is_valid())
    if bad.any():
        raise Problem(what, words, bad)


# ---- rows -----------------------------------------------------------------------------------------------------------


def encode_rows(space: Table, x: Any, name: str) -> Codes:
    """The codes of rows that are in Python: a table, a frame, a dict of columns, or a list of dicts."""
    return np.asarray(read_codes(table_of_rows(x, name), space)[:])


def table_of_rows(x: Any, name: str) -> Any:
    """Rows that are in Python as a table that messages call `name`."""
    pa = arrow()
    from zoo.data.in_memory import table_of

    if isinstance(x, Mapping):
        x = pa.table({k: v if hasattr(v, "__arrow_c_array__") else np.asarray(v) for k, v in x.items()})
    elif isinstance(x, (list, tuple)) and all(isinstance(row, Mapping) for row in x):
        x = pa.Table.from_pylist(list(x))
    table = table_of(x)
    if table is None:
        raise InputError(f"{name} is a {type(x).__name__}; expected a table of pyarrow, pandas or polars, or a dict.")
    table.where = name
    return table


def encode_given(space: Table, x: Any, name: str) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """What `Table.given` gives, of a dict of values, or of rows as in `encode_rows`."""
    if not (isinstance(x, Mapping) and all(isinstance(v, str) or np.ndim(v) == 0 for v in x.values())):
        return read_given(table_of_rows(x, name), space)
    if not x:
        return np.zeros(space.shape, dtype=np.int64), np.zeros(len(space.columns), dtype=bool)
    codes, known = read_given(table_of_rows([x], name), space)
    return codes[0], known[0]


def read_given(table: tables.Table, space: Table, besides: Collection[str] = ()) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """The codes (N, codes) of the rows of a table with some of the columns of a space, 0 where a cell is missing, and
    which are not (N, columns). Further columns are errors, but for those `besides`."""
    known_columns = {column.name: (n, place, column) for n, (place, column) in enumerate(space.places())}
    titles = [title for title in table.titles if title in space.names or title not in besides]
    for title in titles:
        if title not in known_columns:
            raise InputError(
                f"{table.where} has a column {title!r}; those of the model are {tables.shorten(space.names)}."
                + did_you_mean(title, space.names)
            )
    blocks, found, row = [], dict[str, Problem](), 0
    for batch in table.values():
        codes = np.zeros((batch.num_rows, space.size), dtype=np.int64)
        known = np.zeros((batch.num_rows, len(space.columns)), dtype=bool)
        for title in titles:
            n, place, column = known_columns[title]
            try:
                values = parse(plain(batch.column(table.titles.index(title))), column)
                there = column.encode(values.drop_null())
            except Problem as problem:
                _gather(found, title, problem, row)
            else:
                known[:, n] = np.asarray(values.is_valid())
                codes[known[:, n], place : place + there.shape[1]] = there
        blocks.append((codes, known))
        row += batch.num_rows
    if found:
        raise problems_of(list(found.items()), table.where)
    return np.concatenate([c for c, _ in blocks]), np.concatenate([k for _, k in blocks])


def read_codes(table: tables.Table, space: Table) -> Source:
    """The codes of all rows of a table, in the smallest integers that hold them. One `InputError` lists whatever is
    wrong with any of them."""
    known = {name: place for place, name in enumerate(table.titles)}
    missing = [c.name for c in space.columns if c.name not in known]
    if missing:
        raise InputError(
            f"{table.where} has no column{'s' * (len(missing) > 1)} {tables.shorten([repr(n) for n in missing])}; its "
            f"columns are {tables.shorten(table.titles)}."
        )
    places = [known[c.name] for c in space.columns]
    dtype = np.min_scalar_type(space.levels - 1)
    spool, row = Spool(table.where, table.rows * space.size * dtype.itemsize), 0
    found: dict[str, Problem] = {}
    for batch in table.values():
        block = np.zeros((batch.num_rows, space.size), dtype=dtype)
        for place, (first, column) in zip(places, space.places(), strict=True):
            try:
                codes = column.encode(parse(plain(batch.column(place)), column))
            except Problem as problem:
                _gather(found, column.name, problem, row)
            else:
                block[:, first : first + codes.shape[1]] = codes
        spool.add(block)
        row += batch.num_rows
    if found:
        raise problems_of(list(found.items()), table.where)
    return spool.finish()


def _gather(found: dict[str, Problem], name: str, problem: Problem, row: int) -> None:
    """Add the problem of a batch to those of the batches before it."""
    problem.rows = problem.rows + row
    if name in found:
        before = found[name]
        before.rows = np.concatenate([before.rows, problem.rows])
        before.values += problem.values
    else:
        found[name] = problem
