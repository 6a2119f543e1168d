"""The likelihood of held-out rows, next to that of simple densities that anyone can fit, or of the true density."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.columns import Table
from zoo.evaluation.estimates import below, hardly_positive, mean, ratio
from zoo.evaluation.reference_densities import Reference, references
from zoo.evaluation.task import Task
from zoo.spaces import Space, Strings

Array = npt.NDArray[Any]
BOUND_SAMPLES = 16
ROWS = 2**12  # that a reference scores at a time, to bound memory
FEWEST = 2  # training rows to fit a reference


def likelihood(task: Task) -> None:
    if task.model.density == "unnormalized":
        _energy(task)
        return
    figures, model = task.report.figures, task.model
    nats, (unit, size) = _nats(task), unit_of(model.space, task.x)
    figures["nats"] = mean(nats)
    figures[unit] = ratio(nats, size)
    if isinstance(model.space, Strings):
        figures["bits_per_byte"] = ratio(nats, math.log(2) * model.space.characters(task.x, "utf-8"))
    if "samples" in model.signature("log_prob").options:
        tighter = _nats(task, samples=BOUND_SAMPLES)
        figures[f"nats_{BOUND_SAMPLES}_samples"] = mean(tighter)
        figures[f"{unit}_{BOUND_SAMPLES}_samples"] = ratio(tighter, size)
    if task.data.law is not None:
        truth = -task.data.law.log_prob(task.x)
        figures[f"{unit}_of_truth"] = ratio(truth, size)
        figures[f"{unit}_above_truth"] = ratio(nats - truth, size)
    for name, what, other in _others(task):
        figures[f"{unit}_of_{name}"] = ratio(other, size)
        difference = figures[f"{unit}_above_{name}"] = ratio(nats - other, size)
        if hardly_positive(ratio(other - nats, size)):
            whose = "Its lower bound is" if model.density == "lower_bound" else "It is"
            units = unit.replace("_", " ")
            task.report.remarks.append(f"{whose} no better than {what}: {difference} {units} above.")


def unit_of(space: Space, x: Array) -> tuple[str, Array]:
    """The unit in which likelihoods of a space are reported, and its size in nats, (N,)."""
    if isinstance(space, Strings):
        return "nats_per_character", space.characters(x)
    if isinstance(space, Table):
        return "nats", np.ones(len(x))
    if space.discrete:
        return "bits_per_dim", np.full(len(x), space.size * math.log(2))
    return "nats", np.ones(len(x))


def log_volume(space: Space, x: Array) -> Array:
    """The term that turns densities of the references, which see codes, into those in units of a table, (N,)."""
    return space.log_volume(x) if isinstance(space, Table) else np.zeros(len(x))


def _nats(task: Task, **options: Any) -> Array:
    log_p = task.model.log_prob(task.x, seed=task.seed, **options, **task.given("log_prob"))
    return -log_p.astype(np.float64)


def _others(task: Task) -> Iterator[tuple[str, str, Array]]:
    """Name, description and nats (N,) of each reference; fitted to each class if the model is conditional."""
    space, remarks, (other, other_y) = task.model.space, task.report.remarks, task.other
    train, y = task.data.split("train")
    by_class = bool(task.labels("log_prob"))
    groups = task.y if by_class and task.y is not None else np.zeros(len(task.x), np.int64)
    fitted: dict[int, list[Reference]] = {}
    for group in np.unique(groups):
        rows, choice = (train[y == group], other[other_y == group]) if by_class else (train, other)
        if len(rows) < FEWEST:
            whose = f" of class {task.model.classes.names[group]}" if task.model.classes and by_class else ""
            count = "one training row" if len(rows) else "no training row"
            remarks.append(f"There is {count}{whose}, to which no reference can be fitted; there is none.")
            return
        fitted[group] = list(references(space, rows, choice if len(choice) else other))
    most = max(fitted.values(), key=len)
    if len(most) == 1:
        remarks.append(f"There is one reference: the best of the mixtures, or n-grams, is {most[0].what} again.")
    for place, one in enumerate(most):
        nats = log_volume(space, task.x)
        for group, found in fitted.items():  # if the best one is the floor, it stands for both
            rows = np.flatnonzero(groups == group)
            for low in range(0, len(rows), ROWS):
                part = rows[low : low + ROWS]
                nats[part] -= found[min(place, len(found) - 1)].log_prob(task.x[part])
        yield one.name, f"{one.what}, fitted to each class" if by_class else one.what, nats


def _energy(task: Task) -> None:
    """Without the normalizing constant there is no likelihood, but data must have a lower energy than rows that only
    share its marginals."""
    flat = task.x.reshape(len(task.x), -1)
    orders = [noise.permutation(len(flat), seed=task.seed, stream=f"shuffle/{d}") for d in range(flat.shape[1])]
    shuffled = np.stack([flat[order, d] for d, order in enumerate(orders)], axis=1).reshape(task.x.shape)
    energy = _nats(task)
    of_shuffled = -task.model.log_prob(shuffled, seed=task.seed, **task.given("log_prob")).astype(np.float64)
    task.report.figures["mean_energy"] = mean(energy)
    task.report.figures["energy_auroc"] = auroc = below(energy, of_shuffled)
    if hardly_positive(replace(auroc, value=auroc.value - 0.5)):
        task.report.remarks.append(
            f"Its energy tells data no better from shuffled columns than chance: how often it is lower is {auroc}."
        )
