"""Checks of training: every weight gets a gradient, and steps of `zoo.training` itself run on data with all that losses
ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.signature import Call
from zoo.spec import ModelSpec
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.checks.rows import at_all, full
from zoo.testing.subject import Subject, loss_arguments, made_up
from zoo.training.adapting import adapt
from zoo.training.batches import Batches, check_inputs
from zoo.training.recipe import learning_rate

TRAINED, BATCH = 32, 16  # rows


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
    return full(subject) and isinstance(subject.spec, ModelSpec)


@check(trainable)
def every_objective_trains(subject: Subject) -> None:
    """An epoch of `zoo.training` on data with the inputs that the losses declare: losses are finite, in training and in
    validation, and the weights that it ends with fit the network."""
    network = subject.network
    twin = type(network).create(network.space, asdict(network.config), network.classes, seed=1)
    recipe = replace(twin.recipe, batch_size=BATCH, epochs=1)
    try:
        made = made_up(twin, TRAINED)
        check_inputs(twin.objectives(), made)
        batches = Batches(made, recipe, twin.objectives())
        adapt(twin, made.splits["train"])
        learner = twin.learner(recipe)
        for step in range(batches.steps):
            for name, batch in batches.training(step):
                means = learner.step(name, *batch, learning_rate(recipe, step, batches.steps))
                require(np.isfinite(means["loss"]), f"the {name} loss is {means['loss']} at step {step}.")
        for name, objective in batches.objectives.items():
            for batch in batches.validation(name):
                _require_rows(name, objective.loss, learner.evaluate(name, *batch), len(batch.inputs["x"]))
        twin.check_arrays(learner.weights())
    except ZooError as refused:
        require(False, f"it does not train: {refused}")


def _require_rows(objective: str, loss: Call, outputs: Mapping[str, Any], rows: int) -> None:
    for name in loss.outputs:
        values = np.asarray(outputs[name])
        require(len(values) == rows, f"{name} of {objective} has {len(values)} values for {rows} rows of validation.")
    require(bool(np.isfinite(outputs["loss"]).all()), f"the {objective} loss is not finite in validation.")
