"""`zoo.train` and `zoo.resume`: from what was asked for to a run, and from a run to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.api import load, made_from
from zoo.data import Dataset, load_dataset
from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.failpoints import failpoint
from zoo.files import Exclusive, atomic_folder, check_output_folder
from zoo.memory import available
from zoo.network import Network
from zoo.training.loop import Loop, Progress
from zoo.training.recipe import merge_recipe
from zoo.training.run import LOCK, RunRecord, files_of, read_position, read_record, where, write_record
from zoo.training.saving import Saver, size_of

ADAPT_BYTES = 2**26  # of observations that a network takes its means and the like from, at most
PLACE = "ZOO_RUN"  # tells the other processes of a data-parallel training where the recipe is
TRAINED = "trained"


def train(
    architecture: str,
    data: Any,
    out: str | Path,
    *,
    label: str | None = None,
    split: str | None = None,
    size: int | str | tuple[int, int] | None = None,
    types: Mapping[str, str] | str | None = None,
    config: Mapping[str, Any] | None = None,
    device: str = "cpu",
    devices: int = 1,
    precision: str = "32-true",
    save_every: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    **recipe: Any,
) -> EagerModel:
    """Train an architecture and return the model; everything is kept in the folder `out`.

    `data` is the name of a data set, a file or folder, arrays, a frame or a `Dataset`; `label`, `split`, `size` and
    `types` say how to read it, as they do to `zoo.load_dataset`. `config` are settings of
    the architecture, `recipe` those of the training: epochs, batch_size, learning_rate, seed, patience and so on. It is
    saved every `save_every` seconds; by default as often as takes little time.
    """
    out = Path(out)
    if is_worker():  # a data-parallel process: the first one made the run
        run = os.environ.get(PLACE, out)
        return resume(run, data=None if isinstance(data, (str, Path)) else data, progress=progress)
    check_output_folder(out, force, marker=files_of)
    said = {"split": split, "size": size, "types": types}
    reading: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    spaces = registry.network_class(registry.architecture(architecture)).spaces
    dataset = load_dataset(data, label=label, spaces=spaces, **reading)
    source = where(data) if isinstance(data, (str, Path)) else dataset.name
    asked: dict[str, Any] = {"data": source, "label": label, "reading": reading}
    asked |= {"device": device, "devices": devices, "precision": precision}
    record = plan(architecture, dataset, asked, config, recipe)
    return begin(record, dataset, out, save_every, force, progress)


def plan(
    architecture: str,
    data: Dataset,
    asked: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    recipe: Mapping[str, Any],
) -> RunRecord:
    """What will be trained, and how; `InputError` for what cannot be."""
    spec = registry.architecture(architecture)
    cls = registry.network_class(spec)
    chosen = merge_recipe(cls.recipe, recipe)
    settings = cls.configure(data.space, config, data.classes)
    record = RunRecord(
        architecture=spec.name,
        plugin=registry.plugin_of(spec),
        digest=data.digest,
        space=data.space.to_json(),
        classes=list(data.classes.names) if data.classes else None,
        config=asdict(settings),
        recipe=chosen,
        **asked,
    )
    check_devices(record, cls)
    with made_from(f"{spec.name} with {settings} and {chosen}", available()):  # now, before anything is written
        network = cls.create(data.space, asdict(settings), data.classes, device=record.device)
        network.learner(chosen, precision=record.precision)
    record.device = str(network.device)
    return record


def check_devices(record: RunRecord, cls: type[Network]) -> None:
    """`InputError` where a training cannot be shared among so many devices."""
    devices = record.devices
    if devices > 1 and not cls.parallel:
        raise InputError(
            f"{record.architecture} trains on one device; got devices={devices}. PyTorch architectures take more."
        )
    if record.recipe.batch_size < devices:
        raise InputError(
            f"batch_size is {record.recipe.batch_size}; expected at least one row for each of {devices} devices."
        )


def begin(
    record: RunRecord, data: Dataset, out: Path, save_every: float | None, force: bool, progress: Progress | None
) -> EagerModel:
    """Make a run and train it. What it replaces stays until the new run is saved for the first time."""
    replaces = out.is_dir() and any(out.iterdir())
    with ExitStack() as stack:
        if replaces:
            stack.enter_context(Exclusive(out / LOCK, TRAINED))
        beginning = stack.enter_context(ExitStack())
        work = beginning.enter_context(atomic_folder(out, force, marker=files_of))
        write_record(work, record)
        failpoint("run.recipe")
        if not replaces:
            beginning.close()
            return resume(out, data=data, save_every=save_every, progress=progress)
        os.environ[PLACE] = str(work)
        stack.callback(os.environ.pop, PLACE)
        return go_on(work, out, data, save_every, progress, beginning)


def resume(
    run: str | Path,
    *,
    data: Any = None,
    save_every: float | None = None,
    progress: Progress | None = None,
) -> EagerModel:
    """Go on with a run where it stopped, and return the model. A finished run is loaded as it is."""
    run = Path(run)
    record = read_record(run)
    if read_position(run).done:
        return load(run, device=record.device)
    spaces = registry.network_class(record.spec).spaces
    dataset = load_dataset(record.data if data is None else data, label=record.label, spaces=spaces, **record.reading)
    if dataset.digest != record.digest:
        raise InputError(f"the data {record.data} has changed since {run} was started. Restore it, or train anew.")
    return go_on(run, run, dataset, save_every, progress, ExitStack())


def go_on(
    work: Path,
    run: Path,
    data: Dataset,
    save_every: float | None,
    progress: Progress | None,
    beginning: ExitStack,
) -> EagerModel:
    """Train in the folder `work`. `beginning` is closed at the first save: from then on the folder is `run`."""
    record = read_record(work)
    with ExitStack() as stack:
        lock = Exclusive(work / LOCK, TRAINED)
        if not is_worker():
            stack.enter_context(lock)
        failpoint("run.locked")
        merge_recipe(record.recipe, {})  # its values are checked again: somebody may have changed the file
        network = record.network(seed=record.recipe.seed, device=record.device)
        network.adapt(data.splits["train"].sample(ADAPT_BYTES))
        with made_from(f"the training of {run}"):
            learner = network.learner(record.recipe, precision=record.precision, devices=record.devices)
        loop = Loop(record, network, learner, data, progress)
        loop.restore(work)
        if learner.rank:  # the first process saves, and perhaps has not done so yet
            loop.run(None)
            return EagerModel(network, run.name, loop.card())

        def publish() -> Path:
            beginning.close()
            lock.path = run / LOCK
            return run

        saver = Saver(work, size=size_of(network.arrays()), every=save_every, publish=publish)
        loop.run(stack.enter_context(saver))
    return load(run, device=record.device)


def is_worker() -> bool:
    """Whether this is a further process of a data-parallel training, which Fabric starts by the same command."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
