"""The base class of an architecture that needs no framework: closed forms, counts, small maths.

Its functions are written against the array API (https://data-apis.org/array-api): numpy runs them, and an exporter may
run the same functions on the tensors of a framework to trace them. `array_api_compat.array_namespace(x)` gives an
author the functions that belong to an array.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.network import OPTIMIZER, Network, Recipe, shapes_of
from zoo.signature import named
from zoo.spaces import Labels, Space

if TYPE_CHECKING:
    from zoo.network import Arrays


class NumpyNetwork(Network):
    """A sample space, a configuration, and methods over batches of numpy arrays.

    An architecture defines `Config`, `spaces`, `methods()` and `objectives()`, and `density` where it has one. Its
    weights are the attributes that are numpy arrays and do not begin with an underscore; `__init__` gives each the
    shape that it will always have. `adapt(x)` fits in closed form before training begins; an architecture that is
    fitted step by step overrides `update`, and says `full_batch = True` if each step takes all rows.
    """

    framework = "numpy"
    recipe = Recipe(epochs=1)

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        self.space, self.config, self.classes = space, config, classes

    @classmethod
    def create(
        cls,
        space: Space,
        config: Mapping[str, Any] | None = None,
        classes: Labels | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> Self:
        if device not in ("auto", "cpu"):
            raise InputError(f"{cls.__name__} runs in numpy, on the CPU; got device={device!r}.")
        network = cls(space, cls.configure(space, config, classes), classes)
        network.reset(np.random.default_rng(seed))
        return network

    def reset(self, random: np.random.Generator) -> None:
        """Give the weights their first values, where those are random."""

    @property
    def device(self) -> str:
        return "cpu"

    @classmethod
    def used_settings(cls) -> frozenset[str]:
        steps = {"learning_rate", "schedule"} if cls.updates_itself() else set()
        return super().used_settings() - OPTIMIZER - {"ema", "learning_rate", "schedule"} | steps

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {n: a for n, a in vars(self).items() if isinstance(a, np.ndarray) and not n.startswith("_")}

    def load_arrays(self, arrays: Arrays) -> None:
        self.check_arrays(arrays)
        mine = self.arrays()
        for name, array in arrays.items():
            setattr(self, name, np.array(array, dtype=mine[name].dtype).reshape(mine[name].shape))

    def with_arrays(self, arrays: Mapping[str, Any]) -> Self:
        """The same network over other arrays, such as the tensors of a framework that traces it."""
        twin = copy.copy(self)
        for name, array in arrays.items():
            setattr(twin, name, array)
        return twin

    def tensor(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.array(array)

    def numpy(self, tensor: Any) -> npt.NDArray[Any]:
        return np.asarray(tensor)

    @contextmanager
    def inference(self) -> Iterator[None]:
        yield

    def learner(self, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> NumpyLearner:
        if precision != "32-true":
            raise InputError(f"{type(self).__name__} runs in numpy, which computes in 32 bits; got {precision!r}.")
        return NumpyLearner(self)


class NumpyLearner:
    """Steps of a network that knows how to update itself."""

    rank, world_size = 0, 1

    def __init__(self, network: NumpyNetwork) -> None:
        self.network, self.objectives, self.shapes = network, network.objectives(), shapes_of(network)

    def step(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> dict[str, float]:
        self.network.update(objective, inputs, noise, learning_rate)
        self.network.check_shapes(self.shapes, "update")
        return {name: float(a.mean()) for name, a in self.evaluate(objective, inputs, noise).items()}

    def evaluate(self, objective: str, inputs: Arrays, noise: Arrays) -> dict[str, npt.NDArray[np.float32]]:
        call = self.objectives[objective].loss
        outputs = named(call.function(**inputs, **noise), call.outputs)
        return {name: np.asarray(a, dtype=np.float32) for name, a in outputs.items()}

    def state(self) -> Arrays:
        return {name: np.array(a) for name, a in self.network.arrays().items()}

    def load_state(self, arrays: Arrays) -> None:
        self.network.load_arrays(arrays)

    def weights(self) -> Arrays:
        return self.network.arrays()

    def memory(self) -> int:
        return 0
