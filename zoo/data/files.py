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
| .txt | `Text`: a string a line, the alphabet that occurs, the longest line's length |

NPZ files hold the observations as `x` or `data`, or as the only array besides the classes `y` or `label`. Images in
NPZ and NPY have 256 levels, or those seen if no value is above 16.
"""

from __future__ import annotations

import math
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.data import SUFFIXES, Dataset, split_rows
from zoo.data.images import IMAGE_SUFFIXES, find_images, read_images
from zoo.data.sources import check_rows
from zoo.data.tables import FEWER, MAX_CLASSES, ROW, WORD, Table, check_utf8, first_line, open_table, shorten
from zoo.errors import CorruptFile, InputError, ZooError, did_you_mean
from zoo.files import open_regular
from zoo.memory import check_fits
from zoo.spaces import Discrete, Image, Labels, Real, Space, Text, is_whole
from zoo.spec import natural

Array = npt.NDArray[Any]
TABLES = (".csv", ".tsv", ".parquet")
ARRAYS = (".npz", ".npy")
MAX_LINE = 200
MAX_ARRAYS = 1000  # of a file, whose headers are all read
TEXT_COLUMN = "text"


def column_names(space: Space) -> tuple[str, ...]:
    """The columns of this space in a table: its own names, `text`, or `x0`, `x1`, ..."""
    if isinstance(space, Text):
        return (TEXT_COLUMN,)
    return (space.names if isinstance(space, Real) else ()) or numbered("x", space.size)


def numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{i}" for i in range(count))


# ---- a data set -----------------------------------------------------------------------------------------------------


def read_dataset(path: str | Path, *, label: str | None = None) -> Dataset:
    """The data set of a file or folder, split by rows. `label` names the column or array of the classes."""
    path = Path(path)
    kind = _kind(path)
    words: Sequence[Any] | Array | None = None
    if kind == "folder":
        _no_label(path, label, "its sub-folders are the classes")
        paths, names = find_images(path)
        x: Array = read_images(paths)
        space: Space = Image(*x.shape[1:])
        words = names or None
    elif kind == ".txt":
        _no_label(path, label, "a text file has no classes")
        x, space = _text(path)
    elif kind in TABLES:
        x, space, words = _table(path, label)
    elif kind in ARRAYS:
        x, words = _arrays(path, label)
        x, space = _array_space(path, x)
    else:
        raise InputError(f"{path} is one image; expected a folder of images, or {', '.join(SUFFIXES)}.")
    check_rows(space, x, str(path))
    classes = y = None
    if words is not None:
        if len(words) != len(x):
            raise InputError(f"{path} has {len(x)} observations and {len(words)} classes; expected as many.")
        y, classes = make_labels(path, words)
    return split_rows(path.name, space, x, y, classes=classes, source=str(path))


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


def _no_label(path: Path, label: str | None, why: str) -> None:
    if label is not None:
        raise InputError(f"{path} has no column {label!r}: {why}. Leave the label out.")


def _table(path: Path, label: str | None) -> tuple[Array, Space, list[str] | None]:
    table = open_table(path)
    chosen = None if label is None else table.column(label)
    columns = [i for i in range(table.width) if i != chosen]
    if not columns:
        raise InputError(f"{path} has no column besides the class {label!r}; expected columns of numbers.")
    x, words = table.read(columns, [] if chosen is None else [chosen], False)
    names = tuple(table.names[i] for i in columns) if table.names else ()
    return x, Real(len(columns), names), words[0] if words else None


def make_labels(path: Path, words: Sequence[Any] | Array) -> tuple[npt.NDArray[np.int64], Labels]:
    """Integer labels and their names, in natural order: whole numbers as numbers, "class 10" after "class 9"."""
    values = np.asarray(words)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "biuU":
        raise InputError(
            f"{path}: the classes have dtype {values.dtype}, shape {values.shape}; expected (N,) integers or strings."
        )
    names, y = np.unique(values, return_inverse=True)
    if len(names) > MAX_CLASSES:
        raise InputError(f"{path}: the class has {len(names)} different values; expected at most {MAX_CLASSES}.")
    order = sorted(range(len(names)), key=lambda i: _class_order(str(names[i])))
    return np.argsort(order)[y].astype(np.int64), Labels(tuple(str(names[i]) for i in order))


def _class_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort key: whole numbers first, then names in natural order."""
    return (int(name), []) if is_whole(name) else (sys.maxsize, natural(name))


