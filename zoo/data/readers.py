"""Observations from the files that people have: CSV, Parquet, NPZ, NPY, text, images.

`read_dataset` finds the sample space in the file; `read_rows` takes the space as given, for a model that is there
already. What the file says, by its kind:

| file | sample space |
|---|---|
| .csv, .tsv, .parquet | `Real`, a column each, named by the header |
| .npz, .npy, floats of shape (N, width) or (N,) | `Real` |
| the same, integers | `Discrete`, with the levels seen: 0 to the highest |
| the same, uint8 of shape (N, height, width) or (N, height, width, channels) | `Image` |
| a folder of .png, .jpg | `Image`; sub-folders are classes |
| .txt | `Text`, or `Tokens` of a tokenizer: a string a line (`zoo.data.text`) |
| .csv, .tsv, .parquet with a column of strings that is asked for, or the only one and called `text` | the same |

NPZ files hold the observations as `x` or `data`, or as the only array besides the classes `y` or `label`. Images in
NPZ and NPY have 256 levels, or those seen if no value is above 16.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.columns import Table as Records
from zoo.data import SUFFIXES, Dataset, all_splits, check_lengths, split_numbers, taken, warn_of_copies
from zoo.data.column_inference import infer, parse_types, remarks_of_rows, say_kinds, wrong_types
from zoo.data.images import IMAGE_SUFFIXES, ImageFiles, Size, find_images, open_images
from zoo.data.records import read_codes
from zoo.data.sources import Mapped, Parts, Source, blocks, check_rows
from zoo.data.spool import SHARE, scratch
from zoo.data.tables import (
    BLOCK,
    MAX_CLASSES,
    ManyTables,
    Table,
    Words,
    find_parts,
    first_line,
    is_number,
    open_parts,
    open_table,
    shorten,
    warn_of_merged,
)  # fmt: skip
from zoo.data.text import Lines, encode, read_lines, read_strings, rows_of, say
from zoo.errors import CorruptFile, InputError, ZooError, did_you_mean, listed
from zoo.spaces import Categories, Discrete, Image, Labels, Real, Space, Strings, is_whole
from zoo.spec import natural
from zoo.system.files import open_regular
from zoo.system.memory import available, check_mappable

Array = npt.NDArray[Any]
TABLES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")
ARRAYS = (".npz", ".npy")
MAX_ARRAYS = 1000  # of a file, whose headers are all read
LONGEST_HEADER = 10_000  # bytes of an array's header: the limit of numpy
TEXT_COLUMN = "text"


def column_names(space: Space) -> tuple[str, ...]:
    """The columns of this space in a table: its own names, `text`, or `x0`, `x1`, ..."""
    if isinstance(space, Strings):
        return (TEXT_COLUMN,)
    return (space.names if isinstance(space, (Real, Records)) else ()) or numbered("x", space.size)


def numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{i}" for i in range(count))


# ---- a data set -----------------------------------------------------------------------------------------------------

# what the parts of a data set with a split of its own are called
NAMES_OF_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "held_out"), "test"),
}


class Asked(NamedTuple):
    """What a user says of data beside where it is. See `zoo.data.load_dataset`."""

    label: str | None = None
    split: str | None = None
    size: Size | None = None
    types: Mapping[str, str] | str | None = None
    inputs: Sequence[str] | Mapping[str, Any] = ()
    tokenizer: Any = None
    length: int | None = None
    spaces: tuple[type[Space], ...] | None = None
    space: Space | None = None
    categories: Mapping[str, Categories] = {}  # the values of inputs that are words

    def allows(self, kind: type[Space]) -> bool:
        return self.spaces is None or issubclass(kind, self.spaces)

    @property
    def input_names(self) -> Sequence[str]:
        """The columns or arrays that are inputs: none where those are given as arrays."""
        return () if isinstance(self.inputs, Mapping) else self.inputs


ANYTHING = Asked()


class Found(NamedTuple):
    """All rows of what was read: observations of a space, the class and split of each, where known, and inputs. Text
    has no space yet: it depends on the splits."""

    x: Source | Lines
    space: Space | None
    classes: Words | Array | Sequence[str] | None = None
    split: Words | None = None
    inputs: Mapping[str, Source | Words] = {}


def read_dataset(source: str | Path, asked: Asked = ANYTHING) -> Dataset:
    """The data set of a file, a folder, or a pattern of files such as `parts/*.parquet`."""
    path = Path(source)
    splits = find_splits(path)
    if splits:
        found, counts = read_splits(str(path), splits, asked)
        return make_dataset(path.name, found, str(source), rows_of_parts(counts), asked)
    parts = find_parts(source)
    found = _read_parts(str(source), parts, asked) if parts else _read(path, asked)
    return make_dataset(path.name, found, str(source), rows_of_words(str(source), found.split), asked)


def make_dataset(
    name: str,
    found: Found,
    source: str,
    splits: Mapping[str, npt.NDArray[np.integer[Any]]] | None,
    asked: Asked,
) -> Dataset:
    """A data set of all its rows, in splits of its own or by the fixed permutation."""
    x, space, where = found.x, found.space, source or "data"
    if not isinstance(x, Lines) and (asked.tokenizer is not None or asked.length is not None):
        raise InputError(f"{where} is not text; a tokenizer and a length are for that. Leave them out.")
    classes = y = None
    if found.classes is not None:
        if len(found.classes) != len(x):
            raise InputError(f"{where} has {len(x)} observations and {len(found.classes)} classes; expected as many.")
        y, classes = make_labels(where, found.classes)
    check_lengths(name, found.inputs, len(x))
    inputs, categories = encode_inputs(where, found.inputs, asked.categories)
    numbers = split_numbers(name, len(x)) if splits is None else all_splits(name, splits)
    if isinstance(x, Lines):
        own = asked.space if isinstance(asked.space, Strings) else None
        rows = rows_of(x, numbers["train"], tokenizer=asked.tokenizer, length=asked.length, space=own)
        x, space, numbers = rows.x, rows.space, {split: rows.of(lines) for split, lines in numbers.items()}
        pieces = np.diff(rows.starts)
        y = None if y is None else np.repeat(y, pieces)
        inputs = {key: np.repeat(values[:], pieces, axis=0) for key, values in inputs.items()}
    assert space is not None
    if not isinstance(x, ImageFiles) and not isinstance(space, (Records, Strings)):
        check_rows(space, x, where)
    if isinstance(space, Real):
        warn_of_merged(where, x)
    data = taken(name, space, x, numbers, y, classes, source, None, inputs, categories)
    warn_of_copies(data)
    return data


def find_splits(folder: Path) -> dict[str, Path]:
    """The parts of a folder that are called `train`, `validation` and `test`, if it has the first and another: folders
    of images, or files."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    others = []
    for path in sorted(p for p in folder.iterdir() if p.name[0] not in "._"):
        kind = NAMES_OF_SPLITS.get((path.stem if path.is_file() else path.name).lower())
        readable = path.is_dir() or path.suffix.lower() in SUFFIXES
        if kind is None or not readable:
            others.append(path.name)
        elif kind in found:
            raise InputError(f"{folder} has {found[kind].name} and {path.name}, both for {kind}; expected one of them.")
        else:
            found[kind] = path
    if "train" not in found or len(found) < 2:
        return {}
    if others:
        say(f"{folder}: left out {shorten(others, 3)}, which are in none of the splits {', '.join(found)}.")
    return {kind: found[kind] for kind in ("train", "validation", "test") if kind in found}


