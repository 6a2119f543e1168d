"""The base class of a Keras architecture."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from zoo.network import Network, Recipe, choose_device
from zoo.parity.inputs import input_examples
from zoo.signature import Call, Noise, Tensor, named, resolve
from zoo.spaces import Labels, Space
from zoo_keras.backend import keras

if TYPE_CHECKING:
    from zoo_keras.learner import KerasLearner


class KerasNetwork(Network, keras.Model):
    """A `keras.Model` with a sample space, a configuration, and methods over batches of tensors.

    An architecture creates its layers in `__init__`, and defines `Config`, `spaces`, `methods()`, `objectives()`, and
    `density` if it has one. Tensors are PyTorch's; `keras.ops` works on them. Methods draw no random numbers:
    no `keras.random`, no Dropout layers. Do not name a method `predict`, `evaluate` or `fit`: those are Keras's.
    """

    framework = "keras"

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__()
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
        settings = cls.configure(space, config, classes)
        with seeded(seed), keras.device(choose_device(device, torch.cuda.is_available())):
            network = cls(space, settings, classes)
            network.build()
        return network.eval()

    def build(self, input_shape: Any = None) -> None:
        """Create the weights of all layers by running every loss and method once on two examples."""
        with torch.no_grad():
            for objective in self.objectives().values():
                named(objective.loss.function(**_dummies(self, objective.loss)), objective.loss.outputs)
            for method in self.methods().values():
                if isinstance(method, Call):
                    method.function(**_dummies(self, method))
                    continue
                examples = _dummies(self, method, {**method.init_noise, "index": Tensor("int64")})
                first = method.init(**examples)
                state = {name: first[name] for name in method.state}
                constant = {name: first[name] for name in method.invariants}
                i = keras.ops.zeros((), dtype="int64")
                method.finish(method.step(i, state, **constant, **_dummies(self, method, method.noise)))

    @classmethod
    def used_settings(cls) -> frozenset[str]:
        """Averages are the optimizer's."""
        return super().used_settings() - ({"ema"} if cls.updates_itself() else set())

    @property
    def device(self) -> torch.device:
        return self.weights[0].value.device if self.weights else torch.device("cpu")

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: array_of(v) for name, v in named_weights(self).items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.check_arrays(arrays)
        assign(named_weights(self), arrays)

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    def numpy(self, tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy()

    def gradients(self, loss: Call, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        if self.updates_itself():
            return {}
        trained = {name: v.value for name, v in named_weights(self).items() if v.trainable}
        value = named(loss.function(**given), loss.outputs)["loss"].mean()
        found = torch.autograd.grad(value, list(trained.values()), allow_unused=True, materialize_grads=True)
        return {name: self.numpy(g) for name, g in zip(trained, found, strict=True)}

    def jacobian(self, function: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            given = self.tensor(x).requires_grad_(True)
            columns = function(given).unbind(1)
            rows = [torch.autograd.grad(c.sum(), given, retain_graph=True, materialize_grads=True)[0] for c in columns]
        return torch.stack(rows, 1).double().cpu().numpy()

    def random_state(self) -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    @contextmanager
    def inference(self) -> Iterator[None]:
        training = self.training
        self.eval()
        try:
            with torch.no_grad(), keras.device(str(self.device)):  # where keras.ops creates tensors
                yield
        finally:
            self.train(training)

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Inside, the seeds of `keras.random` are constants: Keras turns each into a number, which cannot be traced
        for a tensor. So an unused draw leaves no trace, and the exporter sees any other."""
        from keras.src.backend.torch import random as draws

        draw_seed = draws.draw_seed
        draws.draw_seed = lambda seed: (0, 0)
        try:
            yield
        finally:
            draws.draw_seed = draw_seed

    def learner(self, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> KerasLearner:
        from zoo_keras.learner import KerasLearner

        return KerasLearner(self, recipe, precision=precision, devices=devices)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the random state of Python, numpy and PyTorch with `seed` inside, and restore it afterwards. Keras draws the
    seeds of its initializers from Python's."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def named_weights(layer: keras.Layer, prefix: str = "") -> dict[str, keras.Variable]:
    """The weights of a layer and its sublayers by attribute path, such as `encoder.0.kernel`. Keras's own names count
    up over the whole process, so they are not reproducible."""
    names: dict[int, str] = {}
    for attribute, value in {**layer._modules, **vars(layer)}.items():
        if isinstance(value, keras.Variable):
            names.setdefault(id(value), attribute.lstrip("_"))
        elif not attribute.startswith("_"):
            for name, part in _parts(attribute, value):
                names.setdefault(id(part), name)
    found: dict[str, keras.Variable] = {}
    for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
        found[prefix + names.get(id(variable), variable.name)] = variable
    nested = layer._flatten_layers(include_self=False, recursive=False)
    for i, child in enumerate(layer.layers if isinstance(layer, keras.Model) else nested):
        known = {id(v) for v in found.values()}  # a layer used twice has one name
        inside = named_weights(child, f"{prefix}{names.get(id(child), i)}.")
        found |= {n: v for n, v in inside.items() if id(v) not in known}
    return found


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A layer or variable under its name, those of a list or dict under `name.0`, `name.key`."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)
    elif isinstance(value, (keras.Layer, keras.Variable)):
        yield name, value


def array_of(variable: keras.Variable) -> np.ndarray:
    return np.array(variable.value.detach().cpu().numpy(), order="C")


def assign(variables: Mapping[str, keras.Variable], arrays: Mapping[str, np.ndarray]) -> None:
    with torch.no_grad():
        for name, variable in variables.items():
            variable.value.copy_(torch.from_numpy(np.array(arrays[name])))


def _dummies(network: Network, method: Any, more: Mapping[str, Any] | None = None) -> dict[str, torch.Tensor]:
    """Two examples of each argument of a call; for a loop, of the arguments of `init` and `step`, and of `more`."""
    options = {name: o.number for name, o in method.options.items()}
    made = {name: keras.ops.full((), o.number, dtype=o.dtype) for name, o in method.options.items()}
    for name, a in (method.noise if isinstance(method, Call) else more or {}).items():
        shape = (2, *resolve(a.shape, options))
        made[name] = keras.ops.full(shape, 0.5) if isinstance(a, Noise) else keras.ops.zeros(shape, dtype=a.dtype)
    inputs = input_examples(method.inputs, network.space, network.classes, "random", 2, options)
    return made | {name: keras.ops.convert_to_tensor(array) for name, array in inputs.items()}
