"""Data sets: observations in data units, in three splits that never change.

`load_dataset` takes the name of an installed data set, a file or a folder. A file is split by a fixed permutation
of its rows, so the test rows are the same in every run and on every machine.

A data set gives rows by number, whatever they lie in (arrays, memory maps, files): `data.splits["train"]` is a
`zoo.data.sources.Split`, and

    len(data.splits["train"])                  # how many rows
    data.splits["train"][rows]                 # a batch: {"x": (N, *space.shape), "label": (N,), ...} of numpy arrays
    data.splits["train"].take("x", rows)       # one of them
    data.splits["train"].sample(2**28)         # all observations, or so many bytes of them: for means and the like

where `rows` is an array of numbers or a slice. The names in a batch are those that losses and methods take: `x`,
`label` where there are classes, and those of `data.inputs`. The arrays have the dtypes of the space, and their values
have been checked. What is in memory is not copied: a batch is the only thing that is made. `data.train` and
`data.split("train")` read all rows into an array, so they are for what fits into memory.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zoo.errors import InputError, PluginError, UnknownName, ZooWarning, did_you_mean
from zoo.signature import RESERVED
from zoo.spaces import Categories, Labels, Space, Strings

if TYPE_CHECKING:  # numpy is imported where there are arrays: naming data sets needs none
    import numpy as np
    import numpy.typing as npt

    from zoo.data.sources import Source, Split
    from zoo.data.tables import Words
    from zoo.spec import DatasetSpec

    Array = npt.NDArray[Any]

Inputs = str | Sequence[str] | Mapping[str, Any]
SPLITS = ("train", "validation", "test")
MIN_ROWS = 10
HASHES = 2**16  # of rows that are looked up at a time
CHANCE_BITS = 40  # of rows that are hardly equal by chance
WORDS = dict.fromkeys("OSUT", "words")
# what a file may be called; a folder holds images
SUFFIXES = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".npz", ".npy", ".txt")


class Law(Protocol):
    """The distribution that the rows of a data set come from, where it is known."""

    def log_prob(self, x: Array) -> npt.NDArray[np.float64]:
        """Log-density of the observations `(N, *space.shape)`, in nats, `(N,)`."""

    def sample(self, count: int, seed: int) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """Observations that are in no split, and their classes if the data set has any."""


class Dataset:
    """Observations of one sample space in three splits, and what is known of them.

    `train`, `validation` and `test` are sources of observations (N, *space.shape): arrays, or anything that gives rows
    by number (`zoo.data.sources`). `labels` has the integer class of each row by split, `classes` the names of the
    classes, `inputs` further numbers of each row that methods and losses take, by name and split: `{"shift": {"train":
    ..., "validation": ..., "test": ...}}`, each a source of (N, ...). Of those that are words, `categories` has the
    names, and the source their codes (N,).
    `law` is what all rows come from, where it is known.
    """

    def __init__(
        self,
        name: str,
        space: Space,
        train: Source,
        validation: Source,
        test: Source,
        labels: Mapping[str, npt.NDArray[np.int64]] | None = None,
        classes: Labels | None = None,
        source: str = "",
        law: Law | None = None,
        inputs: Mapping[str, Mapping[str, Source]] | None = None,
        categories: Mapping[str, Categories] | None = None,
    ) -> None:
        from zoo.data.sources import Split, check_rows, in_memory

        if (labels is None) != (classes is None):
            raise InputError(f"data set {name}: give both labels and classes, or neither.")
        self.name, self.space, self.classes, self.source, self.law = name, space, classes, source, law
        self.inputs, self.categories = dict(inputs or {}), dict(categories or {})
        splits = {}
        for split, x in zip(SPLITS, (train, validation, test), strict=True):
            what = f"{split} of data set {name}"
            if in_memory(x):
                check_rows(space, x, what)
            sources: dict[str, Source] = {"x": x}
            if labels is not None and classes is not None:
                if split not in labels:
                    raise InputError(f"data set {name} has no labels for {split}; expected {', '.join(SPLITS)}.")
                sources["label"] = classes.check(labels[split], len(x), f"{split} labels of data set {name}")
            for key, by_split in self.inputs.items():
                if key in RESERVED:
                    raise InputError(f"data set {name} has an input {key!r}, which means something else. Rename it.")
                if split not in by_split or len(by_split[split]) != len(x):
                    raise InputError(f"data set {name}: {key} is not there for each of the {len(x)} rows of {split}.")
                if (kind := by_split[split][:0].dtype.kind) not in "buif":
                    raise InputError(
                        f"data set {name}: the input {key!r} holds {WORDS.get(kind, 'no numbers')}; expected numbers, "
                        "or codes with the names in categories. zoo.data.split_rows takes words."
                    )
                sources[key] = by_split[split]
            splits[split] = Split(space, sources, what)
        self.splits: Mapping[str, Split] = splits
        self._whole: dict[str, tuple[Array, npt.NDArray[np.int64] | None]] = {}

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(self.splits[split]):,} {split}" for split in SPLITS)
        return f"<data set {self.name}: {self.space.describe()}; rows: {rows}>"

    @property
    def train(self) -> Array:
        return self.split("train")[0]

    @property
    def validation(self) -> Array:
        return self.split("validation")[0]

    @property
    def test(self) -> Array:
        return self.split("test")[0]

    @property
    def labels(self) -> Mapping[str, npt.NDArray[np.int64]] | None:
        """The integer class of each row by split; None where there are no classes."""
        return None if self.classes is None else {name: split.take("label") for name, split in self.splits.items()}

    def split(self, name: str) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """All observations and labels (None where there are none) of "train", "validation" or "test", as arrays. They
        are read once and kept."""
        check_split(name)
        if name not in self._whole:
            split = self.splits[name]
            self._whole[name] = split.take("x"), None if self.classes is None else split.take("label")
        return self._whole[name]

    def fitted(
        self, space: Space, classes: Labels | None = None, categories: Mapping[str, Categories] | None = None
    ) -> Dataset:
        """These rows as observations of a model's `space`, with the numbers of its `classes`, and the codes of its
        `categories` (None: as they are).

        A file shows only what is in it: shorter strings, fewer levels, some of the classes. `InputError` where they
        are not of the model's kind.
        """
        known = {n: c for n, c in (self.categories if categories is None else categories).items() if n in self.inputs}
        same = space == self.space and known == self.categories
        if same and (classes is None or self.classes is None or classes == self.classes):
            return self
        check_kind(self, space)
        from zoo.data.sources import Mapped

        have, labels = self.space, self.labels
        rows: list[Source] = [split.sources["x"] for split in self.splits.values()]
        if isinstance(space, Strings) and isinstance(have, Strings):
            rows = [Mapped(x, lambda tokens: space.check(have.decode(tokens), self.name)) for x in rows]
        if labels is not None and classes is not None and self.classes is not None:
            names = self.classes.names
            labels = {split: classes.check([names[i] for i in y]) for split, y in labels.items()}
        new, (train, validation, test) = (classes or self.classes) if labels else None, rows
        inputs = self.inputs if known == self.categories else self._coded(known)
        return Dataset(self.name, space, train, validation, test, labels, new, self.source, self.law, inputs, known)

    def _coded(self, categories: Mapping[str, Categories]) -> dict[str, Mapping[str, Source]]:
        """The inputs, with the codes of these categories."""
        from zoo.data.sources import Mapped

        inputs = dict(self.inputs)
        for name in {**self.categories, **categories}:
            mine, theirs = self.categories.get(name), categories.get(name)
            if theirs is None:
                raise InputError(
                    f"the input {name!r} of {self.name} holds words, such as {self.categories[name].names[0]!r}; the "
                    "model takes numbers. Give those."
                )
            code = partial(theirs.codes, name=f"the input {name!r} of {self.name}")
            recoded = code if mine is None else code(mine.names).__getitem__
            inputs[name] = {split: Mapped(source, recoded) for split, source in inputs[name].items()}
        return inputs

    def at_most(self, size: int) -> Dataset:
        """These rows, or where a split takes more than `size` bytes, so many of them, evenly spread."""
        import numpy as np

        from zoo.data.sources import Taken

        each = max(1, self.splits["train"].take("x", slice(0, 1)).nbytes)
        most = max(MIN_ROWS, size // each)
        if all(len(split) <= most for split in self.splits.values()):
            return self
        rows = {n: np.arange(min(most, len(s))) * len(s) // min(most, len(s)) for n, s in self.splits.items()}
        train, validation, test = (Taken(s.sources["x"], rows[n]) for n, s in self.splits.items())
        labels = None if self.labels is None else {n: y[rows[n]] for n, y in self.labels.items()}
        inputs = {k: {n: Taken(x, rows[n]) for n, x in by_split.items()} for k, by_split in self.inputs.items()}
        about = self.source, self.law, inputs, self.categories
        return Dataset(self.name, self.space, train, validation, test, labels, self.classes, *about)

    def keeping(self, inputs: Collection[str], *, classes: bool = True) -> Dataset:
        """These rows with no more inputs than those of these names, and perhaps without their classes. `InputError` for
        an input that is not there."""
        for name in inputs:
            if name not in self.inputs:
                known = f"its inputs are {', '.join(self.inputs)}" if self.inputs else "it has none"
                raise InputError(f"{self.name} has no input {name!r}; {known}.{did_you_mean(name, self.inputs)}")
        if set(inputs) == set(self.inputs) and (classes or self.classes is None):
            return self
        train, validation, test = (split.sources["x"] for split in self.splits.values())
        labels, names = (self.labels, self.classes) if classes else (None, None)
        kept = {name: self.inputs[name] for name in inputs}
        about = self.source, self.law, kept, {n: c for n, c in self.categories.items() if n in kept}
        return Dataset(self.name, self.space, train, validation, test, labels, names, *about)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over space, classes and all arrays: two data sets with one digest hold the same numbers."""
        import numpy as np

        from zoo.data.sources import blocks, known_hashes, row_hashes

        about = {"space": self.space.to_json(), "classes": None if self.classes is None else self.classes.names}
        about |= {"categories": {n: c.names for n, c in self.categories.items()}} if self.categories else {}
        total = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for name, split in self.splits.items():
            for key, source in split.sources.items():
                if known_hashes(source):
                    total.update(f"{name} {key} {len(split)}".encode() + row_hashes(source).tobytes())
                    continue
                first = split.take(key, slice(0, 1))
                said = "" if key in ("x", "label") else f"{key} "
                total.update(f"{said}{name} {first.dtype.str} {(len(split), *first.shape[1:])}".encode())
                for rows in blocks(source):
                    total.update(np.ascontiguousarray(split.take(key, rows)).data)
        return total.hexdigest()


