"""What `zoo.train` adds to a training: a step beside that of a loop written by hand, with the same optimizer, schedule,
clipping and averages, on random rows with the framework's own random numbers; a training that is saved beside one that
is not; and saving and loading beside safetensors alone, which neither hashes nor waits for the disk. Both sides of a
step compute the same loss of the same rows, with one thread of PyTorch's, and are measured by the processor's time,
which other processes hardly change; what is loaded is what was saved."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import zoo
from benchmarks.timing import Row, known, pairs_of, same, side_by_side
from zoo import checkpoint, registry
from zoo.api import MODEL
from zoo.network import Recipe
from zoo.training import RunRecord, merge_recipe, saving
from zoo.training.loop import Loop
from zoo.training.recipe import learning_rate
from zoo.training.saving import Saver, size_of

STEPS = {
    "realnvp": "moons", "maf": "digits", "made": "digits", "transformer": "names", "ddpm": "digits", "dcgan": "digits",
    "mlp": "digits", "cnn": "digits", "vae": "digits", "lstm": "names",
}  # fmt: skip
TURNS = 12  # steps of a side, one after another, the median of which is a figure
FIGURES = 25
SAVED = 2.0  # seconds of training, at least, of which some are for saving
PAIRS = 7


def rows() -> Iterator[Row]:
    for architecture, data in STEPS.items():
        yield step(architecture, data)
    yield saved()
    yield from files()


def loop_of(architecture: str, source: str, config: Mapping[str, Any] | None = None) -> tuple[Loop, zoo.data.Dataset]:
    """A training that has begun, and its data."""
    data = zoo.load_dataset(source)
    spec = registry.architecture(architecture)
    cls = registry.network_class(spec)
    recipe = merge_recipe(cls.recipe, {})
    network = cls.create(data.space, config, data.classes)
    network.adapt(data.train)
    record = RunRecord(
        architecture=spec.name, space=data.space.to_json(), classes=None, config={}, data=source, digest="",
        recipe=recipe, device="cpu", devices=1, precision="32-true",
    )  # fmt: skip
    return Loop(record, network, network.learner(recipe), data, None), data


# ---- a step ----------------------------------------------------------------------------------------------------------


def step(architecture: str, source: str) -> Row:
    loop, data = loop_of(architecture, source)
    other, _ = loop_of(architecture, source)
    network, recipe = other.network, other.recipe
    first = dict(loop.batches.training(0))
    losses = {name: loss_of(network, name, {**batch.inputs, **batch.noise}) for name, batch in first.items()}
    name = next(iter(first))
    ours = loop.learner.step(name, *first[name], recipe.learning_rate)["loss"]
    same(np.array([ours]), np.array([losses[name].item()]), f"a step of {architecture}")
    plain = plain_keras if network.framework == "keras" else plain_torch
    torch.set_num_threads(1)  # another number for each side would have each make its threads anew
    return steps_of(f"a step of {architecture}, {source}", loop.batches.size, loop.step, plain(network, recipe, data))


def steps_of(what: str, batch: int, ours: Callable[[], None], theirs: Callable[[], None]) -> Row:
    """Some steps of one side, then of the other, and so on: what slows one down slows the other down too."""
    peer = "a loop by hand"
    if row := known.get((what, batch, peer)):
        return row
    times = np.empty((FIGURES + 1, TURNS, 2))
    for figure, side in np.ndindex(FIGURES + 1, 2):
        for turn in range(TURNS):
            began = time.process_time()
            (ours, theirs)[side]()
            times[figure, turn, side] = time.process_time() - began
    warm = np.median(times[1:], axis=1)
    return pairs_of(what, batch, peer, *warm.T * 1e3, unit="ms of the processor", reach=1.05)


def loss_of(network: Any, name: str, arrays: Mapping[str, np.ndarray]) -> torch.Tensor:
    """The mean loss of a batch, as a framework computes it."""
    network.train()
    given = {key: network.tensor(array) for key, array in arrays.items()}
    result = network.objectives()[name].loss.function(**given)
    loss: torch.Tensor = (result["loss"] if isinstance(result, Mapping) else result).mean()
    return loss


def batches(network: Any, recipe: Recipe, data: zoo.data.Dataset) -> Callable[[], dict[str, dict[str, torch.Tensor]]]:
    """Random rows and noise for each objective of a step, as one would write it."""
    x, y = data.split("train")
    arrays = {"x": torch.from_numpy(np.array(x))} | ({} if y is None else {"label": torch.from_numpy(np.array(y))})
    objectives, draw = network.objectives(), {"uniform": torch.rand, "normal": torch.randn}
    order, place, size = torch.randperm(len(x)), 0, recipe.batch_size

    def following() -> dict[str, dict[str, torch.Tensor]]:
        nonlocal order, place
        if place + size > len(order):
            order, place = torch.randperm(len(x)), 0
        rows = order[place : place + size]
        place += size
        return {
            name: {key: arrays[key][rows] for key in objective.loss.inputs}
            | {key: draw[noise.kind](size, *noise.shape) for key, noise in objective.loss.noise.items()}
            for name, objective in objectives.items()
        }

    return following


def plain_torch(network: Any, recipe: Recipe, data: zoo.data.Dataset) -> Callable[[], None]:
    objectives, following = network.objectives(), batches(network, recipe, data)
    optimizers, schedulers = {}, []
    steps = len(data.splits["train"]) // recipe.batch_size * recipe.epochs
    for name, objective in objectives.items():
        parts = [getattr(network, part) for part in objective.parameters] or [network]
        parameters = [p for part in parts for p in part.parameters()]
        optimizers[name] = torch.optim.AdamW(
            parameters, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
        )
        schedulers.append(torch.optim.lr_scheduler.LambdaLR(optimizers[name], partial(share_of_rate, recipe, steps)))
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema), use_buffers=False
    )
    network.train()

    def run() -> None:
        for name, given in following().items():
            optimizers[name].zero_grad()
            result = objectives[name].loss.function(**given)
            loss = (result["loss"] if isinstance(result, Mapping) else result).mean()
            loss.backward()
            if recipe.clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizers[name].step()
            if recipe.ema:
                average.update_parameters(network)
            loss.item()
        for scheduler in schedulers:
            scheduler.step()

    return run


def share_of_rate(recipe: Recipe, steps: int, step: int) -> float:
    return learning_rate(recipe, step, steps) / recipe.learning_rate


def plain_keras(network: Any, recipe: Recipe, data: zoo.data.Dataset) -> Callable[[], None]:
    import keras

    ((name, objective),) = network.objectives().items()
    following, variables = batches(network, recipe, data), network.trainable_variables
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate, weight_decay=recipe.weight_decay, beta_1=recipe.betas[0], beta_2=recipe.betas[1],
        global_clipnorm=recipe.clip or None, use_ema=bool(recipe.ema), ema_momentum=recipe.ema,
    )  # fmt: skip
    optimizer.build(variables)
    network.train()
    steps, step = len(data.splits["train"]) // recipe.batch_size * recipe.epochs, 0

    def run() -> None:
        nonlocal step
        optimizer.learning_rate = learning_rate(recipe, step, steps)
        step += 1
        network.zero_grad()
        loss = objective.loss.function(**following()[name]).mean()
        loss.backward()
        with torch.no_grad():
            optimizer.apply([variable.value.grad for variable in variables], variables)
        loss.item()

    return run


# ---- saving and loading ----------------------------------------------------------------------------------------------


def saved(seconds: float = SAVED, pairs: int = PAIRS, hidden: int = 512) -> Row:
    """A training whose saves come as often as their cost allows, beside the same steps without."""
    what, batch, peer = f"a training with saves, realnvp of {hidden} hidden", 64, "without"
    if row := known.get((what, batch, peer)):
        return row
    loop, _ = loop_of("realnvp", "digits", {"hidden": hidden})
    steps = 0

    def train(saver: Saver | None, count: int | None) -> float:
        nonlocal steps
        began, done = time.perf_counter(), 0
        with saver or nullcontext():
            while time.perf_counter() - began < seconds if count is None else done < count:
                loop.step()
                done += 1
                if saver and saver.is_due():
                    saver.save(loop.snapshot, wait=False)
        steps = done
        return time.perf_counter() - began

    found = []
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(saving, "LEAST_SECONDS", 0.0):
        place, size = Path(folder), size_of(loop.network.arrays())
        for _ in range(pairs):
            ours = train(Saver(place, size=size, publish=lambda: place), None)
            found.append((ours, train(None, steps)))
    return pairs_of(what, batch, peer, *np.array(found).T * 1e3, unit="ms", reach=1.05)


def files(hidden: int = 512) -> Iterator[Row]:
    """A checkpoint written and read, beside its weights alone."""
    data = zoo.load_dataset("digits")
    model = zoo.create("realnvp", data.space, config={"hidden": hidden})
    arrays = {name: np.array(array) for name, array in model.network.arrays().items()}
    meta = {"architecture": "realnvp", **model.network.describe()}
    with tempfile.TemporaryDirectory() as folder:
        place, file = Path(folder), Path(folder) / "peer.safetensors"
        (place / "run").mkdir()

        def load() -> None:
            twin = zoo.create("realnvp", data.space, config={"hidden": hidden}).network
            twin.load_state_dict({name: torch.from_numpy(a) for name, a in load_file(file).items()})

        def save() -> None:
            checkpoint.save(place / "run", MODEL, meta, arrays)

        save(), save_file(arrays, file)
        for name, array in zoo.load(place / "run").network.arrays().items():
            same(array, arrays[name], f"{name} of a checkpoint")
        size = sum(a.nbytes for a in arrays.values()) // 2**20
        yield side_by_side(f"saving {size} MiB", 1, "save_file", save, {0: lambda: save_file(arrays, file)})
        yield side_by_side(
            f"loading {size} MiB", 1, "load_file, load_state_dict", lambda: zoo.load(place / "run"), load
        )
