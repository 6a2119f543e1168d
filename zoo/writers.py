"""Results to files, in chunks, so that memory stays flat; a file appears whole or not at all.

| file | what it can hold |
|---|---|
| .csv, .tsv, .parquet | anything, a column for each number; strings as a column `text` |
| .npz | anything, an array for each name |
| .npy | one array |
| .png | a grid of images, or the density of points with two columns |
| .txt | strings, one a line |

`zoo.data.readers` reads all of these back (except a grid), to the same numbers.
"""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from zoo.columns import Category, Table
from zoo.data.arrow import arrow
from zoo.data.readers import column_names, numbered
from zoo.data.tables import is_number, shorten
from zoo.errors import InputError, OutputError, ZooWarning, did_you_mean
from zoo.pictures import image_grid, picture, picture_limit, scatter
from zoo.spaces import Space, Strings, Text
from zoo.system.files import atomic_write, check_output_file
from zoo.system.interrupts import deferred

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Array = npt.NDArray[Any]
Chunk = Mapping[str, Array]
Names = Mapping[str, Sequence[str]]
SUFFIXES = (".csv", ".tsv", ".parquet", ".npz", ".npy", ".png", ".txt")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with these a spreadsheet takes a cell for a formula
ROW_GROUP = 2**21  # bytes of a Parquet row group, about
NPY_HEADER = 128


def check_output(
    path: str | Path, space: Space | None = None, *, count: int | None = None, force: bool = False
) -> Path:
    """`path` if `count` observations of `space` (None: named columns) can be written there.

    `OutputError` says that it exists, cannot be written or has an unknown suffix, `InputError` that the format does
    not fit. Call it before the work starts.
    """
    path = check_output_file(path, force)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"has the suffix {suffix!r}" if suffix else "has no suffix"
        raise OutputError(f"{path} {what}; expected {', '.join(SUFFIXES)}.{did_you_mean(suffix, SUFFIXES)}")
    fits = formats(space)
    if suffix not in fits:
        what = "named columns" if space is None else space.describe()
        raise InputError(f"{path}: {suffix} files cannot hold {what}; expected {', '.join(fits)}.")
    if suffix == ".txt" and isinstance(space, Text) and {"\n", "\r"} & set(space.alphabet):
        raise InputError(f"{path}: the strings may have line breaks; expected .csv, .parquet or .npz.")
    if suffix == ".png" and space is not None and count is not None and count > picture_limit(space):
        most = picture_limit(space)
        raise InputError(f"{path}: a picture holds at most {most} rows; got {count}. Take fewer, or use .npz.")
    if suffix in (".csv", ".tsv", ".parquet"):
        arrow()  # missing? say so now
    return path


def formats(space: Space | None) -> tuple[str, ...]:
    """The suffixes of files that can hold observations of a space, or named columns."""
    without = {
        ".png": space is None or not picture_limit(space),
        ".txt": not isinstance(space, Strings),
        ".npz": isinstance(space, Table),
        ".npy": isinstance(space, Table),
    }
    return tuple(s for s in SUFFIXES if not without.get(s, False))


def write(
    path: str | Path,
    chunks: Iterable[Array | Chunk],
    space: Space | None = None,
    *,
    columns: Names | None = None,
    force: bool = False,
    like: Path | None = None,
) -> int:
    """Write chunks as they come; returns the number of rows. `force` and `like` are those of `atomic_write`.

    With a `space`, a chunk is an array of observations, or a dict with these as `x`. Without, it is a dict of
    arrays (N, ...) by name, such as `{"log_prob": ...}`. In tables an array (N, k) is k columns: those of the space,
    those in `columns` (`{"y": classes.names}`), or `z0`, `z1`, ...
    """
    path = check_output(path, space, force=force)
    if path.suffix.lower() in (".csv", ".tsv"):
        warn_of_formulas(str(path), *words_in(space), *(columns or {}).values())
    names = {**(columns or {}), **({"x": column_names(space)} if space is not None else {})}
    rows = 0

    def named() -> Iterator[Chunk]:
        nonlocal rows
        for chunk in chunks:
            chunk = chunk if isinstance(chunk, Mapping) else {"x": chunk}
            if count := len(next(iter(chunk.values()))):
                rows += count
                yield chunk
        if not rows:
            raise InputError(f"there is nothing to write to {path}.")

    with atomic_write(path, force, like=like) as file:
        _WRITERS[path.suffix.lower()](file, named(), space, names)
    return rows