def rows_of_parts(counts: Mapping[str, int]) -> dict[str, npt.NDArray[np.integer[Any]]]:
    """The row numbers of splits that come one after another."""
    ends = np.cumsum([0, *counts.values()])
    return {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(counts)}


def rows_of_words(where: str, words: Words | None) -> dict[str, npt.NDArray[np.integer[Any]]] | None:
    """The row numbers of the splits that a column names."""
    if words is None:
        return None
    unknown = [n for n in words.names if n.lower() not in NAMES_OF_SPLITS]
    if unknown:
        raise InputError(
            f"{where}: the column of splits has {shorten([repr(n) for n in unknown], 3)}; expected train, validation "
            "and test."
        )
    kinds = np.array([NAMES_OF_SPLITS[n.lower()] for n in words.names])[words.places]
    return {name: np.flatnonzero(kinds == name) for name in ("train", "validation", "test") if (kinds == name).any()}


def _read(path: Path, asked: Asked) -> Found:
    """What one file or folder holds."""
    kind = _kind(path)
    if kind == "folder":
        _no_column(path, asked, "its sub-folders are the classes")
        return images_of(*find_images(path), asked.size)
    if asked.size is not None:
        raise InputError(f"{path} is not a folder of images; a size is for those. Leave it out.")
    if kind == ".txt":
        _no_column(path, asked, "a text file has no classes")
        return Found(read_strings(str(path), [path]), None)
    if kind in TABLES:
        return read_table(open_table(path), asked)
    if kind in ARRAYS:
        if asked.split is not None:
            raise InputError(f"{path} has no columns; expected a table, or a folder with train, validation and test.")
        x, classes = _arrays(path, asked.label, asked.input_names)
        inputs = {name: _named_array(path, name) for name in asked.input_names}
        return Found(*array_space(str(path), [x]), classes, inputs=inputs)
    raise InputError(f"{path} is one image; expected a folder of images, or {', '.join(SUFFIXES)}.")


