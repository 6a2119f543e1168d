"""The loop of a training: steps, the end of each epoch, and what others are told of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import to_builtins

from zoo.api import MethodFacts
from zoo.data import Dataset
from zoo.errors import CorruptFile, InputError, ZooError
from zoo.estimate import Estimate
from zoo.evaluation.estimates import mean as mean_of_rows
from zoo.network import Learner, Network
from zoo.signature import Signature
from zoo.system import interrupts
from zoo.system.memory import is_shortage
from zoo.training import saving
from zoo.training.batches import Batches
from zoo.training.history import EPOCH, Epoch, figures_in, mean_of_steps
from zoo.training.recipe import learning_rate
from zoo.training.run_folder import STATE, Position, RunRecord, is_over, position_in
from zoo.training.saving import Saver, Snapshot


class Interrupted(ZooError):
    """Ctrl-C or SIGTERM, whose number is `signal`: the step was finished and the run saved."""

    signal = 0


@dataclass(frozen=True)
class Status:
    """Where a training is, after each step. `record` is what was asked for."""

    record: RunRecord
    step: int
    steps: int
    epoch: int
    epochs: int
    losses: Mapping[str, float]  # this epoch's mean so far, by objective, and of further outputs
    validation: Estimate | None
    best: Estimate | None
    learning_rate: float
    latest: Mapping[str, float]  # `losses` of this step alone; empty at the end of an epoch
    device_memory: int  # bytes, at the peak, of a device that has its own
    row: Epoch | None  # at the end of an epoch, what it adds to the history


Progress = Callable[[Status], None]


class Loop:
    """A training from where it is to its end."""

    def __init__(
        self, record: RunRecord, network: Network, learner: Learner, data: Dataset, progress: Progress | None
    ) -> None:
        self.record, self.recipe = record, record.recipe
        self.network, self.learner, self.progress = network, learner, progress
        self.batches = Batches(data, record.recipe, network.objectives())
        objectives = self.batches.objectives
        self.first = next(iter(objectives))
        self.figures = [figure_name(name, output) for name, o in objectives.items() for output in o.loss.outputs]
        self.at = Position(cpu_seconds=0.0)
        self.clock = time.process_time()
        self.best: dict[str, npt.NDArray[Any]] = {}

    # ---- what is saved -----------------------------------------------------------------------------------------

    def restore(self, folder: Path) -> None:
        """Go to where a run was saved, if it was."""
        path = folder / f"{STATE}.json"
        if not path.exists():
            return
        meta, state, self.best = saving.read(folder)
        self.at = at = position_in(meta, path)
        steps, names = self.batches.steps, set(self.figures)
        epoch = at.step // self.batches.per_epoch
        figures = at.sums.keys() <= names and at.curve.can_be_of(names)
        if not 0 <= at.step < steps or not figures or at.best_epoch > epoch:
            raise CorruptFile(f"{path} is altered or damaged: {at} in a training of {steps} steps. Train again.")
        at.done = False  # it is gone on with: longer, if it was
        try:
            self.learner.load_state(state)
        except MemoryError:
            raise
        except Exception as error:  # a framework's own
            raise CorruptFile(f"the weights file of {path} is not a state of this training: {error}") from error

    def snapshot(self) -> Snapshot:
        return Snapshot(asdict(self.at), self.learner.state(), self.card(), self.best)

    def card(self) -> dict[str, Any]:
        """What `model.json` says of the best weights."""
        at, record, spec = self.at, self.record, self.record.spec
        used = self.network.used_settings()
        return {
            "architecture": spec.name,
            "plugin": record.plugin,
            "family": spec.family,
            **self.network.describe(),
            **({"categories": record.categories} if record.categories else {}),
            "methods": {n: to_builtins(MethodFacts.of(Signature.of(m))) for n, m in self.network.methods().items()},
            "card": {
                "data": record.data,
                "label": record.label,
                "reading": record.reading,
                **({} if record.start is None else {"start": record.start}),
                "epoch": at.best_epoch,
                "validation": {} if at.best is None else {self.first: at.best.to_json()},
                "recipe": {name: value for name, value in asdict(record.recipe).items() if name in used},
            },
        }

    # ---- the loop ----------------------------------------------------------------------------------------------

    def run(self, saver: Saver | None) -> None:
        """Train to the end; `Interrupted` where a signal has come. Without a saver another process saves."""
        with interrupts.held() as stopped:
            while not self.at.done:
                self.step()
                if self.at.step % self.batches.per_epoch == 0:
                    self.end_epoch()
                number = stopped()
                if saver and (number or self.at.done or saver.is_due()):
                    saver.save(self.snapshot, wait=bool(number or self.at.done))
                if number:
                    raise self.interrupted(number, saver)

    def interrupted(self, number: int, saver: Saver | None) -> Interrupted:
        error = Interrupted(
            f"stopped at step {self.at.step} of {self.batches.steps}; nothing is lost. "
            f"Go on: zoo train --resume {saver.folder if saver else 'RUN'}"
        )
        error.signal = number
        return error

    def step(self) -> None:
        at, learner = self.at, self.learner
        rate = self.rate(at.step)
        figures: dict[str, float] = {}
        for name, batch in self.batches.training(at.step, rank=learner.rank, world_size=learner.world_size):
            with self.enough_memory():
                means = learner.step(name, *batch, rate)
            if not math.isfinite(means["loss"]):
                raise ZooError(f"the {name} loss is {means['loss']} at step {at.step}. {self.advice()}")
            figures |= {figure_name(name, output): mean for output, mean in means.items()}
        for name, mean in figures.items():
            if name in at.squares or name not in at.sums:  # runs of before have no squares of the epoch's first steps
                at.squares[name] = at.squares.get(name, 0.0) + mean * mean
            at.sums[name] = at.sums.get(name, 0.0) + mean
        at.step += 1
        at.curve.add(at.step, figures)
        self.tick()
        self.report(figures, rate)

    def advice(self) -> str:
        """What helps where a loss is not finite."""
        if "clip" in self.network.used_settings():
            return f"Try a lower learning rate (now {self.recipe.learning_rate:g}), or clipping: --set clip=1."
        return (
            f"{type(self.network).__name__} follows no gradient: look for columns of the data that are constant or "
            "follow from others, and in `adapt` and `update` for a division by zero or a logarithm of zero."
        )

    @contextmanager
    def enough_memory(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a framework's own
            if not is_shortage(error):
                raise
            size, parts = self.batches.size, self.recipe.accumulate
            raise InputError(
                f"there is not enough memory for a step of {size} rows{f' in {parts} parts' if parts > 1 else ''} "
                f"({' '.join(str(error).split())[:200]}). Cut them into more parts, which changes nothing else: "
                f"--accumulate {max(2, 2 * parts)}; or take fewer: --batch-size {max(1, size // 2)}."
            ) from error

    def end_epoch(self) -> None:
        at, patience, epoch = self.at, self.recipe.patience, self.at.step // self.batches.per_epoch
        found, best = validate(self.learner, self.batches, self.first), at.best
        if not patience or best is None or found["validation"].value < best.value:
            at.best_epoch = epoch
            self.best = {name: np.array(array) for name, array in self.learner.weights().items()}
        steps, rows = self.batches.per_epoch, self.batches.per_epoch * self.batches.size
        means = {n: mean_of_steps(total, at.squares.get(n), steps, rows) for n, total in at.sums.items()}
        at.history.append({EPOCH: epoch, **means, **found})
        at.sums, at.squares = {}, {}
        at.done = is_over(at, self.recipe)
        self.tick()
        self.report({}, self.rate(at.step - 1))

    def rate(self, step: int) -> float:
        return learning_rate(self.recipe, step, self.batches.steps, self.network.schedules)

    def tick(self) -> None:
        """Count the time since the last step."""
        now = time.process_time()
        if self.at.cpu_seconds is not None:
            self.at.cpu_seconds += now - self.clock
        self.clock = now

    def report(self, figures: Mapping[str, float], rate: float) -> None:
        """Tell whoever listens of a step with its `figures`, or without them of the end of an epoch."""
        if not self.progress or self.learner.rank:
            return
        at, per_epoch = self.at, self.batches.per_epoch
        done = at.step % per_epoch or per_epoch
        means = {name: total / done for name, total in at.sums.items()}
        last = at.history[-1] if at.history else {}
        known = figures_in(last)
        if not means:
            means = {name: known[name].value for name in self.figures if name in known}
        self.progress(
            Status(
                record=self.record,
                step=at.step,
                steps=self.batches.steps,
                epoch=math.ceil(at.step / per_epoch),
                epochs=self.recipe.epochs,
                losses=means,
                validation=known.get("validation"),
                best=at.best,
                learning_rate=rate,
                latest=figures,
                device_memory=self.learner.memory(),
                row=None if figures else last,
            )
        )


def validate(learner: Learner, batches: Batches, objective: str) -> dict[str, Estimate]:
    """`validation`, the mean loss of all rows, and `validation.NAME` for further outputs of the objective."""
    found: dict[str, list[Any]] = {}
    for batch in batches.validation(objective):
        for output, values in learner.evaluate(objective, *batch).items():
            found.setdefault(figure_name("validation", output), []).append(values)
    return {name: mean_of_rows(np.concatenate(values)) for name, values in found.items()}


def figure_name(objective: str, output: str) -> str:
    """What an output of an objective is called in tables: a loss as its objective."""
    return objective if output == "loss" else f"{objective}.{output}"