def words_in(space: Space | None) -> list[Sequence[str]]:
    """The names of columns and of categories in a table of observations."""
    if space is None:
        return []
    columns = space.columns if isinstance(space, Table) else ()
    return [column_names(space), *(list(map(str, column.values)) for column in columns if isinstance(column, Category))]


def warn_of_formulas(where: str, *names: Sequence[str]) -> None:
    """A `ZooWarning` that names the columns and classes which spreadsheets run as formulas; they are written as they
    are."""
    found = [n for part in names for n in part if n.startswith(FORMULA) and not is_number(n)]
    if found:
        warnings.warn(
            f"{where} has names that a spreadsheet takes for formulas: {shorten([repr(n) for n in found], 3)}. Import "
            "them as text.",
            ZooWarning,
            stacklevel=3,
        )


def save_picture(path: str | Path, image: Picture, *, force: bool = False) -> None:
    """Write a picture as a .png file."""
    path = check_output_file(path, force)
    with atomic_write(path, force) as file:
        image.save(file, format="PNG")


# ---- a function a format: it writes all chunks to an open file ------------------------------------------------------


def _write_csv(
    file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names, delimiter: str = ","
) -> None:
    pa = arrow()
    batch = _batch(next(chunks), space, names)
    with pa.csv.CSVWriter(file, batch.schema, write_options=pa.csv.WriteOptions(delimiter=delimiter)) as writer:
        writer.write_batch(batch)
        for chunk in chunks:
            writer.write_batch(_batch(chunk, space, names))