def _read_parts(where: str, parts: Sequence[Path], asked: Asked) -> Found:
    """Several files as one table or text, or their images."""
    if all(p.suffix.lower() in IMAGE_SUFFIXES for p in parts):
        return images_of(list(parts), [], asked.size)
    kinds = {_kind(part) for part in parts}
    if kinds == {".txt"}:
        _no_column(where, asked, "text files have no classes")
        return Found(read_strings(where, parts), None)
    odd = next((p for p in parts if p.suffix.lower() not in TABLES), None)
    if odd is not None:
        raise InputError(
            f"{odd} is not a table; several files are read as one where all are {', '.join(TABLES)}, all .txt, or all "
            "images."
        )
    return read_table(open_parts(parts), asked)


def read_splits(folder: str, splits: Mapping[str, Path], asked: Asked) -> tuple[Found, dict[str, int]]:
    """All rows of the parts of a data set one after another, and how many each part has."""
    if all(path.is_dir() and not find_parts(path) for path in splits.values()):
        _no_column(folder, asked, "sub-folders are the classes")
        images = {name: find_images(path) for name, path in splits.items()}
        if len({bool(found.classes) for found in images.values()}) > 1:
            raise InputError(f"{folder}: some of {', '.join(splits)} have a folder for each class and some have none.")
        paths = [p for found in images.values() for p in found.paths]
        classes = [c for found in images.values() for c in found.classes]
        return images_of(paths, classes, asked.size), {name: len(found.paths) for name, found in images.items()}
    kinds = {_kind(part) for path in splits.values() for part in find_parts(path) or [path]}
    if kinds <= set(TABLES):
        tables = {name: open_parts(find_parts(path) or [path]) for name, path in splits.items()}
        counts = {name: table.count_rows() for name, table in tables.items()}
        return read_table(ManyTables(list(tables.values())), asked), counts
    if kinds == {".txt"}:
        _no_column(folder, asked, "a text file has no classes")
        strings = {n: read_strings(str(path), find_parts(path) or [path]).strings for n, path in splits.items()}
        lines = Lines(folder, "line", [s for each in strings.values() for s in each])
        return Found(lines, None), {name: len(each) for name, each in strings.items()}
    if kinds <= set(ARRAYS):
        arrays = {name: _arrays(path, asked.label, asked.input_names) for name, path in splits.items()}
        found = join_arrays(folder, list(arrays.values()))
        inputs = {n: _joined_inputs([_named_array(path, n) for path in splits.values()]) for n in asked.input_names}
        return found._replace(inputs=inputs), {name: len(x) for name, (x, _) in arrays.items()}
    raise InputError(f"{folder}: its parts are {', '.join(sorted(kinds))}; expected files of one kind.")


def join_arrays(where: str, pairs: Sequence[tuple[Array, Any]]) -> Found:
    """Observations and classes of several parts as one."""
    if len({(x.dtype, x.shape[1:]) for x, _ in pairs}) > 1 or len({y is None for _, y in pairs}) > 1:
        shapes = " and ".join(f"{x.dtype} {x.shape}" for x, _ in pairs)
        raise InputError(f"{where}: the parts hold {shapes}; expected one dtype and shape, and classes in all or none.")
    labels = [y for _, y in pairs if y is not None]
    return Found(*array_space(where, [x for x, _ in pairs]), np.concatenate(labels) if labels else None)


def images_of(paths: Sequence[Any], classes: Words | Sequence[str] | None, size: Size | None) -> Found:
    """The images of files, or of open ones."""
    x = open_images(paths, size=size)
    return Found(x, Image(*x.shape), classes or None)


def _kind(path: Path) -> str:
    """The suffix of a file that can be read, or "folder"."""
    if path.is_dir():
        return "folder"
    if not path.exists():
        raise InputError(f"there is no file or folder {str(path)!r}. Check the name.")
    suffix = path.suffix.lower()
    known = (*SUFFIXES, *IMAGE_SUFFIXES)
    if suffix not in known:
        raise InputError(
            f"{path} has the suffix {suffix!r}; expected {', '.join(known)}, or a folder of images."
            f"{did_you_mean(suffix, known)}"
        )
    try:
        if not path.is_file():
            raise InputError(f"{path} is a pipe or a device; expected a file.")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty.")
        open_regular(path).close()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    return suffix


def _no_column(path: str | Path, asked: Asked, why: str) -> None:
    inputs = [("input", name) for name in asked.input_names]
    for what, name in (("label", asked.label), ("column of splits", asked.split), *inputs):
        if name is not None:
            raise InputError(f"{path} has no column {name!r}: {why}. Leave the {what} out.")


def read_table(table: Table, asked: Asked) -> Found:
    """The rows of a table and, by name, their inputs."""
    return _read_observations(table, asked)._replace(inputs=read_inputs(table, asked.input_names, asked.categories))


