"""Saving a run: beside the training, as often as costs little, and so that a kill at any moment loses only steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from zoo import checkpoint
from zoo.api import MODEL
from zoo.system.failpoints import failpoint
from zoo.training.run_folder import STATE

SHARE = 0.05  # of the time of a training, at most, that its saving takes
LEAST_SECONDS = 10.0  # between two saves that nobody has asked for
ASSUMED_RATE = 150e6  # bytes a second, until a save has been measured
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Snapshot:
    """All that is saved of a training at one step. The arrays are copies: the training goes on meanwhile."""

    position: Mapping[str, Any]
    state: Arrays  # of the learner
    card: Mapping[str, Any]  # of the best model
    best: Arrays  # its weights; empty before the first epoch ends


def write(folder: Path, snapshot: Snapshot, *, model: bool = True) -> None:
    """Write a snapshot. `model`: the best weights too, and before the state: a kill in between repeats some steps, the
    other order would lose a model."""
    arrays = {f"now/{name}": array for name, array in snapshot.state.items()}
    arrays |= {f"best/{name}": array for name, array in snapshot.best.items()}
    if model and snapshot.best:
        checkpoint.save(folder, MODEL, snapshot.card, snapshot.best)
        failpoint("run.model")
    checkpoint.save(folder, STATE, {"position": snapshot.position}, arrays)
    failpoint("run.state")


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What `training.json` says, the state of the learner, and the best weights."""
    meta, arrays = checkpoint.load(folder, STATE)
    now, best = ({k.removeprefix(p): a for k, a in arrays.items() if k.startswith(p)} for p in ("now/", "best/"))
    return meta, now, best


class Saver:
    """Writes snapshots into a run's folder, one at a time, in a thread of its own.

    `every` is how many seconds lie between two of them. Without it these are measured: as many as make saving take no
    more than `SHARE` of the time, if the thread took a whole core from the training. `size` is about how many bytes a
    snapshot has, which tells as much until one is measured. `publish` is called after the first was written, and gives
    the folder that the run lies in from then on.
    """

    def __init__(self, folder: Path, *, size: int, every: float | None = None, publish: Callable[[], Path]) -> None:
        self.folder, self.every, self.publish = folder, every, publish
        self.cost = size / ASSUMED_RATE  # seconds of a save
        self.last = time.monotonic()
        self.pending: Future[float] | None = None
        self.is_published = False
        self.best: Arrays | None = None  # the weights that were written last
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="genzoo saving")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.thread.shutdown()

    def is_due(self) -> bool:
        """Whether it is time for a save. Raises what the last one has raised."""
        if self.pending is not None and self.pending.done():
            self._finish()
        interval = max(LEAST_SECONDS, self.cost / SHARE) if self.every is None else self.every
        return self.pending is None and time.monotonic() - self.last > interval

    def save(self, take: Callable[[], Snapshot], *, wait: bool) -> None:
        """Write what `take` gives: with `wait`, before this returns."""
        self._finish()
        began = self.last = time.monotonic()
        snapshot = take()
        taken = time.monotonic() - began
        if wait or not self.is_published:
            self.cost = taken + self._write(snapshot)
        else:
            self.pending = self.thread.submit(lambda: taken + self._write(snapshot))

    def _finish(self) -> None:
        """Wait for the save that is under way."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            self.cost = pending.result()

    def _write(self, snapshot: Snapshot) -> float:
        """The seconds that it took."""
        began = time.monotonic()
        write(self.folder, snapshot, model=snapshot.best is not self.best)
        self.best = snapshot.best
        if not self.is_published:
            self.folder, self.is_published = self.publish(), True
        return time.monotonic() - began


def size_of(weights: Arrays) -> int:
    """About the bytes of a snapshot: the weights, two moments of each, their average, and the best, twice."""
    return 6 * sum(np.asarray(array).nbytes for array in weights.values())
