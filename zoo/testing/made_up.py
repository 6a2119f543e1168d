"""Data that are made up, and networks that `zoo.training` itself trains on them, so that what trains and what passes is
the same."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import SPLITS, Dataset
from zoo.model import Array
from zoo.network import Network
from zoo.parity.inputs import tensor_examples
from zoo.signature import RESERVED, Noise, Tensor
from zoo.spaces import Real, Space, Strings
from zoo.training.adapting import adapt
from zoo.training.batches import check_inputs
from zoo.training.loop import Loop
from zoo.training.run_folder import RunRecord

HELD_OUT = 8  # rows for validation, and as many for tests


def levels(space: Space) -> int:
    return space.tokens if isinstance(space, Strings) else int(getattr(space, "levels", 0))


def data(space: Space, count: int) -> Array:
    """Observations with a distribution of their own: skewed levels, dependent columns that are not standardized."""
    if isinstance(space, Real):
        x = space.examples("random", count)
        return 2 * x + np.roll(x, 1, axis=1) + 1
    if isinstance(space, Strings):
        return space.examples("random", count)
    u = noise.draw(Noise("uniform", space.shape), np.arange(count), seed=0, stream="testing/data")
    return np.floor(u**2 * levels(space)).astype(space.dtype)


def made_up(network: Network, rows: int, first: int = 0) -> Dataset:
    """A data set for a network with so many rows for training and some for the other splits: observations, classes in
    turns, and what its losses are told of rows. Those of another `first` are other rows of the same distribution."""
    ends = [first, first + rows, first + rows + HELD_OUT, first + rows + 2 * HELD_OUT]
    splits = dict(zip(SPLITS, (slice(*part) for part in pairwise(ends)), strict=True))
    count = ends[-1]
    x, told = data(network.space, count), dict[str, Tensor]()
    for objective in network.objectives().values():
        told |= {name: tensor for name, tensor in objective.loss.inputs.items() if name not in RESERVED}
    inputs = {name: tensor_examples(tensor, "random", count, seed) for seed, (name, tensor) in enumerate(told.items())}
    labels = np.arange(count) % len(network.classes) if network.classes else None
    return Dataset(
        "made up",
        network.space,
        x[splits["train"]],
        x[splits["validation"]],
        x[splits["test"]],
        labels=None if labels is None else {split: labels[part] for split, part in splits.items()},
        classes=network.classes,
        inputs={name: {split: values[part] for split, part in splits.items()} for name, values in inputs.items()},
    )


def clusters(network: Network, rows: int) -> Dataset:
    """Like `made_up`, for a network over real vectors: each class is two small clusters on an axis of its own, off the
    origin, and without classes there is one such pair."""
    made = made_up(network, rows)
    x: dict[str, Array] = {}
    labels: dict[str, npt.NDArray[np.int64]] = {}
    for split in SPLITS:
        (count, d), kinds = made.split(split)[0].shape, made.split(split)[1]
        labels[split] = np.zeros(count, np.int64) if kinds is None else kinds
        z = noise.draw(Noise("normal", (d + 1,)), np.arange(count), seed=0, stream=f"testing/clusters/{split}")
        apart = 3 * np.sign(z[:, d:]) * np.eye(d)[labels[split] % d]
        x[split] = (5 + 8 * labels[split][:, None] + apart + 0.4 * z[:, :d]).astype(np.float32)
    known = None if made.classes is None else labels
    return Dataset("clusters", made.space, x["train"], x["validation"], x["test"], labels=known, classes=made.classes)


def train(network: Network, data: Dataset, **recipe: Any) -> Loop:
    """Train a network on data as `zoo train` does, with some settings of its recipe replaced; the loop at its end.
    `ZooError` for what does not train."""
    chosen = replace(network.recipe, **recipe)
    if network.full_batch:
        chosen = replace(chosen, batch_size=len(data.splits["train"]))
    record = RunRecord(
        architecture=type(network).__name__,
        space=network.space.to_json(),
        classes=list(network.classes.names) if network.classes else None,
        config=asdict(network.config),
        data=data.name,
        digest="",
        recipe=chosen,
        device=str(network.device),
        devices=1,
        precision="32-true",
    )
    check_inputs(network.objectives(), data)
    adapt(network, data.splits["train"])
    loop = Loop(record, network, network.learner(chosen), data, None)
    loop.run(None)
    return loop