def check_split(name: str) -> None:
    """`InputError` for what is no split."""
    if name not in SPLITS:
        raise InputError(f"unknown split {name!r}; expected {', '.join(SPLITS)}.{did_you_mean(name, SPLITS)}")


def check_kind(dataset: Dataset, space: Space) -> None:
    """`InputError` if the rows of a data set cannot be observations of `space`, whatever their values."""
    have = dataset.space
    if isinstance(space, Strings) and isinstance(have, Strings):
        return
    names = [getattr(s, "names", ()) for s in (space, have)]
    if type(have) is not type(space) or have.shape != space.shape or (all(names) and names[0] != names[1]):
        raise InputError(f"the model takes {space.describe()}; {dataset.name} is {have.describe()}.")


def split_rows(
    name: str,
    space: Space,
    x: Source,
    y: Array | None = None,
    *,
    classes: Labels | None = None,
    source: str = "",
    law: Law | None = None,
    inputs: Mapping[str, Source] | None = None,
) -> Dataset:
    """A data set of rows without an official split: 70 % train, 10 % validation, 20 % test, always the same rows.
    `inputs` are further numbers of each row (N, ...), or words (N,), by name."""
    from zoo.data.readers import encode_inputs

    coded, categories = encode_inputs(name, inputs or {})
    return taken(name, space, x, split_numbers(name, len(x)), y, classes, source, law, coded, categories)