# ---- NPZ and NPY ----------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """What an array's header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

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
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return Header(shape, dtype)


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
    """One array of a file."""
    copy = 4 if header.dtype.kind == "f" else 8 if len(header.shape) < 3 else 1  # Real, Discrete, Image
    rows = header.shape[0] if header.shape else 1
    need = math.prod(header.shape) * (header.dtype.itemsize + 4 * copy + 4) + ROW * rows
    check_fits(need, f"{path}, an array of shape {header.shape},", FEWER)
    with _readable(path), open_regular(path) as file:  # numpy would leave a damaged one open
        loaded = np.load(file, allow_pickle=False)
        return np.asarray(loaded if isinstance(loaded, np.ndarray) else loaded[name])


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


def _arrays(path: Path, label: str | None, main: tuple[str, ...] = ("x", "data")) -> tuple[Array, Array | None]:
    """The observations and the classes in a file."""
    headers = _headers(path)
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


def _array_space(path: Path, x: Array) -> tuple[Array, Space]:
    """The sample space of an array, by its dtype and shape (see the table above)."""
    if x.ndim == 0 or x.size == 0:
        raise InputError(f"{path}: the observations have shape {x.shape}; expected at least one row.")
    if x.dtype.kind not in "buif":
        raise InputError(f"{path}: the observations have dtype {x.dtype}; expected numbers.")
    if x.ndim <= 2:
        x = x.reshape(len(x), -1)
        if x.dtype.kind == "f":
            return x, Real(x.shape[1])
        if x.min() < 0:
            raise InputError(f"{path} has the integer {x.min()}; expected 0, 1, ...; floats for real numbers.")
        return x, Discrete(x.shape[1], max(2, int(x.max()) + 1))
    if x.ndim <= 4 and x.dtype == np.uint8:
        x = x.reshape(*x.shape[:3], -1)
        height, width, channels = x.shape[1:]
        if channels > 4 and height <= 4:
            raise InputError(f"{path}: images of shape {x.shape[1:]}; expected channels last: x.transpose(0, 2, 3, 1).")
        return x, Image(height, width, channels, 256 if x.max() > 16 else max(2, int(x.max()) + 1))
    raise InputError(
        f"{path}: the observations have shape {x.shape} and dtype {x.dtype}; expected numbers of shape (N, width), or "
        "uint8 images of shape (N, height, width, channels)."
    )


