"""Training: one loop for every framework, deterministic, and resumable at any step.

The order of the rows and all noise are functions of the seed and of the step (`zoo.noise`), so there is no random
state to save: a run that was killed and resumed ends with the same bits as one that was not.

A run is a folder: `recipe.json` (what was asked for), `training.json` with its weights (where it is), and
`model.json` with its weights (the best so far), which is what `zoo.load` reads.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from zoo import checkpoint, interrupts, noise, registry, spaces
from zoo.api import MODEL, Record, load, made_from
from zoo.data import Dataset, load_dataset, resolve
from zoo.eager import EagerModel
from zoo.errors import CorruptFile, InputError, ZooError
from zoo.failpoints import failpoint
from zoo.files import Exclusive, atomic_folder, atomic_write, check_output_folder
from zoo.memory import available
from zoo.network import Learner, Network, Objective, Recipe, parse_config
from zoo.spaces import Space

RECIPE, STATE, LOCK = "recipe.json", "training", "training.lock"
PLACE = "ZOO_RUN"  # tells the other processes of a data-parallel training where the recipe is
TRAINED = "trained"
SCHEMA = 1
SAVE_SECONDS = 10.0
WARMUP = 0.02  # share of the steps in which the learning rate rises
EVALUATION_BATCH = 512
AVERAGES = 4  # a training is at least so many times as long as the memory of its averaged weights
BOUNDS = {
    **dict.fromkeys(("epochs", "batch_size"), (1, math.inf)),
    **dict.fromkeys(("weight_decay", "patience", "clip"), (0, math.inf)),
    **dict.fromkeys(("betas", "ema"), (0, 0.999999)),
    "learning_rate": (1e-12, math.inf),
}


class RunRecord(Record, kw_only=True):
    """`recipe.json`: what was asked for."""

    data: str
    label: str | None
    digest: str
    recipe: Recipe
    device: str
    devices: int
    precision: str


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


@dataclass
class Position:
    """The part of a run's state that is not arrays."""

    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the losses of this epoch so far
    best: float | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    done: bool = False


def train(
    architecture: str,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    label: str | None = None,
    config: Mapping[str, Any] | None = None,
    device: str = "cpu",
    devices: int = 1,
    precision: str = "32-true",
    force: bool = False,
    progress: Progress | None = None,
    **recipe: Any,
) -> EagerModel:
    """Train an architecture and return the model; everything is kept in the folder `out`.

    `data` is the name of a data set, a file or folder (`zoo.load_dataset`), or a `Dataset`. `config` are settings of
    the architecture, `recipe` those of the training: epochs, batch_size, learning_rate, seed, patience and so on.
    """
    out = Path(out)
    if _is_worker():  # a data-parallel process: the first one made the run
        run = os.environ.get(PLACE, out)
        return resume(run, data=data if isinstance(data, Dataset) else None, progress=progress)
    check_output_folder(out, force, marker=files_of)
    spec = registry.architecture(architecture)
    dataset = data if isinstance(data, Dataset) else load_dataset(data, label=label)
    cls = registry.network_class(spec)
    chosen = merge_recipe(cls.recipe, recipe)
    if recipe.get("ema") is None:  # over a short training, an architecture's average would mostly remember its start
        rows = len(dataset.train)
        steps = rows // min(chosen.batch_size, rows) * chosen.epochs
        chosen = replace(chosen, ema=min(chosen.ema, max(0.0, 1 - AVERAGES / steps)))
    settings = cls.configure(dataset.space, config, dataset.classes)
    if devices > 1 and not cls.parallel:
        raise InputError(f"{spec.name} trains on one device; got devices={devices}. PyTorch architectures take more.")
    if chosen.batch_size < devices:
        raise InputError(f"batch_size is {chosen.batch_size}; expected at least one row for each of {devices} devices.")
    with made_from(f"{spec.name} with {settings} and {chosen}", available()):  # now, before anything is written
        network = cls.create(dataset.space, asdict(settings), dataset.classes, device=device)
        network.learner(chosen, precision=precision)
    record = {
        "schema": SCHEMA,
        "architecture": spec.name,
        "plugin": registry.plugin_of(spec),
        "data": dataset.name if isinstance(data, Dataset) else where(data),
        "label": label,
        "digest": dataset.digest,
        "space": dataset.space.to_json(),
        "classes": list(dataset.classes.names) if dataset.classes else None,
        "config": asdict(settings),
        "recipe": asdict(chosen),
        "device": str(network.device),
        "devices": devices,
        "precision": precision,
    }
    replaces = out.is_dir() and any(out.iterdir())
    with ExitStack() as stack:
        if replaces:
            stack.enter_context(Exclusive(out / LOCK, TRAINED))
        beginning = stack.enter_context(ExitStack())
        work = beginning.enter_context(atomic_folder(out, force, marker=files_of))
        with atomic_write(work / RECIPE) as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
        failpoint("run.recipe")
        if not replaces:
            beginning.close()
            return resume(out, data=dataset, progress=progress)
        os.environ[PLACE] = str(work)
        stack.callback(os.environ.pop, PLACE)
        return _go_on(work, out, dataset, progress, beginning)


