"""What a training computes on: rows, their order and noise, each a function of the split and the step.

Nothing is drawn and nothing is remembered: batch 1,000 of a recipe is the same rows with the same noise whether the 999
before it were made in this process, in another one, or never.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import Dataset
from zoo.data.sources import Parts, blocks
from zoo.data.tables import warn_of_merged
from zoo.errors import InputError, did_you_mean
from zoo.model import check_tensor
from zoo.network import Objective, Recipe
from zoo.signature import Tensor

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
EVALUATION_ROWS = 512  # of a batch of validation, at most
ORDERED = 2**12  # places of an epoch's order that are looked up at a time, about


class Batch(NamedTuple):
    """What an objective is computed on: the data, and the noise of its examples."""

    inputs: dict[str, Array]
    noise: dict[str, Array]


class Batches:
    """The batches of a recipe over a data set.

    A step of training takes `size` rows of its epoch's order; what is left of the rows waits for another epoch's order.
    A step of validation takes the next `EVALUATION_ROWS` rows, about.
    """

    def __init__(self, data: Dataset, recipe: Recipe, objectives: Mapping[str, Objective]) -> None:
        self.data, self.objectives, self.seed = data, objectives, recipe.seed
        self.inputs = inputs_of(objectives, data)
        self.size = min(recipe.batch_size, len(data.splits["train"]))
        self.per_epoch = len(data.splits["train"]) // self.size
        self.steps = self.per_epoch * recipe.epochs
        self.validation_steps = math.ceil(len(data.splits["validation"]) / EVALUATION_ROWS)

    def training(self, step: int, *, rank: int = 0, world_size: int = 1) -> Iterator[tuple[str, Batch]]:
        """The objectives of a step with their batches, in the order in which they are trained: of `world_size`
        processes, the share of number `rank`."""
        rows, examples = self.rows("train", step)
        mine = slice(rank, None, world_size)
        for name in self.objectives:
            yield name, self.batch("train", name, rows[mine], examples[mine])

    def validation(self, objective: str) -> Iterator[Batch]:
        """All rows for validation, a batch at a time."""
        for step in range(self.validation_steps):
            yield self.batch("validation", objective, *self.rows("validation", step))

    def rows(self, split: str, step: int) -> tuple[Rows, Rows]:
        """The rows of a step, and the indices of their noise. A row for training has other noise in each epoch."""
        if split == "validation":
            rows = np.array_split(np.arange(len(self.data.splits["validation"])), self.validation_steps)[step]
            return rows, rows
        return self.order(step), np.arange(step * self.size, (step + 1) * self.size)

    def order(self, step: int) -> Rows:
        """The rows of a step of training: its part of the order of its epoch."""
        epoch, place = divmod(step, self.per_epoch)
        together = max(1, ORDERED // self.size)  # steps whose rows are looked up at once
        first = place - place % together
        low, high = first * self.size, min(first + together, self.per_epoch) * self.size
        rows = epoch_order(len(self.data.splits["train"]), self.seed, epoch, low, high)
        return rows[(place - first) * self.size :][: self.size]

    def batch(self, split: str, objective: str, rows: Rows, examples: Rows) -> Batch:
        """These rows of a split as the inputs of an objective, and the noise of these examples."""
        loss = self.objectives[objective].loss
        source = self.data.splits[split]
        inputs = {
            name: source.take(name, rows).astype(loss.inputs[name].dtype, copy=False) for name in self.inputs[objective]
        }
        fresh = {
            name: noise.draw(declared, examples, seed=self.seed, stream=f"{split}/{objective}/{name}")
            for name, declared in loss.noise.items()
        }
        return Batch(inputs, fresh)


@functools.lru_cache(maxsize=1)  # to look up many places takes little longer than a few, and serves many steps
def epoch_order(count: int, seed: int, epoch: int, low: int, high: int) -> Rows:
    """What stands at the places from `low` to below `high` of the order of `count` training rows in an epoch."""
    rows = noise.shuffled(np.arange(low, high), count, seed=seed, stream=f"order/{epoch}")
    rows.flags.writeable = False
    return rows


def inputs_of(objectives: Mapping[str, Objective], data: Dataset) -> dict[str, list[str]]:
    """What each objective gets of the data, by its name: the inputs of its loss, but for those that the data lack and
    the loss has a default for. `InputError` for another one that they lack."""
    found = {}
    for objective, declared in objectives.items():
        missing = [name for name in declared.loss.inputs if name not in data.splits["train"].sources]
        if lacked := [name for name in missing if name not in declared.optional]:
            raise _lack(objective, lacked[0], data)
        found[objective] = [name for name in declared.loss.inputs if name not in missing]
    return found


def check_inputs(objectives: Mapping[str, Objective], data: Dataset) -> set[str]:
    """The names of the inputs that a training takes from data, beside observations and classes. `InputError` where the
    data lack one, or have values that its `Tensor` does not allow."""
    taken: dict[str, list[Tensor]] = {}
    for objective, names in inputs_of(objectives, data).items():
        for name in names:
            if name in data.inputs:
                taken.setdefault(name, []).append(objectives[objective].loss.inputs[name])
    for name, tensors in taken.items():
        if name in data.categories:
            _check_category(name, tensors, data)
        for split in data.splits.values():
            for rows in blocks(split.sources[name]):
                values = split.take(name, rows)
                for tensor in tensors:
                    check_tensor(values, tensor, f"the input {name!r} of {split.name}", {})
        if any(tensor.dtype == "float32" for tensor in tensors):
            rows_of_all = Parts([split.sources[name] for split in data.splits.values()])
            warn_of_merged(f"the input {name!r} of {data.name}", rows_of_all)
    return set(taken)


def _check_category(name: str, tensors: Sequence[Tensor], data: Dataset) -> None:
    """`InputError` where a loss takes other numbers than the codes of so many names."""
    names = data.categories[name].names
    for tensor in tensors:
        if tensor.dtype == "float32" or tensor.shape or not tensor.bounds[0] <= 0 <= len(names) - 1 <= tensor.bounds[1]:
            shape = f" of shape {tensor.shape}" if tensor.shape else ""
            raise InputError(
                f"the input {name!r} of {data.name} has {len(names)} different words, such as {names[0]!r}; expected "
                f"{tensor.describe()}{shape}."
            )


def _lack(objective: str, name: str, data: Dataset) -> InputError:
    """The error for data without an input that a loss needs."""
    if name == "label":
        return InputError(
            f"the {objective} loss learns from classes, and {data.name} has none. Say which column has them: --label."
        )
    known = f"its inputs are {', '.join(data.inputs)}" if data.inputs else "it has no inputs"
    return InputError(
        f"the {objective} loss needs {name!r} of each row, and {data.name} has none: {known}. Say which column or "
        f"array it is: --inputs {name}; from Python inputs={{{name!r}: array}}."
        f"{did_you_mean(name, [*data.inputs, 'x', 'label'])}"
    )
