"""What is tested: each architecture on small sample spaces, with weights that are not trivial, and each preset."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

import zoo
from zoo import checkpoint, noise, registry, spaces
from zoo.api import MODEL
from zoo.artifact import MANIFEST
from zoo.data import Dataset
from zoo.eager import EagerModel
from zoo.errors import InputError, MissingDependency, ZooError, did_you_mean
from zoo.model import Array, Model
from zoo.network import Network, Objective
from zoo.parity.cases import make_inputs
from zoo.parity.inputs import input_examples
from zoo.plugins.loading import Plugin, load_plugins
from zoo.signature import Noise
from zoo.spaces import Discrete, Image, Labels, Real, Space, Strings, Text
from zoo.spec import ModelSpec, PresetSpec
from zoo.testing.check import NotApplicable
from zoo.testing.made_up import data, levels, made_up, train
from zoo.training.adapting import adapt

ENUMERABLE = 4096  # a space of so many observations is gone through one by one
DISTURBANCE = 0.1  # of the weights: an architecture that starts as the identity would pass whatever it does later
CLASSES = Labels(("a", "b", "c"))
MOST_CLASSES = 10  # of a model with more, the first are tested one by one
# seconds that a row takes at most -> rows that are drawn where a check compares laws, of all classes together
DRAWS = ((1e-5, 100_000), (1e-4, 20_000), (1e-3, 2000), (1e-2, 300), (math.inf, 150))
TIMED = 256  # of them
FEWEST_DRAWS = 30  # of a class
# One space of each type for all checks, smaller ones for what a density and its sampler must keep, and others for what
# a model may have been written without: colors, heights that are not widths, sizes that are not powers of two.
SPACES: dict[type[Space], Space] = {
    Real: Real(2),
    Image: Image(8, 8, 1, levels=5),
    Discrete: Discrete(3, levels=4),
    Text: Text(4, "ab"),
}
DENSITY_SPACES: dict[type[Space], Space] = {Real: Real(3), Image: Image(2, 2, 1, levels=3)}
ODD_SPACES: dict[type[Space], Space] = {Image: Image(6, 5, 3, levels=5)}
Scope = Literal["all", "density", "outputs"]  # all checks, those of densities, or that methods and losses work at all


class Subject:
    """A model under test. It is made when a check first asks for it, and shared by the checks.

    `given` is the class that density and sampler are compared for; without one, rows have all classes in turns.
    """

    given: int | None = None

    def __init__(
        self,
        label: str,
        spec: ModelSpec | PresetSpec,
        space: Space,
        make: Callable[[], Model],
        *,
        scope: Scope = "all",
    ) -> None:
        self.label, self.spec, self.space, self.scope = label, spec, space, scope
        self._make = make

    @cached_property
    def model(self) -> Model:
        return self._make()

    @cached_property
    def each_class(self) -> tuple[Self, ...]:
        """This subject for each of its classes, or as it is where no method takes one."""
        if not any("label" in signature.inputs for signature in self.model.signatures.values()):
            return (self,)
        return tuple(self.of_class(i) for i in range(min(self.classes, MOST_CLASSES)))

    def of_class(self, label: int) -> Self:
        twin = copy.copy(self)  # of the same model
        twin.given = label
        return twin

    @property
    def classes(self) -> int:
        return len(self.model.classes or CLASSES)

    @property
    def which(self) -> str:
        """Of which class, for messages."""
        return "" if self.given is None else f" of class {self.given}"

    @property
    def eager(self) -> EagerModel:
        """The model in its framework, where its inside can be looked at."""
        if not isinstance(self.model, EagerModel):
            raise NotApplicable("only the artifact can be opened here; the framework of this preset is not installed")
        return self.model

    @property
    def network(self) -> Network:
        return self.eager.network

    def has(self, *methods: str) -> bool:
        return all(method in self.spec.methods for method in methods)

    @property
    def enumerable(self) -> bool:
        """Whether the space has few enough observations to go through all of them."""
        return self.space.discrete and self.space.size * math.log(levels(self.space)) <= math.log(ENUMERABLE)

    def everything(self) -> Array:
        """All observations of an enumerable space, (N, *shape)."""
        base = levels(self.space)
        grid = np.indices((base,) * self.space.size).reshape(self.space.size, -1).T
        if isinstance(self.space, Strings):
            ended = np.cumsum(grid == 0, axis=1) > 0
            grid = grid[~(ended[:, :-1] & (grid[:, 1:] != 0)).any(axis=1)]
        return grid.reshape(-1, *self.space.shape).astype(self.space.dtype)

    def inputs(self, method: str, count: int, kind: str = "random") -> dict[str, Array]:
        """Inputs for a method: observations of the space, normal latents, classes, and what else it is told."""
        told = self.told(method, count)
        labels = {name: told[name] for name in told if name == "label"}
        return make_inputs(self.model, self.model.signature(method), kind, count) | labels

    def call(self, method: str, count: int, **more: Any) -> dict[str, Array]:
        """All outputs of a method for `count` rows of made-up inputs."""
        inputs = self.inputs(method, count)
        return self.model.run(method, inputs, count=None if inputs else count, **{"seed": 0, **more})

    def codes(self, method: str, count: int) -> dict[str, Array]:
        """What a network is told of rows, as far as the method takes it: classes in turn, or the one that is given, and
        of every other input one value for all rows, so that rows of different methods are of one distribution."""
        signature = self.model.signature(method)
        first = make_inputs(self.model, signature, "random", 1) if signature.conditions else {}
        told = {name: np.repeat(first[name], count, axis=0) for name in signature.conditions}
        if "label" in signature.inputs:
            told["label"] = np.arange(count) % self.classes if self.given is None else np.full(count, self.given)
        return told

    def told(self, method: str, count: int) -> dict[str, Array]:
        """What a caller tells a method of rows; see `codes`."""
        codes = self.codes(method, count)
        return {name: self.called(value) if name == "label" else value for name, value in codes.items()}

    def called(self, codes: Array) -> Array:
        return (self.model.classes or CLASSES).called(codes)

    def log_prob(self, x: Array, **more: Any) -> Array:
        """Nats in float64, (N,)."""
        return self.model.log_prob(x, **self.told("log_prob", len(x)), **more).astype(np.float64)

    def sample(self, count: int, seed: int = 0, **more: Any) -> Array:
        """Draws, where by default observations are means; as arrays, whatever callers get."""
        given = self.model.signature("sample").draws | more | self.told("sample", count)
        return self.model.run("sample", count=count, seed=seed, **given)["x"]

    @cached_property
    def draws(self) -> int:
        """Rows of its sampler that are drawn where laws are compared: fewer of a slow one."""
        self.sample(2)  # the first call prepares
        spent = min(self._seconds_of_draws(), self._seconds_of_draws()) / TIMED
        return next(rows for most, rows in DRAWS if spent < most)

    def _seconds_of_draws(self) -> float:
        """Of the processor, whatever else it has to do."""
        begin = time.process_time()
        self.sample(TIMED)
        return time.process_time() - begin

    @property
    def draws_of_a_class(self) -> int:
        return max(self.draws // len(self.each_class), FEWEST_DRAWS)


def of_classes(said: Sequence[str]) -> str:
    """What there is to say of each class, in short."""
    return said[0] + f" (class 0; {len(said) - 1} more alike)" * (len(said) > 1)


def loss_arguments(network: Network, objective: Objective, count: int) -> dict[str, Any]:
    """Tensors for a loss: data of the space, classes in turn, noise."""
    classes = network.classes or CLASSES
    given = input_examples(objective.loss.inputs, network.space, classes, "random", count)
    given |= {"x": data(network.space, count), "label": np.arange(count) % len(classes)}
    given = {name: given[name] for name in objective.loss.inputs}
    for name, declared in objective.loss.noise.items():
        given[name] = noise.draw(declared, np.arange(count), seed=1, stream=f"testing/{name}")
    return {name: network.tensor(a) for name, a in given.items()}


def disturbed(network: Network) -> None:
    """Give a fresh network the units of some data, and weights that are not zero."""
    made = made_up(network, 256)
    adapt(network, made.splits["train"])
    if network.updates_itself():
        updated(network, made)
    objective = next(iter(network.objectives().values()))
    trained = network.gradients(objective.loss, loss_arguments(network, objective, 4))
    arrays = network.arrays()
    for name in trained:
        old = arrays[name]
        z = noise.draw(Noise("normal", old.shape), np.arange(1), seed=0, stream=f"testing/{name}")[0]
        arrays[name] = (old + DISTURBANCE * z).astype(old.dtype)
    network.load_arrays(arrays)


def updated(network: Network, made: Dataset) -> None:
    """Train a network that updates itself for an epoch. One that fails stays as it is: `every_objective_trains` says
    why."""
    before = {name: np.array(array) for name, array in network.arrays().items()}
    try:
        train(network, made, epochs=1)
    except Exception:
        network.load_arrays(before)


# ---- the subjects of a plugin --------------------------------------------------------------------------------------


def find_plugin(name: str) -> list[Plugin]:
    """The entry points of a distribution."""
    found = [p for p in load_plugins() if p.name == name]
    if not found:
        installed = sorted({p.name for p in load_plugins()})
        raise InputError(
            f"no plugin {name!r} is installed; there are {', '.join(installed)}.{did_you_mean(name, installed)} "
            "Install yours first: pip install -e ."
        )
    return found


def subjects(
    plugins: Sequence[Plugin],
    settings: Mapping[str, Mapping[str, Any]],
    chosen_spaces: Mapping[str, Sequence[Space]],
) -> Iterator[Subject]:
    """Every architecture on every type of space that it takes, and every preset."""
    for plugin in plugins:
        for spec in plugin.specs:
            if isinstance(spec, ModelSpec):
                yield from _architecture(spec, settings.get(spec.name, {}), chosen_spaces.get(spec.name))
            elif isinstance(spec, PresetSpec):
                yield Subject(spec.name, spec, _space_of(spec), lambda spec=spec: _preset(spec))  # type: ignore[misc]


def network_subject(
    cls: type[Network], space: Space, spec: ModelSpec, settings: Mapping[str, Any], **more: Any
) -> Subject:
    """An untrained network on a space, with classes unless `classes` is None."""
    label, classes = f"{spec.name}[{_id(space)}]", more.pop("classes", CLASSES)

    def make() -> EagerModel:
        try:
            network = cls.create(space, settings, classes)
        except InputError as refused:
            if more.get("scope") == "outputs":  # it need not take every size, nor data without classes
                raise NotApplicable(str(refused)) from None
            raise
        disturbed(network)
        return EagerModel(network, spec.name, {"architecture": spec.name, "family": spec.family})

    if classes is None:
        label = label.removesuffix("]") + "-no-classes]"
    return Subject(label, spec, space, make, **more)


def _architecture(spec: ModelSpec, settings: Mapping[str, Any], given: Sequence[Space] | None) -> Iterator[Subject]:
    cls = registry.network_class(spec)

    def subject(space: Space, **more: Any) -> Subject:
        return network_subject(cls, space, spec, settings, **more)

    full = [SPACES[t] for t in SPACES if issubclass(t, cls.spaces)] if given is None else given
    yield from (subject(space) for space in full)
    if given is None:
        if "log_prob" in spec.methods:
            yield from (subject(s, scope="density") for t, s in DENSITY_SPACES.items() if issubclass(t, cls.spaces))
        yield from (subject(s, scope="outputs") for t, s in ODD_SPACES.items() if issubclass(t, cls.spaces))
    if not cls.needs_classes and full:
        yield subject(full[0], scope="outputs", classes=None)


def _id(space: Space) -> str:
    return f"{space.type}-{'x'.join(map(str, space.shape))}"


def _preset(spec: PresetSpec) -> Model:
    """The checkpoint if its framework is here, else the artifact."""
    if spec.checkpoint:
        try:
            return zoo.load(spec.name)
        except MissingDependency:
            if not spec.artifact:
                raise
    return zoo.open(spec.name, device="cpu")


def _space_of(spec: PresetSpec) -> Space:
    folder, file = (spec.checkpoint, f"{MODEL}.json") if spec.checkpoint else (spec.artifact, MANIFEST)
    path = Path(str(folder)) / file
    found = checkpoint.read_json(path, 1).get("space")
    if not isinstance(found, dict):
        raise ZooError(f"{path} names no sample space. Restore it from a copy, or make it again.")
    return spaces.from_json(found)