def files_of(folder: Path) -> set[str] | None:
    """The files of a run in its folder; None if it is no run."""
    path = folder / RECIPE
    try:
        record = checkpoint.convert(checkpoint.read_json(path, SCHEMA), RunRecord, path)
        preview = preview_name(spaces.from_json(record.space))
    except ZooError:
        return None
    patterns = [checkpoint.digests(name) for name in (MODEL, STATE)]
    weights = {p.name for p in folder.iterdir() if any(pattern.fullmatch(p.name) for pattern in patterns)}
    return weights | {RECIPE, LOCK, f"{MODEL}.json", f"{STATE}.json", preview}


def preview_name(space: Space) -> str:
    """The file in a run's folder that shows samples: a picture, strings or a table."""
    from zoo.io import formats

    return f"samples{next(s for s in ('.png', '.txt', '.csv') if s in formats(space))}"


def resume(run: str | Path, *, data: Dataset | None = None, progress: Progress | None = None) -> EagerModel:
    """Go on with a run where it stopped, and return the model. A finished run is loaded as it is."""
    run = Path(run)
    if not (run / RECIPE).exists():
        raise InputError(
            f"{run} is not a run: it has no {RECIPE}. Start one: zoo train ARCHITECTURE --data DATA --out {run}."
        )
    record = checkpoint.convert(checkpoint.read_json(run / RECIPE, SCHEMA), RunRecord, run / RECIPE)
    state = run / f"{STATE}.json"
    if state.exists() and position_in(checkpoint.read_json(state, SCHEMA), state).done:
        return load(run, device=record.device)
    dataset = data or load_dataset(record.data, label=record.label)
    if dataset.digest != record.digest:
        raise InputError(f"the data {record.data} has changed since {run} was started. Restore it, or train anew.")
    return _go_on(run, run, dataset, progress, ExitStack())


def _go_on(work: Path, run: Path, data: Dataset, progress: Progress | None, beginning: ExitStack) -> EagerModel:
    """Train in the folder `work`. `beginning` is closed at the first save: from then on the folder is `run`."""
    path = work / RECIPE
    record = checkpoint.convert(checkpoint.read_json(path, SCHEMA), RunRecord, path)
    with ExitStack() as stack:
        lock = Exclusive(work / LOCK, TRAINED)
        if not _is_worker():
            stack.enter_context(lock)
        failpoint("run.locked")
        merge_recipe(record.recipe, {})  # its values are checked again: somebody may have changed the file
        network = record.network(seed=record.recipe.seed, device=record.device)
        network.adapt(data.train)
        with made_from(f"the training that {path} asks for"):
            learner = network.learner(record.recipe, precision=record.precision, devices=record.devices)

        def saved() -> Path:
            beginning.close()
            lock.path = run / LOCK
            return run

        loop = _Loop(work, record, network, learner, data, progress, saved)
        loop.restore()
        loop.run()
    if learner.rank:  # the first process saves, and perhaps has not done so yet
        return EagerModel(network, run.name, loop._card())
    return load(run, device=record.device)