def split_numbers(name: str, count: int) -> dict[str, npt.NDArray[np.integer[Any]]]:
    """The numbers of the rows of each split, where there is no official one."""
    from zoo.data.frozen_random import split_order

    if count < MIN_ROWS:
        raise InputError(
            f"{name} has {count} rows; expected at least {MIN_ROWS}, to split them in three. zoo score and zoo "
            "predict take fewer."
        )
    order = split_order(count)
    ends = (0, count - count // 10 - count // 5, count - count // 5, count)
    return {split: order[low:high] for split, low, high in zip(SPLITS, ends, ends[1:], strict=False)}


def all_splits(
    name: str, splits: Mapping[str, npt.NDArray[np.integer[Any]]]
) -> dict[str, npt.NDArray[np.integer[Any]]]:
    """Splits by the numbers of their rows. One that is not there is taken from the training rows, a tenth for
    validation and a fifth for testing, always the same rows."""
    from zoo.data.frozen_random import split_order

    if "train" not in splits or len(splits["train"]) < MIN_ROWS:
        count = len(splits.get("train", ()))
        raise InputError(
            f"{name} has {count} training rows; expected at least {MIN_ROWS}. zoo score and zoo predict take rows "
            "without them."
        )
    rows, train = dict(splits), splits["train"]
    order = split_order(len(train))
    for split, share in (("validation", 10), ("test", 5)):
        if split not in rows:
            cut = len(train) // share
            rows[split], order = train[order[-cut:]], order[:-cut]
            rows["train"] = train[order]
            _warn(f"{name} has no {split} rows of its own; {cut:,} of its training rows are taken for that.")
    return rows


def taken(
    name: str,
    space: Space,
    x: Source,
    rows: Mapping[str, npt.NDArray[np.integer[Any]]],
    y: Array | None,
    classes: Labels | None,
    source: str,
    law: Law | None = None,
    inputs: Mapping[str, Source] | None = None,
    categories: Mapping[str, Categories] | None = None,
) -> Dataset:
    """A data set of the rows of another source, by the numbers of those of each split."""
    from zoo.data.sources import Taken

    inputs = inputs or {}
    check_lengths(name, inputs, len(x))
    labels = None if y is None else {split: y[rows[split]] for split in SPLITS}
    if labels is not None and classes is not None:
        _warn_of_absent(name, labels["train"], classes)
    train, validation, test = (Taken(x, rows[split]) for split in SPLITS)
    of_splits = {key: {split: Taken(values, rows[split]) for split in SPLITS} for key, values in inputs.items()}
    return Dataset(name, space, train, validation, test, labels, classes, source, law, of_splits, categories)


def check_lengths(name: str, inputs: Mapping[str, Source | Words], count: int) -> None:
    """`InputError` for an input that has not as many rows as there are observations."""
    for key, values in inputs.items():
        if len(values) != count:
            raise InputError(f"{name} has {count} observations and {len(values)} rows of {key}; expected as many.")


def _warn(message: str) -> None:
    warnings.warn(message, ZooWarning, stacklevel=3)


def warn_of_copies(data: Dataset) -> None:
    """A `ZooWarning` that says how many held-out rows are training rows too. Where there are few possible rows, some
    are equal by chance, and nothing is said."""
    import numpy as np

    from zoo.data.sources import row_hashes

    levels = getattr(data.space, "levels", 2**32)
    if data.space.size * math.log2(levels) < CHANCE_BITS:
        return
    known = row_hashes(data.splits["train"].sources["x"])
    known.sort()
    for name in ("validation", "test"):
        mine = row_hashes(data.splits[name].sources["x"])
        copies = 0
        for low in range(0, len(mine), HASHES):
            part = mine[low : low + HASHES]
            copies += int((known[np.minimum(np.searchsorted(known, part), len(known) - 1)] == part).sum())
        if copies:
            _warn(
                f"{data.name}: {copies:,} of {len(data.splits[name]):,} {name} rows are training rows too, so what is "
                "measured on them says less of new rows."
            )


def _warn_of_absent(name: str, labels: npt.NDArray[np.int64], classes: Labels) -> None:
    """A `ZooWarning` that names the classes which no training row has."""
    seen = set(labels.tolist())
    absent = [repr(word) for i, word in enumerate(classes.names) if i not in seen]
    if absent:
        shown = ", ".join(absent[:5]) + (f", ... ({len(absent)} in all)" if len(absent) > 5 else "")
        _warn(f"{name}: no training row has the class {shown}, so a model cannot learn it. Add rows or leave it out.")


def load_dataset(
    source: Any,
    *,
    label: str | None = None,
    split: str | None = None,
    size: int | str | tuple[int, int] | None = None,
    types: Mapping[str, str] | str | None = None,
    inputs: Inputs | None = None,
    tokenizer: Any = None,
    length: int | None = None,
    spaces: tuple[type[Space], ...] | None = None,
    space: Space | None = None,
    categories: Mapping[str, Categories] | None = None,
    find: Callable[[str], DatasetSpec] | None = None,
) -> Dataset:
    """The data set of a name, a file (`zoo.data.SUFFIXES`), a folder, a pattern such as `parts/*.parquet`, or of what
    is in memory already: arrays, frames, data sets of torch and Hugging Face (`zoo.data.in_memory`).

    A bare name is looked for among the installed data sets first: write `./digits` for a folder called digits.

    - `label` is the column (in NPZ files the array) that holds the class; it is never part of the observations.
    - `split` is the column that says of each row whether it is of train, validation or test. A folder with train,
      validation and test in it has such splits too. Else rows are split by a fixed permutation.
    - `size` is what images of a folder are brought to: 64, "64x48" (width x height), "64:pad" or "64:stretch"; by
      default what is longer is cut.
    - `types` are the kinds of columns of a table, where they are not to be found from the values: {"age": "integer",
      "id": "drop"}, or "age=integer,id=drop" (`zoo.data.column_inference`).
    - `inputs` are what a model is told of each row beside its class: the names of columns (in NPZ files of arrays),
      which are no part of the observations then, as in "shift,age" or ["shift", "age"]; or arrays (N, ...) by name,
      {"shift": array}, beside a source in memory, with its rows, and where that has splits, by split. Words are
      categories (`Dataset.categories`).
    - `tokenizer` makes tokens of text, which is characters else: "bpe:1000" for one with a vocabulary of that size that
      is trained on the training split, a file `tokenizer.json`, or a `tokenizers.Tokenizer`. `length` is the most
      characters or tokens of a row (200, or as many as the longest line has); longer lines are cut into pieces.
    - `spaces` are the kinds of sample space that will do, `space` the one that the rows of a table, or text, are read
      as, `categories` those that inputs are read as, by name.
    - `find` turns a name into its spec; by default `zoo.registry.dataset`.
    """
    from zoo.data.images import Size
    from zoo.data.readers import Asked, read_dataset

    inputs = inputs if isinstance(inputs, Mapping) else input_names(inputs)
    if isinstance(source, Dataset):
        _check_inputs(source, inputs)
        return source
    resized, known = None if size is None else Size.of(size), categories or {}
    asked = Asked(label, split, resized, types, inputs, tokenizer, length, spaces, space, known)
    if not isinstance(source, (str, Path)):
        from zoo.data.in_memory import dataset_of

        return dataset_of(source, asked)
    found = resolve(source, find)
    if isinstance(found, Path):
        if isinstance(inputs, Mapping):
            raise InputError(f"the inputs of {found} are names of its columns or arrays; got arrays beside it.")
        return read_dataset(found, asked)
    words = {"label": label, "split": split, "size": size, "types": types, "tokenizer": tokenizer, "length": length}
    given = [word for word, value in words.items() if value is not None]
    if given:
        raise InputError(
            f"data set {found.name!r} brings its own classes and splits; {given[0]} is for files. Leave it out."
        )
    from zoo.registry import import_target

    dataset = import_target(found, f"data set {found.name!r}")()
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise PluginError(f"data set {found.name!r}: {found.target} returned {kind}; expected zoo.data.Dataset.")
    _check_inputs(dataset, inputs)
    return dataset


def input_names(inputs: Inputs | None) -> list[str]:
    """The names of inputs: "shift,age", or what has them."""
    return [name.strip() for name in inputs.split(",")] if isinstance(inputs, str) else list(inputs or ())


def _check_inputs(dataset: Dataset, inputs: Sequence[str] | Mapping[str, Any]) -> None:
    """`InputError` unless a data set, which brings its own inputs, has those of these names."""
    if isinstance(inputs, Mapping):
        raise InputError(f"data set {dataset.name!r} brings its own inputs. Leave inputs out, or name some of them.")
    dataset.keeping(inputs)


def resolve(source: str | Path, find: Callable[[str], DatasetSpec] | None = None) -> DatasetSpec | Path:
    """The spec of a data set's name, or the path of a file or folder that exists."""
    path = Path(source).expanduser()
    is_name = isinstance(source, str) and "." not in source and not source.startswith(("/", "~"))
    try:
        if is_name:
            return (find or _registered)(str(source))
    except UnknownName:
        pass
    if path.exists() or _matches(path):
        return path
    if is_name:
        from zoo.registry import to_install

        known = _names() if find is None else []
        if hint := to_install(str(source)):
            raise UnknownName(f"{source!r} is not a data set here, and there is no such file or folder.{hint}")
        listed = f" The data sets are {', '.join(known)}." if known else ""
        near = did_you_mean(str(source), known)
        raise UnknownName(f"{source!r} is not a data set, and there is no such file or folder.{listed}{near}")
    raise InputError(f"there is no file or folder {str(source)!r}. Check the name; you are in {Path.cwd()}.")


def _matches(path: Path) -> bool:
    """Whether a path is a pattern of files that there are."""
    import glob

    return glob.has_magic(str(path)) and bool(glob.glob(str(path)))


def _registered(name: str) -> DatasetSpec:
    from zoo import registry

    return registry.dataset(name)


def _names() -> list[str]:
    from zoo import registry

    return [registry.qualified(spec) for spec in registry.datasets()]
