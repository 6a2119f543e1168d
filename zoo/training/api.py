"""`zoo.train` and `zoo.resume`: from what was asked for to a run, and from a run to a model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from zoo import registry, spaces
from zoo.api import load, made_from
from zoo.data import Dataset, Inputs, input_names, load_dataset
from zoo.data.sources import blocks
from zoo.eager import EagerModel
from zoo.errors import InputError, ZooWarning
from zoo.network import Network, Recipe
from zoo.signature import check_functions
from zoo.spec import ModelSpec, PresetSpec
from zoo.system.failpoints import failpoint
from zoo.system.files import Exclusive, atomic_folder, atomic_write, check_output_folder, remove_leftovers
from zoo.system.memory import available
from zoo.training.adapting import adapt
from zoo.training.batches import check_inputs
from zoo.training.curves import curves
from zoo.training.initial_weights import Origin, origin_of
from zoo.training.listeners import Listeners, Logger
from zoo.training.loop import Interrupted, Loop, Progress
from zoo.training.recipe import merge_recipe
from zoo.training.run_folder import (
    CURVES,
    LOCK,
    Position,
    RunRecord,
    files_of,
    is_over,
    is_saved,
    read_position,
    read_record,
    where,
    write_record,
)
from zoo.training.saving import Saver, size_of

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
    inputs: Inputs | None = None,
    unconditional: bool = False,
    tokenizer: Any = None,
    length: int | None = None,
    config: Mapping[str, Any] | None = None,
    start: str | Path | None = None,
    device: str = "cpu",
    devices: int = 1,
    precision: str = "32-true",
    save_every: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[Progress] = (),
    logger: Logger | None = None,
    **recipe: Any,
) -> EagerModel:
    """Train an architecture and return the model; everything is kept in the folder `out`.

    `data` is the name of a data set, a file or folder, arrays, a frame or a `Dataset`; `label`, `split`, `size`,
    `types`, `inputs`, `tokenizer` and `length` say how to read it, as they do to `zoo.load_dataset`. A loss gets the
    inputs that it declares; an architecture with the setting `inputs` is told those of `inputs`, which are categories
    then: words, or integers from 0. `unconditional` leaves out the classes. `config` are settings of the architecture,
    `recipe` those of the training: epochs, batch_size, learning_rate, seed, patience and so on. `start` is a run or a
    preset to begin with the weights of (fine-tuning), as is a preset in place of an architecture.

    It is saved every `save_every` seconds; by default as often as takes little time. `callbacks` are called with a
    `Status` after each step and each epoch, and `logger.log_metrics(figures, step)` now and then: any of Lightning's
    loggers, the module `mlflow`, and so on. In a notebook there is a progress bar, unless `progress` is something else.
    """
    out = Path(out)
    arrays = inputs if isinstance(inputs, Mapping) else None
    in_memory = None if isinstance(data, (str, Path)) else data
    given = Given(in_memory, save_every, Listeners(progress, callbacks, logger), arrays)
    if is_worker():  # a data-parallel process: the first one made the run
        run = Path(os.environ.get(PLACE, out))
        return continued(run, read_record(run), given)
    check_output_folder(out, force, marker=files_of)
    if start is None and isinstance(registry.model(architecture), PresetSpec):
        start = architecture
    origin = None if start is None else origin_of(start)
    spec = registry.architecture(architecture) if origin is None else origin.spec(architecture)
    given_of = (("split", split), ("size", size), ("types", types), ("inputs", inputs if arrays is None else None))
    reading: dict[str, Any] = {name: value for name, value in given_of if value is not None}
    kinds, space = registry.network_class(spec).spaces, None if origin is None else origin.space
    known = {} if origin is None else spaces.categories_of(origin.record.categories)
    how: dict[str, Any] = {"tokenizer": tokenizer, "length": length, "categories": known, **reading, **given.arrays}
    dataset = load_dataset(data, label=label, spaces=kinds, space=space, **how)
    source = where(data) if isinstance(data, (str, Path)) else dataset.name
    asked: dict[str, Any] = {"data": source, "label": label, "reading": reading, "unconditional": unconditional}
    asked |= {"device": device, "devices": devices, "precision": precision}
    record = plan(spec, dataset, asked, config, recipe, origin, input_names(inputs))
    return begin(record, out, replace(given, data=dataset, inputs=None), force)


@dataclass(frozen=True)
class Given:
    """What a training is given that is not part of its run: the data, unless they are read again from where the run
    says; when to save; who is told of it; and inputs that are arrays."""

    data: Any
    save_every: float | None
    listeners: Listeners
    inputs: Mapping[str, Any] | None = None

    @property
    def arrays(self) -> dict[str, Any]:
        """What reading the data takes beside what the run says of it."""
        return {} if self.inputs is None else {"inputs": self.inputs}


def plan(
    spec: ModelSpec,
    data: Dataset,
    asked: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    recipe: Mapping[str, Any],
    origin: Origin | None,
    inputs: Sequence[str] = (),
) -> RunRecord:
    """What will be trained, and how; `InputError` for what cannot be. `inputs` are the names of those that were asked
    for."""
    cls = registry.network_class(spec)
    chosen = merge_recipe(cls.recipe, recipe, cls)
    if cls.full_batch:
        chosen = replace(chosen, batch_size=len(data.splits["train"]))
    unconditional = bool(asked["unconditional"])
    if unconditional and (cls.needs_classes or (origin is not None and origin.classes)):
        what = spec.name if origin is None else origin.place
        raise InputError(f"{what} needs the classes of its data; leave out --unconditional.")
    space, classes, settings = data.space, None if unconditional else data.classes, dict(config or {})
    fitted = data
    if origin is not None:  # the weights are of its space, its classes and categories, and its settings
        fitted = origin.fitted(data)
        space, classes, settings = fitted.space, origin.classes, {**origin.record.config, **settings}
    elif cls.takes_inputs and inputs and "inputs" not in settings:
        settings["inputs"] = [f"{name}:{values_of(data, name)}" for name in inputs]
    settings = asdict(cls.configure(space, settings, classes))
    record = RunRecord(
        architecture=spec.name,
        plugin=spec.plugin,
        digest="",
        space=space.to_json(),
        classes=list(classes.names) if classes else None,
        config=settings,
        recipe=chosen,
        start=None if origin is None else origin.place,
        **asked,
    )
    network = check_can_train(record)
    if origin is not None:
        network.check_arrays(origin.arrays)
    objectives = network.objectives()
    learns = unconditional or any("label" in objective.loss.inputs for objective in objectives.values())
    if asked["label"] is not None and not learns:
        warnings.warn(
            f"{spec.name} learns nothing of classes: the column {asked['label']!r} is left out of its rows.",
            ZooWarning,
            stacklevel=3,
        )
    record.inputs = sorted(check_inputs(objectives, fitted.keeping(fitted.inputs, classes=not unconditional)))
    if ignored := [name for name in inputs if name not in record.inputs]:
        warnings.warn(
            f"{spec.name} learns nothing of the input{'s' * (len(ignored) > 1)} {', '.join(map(repr, ignored))}.",
            ZooWarning,
            stacklevel=3,
        )
    record.categories = spaces.names_of({n: c for n, c in fitted.categories.items() if n in record.inputs})
    record.digest = kept(record, data).digest
    record.device = str(network.device)
    return record


def values_of(data: Dataset, name: str) -> int:
    """The number of values of an input that is a category; `InputError` for one that is none."""
    if name in data.categories:
        return max(2, len(data.categories[name]))
    most = 1
    for split in data.splits.values():
        for rows in blocks(split.sources[name]):
            values = split.take(name, rows)
            if values.ndim != 1 or not ((values >= 0) & (values == np.floor(values))).all():
                raise InputError(
                    f"the input {name!r} of {data.name} is no category; expected a word, or an integer from 0, for "
                    "each row."
                )
            most = max(most, int(values.max()))
    return most + 1


def kept(record: RunRecord, data: Dataset) -> Dataset:
    """What a run takes of its data: what it does not may change."""
    return data.keeping(record.inputs, classes=not record.unconditional)


def check_can_train(record: RunRecord) -> Network:
    """`InputError` where a network or its training cannot be made, or not be shared among so many devices."""
    devices, cls = record.devices, registry.network_class(record.spec)
    if devices > 1 and (not cls.parallel or cls.updates_itself()):
        raise InputError(
            f"{record.architecture} trains on one device; got devices={devices}. PyTorch architectures take more."
        )
    if record.recipe.batch_size < devices:
        raise InputError(
            f"batch_size is {record.recipe.batch_size}; expected at least one row for each of {devices} devices."
        )
    network = record.network(device=record.device)
    for name, objective in network.objectives().items():
        check_functions(f"the {name} loss of {record.architecture}", objective.loss)
    for name, method in network.methods().items():
        check_functions(f"{name} of {record.architecture}", method)
    with made_from(f"{record.architecture} with {record.config} and {record.recipe}", available()):
        network.learner(record.recipe, precision=record.precision)
    return network


def begin(record: RunRecord, out: Path, given: Given, force: bool) -> EagerModel:
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
            return continued(out, record, given)
        os.environ[PLACE] = str(work)
        stack.callback(os.environ.pop, PLACE)
        return go_on(work, out, record, kept(record, given.data), given, beginning)


def resume(
    run: str | Path,
    *,
    data: Any = None,
    inputs: Mapping[str, Any] | None = None,
    device: str | None = None,
    devices: int | None = None,
    precision: str | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    save_every: float | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Progress] = (),
    logger: Logger | None = None,
) -> EagerModel:
    """Go on with a run where it stopped, and return the model. A finished run is loaded as it is.

    As it was, it ends with the same bits as a training that was never stopped. It may also go on elsewhere (`device`,
    `devices`, `precision`), where sums are rounded in another way, and be extended: with more `epochs` the schedule of
    the learning rate is laid over the new total, so the result is not that of a training which had them from the start.
    """
    run = Path(run)
    record = read_record(run)
    elsewhere = {"device": device, "devices": devices, "precision": precision}
    longer = {name: value for name, value in (("epochs", epochs), ("patience", patience)) if value is not None}
    at = read_position(run)
    is_done = at.done and is_over(at, record.recipe)
    record = msgspec.structs.replace(record, **{name: value for name, value in elsewhere.items() if value is not None})
    if longer:
        record.recipe = extended(record, longer, at, run)
    elif is_done:
        if (run / LOCK).exists():
            with Exclusive(run / LOCK, TRAINED):  # that of a process which was killed at its very end
                remove_leftovers(run / CURVES)  # the last thing that it wrote
        return load(run, device=record.device)
    if any(value is not None for value in elsewhere.values()):
        record.device = str(check_can_train(record).device)
    return continued(run, record, Given(data, save_every, Listeners(progress, callbacks, logger), inputs))


def extended(record: RunRecord, longer: Mapping[str, int], at: Position, run: Path) -> Recipe:
    """The recipe of a run with more epochs or more patience; `InputError` where there is nothing to go on with."""
    recipe = record.recipe
    new = merge_recipe(recipe, longer, registry.network_class(record.spec))
    done = len(at.history)
    if at.step and is_over(at, new):
        if done >= new.epochs:
            raise InputError(
                f"{run} has trained {done} epochs; got epochs={new.epochs}. Give more: --epochs {2 * done}."
            )
        raise InputError(
            f"{run} stopped after epoch {done} of {recipe.epochs}: none had a better validation loss than epoch "
            f"{at.best_epoch}. Give it more patience than {new.patience}: --patience {2 * (done - at.best_epoch)}."
        )
    return new


def continued(run: Path, record: RunRecord, given: Given) -> EagerModel:
    """Go on with a run as `record` says."""
    source, kinds = record.data if given.data is None else given.data, registry.network_class(record.spec).spaces
    space = spaces.from_json(record.space)  # which a table and a tokenizer of other versions might find otherwise
    reading = {**record.reading, **given.arrays}
    reading |= {"categories": spaces.categories_of(record.categories)}
    dataset = kept(record, load_dataset(source, label=record.label, spaces=kinds, space=space, **reading))
    if dataset.digest != record.digest:
        raise InputError(f"the data {record.data} has changed since {run} was started. Restore it, or train anew.")
    return go_on(run, run, record, dataset, given, ExitStack())


def go_on(work: Path, run: Path, record: RunRecord, dataset: Dataset, given: Given, beginning: ExitStack) -> EagerModel:
    """Train in the folder `work`. `beginning` is closed at the first save: from then on the folder is `run`."""
    with ExitStack() as stack:
        lock = Exclusive(work / LOCK, TRAINED)
        if not is_worker():
            stack.enter_context(lock)
            if record != read_record(work):
                write_record(work, record)
        failpoint("run.locked")
        # its values are checked again: somebody may have changed the file
        merge_recipe(record.recipe, {}, registry.network_class(record.spec))
        network = record.network(seed=record.recipe.seed, device=record.device)
        data = dataset.fitted(network.space, network.classes, spaces.categories_of(record.categories))
        is_begun = is_saved(work)
        if record.start is None:
            adapt(network, data.splits["train"])
        elif not is_begun:
            network.load_arrays(origin_of(record.start).arrays)
        with made_from(f"the training of {run}"):
            learner = network.learner(record.recipe, precision=record.precision, devices=record.devices)
        loop = Loop(record, network, learner, data, stack.enter_context(given.listeners.listening()))
        loop.restore(work)
        if learner.rank:  # the first process saves, and perhaps has not done so yet
            loop.run(None)
            return EagerModel(network, run.name, loop.card())

        def publish() -> Path:
            beginning.close()
            lock.path = run / LOCK
            return run

        saver = stack.enter_context(
            Saver(work, size=size_of(network.arrays()), every=given.save_every, publish=publish)
        )
        if record.start is not None and not is_begun:  # from now on it needs nothing of what it has started from
            saver.save(loop.snapshot, wait=True)
        try:
            loop.run(saver)
        except Interrupted:
            draw_curves(saver.folder, loop)
            raise
        draw_curves(saver.folder, loop)
    return load(run, device=record.device)


def draw_curves(folder: Path, loop: Loop) -> None:
    """The picture of the losses, beside what was saved."""
    picture = curves(loop.at, loop.first)
    if picture is not None and is_saved(folder):
        with atomic_write(folder / CURVES, force=True, like=folder) as file:
            picture.save(file, format="PNG")


def is_worker() -> bool:
    """Whether this is a further process of a data-parallel training, which Fabric starts by the same command."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
