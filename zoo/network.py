"""The interface between a framework's plugin and the core: a network with its methods as data, and a learner that
trains it.

An author subclasses the base class of a framework (`zoo_torch.TorchNetwork`, `zoo_keras.KerasNetwork`), which is a
`Network`. Tensors are the framework's; a batch axis always comes first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from inspect import Parameter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from zoo.errors import InputError, PluginError, did_you_mean
from zoo.signature import RESERVED, Call, Method, Tensor
from zoo.spaces import Labels, Space
from zoo.spec import Density

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[np.generic]]

INPUTS = "that the model is told of each row, with the number of their values: glasses:3,mouth:2 (train --inputs)"
OPTIMIZER = frozenset({"weight_decay", "betas", "clip", "accumulate"})  # settings of steps that follow a gradient
LARGEST = 2**20  # of the numbers among settings of an architecture: its widths, its layers, what it tells apart


def setting(default: Any, meaning: str) -> Any:
    """A setting of an architecture, as a field of its `Config`: `layers: int = setting(8, "coupling layers")`.
    `zoo show ARCHITECTURE --settings` prints what it means."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Recipe:
    """How to train: an architecture's defaults, which the command line may override. See `average_decay` for `ema`."""

    epochs: int = setting(100, "passes over the training data")
    batch_size: int = setting(64, "rows per step, over all devices")
    learning_rate: float = setting(1e-3, "peak of the schedule, which starts with a warm-up")
    weight_decay: float = setting(0.0, "of AdamW, as a multiple of the learning rate")
    betas: tuple[float, float] = setting((0.9, 0.999), "of AdamW: decay of the averages of gradients and squares")
    clip: float = setting(0.0, "largest gradient norm of a step; 0: no limit")
    ema: float = setting(0.0, "decay of the averaged weights that are evaluated and saved; 0: none")
    patience: int = setting(0, "epochs without a better validation loss; 0: to the end, and the last weights are kept")
    schedule: str = setting("cosine", "of the learning rate: cosine down to zero, constant, or an architecture's own")
    seed: int = setting(0, "of initial weights, order and noise")
    accumulate: int = setting(1, "parts of a batch, one after the other in memory; their gradients are added up")


@dataclass(frozen=True)
class Objective:
    """A loss to minimize: a call with the data as inputs (`x`, `label`, and the inputs of data sets by name), its own
    noise, and an output `loss` of shape `(N,)`. Further outputs, such as the parts of the loss, are logged: their means
    over a batch. `parameters` are the attributes of the network that it trains (empty: all of them)."""

    loss: Call
    parameters: tuple[str, ...] = ()

    @property
    def optional(self) -> frozenset[str]:
        """The inputs for which the function of the loss has a default: they are passed if the data have them."""
        parameters = inspect.signature(self.loss.function).parameters
        return frozenset(
            n for n in self.loss.inputs if n in parameters and parameters[n].default is not Parameter.empty
        )


