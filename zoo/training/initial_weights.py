"""What a training may begin with: the weights of a preset or a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from zoo import registry, spaces
from zoo.api import Record, read_checkpoint
from zoo.data import Dataset
from zoo.errors import InputError
from zoo.spaces import Labels, Space
from zoo.spec import ModelSpec


@dataclass(frozen=True)
class Origin:
    """A trained model: `place` is the name of a preset, or an absolute path."""

    place: str
    record: Record
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def classes(self) -> Labels | None:
        return Labels(tuple(self.record.classes)) if self.record.classes else None

    @property
    def space(self) -> Space:
        return spaces.from_json(self.record.space)

    def spec(self, asked: str) -> ModelSpec:
        """Its architecture; `InputError` if another one was asked for, by its name or that of a preset."""
        spec = self.record.spec
        if not Path(asked).expanduser().is_dir() and registry.of_model(asked) is not spec:
            raise InputError(
                f"{self.place} is of {spec.name}, and its weights fit no {asked}. Train {spec.name}, or leave out the "
                "start."
            )
        return spec

    def fitted(self, data: Dataset) -> Dataset:
        """Data as observations of this model's space, with its classes and categories; `InputError` where they are
        none."""
        return data.fitted(self.space, self.classes, spaces.categories_of(self.record.categories))


def origin_of(start: str | Path) -> Origin:
    """The weights of a preset, or of a run or checkpoint by its folder."""
    record, arrays, _ = read_checkpoint(start)
    folder = Path(start).expanduser()
    return Origin(str(folder.resolve()) if folder.is_dir() else str(start), record, arrays)
