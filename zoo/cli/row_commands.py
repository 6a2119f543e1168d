"""What sampling, scoring, encoding, decoding and predicting share: rows in, a method, rows out."""

from __future__ import annotations

import csv
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo import writers
from zoo.api import load_or_open
from zoo.artifact import Artifact, Limits
from zoo.cli import progress
from zoo.cli.output import note, size
from zoo.cli.streams import printable
from zoo.columns import Table
from zoo.data import SPLITS, load_dataset, resolve
from zoo.data.arrow import arrow
from zoo.data.model_data import columns_in, said_of
from zoo.data.readers import (
    TABLES,
    column_names,
    encode_inputs,
    numbered,
    open_inputs,
    open_rows,
    read_labels,
    read_latents,
)
from zoo.data.records import read_given
from zoo.data.sources import Source
from zoo.data.tables import Table as TableFile
from zoo.data.tables import find_parts, open_parts
from zoo.errors import InputError, UnknownName, did_you_mean
from zoo.model import FIRST_OUTPUT, Model, Progress
from zoo.signature import GIVEN, KNOWN, Tensor
from zoo.spaces import Categories, Image, Labels, Space, Strings
from zoo.system.files import check_output_file

if TYPE_CHECKING:
    from zoo.eager import EagerModel

Array = npt.NDArray[Any]
Chunk = Mapping[str, Array]
BLOCK = 2**14  # rows that are read at a time
TERMINAL_ROWS = 40
LABEL = "label"  # the name of the input, and of the column or array that holds the class


# ---- the model ------------------------------------------------------------------------------------------------------


def open_model(name: str, device: str, trust: bool = True, limits: Limits | None = None) -> Model:
    """Open a preset, run or artifact, and report on stderr what runs it and where. Only an artifact may be
    untrusted."""
    path = Path(name).expanduser()
    if path.is_file():
        raise InputError(f"{name} is a file; expected the folder of a run or an artifact, or the name of a preset.")
    try:
        model = load_or_open(name, device=device, trust=trust, limits=limits)
    except UnknownName as error:
        if path.is_dir():
            raise UnknownName(f"{name} needs a plugin that is missing or disabled: {error}") from error
        if os.sep in name:
            raise UnknownName(f"there is no folder {name!r}, and no model of that name. See: zoo list") from error
        raise
    note(f"{model.name} on {where(model)}")
    return model


def where(model: Model) -> str:
    """The runtime and the device of a model."""
    if isinstance(model, Artifact):
        return f"{model.device} (onnxruntime{', in a process with limits' if model.limits else ''})"
    eager: EagerModel = model  # type: ignore[assignment]
    return f"{eager.network.device} ({eager.network.framework})"


def check_settings(model: Model, method: str, settings: Mapping[str, str]) -> None:
    """Check that `--set` names options of the method, without those that have a command-line option of their own."""
    known = model.signature(method).options
    for name in settings:
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            near = did_you_mean(name, known)
            raise InputError(f"{method} of {model.name} has no option {name!r}; {takes}.{near}")


def class_of(model: Model, chosen: str) -> int:
    """The index of a class by its name, or by its index if no class name is an integer."""
    if model.classes is None:
        raise InputError(f"{model.name} has no classes; omit --class.")
    return int(model.classes.check([chosen], name="--class")[0])


def told(model: Model, method: str, given: Mapping[str, str]) -> dict[str, Array]:
    """`--input NAME=VALUE`: an input for all rows, as an array without a row axis."""
    known = model.signature(method).conditions
    found = {}
    for name, value in given.items():
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InputError(
                f"{method} of {model.name} has no input {name!r} for all rows; {takes}.{did_you_mean(name, known)}"
            )
        if name in model.categories:
            found[name] = model.categories[name].codes([value], f"--input {name}")[0]
            continue
        try:
            numbers = np.array([float(part) for part in value.split(",")])
            found[name] = numbers.reshape([int(d) for d in known[name].shape])
        except ValueError:
            shape = known[name].shape
            what = f"{math.prod(map(int, shape))} numbers separated by commas" if shape else "a number"
            raise InputError(f"--input {name}={value}; expected {what}.") from None
    return found


def given_columns(model: Model, source: str, besides: Sequence[str] = ()) -> dict[str, Array]:
    """The columns of a table that are given of each row of a file, where its cells are not missing, as inputs of
    `sample`. Columns that the model does not have are errors, but for those `besides`."""
    assert isinstance(model.space, Table)
    found, _ = find(source)
    if not isinstance(found, Path):
        raise InputError(f"{source} is a data set; expected a file with columns of the table.")
    codes, known = read_given(open_parts(find_parts(found) or [found]), model.space, besides)
    return {GIVEN: codes, KNOWN: known}