def _write_tsv(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    _write_csv(file, chunks, space, names, "\t")


def _write_parquet(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    pa = arrow()
    groups = (_batch(chunk, space, names) for chunk in _gathered(chunks))
    first = next(groups)
    words = [field.name for field in first.schema if not pa.types.is_floating(field.type)]  # floats hardly ever repeat
    writer = None
    try:
        with deferred():  # else the interrupt may come when pyarrow has a writer, and this function has none yet
            writer = pa.parquet.ParquetWriter(file, first.schema, use_dictionary=words)
        for group in chain([first], groups):
            writer.write_batch(group)
        writer.close()
    except BaseException:
        if writer is not None:
            writer.is_open = False  # its finalizer would write the end of the file, which is closed by then
        raise


def _gathered(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Chunks of about `ROW_GROUP` bytes, each of which is there until the next: a row group for each small one would be
    a slow and large file.

    They are laid into arrays that stay. Small ones that are kept as they come lie between the large arrays of a method,
    and memory grows by all of these.
    """
    room: dict[str, Array] = {}
    filled = rows = 0
    for chunk in chunks:
        arrays = {name: np.asarray(array) for name, array in chunk.items()}
        if any(name not in room or array.dtype != room[name].dtype for name, array in arrays.items()):
            if filled:
                yield {name: array[:filled] for name, array in room.items()}
            filled, rows = 0, max(1, ROW_GROUP // max(1, sum(a[:1].nbytes for a in arrays.values())))
            room = {name: np.empty((rows, *a.shape[1:]), a.dtype) for name, a in arrays.items()}
        count, done = len(next(iter(arrays.values()))), 0
        while done < count:
            part = min(count - done, rows - filled)
            for name, array in arrays.items():
                room[name][filled : filled + part] = array[done : done + part]
            filled, done = filled + part, done + part
            if filled == rows:
                yield room
                filled = 0
    if filled:
        yield {name: array[:filled] for name, array in room.items()}


def _batch(chunk: Chunk, space: Space | None, names: Names) -> Any:
    """A chunk as a record batch of pyarrow: 1-D columns by name."""
    pa = arrow()
    columns: dict[str, Any] = {}
    for name, array in chunk.items():
        array = np.asarray(array)
        if name == "x" and isinstance(space, Table):
            titles: Sequence[str] = names["x"]
            values = space.decode(array).combine_chunks().columns
            values = [v.combine_chunks() for v in values]
        elif name == "x" and isinstance(space, Strings):
            titles = names["x"]
            values = [pa.array(space.decode(array), pa.string())]
        else:
            flat = array.reshape(len(array), -1)
            titles = names.get(name) or ((name,) if array.ndim == 1 else numbered(name, flat.shape[1]))
            values = [pa.array(np.ascontiguousarray(flat[:, i])) for i in range(flat.shape[1])]
        for title, column in zip(titles, values, strict=True):
            if title in columns:
                raise InputError(f"there would be two columns {title!r}; use .npz.")
            columns[title] = column
    return pa.RecordBatch.from_pydict(columns)


class _Npy:
    """An .npy array that grows by chunks; the header, which has the number of rows, is written at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.rows = file, 0
        self.kind: tuple[np.dtype[Any], tuple[int, ...]] | None = None
        file.write(bytes(NPY_HEADER))

    def add(self, array: Array) -> None:
        kind = (array.dtype, array.shape[1:])
        if self.kind is not None and kind != self.kind:
            raise ValueError(f"a chunk of {kind} after chunks of {self.kind}")
        self.kind = kind
        self.rows += len(array)
        self.file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        assert self.kind is not None
        dtype, shape = self.kind
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (self.rows, *shape)}
        room = NPY_HEADER - 10
        header = repr(about).ljust(room - 1) + "\n"
        self.file.seek(0)
        self.file.write(np.lib.format.magic(1, 0) + room.to_bytes(2, "little") + header.encode("latin1"))


def _write_npy(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    out = _Npy(file)
    for chunk in chunks:
        if len(chunk) != 1:
            raise InputError(f"an .npy file holds one array; there are {', '.join(chunk)}. Use .npz.")
        out.add(np.asarray(next(iter(chunk.values()))))
    out.finish()


def _write_npz(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    """Each array grows in a nameless file of its own; a zip file can only be written one member after another."""
    first = next(chunks)
    with ExitStack() as stack, zipfile.ZipFile(file, "w") as archive:
        parts = {name: _Npy(stack.enter_context(TemporaryFile(dir=Path(file.name).parent))) for name in first}
        for chunk in chain([first], chunks):
            for name, part in parts.items():
                part.add(np.asarray(chunk[name]))
        for name, part in parts.items():
            part.finish()
            part.file.seek(0)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                shutil.copyfileobj(part.file, member, 2**20)


def _write_png(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    assert space is not None
    limit, rows, arrays = picture_limit(space), 0, []
    for chunk in chunks:
        arrays.append(chunk["x"])
        rows += len(chunk["x"])
        if rows > limit:
            raise InputError(f"a picture holds at most {limit} rows; there are more. Take fewer, or use .npz.")
    picture(space, np.concatenate(arrays)).save(file, format="PNG")


def _write_txt(file: BinaryIO, chunks: Iterator[Chunk], space: Space | None, names: Names) -> None:
    assert isinstance(space, Strings)
    broken = 0
    for chunk in chunks:
        strings = space.decode(chunk["x"])
        lines = [" ".join(re.split("[\r\n]", s)) for s in strings]
        broken += sum(line != s for line, s in zip(lines, strings, strict=True))
        file.write("".join(f"{line}\n" for line in lines).encode())
    if broken:
        warnings.warn(
            f"{broken:,} strings have line breaks, which are written as spaces; .csv and .parquet keep them.",
            ZooWarning,
            stacklevel=2,
        )


_WRITERS: Mapping[str, Callable[[BinaryIO, Iterator[Chunk], Space | None, Names], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".npy": _write_npy,
    ".png": _write_png,
    ".txt": _write_txt,
}

__all__ = ["check_output", "formats", "image_grid", "picture", "save_picture", "scatter", "write"]