def _read_observations(table: Table, asked: Asked) -> Found:
    """The rows of a table, besides the columns of classes, splits and inputs and those that are left out: as the
    strings of one column, as real vectors if they are numbers that float32 holds and nothing else is asked for, or with
    the kinds of their columns."""
    if (column := text_column(table, asked)) is not None:
        return _read_text(table, column, asked)
    if isinstance(asked.space, Records):
        return _read_records(table, asked)
    types = parse_types(asked.types)
    if isinstance(asked.space, Real) or (asked.allows(Real) and set(types.values()) <= {"drop", "real"}):
        try:
            return _read_numbers(table, asked, types)
        except InputError:
            if isinstance(asked.space, Real) or not asked.allows(Records):
                raise
    return _read_records(table, asked)


def text_column(table: Table, asked: Asked) -> int | None:
    """The column whose strings are the observations: the one that `types` says, that of the name `text`, or for models
    of strings the only one. None if the rows are something else; `InputError` if it cannot be told which one it is."""
    types, of_strings = parse_types(asked.types), any(issubclass(s, Strings) for s in asked.spaces or (Strings,))
    said = [name for name, kind in types.items() if kind == "text"]
    if said and wrong_types(table, types) == []:
        if len(said) > 1 or not of_strings:
            spaces = " or ".join(space.__name__ for space in asked.spaces or ())
            why = f"the model takes {spaces} spaces" if len(said) == 1 else "expected one column of text"
            raise InputError(f"{table.where}: {shorten([repr(name) for name in said])} is to be text; {why}.")
        return table.column(said[0])
    if not of_strings or not (asked.space is None or isinstance(asked.space, Strings)):
        return None
    besides = {asked.label, asked.split, *(name for name, kind in types.items() if kind == "drop")}
    besides |= {table.names[i] for name in asked.input_names for i in input_columns(table, name)}
    left = [name for name in table.titles if name not in besides]
    needed = isinstance(asked.space, Strings) or not (asked.allows(Real) or asked.allows(Records))
    if left == [TEXT_COLUMN] or (needed and TEXT_COLUMN in left):
        return table.titles.index(TEXT_COLUMN)
    if needed and len(left) != 1:
        example = f": --types {left[0]}=text" if left else ""
        raise InputError(
            f"{table.where} has the columns {shorten(left) or 'none'}; say which one is the text{example}."
        )
    return table.titles.index(left[0]) if needed else None


def _read_text(table: Table, column: int, asked: Asked) -> Found:
    """The strings of a column of a table, and their classes and splits."""
    others = [name for name in (asked.label, asked.split) if name is not None]
    words = [table.words(table.column(name)) for name in others]
    inputs = [table.titles[i] for name in asked.input_names for i in input_columns(table, name)]
    known = [table.titles[column], *others, *inputs]
    left_out = [name for name in table.titles if name not in known]
    if left_out and asked.space is None:
        say(f"{table.where}: the text is {table.titles[column]!r}; left out {shorten(left_out)}.")
    classes = words.pop(0) if asked.label is not None else None
    return Found(Lines(table.where, "row", table.strings(column)), None, classes, words[0] if words else None)


def _read_records(table: Table, asked: Asked) -> Found:
    """Rows of a table as the codes of their values."""
    others = [name for name in (asked.label, asked.split) if name is not None]
    if table.faults:
        infer(table, asked.types, others)  # raises them together with those of the rows
    words = [table.words(table.column(name)) for name in others]
    space = asked.space
    if not isinstance(space, Records):
        inputs = [table.names[i] for name in asked.input_names for i in input_columns(table, name)]
        space, notes = infer(table, asked.types, [*others, *inputs])
        x = read_codes(table, space)
        say_kinds(table.where, space, [*notes, *remarks_of_rows(space, x)])
    else:
        x = read_codes(table, space)
    classes = words.pop(0) if asked.label is not None else None
    return Found(x, space, classes, words[0] if words else None)


def _read_numbers(table: Table, asked: Asked, types: Mapping[str, str]) -> Found:
    """Rows of a table as real vectors, without the columns that `types` leave out."""
    if wrong := wrong_types(table, types):
        raise listed(table.where, wrong)
    others = [table.column(name) for name in (asked.label, asked.split) if name is not None]
    inputs = [i for name in asked.input_names for i in input_columns(table, name)]
    dropped = [i for i, name in enumerate(table.titles) if types.get(name) == "drop"]
    besides = [*others, *inputs, *dropped]
    columns = [i for i in range(table.width) if i not in besides]
    if not columns:
        shown = shorten([repr(table.titles[i]) for i in besides], 3)
        raise InputError(f"{table.where} has no column besides {shown}; expected columns of numbers as observations.")
    space = Real(len(columns), tuple(table.names[i] for i in columns) if table.names else ())
    if isinstance(asked.space, Real):
        space = asked.space
        columns = _columns_of(table, space, besides)
    x, words = table.read(columns, others)
    classes = words.pop(0) if asked.label is not None else None
    return Found(x, space, classes, words[0] if words else None)


