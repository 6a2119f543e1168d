"""Data sets: arrays in data units, in three splits that never change.

`load_dataset` takes the name of an installed data set, a file or a folder. A file is split by a fixed permutation
of its rows, so the test rows are the same in every run and on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zoo.errors import InputError, PluginError, UnknownName, did_you_mean
from zoo.spaces import Labels, Space, Text

if TYPE_CHECKING:  # numpy is imported where there are arrays: naming data sets needs none
    import numpy as np
    import numpy.typing as npt

    from zoo.spec import DatasetSpec

    Array = npt.NDArray[Any]

SPLITS = ("train", "validation", "test")
MIN_ROWS = 10
# what a file may be called; a folder holds images
SUFFIXES = (".csv", ".tsv", ".parquet", ".npz", ".npy", ".txt")


class Law(Protocol):
    """The distribution that the rows of a data set come from, where it is known."""

    def log_prob(self, x: Array) -> npt.NDArray[np.float64]:
        """Log-density of the observations `(N, *space.shape)`, in nats, `(N,)`."""

    def sample(self, count: int, seed: int) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """Observations that are in no split, and their classes if the data set has any."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Observations of one sample space in three splits, each `(N, *space.shape)`.

    `labels` has the integer class of each row by split, `classes` the names of the classes. `law` is what all rows come
    from, where it is known.
    """

    name: str
    space: Space
    train: Array
    validation: Array
    test: Array
    labels: Mapping[str, npt.NDArray[np.int64]] | None = None
    classes: Labels | None = None
    source: str = ""
    law: Law | None = None

    def __post_init__(self) -> None:
        if (self.labels is None) != (self.classes is None):
            raise InputError(f"data set {self.name}: give both labels and classes, or neither.")
        labels = {}
        for split in SPLITS:
            x = self.space.check(getattr(self, split), f"{split} of data set {self.name}")
            object.__setattr__(self, split, x)
            if self.labels is not None and self.classes is not None:
                if split not in self.labels:
                    raise InputError(f"data set {self.name} has no labels for {split}; expected {', '.join(SPLITS)}.")
                y = self.classes.check(self.labels[split], len(x), f"{split} labels of data set {self.name}")
                labels[split] = y
        object.__setattr__(self, "labels", labels or None)

    def split(self, name: str) -> tuple[Array, npt.NDArray[np.int64] | None]:
        """Observations and labels (None where there are none) of "train", "validation" or "test"."""
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}; expected {', '.join(SPLITS)}.{did_you_mean(name, SPLITS)}")
        return getattr(self, name), None if self.labels is None else self.labels[name]

    def fitted(self, space: Space, classes: Labels | None = None) -> Dataset:
        """These rows as observations of a model's `space`, with the numbers of its `classes`.

        A file shows only what is in it: shorter strings, fewer levels, some of the classes. `InputError` where they
        are not of the model's kind.
        """
        if space == self.space and (classes is None or self.classes is None or classes == self.classes):
            return self
        rows: dict[str, Any] = {split: fitted_rows(self, getattr(self, split), space) for split in SPLITS}
        labels = self.labels
        if labels is not None and classes is not None and self.classes is not None:
            names = self.classes.names
            labels = {split: classes.check([names[i] for i in y]) for split, y in labels.items()}
        return replace(self, space=space, labels=labels, classes=(classes or self.classes) if labels else None, **rows)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over space, classes and all arrays: two data sets with one digest hold the same numbers."""
        import numpy as np

        about = {"space": self.space.to_json(), "classes": None if self.classes is None else self.classes.names}
        total = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        for split in SPLITS:
            for array in self.split(split):
                if array is not None:
                    total.update(f"{split} {array.dtype.str} {array.shape}".encode())
                    total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()


def fitted_rows(dataset: Dataset, x: Array, space: Space) -> Array:
    """Rows of a data set as observations of another space of the same kind."""
    have = dataset.space
    if isinstance(space, Text) and isinstance(have, Text):
        return space.check(have.decode(x), dataset.name)
    names = [getattr(s, "names", ()) for s in (space, have)]
    if type(have) is not type(space) or have.shape != space.shape or (all(names) and names[0] != names[1]):
        raise InputError(f"the model takes {space.describe()}; {dataset.name} is {have.describe()}.")
    return space.check(x, dataset.name)


def split_rows(
    name: str,
    space: Space,
    x: Array,
    y: Array | None = None,
    *,
    classes: Labels | None = None,
    source: str = "",
    law: Law | None = None,
) -> Dataset:
    """A data set of rows without an official split: 70 % train, 10 % validation, 20 % test, always the same rows."""
    import numpy as np

    from zoo.data.frozen import split_order

    count = len(x)
    if count < MIN_ROWS:
        raise InputError(f"{name} has {count} rows; expected at least {MIN_ROWS}, to split them in three.")
    order = split_order(count)
    held_out, test = count // 10, count // 5
    rows = dict(zip(SPLITS, np.split(order, [count - held_out - test, count - test]), strict=True))
    labels = None if y is None else {split: y[r] for split, r in rows.items()}
    parts = {split: x[r] for split, r in rows.items()}
    return Dataset(name, space, **parts, labels=labels, classes=classes, source=source, law=law)


def load_dataset(
    source: str | Path, *, label: str | None = None, find: Callable[[str], DatasetSpec] | None = None
) -> Dataset:
    """The data set of a name, a file (`zoo.data.SUFFIXES`) or a folder of images.

    A bare name is looked for among the installed data sets first: write `./digits` for a folder called digits.
    `label` is the column (in NPZ files the array) that holds the class; it is never part of the observations.
    `find` turns a name into its spec; by default `zoo.registry.dataset`.
    """
    from zoo.data.files import read_dataset

    found = resolve(source, find)
    if isinstance(found, Path):
        return read_dataset(found, label=label)
    if label is not None:
        raise InputError(f"data set {found.name!r} brings its own classes; a label column is for files. Leave it out.")
    from zoo.registry import import_target

    dataset = import_target(found, f"data set {found.name!r}")()
    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise PluginError(f"data set {found.name!r}: {found.target} returned {kind}; expected zoo.data.Dataset.")
    return dataset


def resolve(source: str | Path, find: Callable[[str], DatasetSpec] | None = None) -> DatasetSpec | Path:
    """The spec of a data set's name, or the path of a file or folder that exists."""
    path = Path(source).expanduser()
    is_name = isinstance(source, str) and "." not in source and not source.startswith(("/", "~"))
    try:
        if is_name:
            return (find or _registered)(str(source))
    except UnknownName:
        pass
    if path.exists():
        return path
    if is_name:
        known = _names() if find is None else []
        listed = f" The data sets are {', '.join(known)}." if known else ""
        near = did_you_mean(str(source), known)
        raise UnknownName(f"{source!r} is not a data set, and there is no such file or folder.{listed}{near}")
    raise InputError(f"there is no file or folder {str(source)!r}. Check the name; you are in {Path.cwd()}.")


def _registered(name: str) -> DatasetSpec:
    from zoo import registry

    return registry.dataset(name)


def _names() -> list[str]:
    from zoo import registry

    return [spec.name for spec in registry.datasets()]
