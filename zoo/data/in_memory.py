"""Data that is in Python already: arrays, frames, and the data sets of torch and Hugging Face.

| given | read as |
|---|---|
| a numpy array, a memory map, a tensor of torch or JAX | as in an .npy file |
| `(X, y)`, a torch `TensorDataset` of one tensor or two, a `Subset` of one | the same, with classes; X may be a table |
| a table of pyarrow, pandas, polars, or whatever has `__arrow_c_stream__` | as a Parquet file |
| a Hugging Face `Dataset` | images, text or the columns of a table; a `ClassLabel` is the class |
| a list, array or series of strings | as a text file |
| `{"x": X, "y": y, "shift": ...}` | as an .npz file: observations, classes if there are any, and inputs by name |
| `{"train": ..., "test": ...}` of any of these, such as a `DatasetDict` | these splits |

None of these libraries is imported here: what is given brings its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data import SPLITS, Dataset
from zoo.data.arrow import arrow
from zoo.data.readers import (
    NAMES_OF_SPLITS,
    Asked,
    Found,
    images_of,
    join_arrays,
    make_dataset,
    read_inputs,
    read_splits,
    read_table,
    rows_of_parts,
    rows_of_words,
)  # fmt: skip
from zoo.data.tables import BATCH, ArrowTable, ManyTables, Table, Words
from zoo.data.text import Lines
from zoo.errors import InputError, listed

NAME = "data"  # what messages call it


def dataset_of(data: Any, asked: Asked) -> Dataset:
    """The data set of what a caller has in Python. `InputError` for what is none."""
    name = type(data).__name__
    if isinstance(data, Mapping) and "x" in data:
        if asked.inputs:
            raise InputError("both the data and inputs name arrays; give all of them in one.")
        classes = [data[key] for key in ("y", "label") if key in data]
        asked = asked._replace(inputs={k: v for k, v in data.items() if k not in ("x", "y", "label")})
        data = (data["x"], *classes)
    if isinstance(data, Mapping) and set(map(str, data)) <= set(NAMES_OF_SPLITS):
        named = {NAMES_OF_SPLITS[str(key)]: part for key, part in data.items()}
        if len(named) < len(data) or "train" not in named:
            raise InputError(f"the splits are {', '.join(map(str, data))}; expected train, validation and test.")
        parts = {split: named[split] for split in SPLITS if split in named}
        if all(isinstance(part, (str, Path)) for part in parts.values()):
            found, counts = read_splits(NAME, {split: Path(part) for split, part in parts.items()}, asked)
            found = _with_inputs(found, asked, list(parts))
            return make_dataset(Path(parts["train"]).name, found, "", rows_of_parts(counts), asked)
        found, rows = _joined(list(parts.values()), asked)
        found = _with_inputs(found, asked, list(parts))
        return make_dataset(name, found, "", rows_of_parts(dict(zip(parts, rows, strict=True))), asked)
    found, _ = _joined([data], asked)
    return make_dataset(name, _with_inputs(found, asked, []), "", rows_of_words(NAME, found.split), asked)


def _with_inputs(found: Found, asked: Asked, splits: Sequence[str]) -> Found:
    """What was found, with the inputs that were given as arrays: of all rows, or of each split."""
    if not isinstance(asked.inputs, Mapping):
        if set(asked.inputs) - set(found.inputs):
            raise InputError(f"this data has no columns by name, so no {', '.join(asked.inputs)}; give arrays.")
        return found
    inputs: dict[str, Any] = {}
    for name, given in asked.inputs.items():
        by_split = {NAMES_OF_SPLITS.get(str(k), k): v for k, v in given.items()} if isinstance(given, Mapping) else {}
        if set(by_split) != set(splits):
            what = f"one of each split, {', '.join(splits)}" if splits else "one array, of all rows"
            raise InputError(f"the input {name!r} is {type(given).__name__}; expected {what}.")
        inputs[name] = np.concatenate([_input(by_split[s], name) for s in splits]) if splits else _input(given, name)
    return found._replace(inputs=inputs)


def _input(values: Any, name: str) -> Any:
    """An input of rows, numbers or words, as an array."""
    array = _numpy(values)
    return _words_of(array, f"the input {name!r}", name) if array.dtype.kind == "O" else array


def _joined(parts: Sequence[Any], asked: Asked) -> tuple[Found, list[int]]:
    """The rows of all parts one after another, and how many each has."""
    pairs = [(part, None) if _is_text(part) else _pair(part) for part in parts]
    classes = [None if y is None else _classes(y) for _, y in pairs]
    labels = [y for y in classes if y is not None]
    if asked.label is not None and labels:
        raise InputError(f"both y and the column {asked.label!r} are given as the class; give one of them.")
    if 0 < len(labels) < len(pairs):
        raise InputError("some splits have classes and some have none; expected them in all or none.")
    tables = [table_of(x) for x, _ in pairs]
    known = [table for table in tables if table is not None]
    if len(known) == len(tables):
        found = _of_features(known, asked) or read_table(_together(known), asked)
        found = found._replace(classes=np.concatenate(labels)) if labels else found
        return found, [table.count_rows() for table in known]
    if asked.label is not None or asked.split is not None or asked.input_names:
        raise InputError(
            "arrays have no columns by name; give the classes beside them: (X, y), splits by a dict, and inputs as "
            'arrays: inputs={"shift": array}.'
        )
    if all(_is_text(x) for x, _ in pairs):
        strings = _strings(s for x, _ in pairs for s in x)
        return Found(strings, None, np.concatenate(labels) if labels else None), [len(x) for x, _ in pairs]
    arrays = [_array(x) for x, _ in pairs]
    return join_arrays(NAME, list(zip(arrays, classes, strict=True))), [len(x) for x in arrays]


def _is_text(x: Any) -> bool:
    """Whether something is strings: a list, an array or a series of them."""
    if isinstance(x, (list, tuple)):
        return bool(x) and isinstance(x[0], str)
    one_axis = getattr(x, "shape", ()) and len(x.shape) == 1
    return bool(one_axis) and len(x) > 0 and isinstance(next(iter(x)), str)


def _strings(strings: Iterable[Any]) -> Lines:
    found = list(strings)
    for number, string in enumerate(found, 1):
        if not isinstance(string, str):
            raise InputError(f"{NAME}, string {number} is {string!r}; expected strings. Leave it out.")
    return Lines(NAME, "string", found)


def _together(tables: Sequence[Table]) -> Table:
    return tables[0] if len(tables) == 1 else ManyTables(tables)


def _pair(data: Any) -> tuple[Any, Any]:
    """Observations and classes (None: there are none) of an array, a table, a pair, a `TensorDataset` or a subset of
    one."""
    parts = data if isinstance(data, tuple) else (data,)
    whole: Any = getattr(data, "dataset", None)
    if hasattr(data, "tensors"):
        parts = data.tensors
    elif hasattr(whole, "tensors"):
        parts = tuple(tensor[data.indices] for tensor in whole.tensors)
    if len(parts) not in (1, 2):
        raise InputError(f"{len(parts)} arrays were given; expected the observations, or (X, y) with their classes.")
    x, *rest = parts
    return x, rest[0] if rest else None


def _array(data: Any) -> Any:
    """An array as it is, or one over the memory of a tensor."""
    array = _numpy(data)
    if array.dtype.kind == "O" or array.ndim == 0:
        raise InputError(
            f"data of type {type(data).__name__} is not known; expected the name of a data set, a file or folder, an "
            "array, (X, y), or a table of pandas, polars or pyarrow; strings as a list: x.tolist()."
        )
    return array


def _numpy(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return data
    if hasattr(data, "detach"):  # a tensor of torch, perhaps on a device
        data = data.detach().cpu()
    try:
        return np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{type(data).__name__} is not data: {error}") from None


def _classes(y: Any) -> Any:
    """Classes as an array, of strings where they are Python objects."""
    array = _numpy(y)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    return _words_of(array, "the class", "y") if array.ndim == 1 and array.dtype.kind == "O" else array


def _words_of(array: Any, what: str, name: str) -> Any:
    """Python objects (N,) as strings."""
    pa = arrow()
    try:
        column = pa.array(array, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        raise InputError(f"{NAME}: {what} holds {_kinds(array)}; expected integers or strings.") from None
    words = ArrowTable.of_table(NAME, pa.table({name: column})).words(0)
    return np.array(words.names)[words.places]


def _kinds(values: Any) -> str:
    """The types of Python objects, in words."""
    return " and ".join(sorted({type(value).__name__ for value in values}))


def table_of(data: Any) -> Table | None:
    """What is given as a table; None if it is none."""
    if type(data).__module__.split(".")[0] == "datasets" and hasattr(data, "features"):
        return FeatureTable(data)
    is_column = hasattr(data, "to_numpy") and not hasattr(data, "columns")  # a series, or an array of pyarrow
    if not hasattr(data, "__arrow_c_stream__") or is_column:
        return None
    pa = arrow()
    if isinstance(data, pa.Table):
        table = data
    elif type(data).__module__.split(".")[0] == "pandas":
        table = _of_pandas(data)
    else:
        table = pa.table(data)
    found: Table = ArrowTable.of_table(NAME, table)
    return found


def _of_pandas(frame: Any) -> Any:
    """A frame as a table of pyarrow. Its index is a column where it has a name, or is more than numbers of rows."""
    pa = arrow()
    index, names = frame.index, [str(name) for name in frame.columns]
    problems = [f"column {name!r} is there {times} times" for name, times in Counter(names).items() if times > 1]
    for place, name in enumerate(names):
        column = frame.iloc[:, place]
        if column.dtype.kind in "Oc":
            try:
                pa.array(column, from_pandas=True)
            except (pa.ArrowException, TypeError, ValueError):
                kinds = _kinds(column) if column.dtype.kind == "O" else column.dtype
                problems.append(f"column {name!r} holds {kinds}; make it one kind: frame[{name!r}].astype(str)")
    if problems:
        raise listed(NAME, problems)
    if names != list(frame.columns):
        frame = frame.set_axis(names, axis=1)
    is_counted = set(index.names) == {None} and index.dtype.kind in "iu"
    return pa.Table.from_pandas(frame, preserve_index=not is_counted)


def columns_of(data: Any, names: Sequence[str], where: str) -> Any:
    """The numbers (N, columns) of a table or frame: the columns of these names, or all in their order; a series is
    one column."""
    table = table_of(data)
    if table is None:
        return _numpy(data)[:, None]
    table.where = where
    return table.read([table.column(name) for name in names or table.names])[0][:]


# ---- Hugging Face ---------------------------------------------------------------------------------------------------


class FeatureTable(ArrowTable):
    """A `datasets.Dataset`, which lies on disk: its rows are read as they are asked for."""

    def __init__(self, data: Any) -> None:
        self.data = data.with_format("arrow")
        self.features = data.features
        super().__init__(NAME, data.features.arrow_schema)

    def count_rows(self) -> int:
        return len(self.data)

    def selected(self, names: Sequence[str]) -> Iterator[Any]:
        for table in self.data.select_columns(list(names)).iter(batch_size=BATCH):
            yield from table.combine_chunks().to_batches()

    def of_kind(self, kind: str) -> list[str]:
        """The columns whose feature is of this kind, such as "Image"."""
        return [name for name, feature in self.features.items() if type(feature).__name__ == kind]


class ImageBytes(BytesIO):
    """The bytes of an image, which messages call by its row."""

    parent = NAME

    def __init__(self, data: bytes, row: int) -> None:
        super().__init__(data)
        self.row = row

    def __str__(self) -> str:
        return f"image {self.row + 1} of {NAME}"


class FeatureImages(Sequence[Any]):
    """The images of a column of tables one after another, each a file or its bytes."""

    def __init__(self, tables: Sequence[FeatureTable], column: str) -> None:
        self.parts, self.column = [table.data.select_columns([column]) for table in tables], column
        self.starts = [0, *accumulate(len(part) for part in self.parts)]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, row: Any) -> Any:
        if not 0 <= row < len(self):
            raise IndexError(row)
        place = bisect_right(self.starts, row) - 1
        first = int(row) - self.starts[place]
        value = self.parts[place][first : first + 1].column(self.column)[0].as_py()
        if value is None:
            raise InputError(f"image {row + 1} of {NAME} is missing. Leave the row out.")
        return ImageBytes(value["bytes"], row) if value.get("bytes") is not None else Path(value["path"])


def _of_features(tables: Sequence[Table], asked: Asked) -> Found | None:
    """What Hugging Face data sets hold, by the features of the first; None for other tables."""
    parts = [table for table in tables if isinstance(table, FeatureTable)]
    if len(parts) < len(tables):
        return None
    first, table = parts[0], _together(parts)
    images, labels = first.of_kind("Image"), first.of_kind("ClassLabel")
    label = asked.label or (labels[0] if len(labels) == 1 else None)
    classes = None if label is None else table.words(table.column(label))
    if classes is not None and (names := getattr(first.features[label], "names", None)):
        if "-1" in classes.names:
            raise InputError(f"{NAME}: column {label!r} has rows without a class (-1). Leave them out.")
        classes = Words([names[int(word)] for word in classes.names], classes.places)
    others = [name for name in table.names if name not in (label, *asked.input_names)]
    inputs = read_inputs(table, asked.input_names, asked.categories)
    if images:
        return images_of(FeatureImages(parts, images[0]), classes, asked.size)._replace(inputs=inputs)
    if others == ["text"]:
        return Found(_strings(table.strings(table.column("text"))), None, classes, inputs=inputs)
    return read_table(table, asked._replace(label=label))._replace(classes=classes)