def fixed_columns(model: Model, fixed: Mapping[str, str], told: Mapping[str, Array], count: int) -> dict[str, Array]:
    """`--given NAME=VALUE`: columns of all of `count` rows, beside those that are given of each (`told`)."""
    if not fixed:
        return {}
    if not model.signature("sample").takes_columns:
        raise InputError(f"sample of {model.name} takes no columns of a table; omit --given.")
    assert isinstance(model.space, Table)
    codes, known = model.space.given(fixed, "--given")
    for name, place in zip(model.space.names, known, strict=True):
        if name in fixed and not place:
            raise InputError(f"--given {name}={fixed[name]} is a missing value; expected one that there is.")
    of_code = np.repeat(known, [len(c.levels) for c in model.space.columns])
    return {
        GIVEN: np.where(of_code, codes, told[GIVEN]) if told else np.broadcast_to(codes, (count, *codes.shape)),
        KNOWN: known | told[KNOWN] if told else np.broadcast_to(known, (count, *known.shape)),
    }


def label_of(model: Model, method: str, chosen: str | None) -> dict[str, Any]:
    """`--class` as the keyword argument of a method that decodes or draws, which takes a class by name; `InputError` if
    it is missing or not accepted."""
    if LABEL not in model.signature(method).inputs:
        if chosen is not None:
            raise InputError(f"{method} of {model.name} takes no class; omit --class.")
        return {}
    assert model.classes is not None
    if chosen is None:
        raise InputError(f"{model.name} needs a class: --class NAME; {model.classes.describe()}.")
    return {LABEL: model.classes.called(np.asarray(class_of(model, chosen)))}


# ---- rows in --------------------------------------------------------------------------------------------------------


def read_conditions(model: Model, source: str, names: Sequence[str]) -> dict[str, Source]:
    """The inputs of rows of a file, or of a split of a data set, other than observations and classes, by name, as the
    model takes them."""
    found, categories = conditions_of(model, source, names)
    if words := [name for name in categories if name not in model.categories]:
        raise InputError(f"{words[0]} of {source} holds words; {model.name} takes numbers. Give those.")
    return found


def conditions_of(
    model: Model, source: str, names: Sequence[str]
) -> tuple[dict[str, Source], Mapping[str, Categories]]:
    """The inputs of rows of a file, or of a split of a data set, other than observations and classes, and the
    categories of those that are words, by name. Categories of the model are as it has them."""
    if not names:
        return {}, {}
    found, split = find(source)
    if isinstance(found, Path):
        return encode_inputs(source, open_inputs(found, names, model.categories), model.categories)
    dataset = load_dataset(found, inputs=names)
    dataset = dataset.fitted(dataset.space, None, {**dataset.categories, **model.categories})
    return {name: dataset.splits[split].sources[name] for name in names}, dataset.categories


