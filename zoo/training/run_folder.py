"""A run: the folder that a training is kept in.

`recipe.json` is what was asked for, `training.json` with its weights is where the training is, and `model.json` with
its weights is the best so far, which is what `zoo.load` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from zoo import checkpoint, spaces
from zoo.api import MODEL, Reading, Record
from zoo.data import resolve
from zoo.errors import CorruptFile, InputError, ZooError
from zoo.estimate import Estimate
from zoo.network import Recipe
from zoo.spaces import Space
from zoo.system.files import Known, atomic_write
from zoo.training.history import Curve, Epoch, figures_in

RECIPE, STATE, LOCK, CURVES = "recipe.json", "training", "training.lock", "losses.png"
SCHEMA = 1


class RunRecord(Record, kw_only=True, omit_defaults=True):
    """`recipe.json`: what was asked for."""

    data: str
    label: str | None = None
    reading: dict[str, Any] = {}  # what else was said of how to read the data, as `load_dataset` takes it
    digest: str
    unconditional: bool = False  # whether classes of the data are left out
    inputs: list[str] = []  # of the data, that the losses take
    recipe: Recipe
    start: str | None = None  # whose weights it began with: a preset, or the absolute path of a run
    device: str
    devices: int
    precision: str


@dataclass
class Position:
    """Where a training is: the part of its state that is not arrays."""

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the losses of this epoch so far
    squares: dict[str, float] = field(default_factory=dict)  # and of their squares
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)
    curve: Curve = field(default_factory=Curve)
    done: bool = False
    cpu_seconds: float | None = None  # of this process, all its trainings together; None where it was not kept

    @property
    def best(self) -> Estimate | None:
        """The validation loss of the weights that are kept; None before the first epoch has ended."""
        return figures_in(self.history[self.best_epoch - 1])["validation"] if self.best_epoch else None


def is_over(at: Position, recipe: Recipe) -> bool:
    """Whether a training that has ended so many epochs has no more to do."""
    epochs, patience = len(at.history), recipe.patience
    return epochs >= recipe.epochs or bool(patience and epochs - at.best_epoch >= patience)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write or replace `recipe.json`."""
    data = {"schema": SCHEMA, **msgspec.to_builtins(record)}
    with atomic_write(folder / RECIPE, force=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")


def read_record(run: Path) -> RunRecord:
    """What was asked for; `InputError` for a folder that is not a run."""
    path = run / RECIPE
    if not path.exists():
        raise InputError(
            f"{run} is not a run: it has no {RECIPE}. Start one: zoo train ARCHITECTURE --data DATA --out {run}."
        )
    record = checkpoint.convert(checkpoint.read_json(path, SCHEMA), RunRecord, path)
    checkpoint.convert(record.reading, Reading, path)
    return record


def is_saved(run: Path) -> bool:
    """Whether the training of a run has been saved."""
    return (run / f"{STATE}.json").exists()


def read_position(run: Path) -> Position:
    """Where a training is that has been saved, without its weights; at the beginning if it has not."""
    path = run / f"{STATE}.json"
    return position_in(checkpoint.read_json(path, SCHEMA), path) if is_saved(run) else Position()


def position_in(meta: Mapping[str, Any], path: Path) -> Position:
    """The position in a run's `training.json`."""
    at = checkpoint.convert(meta.get("position", {}), Position, path)
    if not 0 <= at.best_epoch <= len(at.history) or not all("validation" in row for row in at.history):
        raise CorruptFile(
            f"{path} is altered or damaged: it has {len(at.history)} epochs, and epoch {at.best_epoch} as the best. "
            "Train again."
        )
    return at


def files_of(folder: Path) -> dict[str, Known] | None:
    """The files of a run in its folder; None if it is no run."""
    try:
        preview = preview_name(spaces.from_json(read_record(folder).space))
    except ZooError:
        return None
    ours = dict.fromkeys((RECIPE, LOCK, CURVES, preview), Known())
    for name in (MODEL, STATE):
        found = (checkpoint.digests(name).fullmatch(path.name) for path in folder.iterdir())
        ours |= {match[0]: Known(match[1]) for match in found if match}
        with suppress(ZooError):
            _, weights = checkpoint.read_entry(folder, name)
            ours[f"{name}.json"] = Known()
            if weights.file in ours:
                ours[weights.file] = Known(weights.sha256, weights.bytes)
    return ours


def preview_name(space: Space) -> str:
    """The file in a run's folder that shows samples: a picture, strings or a table."""
    from zoo.writers import formats

    return f"samples{next(s for s in ('.png', '.txt', '.csv') if s in formats(space))}"


def where(data: str | Path) -> str:
    """A data set's name, or the absolute path of a file: a run may be resumed from another folder."""
    found = resolve(data)
    return str(found.resolve()) if isinstance(found, Path) else str(data)
