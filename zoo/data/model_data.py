"""Data for a model that is trained already, read as those of its training.

A model's card says what it was trained on and how that was read. Other data that have the same columns have their
classes and splits there too; columns of a table that are none of the model's are ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from zoo.api import TrainedOn
from zoo.checkpoint import convert
from zoo.data import Dataset, Inputs, load_dataset, resolve
from zoo.data.readers import ARRAYS, TABLES, array_names
from zoo.data.tables import find_parts, open_parts
from zoo.errors import InputError
from zoo.model import Model
from zoo.spaces import Image


def said_of(model: Model) -> TrainedOn:
    """What the card of a checkpoint or artifact says of the data of its training."""
    manifest = getattr(model, "manifest", None)
    card = manifest.card if manifest is not None else getattr(model, "meta", {}).get("card", {})
    return convert(card, TrainedOn, Path(f"the card of {model.name}"))


def load_for(
    model: Model,
    data: Any = None,
    *,
    label: str | None = None,
    split: str | None = None,
    inputs: Inputs | None = None,
) -> Dataset:
    """The data set that a model was trained on (`data` is None), or other data as rows of its space.

    `label` and `split` are the columns of the classes and of the splits, by default those of the training where the
    data have columns of these names. `inputs` are what the model is told of rows, by default the columns that it needs.
    """
    said, space = said_of(model), model.space
    known: dict[str, Any] = {"label": said.label, "inputs": [*model.conditions], **msgspec.to_builtins(said.reading)}
    if data is None:
        if not said.data:
            raise InputError(f"it is not known on what {model.name} was trained; say which data: --data NAME or FILE.")
        data = said.data
    else:
        names, size = columns_in(data), known.get("size")
        known = {name: known.get(name) for name in ("label", "split") if known.get(name) in names}
        known["inputs"] = [*model.conditions]
        if said.text in names:
            known["types"] = {said.text: "text"}
        if isinstance(data, (str, Path)) and isinstance(space, Image) and Path(data).is_dir():
            known["size"] = size
    given = {"label": label, "split": split, "inputs": inputs}
    known |= {name: value for name, value in given.items() if value is not None}
    known["categories"] = model.categories
    return load_dataset(data, spaces=(type(space),), space=space, **known)


def columns_in(data: Any) -> tuple[str, ...]:
    """The names of the columns of tables in files or in memory, or of the arrays of a file; none for other data."""
    if not isinstance(data, (str, Path)):
        named = hasattr(data, "__arrow_c_stream__") or hasattr(data, "features")
        return tuple(map(str, getattr(data, "column_names", getattr(data, "columns", ())))) if named else ()
    path = resolve(data)
    if not isinstance(path, Path):
        return ()
    parts = find_parts(path) or [path]
    kinds = {part.suffix.lower() for part in parts if part.is_file()}
    if kinds and kinds <= set(TABLES):
        return open_parts(parts).names
    return array_names(path) if kinds and kinds <= set(ARRAYS) else ()