def read_inputs(
    model: Model,
    method: str,
    source: str,
    label: str | None,
    chosen: str | None,
    given: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The inputs of a method for the rows of a file, a folder, or a split of a data set (`digits:train`): those that
    are not `given` for all rows."""
    signature = model.signature(method)
    of_all = told(model, method, given or {})
    names = [name for name in signature.conditions if name not in of_all]
    found, split = find(source)
    inputs: dict[str, Any] = {}
    labels: Any = None
    wanted = LABEL in signature.inputs
    if chosen is not None and not wanted:
        raise InputError(f"{method} of {model.name} takes no class; omit --class.")
    if isinstance(found, Path):
        if label is None and (names_there := columns_in(found)):
            label = next((n for n in (said_of(model).label, LABEL) if n in names_there), None)
        if "z" in signature.inputs:
            inputs["z"] = read_latents(found, [int(d) for d in signature.inputs["z"].shape], names)
        else:
            inputs["x"] = open_rows(found, model.space, label, names, said_of(model).text)
        if wanted and chosen is None:
            assert model.classes is not None
            labels = read_labels(found, model.classes, label)
    else:
        if "z" in signature.inputs:
            raise InputError(f"{method} takes latents, but {source} holds observations. Encode them first: zoo encode.")
        dataset = load_dataset(found, label=label)
        rows = dataset.fitted(model.space, model.classes if wanted and chosen is None else None).splits[split]
        inputs["x"] = rows.observations
        if wanted and chosen is None and dataset.classes is not None:
            labels = rows.take("label")
    if wanted:
        labels = class_of(model, chosen) if chosen is not None else labels
        if labels is None:
            raise InputError(
                f"{source} has no classes, and {model.name} needs one for each row: --class NAME sets them all."
            )
        inputs[LABEL] = np.broadcast_to(labels, len(next(iter(inputs.values()))))
    inputs |= read_conditions(model, source, names)
    count = len(next(iter(inputs.values())))
    return inputs | {name: np.broadcast_to(value, (count, *value.shape)) for name, value in of_all.items()}


def having(model: Model, source: str, attribute: str, label: str | None = None) -> npt.NDArray[np.bool_]:
    """Which rows have an attribute (N,): `NAME=VALUE` of an input that is a number or a category, `NAME` of a number
    that is not 0, or `label=CLASS`."""
    name, equals, value = attribute.partition("=")
    if name == LABEL:
        classes, labels = classes_of(model, source, label)
        if not value:
            raise InputError(f"--attribute {LABEL} needs a class: {LABEL}=CLASS; {classes.describe()}.")
        return np.asarray(labels == classes.check([value], name="--attribute label")[0])
    found, categories = conditions_of(model, source, [name])
    values = np.asarray(found[name][:])
    if values.ndim != 1:
        raise InputError(f"{name} of {source} has shape {values.shape}; expected one number for each row.")
    if name in categories:
        if not equals:
            raise InputError(f"--attribute {name} needs a value: {name}=VALUE; {categories[name].describe()}.")
        return np.asarray(values == categories[name].codes([value], f"--attribute {name}")[0])
    if not equals:
        return np.asarray(values != 0)
    try:
        equal = values == float(value)
    except ValueError:
        raise InputError(f"--attribute {attribute}: {value!r} is no number; expected a value of {name}.") from None
    if not equal.any():
        there = ", ".join(f"{v:g}" for v in np.unique(values)[:12])
        raise InputError(f"no row of {source} has {name}={value}; its values are {there}.")
    return np.asarray(equal)


def classes_of(model: Model, source: str, label: str | None) -> tuple[Labels, npt.NDArray[np.int64]]:
    """The classes of the rows of a file or of a split of a data set, and the integer label of each row."""
    found, split = find(source)
    if isinstance(found, Path):
        if model.classes is None:
            raise InputError(f"{model.name} has no classes, so those of {found} have no names; name an input of it.")
        return model.classes, read_labels(found, model.classes, label)
    dataset = load_dataset(found, label=label)
    if dataset.classes is None:
        known = f"; its inputs are {', '.join(dataset.inputs)}" if dataset.inputs else ""
        raise InputError(f"{source} has no classes{known}.")
    return dataset.classes, dataset.splits[split].take(LABEL)


def check_numbers(wanted: Sequence[int], count: int, source: str) -> None:
    """`InputError` for rows that are not there."""
    for row in wanted:
        if not 0 <= row < count:
            raise InputError(f"there is no row {row} in {source}: it has {count}, numbered from 0.")


def as_table(path: Path) -> TableFile | None:
    """The table of a file, of files that match a pattern, or of those in a folder; None if it is not a table."""
    parts = find_parts(path) or [path]
    return open_parts(parts) if all(p.suffix.lower() in TABLES and p.is_file() for p in parts) else None


def kept_columns(source: str, names: Sequence[str]) -> dict[str, Array]:
    """Columns of a table that are copied to the result, such as identifiers."""
    if not names:
        return {}
    found, _ = find(source)
    table = as_table(found) if isinstance(found, Path) else None
    if table is None:
        raise InputError(f"{source} is not a table, so it has no columns to keep. Omit --keep.")
    places = [table.column(name) for name in names]
    pa = arrow()
    columns = [pa.chunked_array([b.column(i) for b in table.values()]) for i in places]
    arrays = {name: column.to_numpy(zero_copy_only=False) for name, column in zip(names, columns, strict=True)}
    return {n: a.astype(np.str_) if a.dtype.kind == "O" and None not in a else a for n, a in arrays.items()}


def find(source: str) -> tuple[Path | str, str]:
    """A path, or the name of a data set, and the split."""
    path = Path(source).expanduser()
    name, colon, split = source.rpartition(":")
    if not colon or path.exists():
        name, split = source, "test"
    elif split not in SPLITS:
        near = did_you_mean(split, SPLITS)
        raise InputError(f"unknown split {split!r} in {source!r}; expected {', '.join(SPLITS)}.{near}")
    found = resolve(name)
    return found if isinstance(found, Path) else name, split


# ---- rows out -------------------------------------------------------------------------------------------------------


def check_early(out: Path | None, force: bool) -> None:
    """Report what is wrong with an output before anything is loaded."""
    if out is None:
        return
    check_output_file(out, force)
    if out.suffix.lower() not in writers.SUFFIXES:
        writers.check_output(out, force=force)  # lists the formats


def check_late(out: Path | None, force: bool, space: Space | None, count: int | None = None) -> None:
    """Report what is wrong with an output for rows of a space (None: named columns)."""
    if out is not None:
        writers.check_output(out, space, count=count, force=force)
    elif isinstance(space, Image):
        raise InputError("images need a file: --out x.png for a picture, --out x.npz for the numbers.")


def check_room(out: Path, space: Space, count: int) -> None:
    """Check before a long job that the file fits on its disk. Only for formats of known size."""
    folder = out.absolute().parent
    while not folder.exists():
        folder = folder.parent
    each = {".npz": np.dtype(space.dtype).itemsize, ".npy": np.dtype(space.dtype).itemsize, ".csv": 2, ".tsv": 2}
    need = count * space.size * each.get(out.suffix.lower(), 0)
    free = shutil.disk_usage(folder).free
    if need > free and not isinstance(space, Strings):
        raise InputError(
            f"{count:,} rows need at least {size(need)} in {out}, and {size(free)} are free. Draw fewer; later ones "
            "with --start."
        )


def deliver(
    chunks: Iterable[Chunk],
    out: Path | None,
    *,
    space: Space | None,
    columns: Mapping[str, Sequence[str]] | None = None,
    force: bool = False,
) -> int:
    """Write chunks to a file, or print them as CSV (strings: one per line). Returns the number of rows."""
    if out is not None:
        return writers.write(out, chunks, space, columns=columns, force=force)
    names = {**(columns or {}), **({"x": column_names(space)} if space is not None else {})}
    writers.warn_of_formulas("the output", *writers.words_in(space), *(columns or {}).values())
    return _print(chunks, space, names)


def _print(chunks: Iterable[Chunk], space: Space | None, names: Mapping[str, Sequence[str]]) -> int:
    limit = TERMINAL_ROWS if sys.stdout.isatty() else None
    shown = printable if limit else str  # a file or another program gets the raw values
    table = csv.writer(sys.stdout, lineterminator="\n")
    count = 0
    for chunk in chunks:
        rows = len(next(iter(chunk.values())))
        if not isinstance(space, Strings) and not count:
            table.writerow(map(shown, _titles(chunk, names)))
        wanted = rows if limit is None else min(rows, limit - count)
        part = {name: array[:wanted] for name, array in chunk.items()}
        if isinstance(space, Strings):
            sys.stdout.write("".join(f"{shown(string)}\n" for string in space.decode(part["x"])))
        else:
            flat = [_values(name, array, space) for name, array in part.items()]
            table.writerows([shown(str(v)) for a in flat for v in a[i]] for i in range(wanted))
        count += wanted
        if count == limit:
            break
    return count


def _values(name: str, array: Array, space: Space | None) -> Any:
    """The printed values of each row of an array; a missing value is empty."""
    if name == "x" and isinstance(space, Table):
        columns = (column.to_pylist() for column in space.decode(array).columns)
        return [["" if v is None else v for v in row] for row in zip(*columns, strict=True)]
    return np.asarray(array).reshape(len(array), -1)


def _titles(chunk: Chunk, names: Mapping[str, Sequence[str]]) -> list[str]:
    titles: list[str] = []
    for name, array in chunk.items():
        width = int(np.prod(array.shape[1:]))
        titles += names.get(name) or ([name] if array.ndim == 1 else numbered(name, width))
    return titles


def with_classes(chunks: Iterable[Chunk], labels: Array, classes: Labels, out: Path | None) -> Iterator[Chunk]:
    """Chunks with the class of each row, if the format has room for it: its name in tables; in NPZ files its number,
    which is the name if class names are integers."""
    suffix = ".csv" if out is None else out.suffix.lower()
    if suffix in (".csv", ".tsv"):
        writers.warn_of_formulas("the output" if out is None else str(out), classes.names)
    names, done = np.array(classes.names), 0
    for chunk in chunks:
        rows = len(next(iter(chunk.values())))
        part = labels[done : done + rows]
        done += rows
        if suffix in TABLES:
            yield {**chunk, LABEL: names[part]}
        else:
            yield {**chunk, LABEL: classes.called(part)} if suffix == ".npz" else chunk


def with_predictions(chunks: Iterable[Chunk], classes: Labels, out: Path | None) -> Iterator[Chunk]:
    """Chunks with the most probable class of each row, by name, in tables."""
    names = np.array(classes.names)
    table = (out is None or out.suffix.lower() in TABLES) and "class" not in classes.names
    for chunk in chunks:
        yield {"class": names[chunk["y"].argmax(1)], **chunk} if table else chunk


# ---- a method over rows ---------------------------------------------------------------------------------------------


def run(
    method: str,
    name: str,
    data: str,
    *,
    out: Path | None,
    force: bool,
    label: str | None,
    chosen: str | None,
    given: Mapping[str, str],
    settings: Mapping[str, Any],
    seed: int,
    seeds: list[int] | None,
    stream: str,
    chunk: int | None,
    device: str,
    opening: Mapping[str, Any],
    start: int = 0,
    keep: Sequence[str] = (),
    watch: Callable[[Iterator[Chunk]], Iterator[Chunk]] = lambda chunks: chunks,
) -> Model:
    """Run a method over the rows of `data`, and write or print the result. The chunks pass through `watch`."""
    check_early(out, force)
    if out is not None and out.exists() and Path(data).expanduser().exists() and out.samefile(Path(data).expanduser()):
        raise InputError(f"{out} is the data; give the result another name.")
    model = open_model(name, device, **opening)
    signature = model.signature(method)
    check_settings(model, method, settings)
    space = model.space if FIRST_OUTPUT[method] == "x" else None
    check_late(out, force, space)
    inputs = read_inputs(model, method, data, label, chosen, given)
    beside = kept_columns(data, keep)
    count = len(next(iter(inputs.values())))
    if not 0 <= start < count:
        raise InputError(f"--start is {start}; {data} has {count:,} rows, which are numbered from 0.")
    columns: dict[str, Sequence[str]] = {}
    if isinstance(model.space, Table) and signature.outputs.get("conditionals") == Tensor(
        "float32", (len(model.space.columns),)
    ):
        columns["conditionals"] = [f"log_prob {name}" for name in model.space.names]
    with bar(method, out) as show:
        how = {"stream": stream, "chunk": chunk, **settings}
        chunks = watch(blocks(model, method, inputs, start, seeds or seed, how, show))
        if LABEL in inputs and method in ("encode", "decode") and model.classes is not None:
            chunks = with_classes(chunks, np.asarray(inputs[LABEL])[start:], model.classes, out)
        if method == "predict" and model.classes is not None and signature.outputs["y"].shape:
            columns["y"] = model.classes.names
            chunks = with_predictions(chunks, model.classes, out)
        chunks = with_columns(chunks, beside, start)
    count = deliver(chunks, out, space=space, columns=columns, force=force)
    done(out, count)
    return model


def blocks(
    model: Model,
    method: str,
    inputs: Mapping[str, Any],
    start: int,
    seed: int | list[int],
    given: Mapping[str, Any],
    show: Progress | None,
) -> Iterator[Chunk]:
    """The results of a method for the rows from `start` on, which are read in blocks so that memory stays flat. The
    index of a row is its number in the data, or 0 if each row has its own seed."""
    count = len(next(iter(inputs.values())))
    if isinstance(seed, list) and len(seed) != count - start:
        raise InputError(f"there are {len(seed)} seeds and {count - start} rows; expected as many.")

    def moved(done: int, total: int, low: int = start) -> None:
        if show:
            show(low - start + done, count - start)

    for low in range(start, count, BLOCK):
        high = min(low + BLOCK, count)
        part = {name: a[low:high] for name, a in inputs.items()}
        numbers: dict[str, Any] = {"seed": seed, "start": low}
        if isinstance(seed, list):
            numbers = {"seed": seed[low - start : high - start]}
        yield from model.stream(method, part, progress=partial(moved, low=low), **numbers, **given)


def with_columns(chunks: Iterable[Chunk], columns: Mapping[str, Array], start: int) -> Iterator[Chunk]:
    """Chunks preceded by other columns of their rows."""
    done = start
    for chunk in chunks:
        rows = len(next(iter(chunk.values())))
        yield {**{name: a[done : done + rows] for name, a in columns.items()}, **chunk}
        done += rows


@contextmanager
def bar(what: str, out: Path | None) -> Iterator[Progress | None]:
    """Progress on stderr, unless the rows themselves go to the terminal."""
    if out is None and sys.stdout.isatty():
        yield None
        return
    with progress.rows(what) as show:
        yield show


def done(out: Path | None, count: int) -> None:
    if out is not None:
        note(f"wrote {count:,} rows to {out}")
    elif sys.stdout.isatty() and count == TERMINAL_ROWS:
        note(f"these are the first {count} rows; --out FILE writes all of them")