def position_in(meta: Mapping[str, Any], path: Path) -> Position:
    """Where the training of a run is."""
    return checkpoint.convert(meta.get("position", {}), Position, path)


def where(data: str | Path) -> str:
    """A data set's name, or the absolute path of a file: a run may be resumed from another folder."""
    found = resolve(data)
    return str(found.resolve()) if isinstance(found, Path) else str(data)


def merge_recipe(default: Recipe, given: Mapping[str, Any]) -> Recipe:
    """A recipe with some settings replaced, their values checked."""
    merged = {**asdict(default), **{k: v for k, v in given.items() if v is not None}}
    recipe: Recipe = parse_config(type(default), merged)
    for name, (low, high) in BOUNDS.items():
        values = getattr(recipe, name)
        for value in values if isinstance(values, tuple) else (values,):
            if not (math.isfinite(value) and low <= value <= high):
                most = f" and at most {high:g}" if math.isfinite(high) else ""
                raise InputError(f"{name} is {value}; expected at least {low:g}{most}.")
    if recipe.schedule not in ("cosine", "constant"):
        raise InputError(f"schedule is {recipe.schedule!r}; expected 'cosine' or 'constant'.")
    return recipe


class _Loop:
    def __init__(
        self,
        run: Path,
        record: RunRecord,
        network: Network,
        learner: Learner,
        data: Dataset,
        progress: Progress | None,
        saved: Callable[[], Path],
    ) -> None:
        self.path, self.record, self.recipe, self.saved = run, record, record.recipe, saved
        self.network, self.learner, self.data, self.progress = network, learner, data, progress
        self.objectives = network.objectives()
        self.first = next(iter(self.objectives))
        self.batch = min(self.recipe.batch_size, len(data.train))
        self.per_epoch = len(data.train) // self.batch  # the rest of the rows waits for another epoch's order
        self.steps = self.per_epoch * self.recipe.epochs
        self.at = Position()
        self.best: dict[str, npt.NDArray[Any]] = {}

    # ---- saving ------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        if not (self.path / f"{STATE}.json").exists():
            return
        meta, arrays = checkpoint.load(self.path, STATE)
        path = self.path / f"{STATE}.json"
        self.at = position_in(meta, path)
        at, names = self.at, set(self.objectives)
        if not 0 <= at.step < self.steps or not set(at.sums) <= names or at.best_epoch > at.step // self.per_epoch:
            raise CorruptFile(f"{path} is altered or damaged: {at} in a training of {self.steps} steps. Train again.")
        self.best = {k.removeprefix("best/"): a for k, a in arrays.items() if k.startswith("best/")}
        try:
            self.learner.load_state({k.removeprefix("now/"): a for k, a in arrays.items() if k.startswith("now/")})
        except MemoryError:
            raise
        except Exception as error:  # a framework's own
            raise CorruptFile(f"the weights file of {path} is no state of this training: {error}") from error

    def save(self) -> None:
        if self.learner.rank:
            return
        arrays = {f"now/{k}": a for k, a in self.learner.state().items()}
        arrays |= {f"best/{k}": a for k, a in self.best.items()}
        if self.best:  # before the state: a kill in between repeats some steps, the other order would lose a model
            checkpoint.save(self.path, MODEL, self._card(), self.best)
            failpoint("run.model")
        checkpoint.save(self.path, STATE, {"position": asdict(self.at)}, arrays)
        failpoint("run.state")
        self.path = self.saved()

    def _card(self) -> dict[str, Any]:
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

    def run(self) -> None:
        saved = time.monotonic()
        with interrupts.held() as stopped:
            while not self.at.done:
                self._step()
                if self.at.step % self.per_epoch == 0:
                    self._end_epoch()
                if number := stopped():
                    self.save()
                    interrupted = Interrupted(
                        f"stopped at step {self.at.step} of {self.steps}; nothing is lost. "
                        f"Go on: zoo train --resume {self.path}"
                    )
                    interrupted.signal = number
                    raise interrupted
                if self.at.done or time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()

    def _step(self) -> None:
        at, epoch = self.at, self.at.step // self.per_epoch
        first = at.step % self.per_epoch * self.batch
        order = self._order(epoch)[first : first + self.batch]
        examples = np.arange(at.step * self.batch, (at.step + 1) * self.batch)
        mine = slice(self.learner.rank, None, self.learner.world_size)
        for name, objective in self.objectives.items():
            inputs, fresh = self._batch("train", objective, name, order[mine], examples[mine])
            loss = self.learner.step(name, inputs, fresh, self.learning_rate(at.step))
            if not math.isfinite(loss):
                raise ZooError(
                    f"the {name} loss is {loss} at step {at.step}. Try a lower learning rate (now "
                    f"{self.recipe.learning_rate:g}), or clipping: --set clip=1."
                )
            at.sums[name] = at.sums.get(name, 0.0) + loss
        at.step += 1
        self._report()

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if getattr(self, "_order_of", None) != epoch:
            self._order_of = epoch
            self._rows = noise.permutation(len(self.data.train), seed=self.recipe.seed, stream=f"order/{epoch}")
        return self._rows

    def _batch(
        self, split: str, objective: Objective, name: str, rows: npt.NDArray[np.int64], examples: npt.NDArray[np.int64]
    ) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[Any]]]:
        x, y = self.data.split(split)
        inputs = {"x": x[rows]}
        if "label" in objective.loss.inputs:
            assert y is not None
            inputs["label"] = y[rows]
        fresh = {
            n: noise.draw(d, examples, seed=self.recipe.seed, stream=f"{split}/{name}/{n}")
            for n, d in objective.loss.noise.items()
        }
        return inputs, fresh

    def _end_epoch(self) -> None:
        at, epoch = self.at, self.at.step // self.per_epoch
        validation = self._validate()
        improved = not self.recipe.patience or at.best is None or validation < at.best
        if improved:
            at.best, at.best_epoch = validation, epoch
            self.best = {k: np.array(a) for k, a in self.learner.weights().items()}
        row = {name: total / self.per_epoch for name, total in at.sums.items()}
        at.history.append({"epoch": epoch, **row, "validation": validation})
        at.sums = {}
        at.done = at.step >= self.steps or bool(self.recipe.patience and epoch - at.best_epoch >= self.recipe.patience)
        self._report()

    def _validate(self) -> float:
        rows = np.arange(len(self.data.validation))
        losses = [
            self.learner.evaluate(
                self.first, *self._batch("validation", self.objectives[self.first], self.first, part, part)
            )
            for part in np.array_split(rows, math.ceil(len(rows) / EVALUATION_BATCH))
        ]
        return float(np.concatenate(losses).mean())

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then constant or a cosine down to zero."""
        warmup = max(1, int(WARMUP * self.steps))
        rise = min(1.0, (step + 1) / warmup)
        fall = 0.5 * (1 + math.cos(math.pi * step / self.steps)) if self.recipe.schedule == "cosine" else 1.0
        return self.recipe.learning_rate * rise * fall

    def _report(self) -> None:
        if not self.progress or self.learner.rank:
            return
        at = self.at
        done = at.step % self.per_epoch or self.per_epoch
        means = {name: total / done for name, total in at.sums.items()}
        last = at.history[-1] if at.history else {}
        if not means:
            means = {name: last[name] for name in self.objectives if name in last}
        epoch = math.ceil(at.step / self.per_epoch)
        self.progress(
            Status(self.record, at.step, self.steps, epoch, self.recipe.epochs, means, last.get("validation"), at.best)
        )


def _is_worker() -> bool:
    """Whether this is a further process of a data-parallel training, which Fabric starts by the same command."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


__all__ = ["Interrupted", "Status", "merge_recipe", "resume", "train"]