def make_labels(
    path: str, words: Words | Sequence[Any] | Array, noun: str = "class"
) -> tuple[npt.NDArray[np.int64], Labels]:
    """Integer labels and their names, in natural order: integers as numbers, "class 10" after "class 9"."""
    if isinstance(words, Words):
        y, classes = make_labels(path, words.names, noun)
        return y[words.places], classes
    values = np.asarray(words)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind == "f" and values.size:
        raise InputError(
            f"{path}: the classes are real numbers, such as {values.flat[0]:g}; expected (N,) integers or strings: "
            "y.astype(int), if they are whole."
        )
    if values.ndim != 1 or values.dtype.kind not in "biuU":
        raise InputError(
            f"{path}: the classes have dtype {values.dtype}, shape {values.shape}; expected (N,) integers or strings."
        )
    names, y = np.unique(values, return_inverse=True)
    if len(names) > MAX_CLASSES:
        raise InputError(f"{path}: the {noun} has {len(names)} different values; expected at most {MAX_CLASSES}.")
    order = sorted(range(len(names)), key=lambda i: _class_order(str(names[i])))
    return np.argsort(order)[y].astype(np.int64), Labels(tuple(str(names[i]) for i in order))


def _class_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort key: integers first, then names in natural order."""
    return (int(name), []) if is_whole(name) else (sys.maxsize, natural(name))


# ---- NPZ and NPY ----------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What an array's header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _headers(path: Path) -> dict[str, Header]:
    """The arrays of a file, not read yet; that of an .npy file is called `x`."""
    with _readable(path), open_regular(path) as file:
        if file.peek(2)[:2] != b"PK":
            header = _header(file)
            _check_length(path, header, os.fstat(file.fileno()).st_size)
            return {"x": header}
        found = {}
        with zipfile.ZipFile(file) as archive:
            if len(archive.infolist()) > MAX_ARRAYS:
                raise InputError(f"{path} holds more than {MAX_ARRAYS} arrays; expected the observations and classes.")
            for member in archive.infolist():
                with archive.open(member) as opened:
                    found[member.filename.removesuffix(".npy")] = header = _header(opened)
                _check_length(path, header, member.file_size)
        return found


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    length = file.read(2 if version == (1, 0) else 4)
    size = int.from_bytes(length, "little")
    if size > LONGEST_HEADER:  # numpy would read all of it first
        raise ValueError(f"the header of an array has {size:,} bytes; expected at most {LONGEST_HEADER:,}.")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(io.BytesIO(length + file.read(size)))
    return Header(shape, dtype, fortran)


def _check_length(path: Path, header: Header, length: int) -> None:
    """An array is not longer than the file: numpy makes room for all of it before it reads."""
    if header.dtype.hasobject:
        raise InputError(
            f"{path} holds Python objects, which may run code; expected plain arrays. Save numbers with "
            "numpy.savez(FILE, x=...)."
        )
    if header.bytes > length:
        raise CorruptFile(f"{path} is truncated: an array of shape {header.shape} is not all there. Write it again.")


def _load_array(path: Path, name: str, header: Header) -> Array:
    """One array of a file: in memory, or, where it would take much of it, as a map of the disk."""
    if header.bytes <= available() // SHARE:
        with _readable(path), open_regular(path) as file:  # numpy would leave a damaged one open
            loaded = np.load(file, allow_pickle=False)
            return np.asarray(loaded if isinstance(loaded, np.ndarray) else loaded[name])
    with open_regular(path) as file:
        zipped = file.peek(2)[:2] == b"PK"
    check_mappable(header.bytes, str(path))
    with _readable(path):
        if not zipped:
            return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            _header(member)
            with scratch(str(path), header.bytes) as out:
                shutil.copyfileobj(member, out, BLOCK)
                out.flush()
                order: Literal["F", "C"] = "F" if header.fortran else "C"
                return np.memmap(out, dtype=header.dtype, mode="r", shape=header.shape, order=order)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever is raised while a file of arrays is read becomes a `CorruptFile`, but a shortage of memory."""
    try:
        yield
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, tokenize and others raise what they like
        raise CorruptFile(
            f"{path} is not a whole {path.suffix} file: {first_line(error)} Fetch or write it again."
        ) from None


