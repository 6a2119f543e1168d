"""The loop of a training: steps, the end of each epoch, and what others are told of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import interrupts
from zoo.data import Dataset
from zoo.errors import CorruptFile, ZooError
from zoo.network import Learner, Network
from zoo.training import saving
from zoo.training.batches import Batches
from zoo.training.recipe import learning_rate
from zoo.training.run import STATE, Position, RunRecord, position_in
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
    losses: Mapping[str, float]  # this epoch's mean so far, by objective
    validation: float | None
    best: float | None


Progress = Callable[[Status], None]


class Loop:
    """A training from where it is to its end."""

    def __init__(
        self, record: RunRecord, network: Network, learner: Learner, data: Dataset, progress: Progress | None
    ) -> None:
        self.record, self.recipe = record, record.recipe
        self.network, self.learner, self.progress = network, learner, progress
        self.batches = Batches(data, record.recipe, network.objectives())
        self.first = next(iter(self.batches.objectives))
        self.at = Position()
        self.best: dict[str, npt.NDArray[Any]] = {}

    # ---- what is saved -----------------------------------------------------------------------------------------

    def restore(self, folder: Path) -> None:
        """Go to where a run was saved, if it was."""
        path = folder / f"{STATE}.json"
        if not path.exists():
            return
        meta, state, self.best = saving.read(folder)
        self.at = at = position_in(meta, path)
        steps, names = self.batches.steps, set(self.batches.objectives)
        epoch = at.step // self.batches.per_epoch
        if not 0 <= at.step < steps or not set(at.sums) <= names or at.best_epoch > epoch:
            raise CorruptFile(f"{path} is altered or damaged: {at} in a training of {steps} steps. Train again.")
        try:
            self.learner.load_state(state)
        except MemoryError:
            raise
        except Exception as error:  # a framework's own
            raise CorruptFile(f"the weights file of {path} is no state of this training: {error}") from error

    def snapshot(self) -> Snapshot:
        return Snapshot(asdict(self.at), self.learner.state(), self.card(), self.best)

    def card(self) -> dict[str, Any]:
        """What `model.json` says of the best weights."""
        at, record, spec = self.at, self.record, self.record.spec
        return {
            "architecture": spec.name,
            "plugin": record.plugin,
            "family": spec.family,
            **self.network.describe(),
            "card": {
                "data": record.data,
                "label": record.label,
                "epoch": at.best_epoch,
                "validation": {self.first: at.best},
                "recipe": asdict(record.recipe),
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
        rate = learning_rate(self.recipe, at.step, self.batches.steps)
        for name, batch in self.batches.training(at.step, rank=learner.rank, world_size=learner.world_size):
            loss = learner.step(name, *batch, rate)
            if not math.isfinite(loss):
                raise ZooError(
                    f"the {name} loss is {loss} at step {at.step}. Try a lower learning rate (now "
                    f"{self.recipe.learning_rate:g}), or clipping: --set clip=1."
                )
            at.sums[name] = at.sums.get(name, 0.0) + loss
        at.step += 1
        self.report()

    def end_epoch(self) -> None:
        at, patience, epoch = self.at, self.recipe.patience, self.at.step // self.batches.per_epoch
        validation = self.validate()
        if not patience or at.best is None or validation < at.best:
            at.best, at.best_epoch = validation, epoch
            self.best = {name: np.array(array) for name, array in self.learner.weights().items()}
        means = {name: total / self.batches.per_epoch for name, total in at.sums.items()}
        at.history.append({"epoch": epoch, **means, "validation": validation})
        at.sums = {}
        at.done = at.step >= self.batches.steps or bool(patience and epoch - at.best_epoch >= patience)
        self.report()

    def validate(self) -> float:
        losses = [self.learner.evaluate(self.first, *batch) for batch in self.batches.validation(self.first)]
        return float(np.concatenate(losses).mean())

    def report(self) -> None:
        if not self.progress or self.learner.rank:
            return
        at, per_epoch = self.at, self.batches.per_epoch
        done = at.step % per_epoch or per_epoch
        means = {name: total / done for name, total in at.sums.items()}
        last = at.history[-1] if at.history else {}
        if not means:
            means = {name: last[name] for name in self.batches.objectives if name in last}
        epoch, validation = math.ceil(at.step / per_epoch), last.get("validation")
        self.progress(
            Status(self.record, at.step, self.batches.steps, epoch, self.recipe.epochs, means, validation, at.best)
        )