class Learner(Protocol):
    """One framework's training step; the loop around it is `zoo.training`."""

    rank: int
    world_size: int

    def step(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> Mapping[str, float]:
        """One optimizer step on a batch; returns the means of the objective's outputs, `loss` and the others."""

    def evaluate(self, objective: str, inputs: Arrays, noise: Arrays) -> Arrays:
        """The objective's outputs on a batch, `loss` (N,) and the others, with the weights that would be saved."""

    def state(self) -> Arrays:
        """Everything that `load_state` needs to resume bit for bit: weights, averages and optimizer. Copies, which
        later steps do not change."""

    def load_state(self, arrays: Arrays) -> None: ...

    def weights(self) -> Arrays:
        """The weights to keep: averaged if the recipe says so."""

    def memory(self) -> int:
        """Peak bytes allocated on a device with its own memory; 0 on a CPU."""


class Network:
    """Base of every framework's base class: configuration, sample space and the calls that the core makes."""

    Config: ClassVar[type]
    spaces: ClassVar[tuple[type[Space], ...]]
    framework: ClassVar[str]
    recipe: ClassVar[Recipe] = Recipe()
    parallel: ClassVar[bool] = False  # whether its learner takes several devices
    needs_classes: ClassVar[bool] = False  # a classifier, or a model that is always conditional
    takes_inputs: ClassVar[bool] = False  # whether its setting `inputs` names categories (see `category_inputs`)
    full_batch: ClassVar[bool] = False  # whether each step takes all rows, as EM does: there is no batch size
    # schedules of its own: from the share of the steps that are done to a multiple of the peak learning rate
    schedules: ClassVar[Mapping[str, Callable[[float], float]]] = {}

    space: Space
    classes: Labels | None
    config: Any
    density: Density | None = None
    kept: tuple[str, ...] = ()  # variables in which its methods keep tensors from one call to the next

    @classmethod
    def create(
        cls,
        space: Space,
        config: Mapping[str, Any] | None = None,
        classes: Labels | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> Network:
        """A network with fresh weights, made from `seed`, on "auto", "cpu" or "cuda" (`InputError` if absent)."""
        raise NotImplementedError

    def tracing(self) -> AbstractContextManager[Any]:
        """A context in which an exporter traces the methods."""
        return nullcontext()

    @property
    def device(self) -> Any:
        """Where the weights are; its string is a `device` for `create`."""
        raise NotImplementedError

    @classmethod
    def configure(cls, space: Space, config: Mapping[str, Any] | None, classes: Labels | None) -> Any:
        """The configuration as an instance of `Config`; `InputError` for what this architecture does not take."""
        if not isinstance(space, cls.spaces):
            wanted = " or ".join(s.__name__ for s in cls.spaces)
            raise InputError(f"{cls.__name__} models {wanted} spaces; this data is {space.describe()}.")
        if cls.needs_classes and classes is None:
            raise InputError(f"{cls.__name__} needs class labels, and this data has none.")
        found = parse_config(cls.Config, config or {})
        if cls.takes_inputs:
            category_inputs(found.inputs)
        for name, value in asdict(found).items():
            numbers = [n for n in (value if isinstance(value, tuple) else (value,)) if isinstance(n, int)]
            if any(abs(n) > LARGEST for n in numbers):  # a network would be built layer by layer until memory runs out
                raise InputError(f"setting {name}={value} is too large; expected numbers up to {LARGEST:,}.")
        return found

    def methods(self) -> Mapping[str, Method]:
        """The methods of this network, over tensors."""
        raise NotImplementedError

    def objectives(self) -> Mapping[str, Objective]:
        """The losses, in the order of training on a batch. Validation reports the first."""
        raise NotImplementedError

    def metrics(self) -> Mapping[str, Call]:
        """Figures of its own for `zoo evaluate`: calls as losses are, with outputs of one number for each row, (N,),
        whose means are reported. What a figure is says the first line of its function's docstring."""
        return {}

    def adapt(self, x: npt.NDArray[Any]) -> None:
        """Fit preprocessing constants, such as means, or a closed form to the training data. Called once, before
        training, with at most 64 MiB of observations, evenly spread. An override may take more of these rows by name:
        `label`, their classes, and inputs of the data."""

    def update(self, objective: str, inputs: Mapping[str, Any], noise: Mapping[str, Any], learning_rate: float) -> None:
        """One step on a batch that follows no gradient, such as one of EM: change the weights in place. Tensors are the
        framework's. By default there is none: steps follow the gradient, or nothing is left to learn after `adapt`."""

    @classmethod
    def updates_itself(cls) -> bool:
        """Whether it is trained by its own `update`."""
        return cls.update is not Network.update

    @classmethod
    def used_settings(cls) -> frozenset[str]:
        """The settings of a recipe that its training has a use for. Others are refused."""
        unused = {"batch_size"} if cls.full_batch else set()
        return frozenset(f.name for f in fields(Recipe)) - unused - (OPTIMIZER if cls.updates_itself() else set())

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All weights and buffers by name."""
        raise NotImplementedError

    def load_arrays(self, arrays: Arrays) -> None:
        raise NotImplementedError

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]], changed_by: str) -> None:
        """`PluginError` if the weights no longer have the names and shapes that they were made with."""
        now = shapes_of(self)
        if now == shapes:
            return
        made = [name for name in now if name not in shapes]
        other = [f"{name} is {now.get(name)}, was {shape}" for name, shape in shapes.items() if now.get(name) != shape]
        said = f"makes {', '.join(made)}, which __init__ does not" if made else f"changes weights: {'; '.join(other)}"
        raise PluginError(
            f"{changed_by} of {type(self).__name__} {said}. __init__ gives each weight the shape that it always has: "
            "only so is it saved and read again."
        )

    def check_arrays(self, arrays: Arrays) -> None:
        """`InputError` for arrays that do not belong to this network, as required by `load_arrays`."""
        mine = self.arrays()  # a number has shape () or, in older files, (1,)
        wrong = [f"{name} is missing" for name in mine if name not in arrays]
        wrong += [f"{name} is unknown" for name in arrays if name not in mine]
        wrong += [
            f"{name} has shape {arrays[name].shape}, expected {have.shape}"
            for name, have in mine.items()
            if name in arrays and arrays[name].shape not in (have.shape, have.shape or (1,))
        ]
        if wrong:
            shown = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
            raise InputError(
                f"the weights do not fit {type(self).__name__} with {self.config}: {shown}. If another version "
                "of the plugin made them, use that version, or train again."
            )

    def tensor(self, array: npt.NDArray[Any]) -> Any:
        """A numpy array as a tensor of this framework, on the device of the network."""
        raise NotImplementedError

    def numpy(self, tensor: Any) -> npt.NDArray[Any]:
        raise NotImplementedError

    def inference(self) -> AbstractContextManager[Any]:
        """A context without gradients, in evaluation mode."""
        raise NotImplementedError

    def learner(self, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> Learner:
        raise NotImplementedError

    # ---- what `zoo.testing` asks of a framework --------------------------------------------------------------------

    def gradients(self, loss: Call, given: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """The gradient of the mean loss with respect to each weight trained by gradients, under its name in `arrays`:
        zeros if the loss does not depend on it. Empty if weights are fitted in another way."""
        return {}

    def jacobian(self, function: Callable[[Any], Any], x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The Jacobian of a function of a batch of vectors, for each row: (N, D) -> (N, outputs, D).

        By central differences in float64; a framework with automatic differentiation overrides it.
        """
        import numpy as np

        columns = []
        for k in range(x.shape[1]):
            step = np.zeros(x.shape[1])
            step[k] = 1e-5
            ahead, behind = (self.numpy(function(self.tensor(x.astype(np.float64) + s))) for s in (step, -step))
            columns.append((ahead.astype(np.float64) - behind) / 2e-5)
        return np.stack(columns, axis=2)

    def random_state(self) -> bytes:
        """The state of the framework's own random numbers, which no method and no loss may use."""
        return b""

    def describe(self) -> dict[str, Any]:
        """What a checkpoint stores besides the weights."""
        return {
            "space": self.space.to_json(),
            "classes": list(self.classes.names) if self.classes else None,
            "config": asdict(self.config),
            "density": self.density,
            "framework": self.framework,
        }


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    """The shapes of its weights by name."""
    return {name: array.shape for name, array in network.arrays().items()}


def average_decay(ema: float, count: int) -> float:
    """The decay of averaged weights after `count` steps: it rises to `ema`. So the average covers about a tenth of the
    steps, and in a short training it forgets the start."""
    return min(ema, (1 + count) / (10 + count))


def steps_taken(value: Any) -> int:
    """The number of steps of a saved optimizer state; `InputError` if it is invalid: frameworks accept any, and fail in
    a step."""
    number = float(value)
    if not (0 <= number < 2**53 and number.is_integer()):
        raise InputError(f"it is the state after {number:g} steps")
    return int(number)


def parts_of(count: int, inputs: Arrays, noise: Arrays) -> Iterator[tuple[float, Arrays, Arrays]]:
    """A batch in `count` parts, at most one per row: the share of the rows, their inputs, and their noise."""
    if count == 1:
        yield 1.0, inputs, noise
        return
    rows = len(next(iter((inputs or noise).values())))
    edges = [rows * i // min(count, rows) for i in range(min(count, rows) + 1)]
    for low, high in pairwise(edges):
        x, z = ({name: a[low:high] for name, a in arrays.items()} for arrays in (inputs, noise))
        yield (high - low) / rows, x, z


def choose_device(device: str, has_cuda: bool) -> str:
    """ "cpu" or a CUDA device as requested; "auto" means CUDA if the framework has it."""
    if device == "auto":
        return "cuda" if has_cuda else "cpu"
    if device.startswith("cuda") and not has_cuda:
        raise InputError("CUDA was requested, but the framework finds no CUDA device. Use the CPU: --device cpu.")
    return device


def category_inputs(declared: Sequence[str]) -> dict[str, int]:
    """The number of values of each categorical input (integers from 0): `{"glasses": 3, "mouth": 2}` for the setting
    `inputs=("glasses:3", "mouth:2")`. `InputError` for any other format."""
    found: dict[str, int] = {}
    for item in declared:
        name, _, count = item.rpartition(":")
        if not name or not count.isdecimal() or not 2 <= int(count) <= LARGEST:
            raise InputError(
                f"setting inputs has {item!r}; expected a name and a number of values from 2 to {LARGEST:,}, such as "
                "glasses:3."
            )
        if name in found or name in RESERVED:
            why = "twice" if name in found else "and it means something else"
            raise InputError(f"setting inputs has {name!r} {why}. Leave it out.")
        found[name] = int(count)
    return found


def told_tensors(counts: Mapping[str, int]) -> dict[str, Tensor]:
    """The class ("label") and inputs that are categories, by the number of their values, as inputs of a method."""
    return {n: Tensor("int64") if n == "label" else Tensor("int64", low=0, high=k - 1) for n, k in counts.items()}


def parse_config(cls: type, values: Mapping[str, Any]) -> Any:
    """An instance of the dataclass `cls` from JSON values or the strings of `--set key=value`."""
    known = {f.name: f for f in fields(cls)}
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            options = ", ".join(known) or "none"
            raise InputError(f"unknown setting {name!r}; there are {options}.{did_you_mean(name, known)}")
        entry = known[name]
        default = entry.default
        parsed[name] = _like(default, value, name)
    return cls(**parsed)


def _like(default: Any, value: Any, name: str) -> Any:
    """`value` with the type of `default`."""
    kind = type(default)
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[value.lower()]
        if kind is tuple:
            items = value.split(",") if isinstance(value, str) else value
            like = default[0] if default else ""
            return tuple(_like(like, item, name) for item in items)
        if kind is int and isinstance(value, float) and value != int(value):
            raise ValueError
        return kind(value)
    except (ValueError, KeyError, TypeError, OverflowError):
        shown = "numbers separated by commas" if kind is tuple else f"a value like {default!r}"
        raise InputError(f"setting {name}={value!r} is not valid; expected {shown}.") from None


__all__ = [
    "INPUTS", "Learner", "Network", "Objective", "Recipe", "average_decay", "category_inputs", "choose_device",
    "parse_config", "parts_of", "setting", "told_tensors",
]  # fmt: skip