def _arrays(
    path: Path, label: str | None, inputs: Sequence[str] = (), main: tuple[str, ...] = ("x", "data")
) -> tuple[Array, Array | None]:
    """The observations and the classes in a file, which are none of the arrays that are `inputs`."""
    headers = {name: header for name, header in _headers(path).items() if name not in inputs}
    known = list(headers)
    if label is not None and label not in headers:
        near = did_you_mean(label, known)
        raise InputError(f"{path} has no array {label!r}; its arrays are {shorten(known)}.{near}")
    found = [label] if label is not None else [k for k in ("y", "label") if k in headers and len(headers) > 1]
    y = _load_array(path, found[0], headers.pop(found[0])) if found else None
    chosen = next((name for name in main if name in headers), None)
    if chosen is None and len(headers) != 1:
        names = shorten(list(headers)) or "none"
        raise InputError(f"{path} holds the arrays {names}; expected the observations as {main[0]!r}.")
    name = chosen or next(iter(headers))
    return _load_array(path, name, headers[name]), y


def array_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays in a file."""
    return tuple(_headers(path))


def _named_array(path: Path, name: str) -> Array:
    """The array of this name in a file."""
    headers = _headers(path)
    if name not in headers:
        raise InputError(
            f"{path} has no array {name!r}; its arrays are {shorten(list(headers))}.{did_you_mean(name, list(headers))}"
        )
    return _load_array(path, name, headers[name])


def array_space(where: str, parts: Sequence[Array]) -> tuple[Source, Space]:
    """The rows of arrays of one dtype and shape as one source, and their sample space (see the table above)."""
    x = parts[0]
    if x.ndim == 0 or any(part.size == 0 for part in parts):
        raise InputError(f"{where}: the observations have shape {x.shape}; expected at least one row.")
    if x.dtype.kind not in "buif":
        raise InputError(f"{where}: the observations have dtype {x.dtype}; expected numbers.")
    if x.ndim <= 2:
        rows = _joined([part.reshape(len(part), -1) for part in parts])
        width = rows[:1].shape[1]
        if x.dtype.kind == "f":
            return rows, Real(width)
        low, high = _extremes(rows)
        if low < 0:
            raise InputError(f"{where} has the integer {low}; expected 0, 1, ...; floats for real numbers.")
        return rows, Discrete(width, max(2, high + 1))
    if x.ndim <= 4 and x.dtype == np.uint8:
        rows = _joined([part.reshape(*part.shape[:3], -1) for part in parts])
        height, width, channels = rows[:1].shape[1:]
        if channels > 4 and height <= 4:
            raise InputError(
                f"{where}: images of shape {(height, width, channels)}; expected channels last: "
                "x.transpose(0, 2, 3, 1)."
            )
        high = _extremes(rows)[1]
        return rows, Image(height, width, channels, 256 if high > 16 else max(2, high + 1))
    raise InputError(
        f"{where}: the observations have shape {x.shape} and dtype {x.dtype}; expected numbers of shape (N, width), or "
        "uint8 images of shape (N, height, width, channels)."
    )


def _joined(parts: Sequence[Array]) -> Source:
    return parts[0] if len(parts) == 1 else Parts(parts)


def _joined_inputs(parts: Sequence[Array]) -> Source:
    """One input of several files; words may differ in length."""
    return np.concatenate(parts) if parts[0].dtype.kind == "U" else _joined(parts)


def _extremes(x: Source) -> tuple[int, int]:
    """The lowest and the highest of all integers."""
    found = [(int(part.min()), int(part.max())) for part in (x[rows] for rows in blocks(x))]
    return min(low for low, _ in found), max(high for _, high in found)


# ---- inputs ---------------------------------------------------------------------------------------------------------


def read_inputs(
    table: Table, names: Sequence[str], categories: Mapping[str, Categories] = {}
) -> dict[str, Source | Words]:
    """What a model is told of each row of a table, by name: (N,), or (N, width) of the columns `name0`, `name1`, ...
    Columns of words are as they are, and so are those whose `categories` are known."""
    found: dict[str, Source | Words] = {}
    for name in names:
        columns = input_columns(table, name)
        try:
            if name in categories and name in table.names:
                found[name] = table.words(columns[0])
                continue
            values, _ = table.read(columns)
        except InputError as error:
            found[name] = _words(table, name, columns, error)
        else:
            found[name] = Mapped(values, _alone) if name in table.names else values
    return found


def _words(table: Table, name: str, columns: Sequence[int], error: InputError) -> Words:
    """The column of an input that holds words, of which at most half are numbers in a file without types. `InputError`
    for another one: it is not numbers because of `error`."""
    if len(columns) == 1 and table.is_text(columns[0]):
        try:
            words = table.words(columns[0])
        except InputError as missing:
            raise InputError(f"the input {name!r}: {missing}") from None
        counts = np.bincount(words.places, minlength=len(words.names))
        numbers = counts[[is_number(word) for word in words.names]].sum()
        if table.typed or 2 * numbers <= len(words):
            return words
    raise InputError(f"the input {name!r}: {error} A category has words in most of its rows.") from None


def encode_inputs(
    where: str, inputs: Mapping[str, Source | Words], known: Mapping[str, Categories] = {}
) -> tuple[dict[str, Source], dict[str, Categories]]:
    """Inputs as numbers, and the names of those that are categories: `known` ones, or the words that occur."""
    coded: dict[str, Source] = {}
    categories: dict[str, Categories] = {}
    for name, values in inputs.items():
        if name in known:
            categories[name], what = known[name], f"the input {name!r} of {where}"
            if isinstance(values, Words):
                coded[name] = known[name].codes(values.names, what)[values.places]
            else:
                coded[name] = known[name].codes(values[:], what)
        elif isinstance(values, Words):
            coded[name], categories[name] = _category(where, name, values)
        elif values[:0].dtype.kind == "U":
            coded[name], categories[name] = _category(where, name, values[:])
        else:
            coded[name] = values
    return coded, categories


def _category(where: str, name: str, words: Words | Array) -> tuple[npt.NDArray[np.int64], Categories]:
    """The codes and the names of an input of words."""
    codes, found = make_labels(where, words, f"input {name!r}")
    say(f"{where}: the input {name!r} is a category: {shorten(found.names)}.")
    return codes, Categories(found.names)


def _alone(rows: Array) -> Array:
    """The only number of each row."""
    return rows[:, 0]


def input_columns(table: Table, name: str) -> list[int]:
    """The places of the columns of an input: that of its name, or `name0`, `name1`, ... where there is none."""
    if name not in table.names and f"{name}0" in table.names:
        places = itertools.takewhile(lambda title: title in table.names, (f"{name}{i}" for i in itertools.count()))
        return [table.names.index(title) for title in places]
    return [table.column(name)]


def open_inputs(
    path: str | Path, names: Sequence[str], categories: Mapping[str, Categories] = {}
) -> dict[str, Source | Words]:
    """The inputs of the rows of a file, a folder or a pattern of files, by name. See `read_inputs`."""
    path = Path(path)
    parts = find_parts(path)
    kinds = {_kind(part) for part in parts or [path]}
    if kinds <= set(TABLES):
        return read_inputs(open_parts(parts or [path]), names, categories)
    if kinds <= set(ARRAYS) and not parts:
        return {name: _named_array(path, name) for name in names}
    raise InputError(f"{path} cannot hold {shorten(names, 3)}; expected {', '.join((*TABLES, *ARRAYS))}.")


# ---- rows of a space that is given ----------------------------------------------------------------------------------


def read_rows(path: str | Path, space: Space, label: str | None = None) -> Array:
    """The observations of a file as an array of `space`, shape `(N, *space.shape)`. See `open_rows`."""
    return space.check(open_rows(path, space, label)[:], str(path))


def open_rows(
    path: str | Path, space: Space, label: str | None = None, inputs: Sequence[str] = (), text: str | None = None
) -> Source:
    """The observations of a file, a folder or a pattern of files, by number. They have been checked, and those that
    take much memory stay on disk.

    Columns of a table are chosen by the names of the space if it has names and the file a header; other columns are
    ignored then. Else the table has exactly as many columns as the space has numbers (an image: row by row, channels
    last), besides the columns `label` and `inputs`. Strings are in the column `text`, by default that of this name or
    the only one.
    """
    path, parts = Path(path), find_parts(path)
    kinds = {_kind(part) for part in parts or [path]}
    fits = _fits(space)
    if not kinds <= set(fits):
        raise InputError(f"{path} cannot hold {space.describe()}; expected {', '.join(fits)}.")
    kind = min(kinds)
    if kinds <= set(TABLES):
        table = open_parts(parts or [path])
        if isinstance(space, Strings):
            types = {text: "text"} if text in table.titles else None
            column = text_column(table, Asked(label=label, inputs=inputs, types=types, space=space))
            assert column is not None
            return encode(space, Lines(table.where, "row", table.strings(column, empty=True)))
        return _table_rows(table, space, label, inputs)
    if len(kinds) > 1:
        raise InputError(f"{path} names files of several kinds, {', '.join(sorted(kinds))}; expected one.")
    if kind == ".txt":
        assert isinstance(space, Strings)
        lines = [line for part in parts or [path] for line in read_lines(part)]
        return encode(space, Lines(str(path), "line", lines))  # blank ones too: each line gets its score
    if kind in ARRAYS:
        x, _ = _arrays(path, label, inputs)
        if isinstance(space, Image) and x.ndim == 3 and space.channels == 1:
            x = x[..., None]
        if not isinstance(space, Image) and x.ndim == 1 and space.shape == (1,):
            x = x[:, None]
        check_rows(space, x, str(path))
        if isinstance(space, Real):
            warn_of_merged(str(path), x)
        return x
    assert isinstance(space, Image)
    paths = find_images(path)[0] if kind == "folder" else parts or [path]
    return open_images(paths, (space.height, space.width, space.channels), space.levels)


def read_labels(path: str | Path, classes: Labels, label: str | None = None) -> npt.NDArray[np.int64]:
    """The classes of the rows of a file: the column `label`, in NPZ an array, in a folder the sub-folders."""
    path, parts = Path(path), find_parts(path)
    kind = _kind(parts[0] if parts else path)
    words: Any = None
    if kind == "folder":
        words = find_images(path)[1]
    elif kind in TABLES and label is not None:
        table = open_parts(parts or [path])
        found = table.words(table.column(label))
        return classes.check(found.names, name=f"{path}: the class")[found.places]
    elif kind in ARRAYS:
        words = _arrays(path, label)[1]
    if words is None or len(words) == 0:
        raise InputError(f"{path} has no classes; say which column has them (--label NAME); {classes.describe()}.")
    return classes.check(classes.named(words), name=f"{path}: the class")


def _fits(space: Space) -> tuple[str, ...]:
    """The kinds of file that can hold observations of this space."""
    if isinstance(space, Records):
        return TABLES
    if isinstance(space, Strings):
        return (".txt", *TABLES, *ARRAYS)
    return (*TABLES, *ARRAYS, *(("folder", *IMAGE_SUFFIXES) if isinstance(space, Image) else ()))


def _table_rows(table: Table, space: Space, label: str | None, inputs: Sequence[str]) -> Source:
    if isinstance(space, Records):
        return read_codes(table, space)
    others = [i for name in inputs for i in input_columns(table, name)]
    others += [] if label is None else [table.column(label)]
    columns = _columns_of(table, space, others)
    x = Mapped(table.read(columns)[0], lambda rows: rows.reshape(len(rows), *space.shape))
    check_rows(space, x, table.where)
    return x


def _columns_of(table: Table, space: Space, others: Sequence[int]) -> list[int]:
    """The columns with the observations of a space, none of which is one of `others`."""
    needed = isinstance(space, Real) and bool(space.names)
    return _choose(table, column_names(space), others, needed=needed, what=space.describe())


def _choose(table: Table, names: Sequence[str], others: Sequence[int], *, needed: bool, what: str) -> list[int]:
    """The columns of these names; without a header, or if the names are not `needed`, all but `others` in order."""
    places = {name: i for i, name in enumerate(table.names)}
    missing = [n for n in names if n not in places]
    if table.names and not missing:
        return [places[n] for n in names]
    if table.names and needed:
        near = did_you_mean(missing[0], table.names)
        raise InputError(
            f"{table.where} has no column {missing[0]!r}; expected the columns {shorten(names)}; it has "
            f"{shorten(table.names)}.{near}"
        )
    columns = [i for i in range(table.width) if i not in others]
    if len(columns) != len(names):
        besides = f" besides {shorten([repr(table.titles[i]) for i in others], 3)}" if others else ""
        raise InputError(f"{table.where} has {len(columns)} columns{besides}; expected {len(names)} for {what}.")
    return columns


def read_latents(path: str | Path, shape: Sequence[int], inputs: Sequence[str] = ()) -> Array:
    """Latents of `shape` from a file, float32 of shape `(N, *shape)`.

    NPZ: the array `z` or the only one. Tables: the columns `z0`, `z1`, ... as `zoo encode` writes them, or exactly
    as many columns as a latent has numbers.
    """
    path = Path(path)
    shape = tuple(shape)
    kind = _kind(path)
    what = f"latents of shape ({', '.join(map(str, shape))})"
    if kind in TABLES:
        table = open_table(path)
        names = numbered("z", math.prod(shape))
        if table.names == ("z",) and len(names) == 1:
            names = ("z",)
        x = table.read(_choose(table, names, (), needed=False, what=what))[0][:]
        return x.reshape(len(x), *shape)
    if kind not in ARRAYS:
        raise InputError(f"{path} cannot hold {what}; expected {', '.join((*TABLES, *ARRAYS))}.")
    z, _ = _arrays(path, None, inputs, main=("z", "x", "data"))
    if z.shape[1:] != shape or z.ndim != len(shape) + 1 or z.dtype.kind not in "buif" or len(z) == 0:
        raise InputError(f"{path} has an array of shape {z.shape} and dtype {z.dtype}; expected {what}, one a row.")
    return Real(max(1, math.prod(shape))).check(z.reshape(len(z), -1), str(path)).reshape(z.shape)