# ---- text -----------------------------------------------------------------------------------------------------------


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    check_fits(WORD // 2 * path.stat().st_size, str(path), FEWER)  # a line has two characters at least
    lines = []
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            check_utf8(line, path, number)
            if "\0" in line:
                raise InputError(f"{path}, line {number} has a zero byte; expected a text file.")
            lines.append(line.rstrip("\n"))
    return lines


def _text(path: Path) -> tuple[Array, Text]:
    """The strings of a file and the space that just holds them. Blank lines do not count."""
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise InputError(
                f"{path}, line {number} has {len(line)} characters; expected at most {MAX_LINE}, a string a line. "
                "Break long text into shorter lines."
            )
    strings = [line for line in lines if line.strip()]
    if not strings:
        raise InputError(f"{path} is empty; expected a string a line.")
    space = Text(max(map(len, strings)), "".join(sorted(set("".join(strings)))))
    return _encode(path, space, strings, "line"), space


# ---- rows of a space that is given ----------------------------------------------------------------------------------


def read_rows(path: str | Path, space: Space, label: str | None = None) -> Array:
    """The observations of a file as an array of `space`, shape `(N, *space.shape)`.

    Columns of a table are chosen by the names of the space if it has names and the file a header; other columns are
    ignored then. Else the table has exactly as many columns as the space has numbers (an image: row by row, channels
    last), besides the column `label`.
    """
    path = Path(path)
    kind = _kind(path)
    fits = _fits(space)
    if kind not in fits:
        raise InputError(f"{path} cannot hold {space.describe()}; expected {', '.join(fits)}.")
    if kind == ".txt":
        assert isinstance(space, Text)
        return _encode(path, space, read_lines(path), "line")  # blank ones too: each line gets its score
    if kind in TABLES:
        return _table_rows(path, space, label)
    if kind in ARRAYS:
        x, _ = _arrays(path, label)
        if isinstance(space, Image) and x.ndim == 3 and space.channels == 1:
            x = x[..., None]
        if not isinstance(space, Image) and x.ndim == 1 and space.shape == (1,):
            x = x[:, None]
        return space.check(x, str(path))
    assert isinstance(space, Image)
    paths = find_images(path)[0] if kind == "folder" else [path]
    return read_images(paths, (space.height, space.width, space.channels), space.levels)


def read_labels(path: str | Path, classes: Labels, label: str | None = None) -> npt.NDArray[np.int64]:
    """The classes of the rows of a file: the column `label`, in NPZ an array, in a folder the sub-folders."""
    path = Path(path)
    kind = _kind(path)
    words: Any = None
    if kind == "folder":
        words = find_images(path)[1]
    elif kind in TABLES and label is not None:
        table = open_table(path)
        words = table.strings(table.column(label))
    elif kind in ARRAYS:
        words = _arrays(path, label)[1]
    if words is None or len(words) == 0:
        raise InputError(f"{path} has no classes; say which column has them (--label NAME); {classes.describe()}.")
    return classes.check(classes.named(words), name=f"{path}: the class")


def _fits(space: Space) -> tuple[str, ...]:
    """The kinds of file that can hold observations of this space."""
    if isinstance(space, Text):
        return (".txt", *TABLES, *ARRAYS)
    return (*TABLES, *ARRAYS, *(("folder", *IMAGE_SUFFIXES) if isinstance(space, Image) else ()))


def _encode(path: Path, space: Text, strings: Sequence[str], noun: str) -> Array:
    """Strings to tokens, with the place in the error."""
    check_fits(4 * 8 * len(strings) * space.length, f"{path}, {len(strings):,} strings as tokens,", FEWER)
    alphabet = set(space.alphabet)
    for number, s in enumerate(strings, 1):
        if len(s) > space.length:
            raise InputError(f"{path}, {noun} {number} has {len(s)} characters; expected at most {space.length}.")
        unknown = next((c for c in s if c not in alphabet), None)
        if unknown is not None:
            raise InputError(f"{path}, {noun} {number} has {unknown!r}; the alphabet is {space.alphabet!r}.")
    return space.encode(strings)


def _table_rows(path: Path, space: Space, label: str | None) -> Array:
    table = open_table(path)
    needed = isinstance(space, Real) and bool(space.names)
    columns = _choose(table, column_names(space), label, needed=needed, what=space.describe())
    if isinstance(space, Text):
        return _encode(path, space, table.strings(columns[0], empty=True), "row")
    x = table.numbers(columns)
    return space.check(x.reshape(len(x), *space.shape), str(path))


def _choose(table: Table, names: Sequence[str], label: str | None, *, needed: bool, what: str) -> list[int]:
    """The columns of these names; without a header, or if the names are not `needed`, all columns in order."""
    places = {name: i for i, name in enumerate(table.names)}
    missing = [n for n in names if n not in places]
    if table.names and not missing:
        return [places[n] for n in names]
    if table.names and needed:
        near = did_you_mean(missing[0], table.names)
        raise InputError(
            f"{table.path} has no column {missing[0]!r}; expected the columns {shorten(names)}; it has "
            f"{shorten(table.names)}.{near}"
        )
    skip = None if label is None else table.column(label)
    columns = [i for i in range(table.width) if i != skip]
    if len(columns) != len(names):
        besides = f" besides {label!r}" if label is not None else ""
        raise InputError(f"{table.path} has {len(columns)} columns{besides}; expected {len(names)} for {what}.")
    return columns


def read_latents(path: str | Path, shape: Sequence[int]) -> Array:
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
        x = table.numbers(_choose(table, names, None, needed=False, what=what))
        return x.reshape(len(x), *shape)
    if kind not in ARRAYS:
        raise InputError(f"{path} cannot hold {what}; expected {', '.join((*TABLES, *ARRAYS))}.")
    z, _ = _arrays(path, None, main=("z", "x", "data"))
    if z.shape[1:] != shape or z.ndim != len(shape) + 1 or z.dtype.kind not in "buif" or len(z) == 0:
        raise InputError(f"{path} has an array of shape {z.shape} and dtype {z.dtype}; expected {what}, one a row.")
    return Real(max(1, math.prod(shape))).check(z.reshape(len(z), -1), str(path)).reshape(z.shape)
