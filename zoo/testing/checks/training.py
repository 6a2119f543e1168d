"""Checks of training: every weight gets a gradient, and steps of `zoo.training` itself run on data with all that losses
ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.eager import EagerModel
from zoo.errors import ZooError
from zoo.network import Network
from zoo.signature import Call
from zoo.spaces import Real
from zoo.spec import ModelSpec
from zoo.testing.check import NoPower, NotApplicable, check, require
from zoo.testing.checks.rows import at_all, full
from zoo.testing.made_up import clusters, made_up, train
from zoo.testing.statistics import energy_distance
from zoo.testing.subject import Subject, loss_arguments, of_classes
from zoo.training.adapting import adapt
from zoo.training.batches import Batches, check_inputs

TRAINED, BATCH = 32, 16  # rows
UPDATED, EPOCHS = 256, 10  # rows of a network that updates itself
CLUSTERED, STEPS, SAMPLES = 2000, 400, 500  # rows, steps on them, and samples that are compared with them
FURTHER, NEARER = 1.2, 0.5  # times the distance before the training: what fails, and what passes
RISE = 0.01  # of a loss, that rounding and batches in turns explain


@check(at_all)
def every_weight_gets_a_gradient(subject: Subject) -> None:
    """Every weight gets a gradient from a loss that trains it."""
    network = subject.network
    reached: dict[str, bool] = {}
    for objective in network.objectives().values():
        found = network.gradients(objective.loss, loss_arguments(network, objective, 16))
        for name, gradient in found.items():
            reached.setdefault(name, False)
            if not objective.parameters or name.split(".")[0] in objective.parameters:
                require(bool(np.isfinite(gradient).all()), f"the gradient of {name} is not finite.")
                reached[name] = reached[name] or bool((gradient != 0).any())
    if not reached:
        raise NotApplicable("no weight of this model is trained by gradients")
    idle = [name for name, yes in reached.items() if not yes]
    require(not idle, f"no loss has a gradient with respect to {', '.join(idle)}. Use it, or leave it out.")


def trainable(subject: Subject) -> bool:
    return at_all(subject) and isinstance(subject.spec, ModelSpec)


def fresh(network: Network, seed: int = 1) -> Network:
    """A network like another, untrained."""
    return type(network).create(network.space, asdict(network.config), network.classes, seed=seed)


@check(trainable)
def every_objective_trains(subject: Subject) -> None:
    """An epoch of `zoo.training` on data with the inputs that the losses declare: losses are finite, in training and in
    validation, and the weights that it ends with fit the network."""
    twin = fresh(subject.network)
    try:
        loop = train(twin, made_up(twin, TRAINED), batch_size=BATCH, epochs=1)
        for name, objective in loop.batches.objectives.items():
            for batch in loop.batches.validation(name):
                _require_rows(name, objective.loss, loop.learner.evaluate(name, *batch), len(batch.inputs["x"]))
        twin.check_arrays(loop.learner.weights())
    except ZooError as refused:
        require(False, f"it does not train: {refused}")


@check(lambda s: trainable(s) and full(s))
def updates_learn_from_the_data(subject: Subject) -> str:
    """Where a network updates itself: what an epoch changes depends on the rows, and the loss on them does not rise."""
    if not subject.network.updates_itself():
        raise NotApplicable("its steps follow the gradient")
    changed, after, losses = set(), [], []
    for first in (0, UPDATED):
        twin = fresh(subject.network)
        made = made_up(twin, UPDATED, first)
        adapt(twin, made.splits["train"])
        before, start = {n: np.array(a) for n, a in twin.arrays().items()}, _training_loss(twin, made)
        try:
            train(twin, made, epochs=EPOCHS)
        except Exception as error:
            raise NotApplicable("it does not train: every_objective_trains says why") from error
        after.append(twin.arrays())
        losses.append((start, _training_loss(twin, made)))
        changed |= {n for n, a in after[-1].items() if a.dtype.kind == "f" and not np.array_equal(a, before[n])}
    blind = [n for n in changed if after[0][n].size > 1 and np.array_equal(after[0][n], after[1][n])]
    require(not blind, f"`update` gives {', '.join(blind)} the same values whatever the rows are.")
    for start, end in losses:
        said = f"the loss of the training rows went from {start:.4g} to {end:.4g}"
        require(end <= start + RISE * max(1.0, abs(start)), f"in {EPOCHS} epochs of `update` {said}.")
    return said


def _training_loss(network: Network, made: Dataset) -> float:
    """The mean of the first loss over the training rows."""
    loop = Batches(made, replace(network.recipe, batch_size=UPDATED), network.objectives())
    name, batch = next(loop.training(0))
    return float(network.learner(network.recipe).evaluate(name, *batch)["loss"].mean())


def _require_rows(objective: str, loss: Call, outputs: Mapping[str, Any], rows: int) -> None:
    for name in loss.outputs:
        values = np.asarray(outputs[name])
        require(len(values) == rows, f"{name} of {objective} has {len(values)} values for {rows} rows of validation.")
    require(bool(np.isfinite(outputs["loss"]).all()), f"the {objective} loss is not finite in validation.")


@check(lambda s: trainable(s) and full(s) and s.spec.family == "diffusion" and s.has("sample"), statistical=True)
def training_brings_samples_to_the_data(subject: Subject) -> str:
    """A short training on two clusters a class brings the samples of a diffusion model over real vectors nearer to the
    data of their class, and not further away."""
    if not isinstance(subject.space, Real):
        raise NotApplicable("only for real vectors is a short training quick")
    twin = fresh(subject.network)
    made = clusters(twin, CLUSTERED)
    if EagerModel(twin, subject.label).signature("sample").conditions or set(check_inputs(twin.objectives(), made)):
        raise NotApplicable("it is told more of rows than their class")
    adapt(twin, made.splits["train"])
    before = _distances(subject, twin, made)
    size = min(twin.recipe.batch_size, CLUSTERED // 4)
    train(twin, made, epochs=math.ceil(STEPS * size / CLUSTERED), batch_size=size, patience=0)
    said = []
    for kind, (start, end) in enumerate(zip(before, _distances(subject, twin, made), strict=True)):
        of = f" of class {kind}" * (len(before) > 1)
        said.append(f"the energy distance of samples{of} from the data went from {start:.3g} to {end:.3g}")
        require(
            end < FURTHER * start,
            f"in {STEPS} steps of training {said[-1]}. Does the sampler run from noise to data, with the sign that the "
            "loss has?",
        )
        if end > NEARER * start:
            raise NoPower(f"{said[-1]}: so short a training says nothing")
    return of_classes(said)


def _distances(subject: Subject, network: Network, made: Dataset) -> list[float]:
    """How far samples of each class are from its training rows; one number where `sample` takes no class."""
    model, (x, labels) = EagerModel(network, subject.label), made.split("train")
    if labels is None or network.classes is None or "label" not in model.signature("sample").inputs:
        return [energy_distance(x[:SAMPLES], model.run("sample", count=SAMPLES, seed=0)["x"])]
    return [
        energy_distance(x[labels == k][:SAMPLES], model.run("sample", {"label": np.full(SAMPLES, k)}, seed=0)["x"])
        for k in range(len(network.classes))
    ]
