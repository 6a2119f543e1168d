"""A framework's network as a `Model`: runs its calls and loops eagerly with the reference noise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np

from zoo import noise
from zoo.errors import InputError, did_you_mean
from zoo.model import Array, Model, check_option
from zoo.network import Network
from zoo.rows import Numbers
from zoo.signature import Call, Method, Noise, Signature, Window, check_functions, fixed, named
from zoo.spaces import categories_of

# declared noises, step -> an array for each: of shape (N, *noise.shape), for the examples that are computed
Draw = Callable[..., Mapping[str, Array]]


class EagerModel(Model):
    """`network` with methods over numpy. `meta` is what its checkpoint says beside the weights."""

    def __init__(self, network: Network, name: str, meta: Mapping[str, Any] | None = None) -> None:
        self.network = network
        self.name = name
        self.meta = dict(meta or {})
        self.categories = categories_of(self.meta.get("categories", {}))
        self.space, self.classes, self.density = network.space, network.classes, network.density
        self.methods: Mapping[str, Method] = network.methods()
        for method, definition in self.methods.items():
            check_functions(f"{method} of {name}", definition)
        self.signatures = {name: self._signature_of(method) for name, method in self.methods.items()}
        self.windows: dict[str, Window] = {}
        self.noise_change: Callable[[Array], Array] | None = None

    def with_noise(self, change: Callable[[Array], Array]) -> Self:
        """This model with all its noise changed: how far does it move?"""
        model = copy.copy(self)
        model.noise_change = change
        return model

    def with_methods(self, methods: Mapping[str, Method]) -> Self:
        """This model with other methods of its network."""
        model = copy.copy(self)
        model.methods = methods
        model.signatures = {name: self._signature_of(method) for name, method in methods.items()}
        return model

    def windowed(self, method: str, window: Window) -> Self:
        twin = copy.copy(self)
        twin.windows = {**self.windows, method: window}
        return twin

    def fixed(self, options: Mapping[str, Any]) -> EagerModel:
        """This model with its options as constants: those given, and the defaults of the others."""
        known = {name for s in self.signatures.values() for name in s.options}
        for name in options:
            if name not in known:
                listed = f"there are {', '.join(sorted(known))}" if known else "there are none"
                raise InputError(f"{self.name} has no option {name!r}; {listed}.{did_you_mean(name, known)}")
        methods: dict[str, Method] = {}
        for method, definition in self.methods.items():
            values = {n: check_option(n, o, options.get(n)) for n, o in definition.options.items()}
            tensors = {n: self.network.tensor(np.asarray(v)) for n, v in values.items()}
            methods[method] = fixed(definition, tensors)
        return self.with_methods(methods)

    def _signature_of(self, method: Method) -> Signature:
        """The signature of a method, in which a category has no more codes than names."""
        signature = Signature.of(method)
        named = {name: tensor for name, tensor in signature.inputs.items() if name in self.categories}
        coded = {name: replace(tensor, high=len(self.categories[name]) - 1) for name, tensor in named.items()}
        return replace(signature, inputs={**signature.inputs, **coded})

    def _execute(
        self,
        method: str,
        inputs: Mapping[str, Array],
        seed: Numbers,
        index: Numbers,
        options: Mapping[str, np.generic],
    ) -> dict[str, Array]:
        def draw(noises: Mapping[str, Noise], step: int = 0) -> dict[str, Array]:
            when: dict[str, Any] = {"seed": seed, "step": step, "options": options}
            drawn = {n: noise.draw(d, index, stream=f"{method}/{n}", **when) for n, d in noises.items()}
            return {n: self.noise_change(a) for n, a in drawn.items()} if self.noise_change else drawn

        return self.compute(method, inputs, index, options, draw)

    def compute(
        self,
        method: str,
        inputs: Mapping[str, Array],
        index: Numbers,
        options: Mapping[str, np.generic],
        noises: Draw,
    ) -> dict[str, Array]:
        """The outputs of a method as the function that it is: of its inputs, its options and its noise."""
        net, definition = self.network, self.methods[method]

        def draw(*which: Any) -> dict[str, Any]:
            return {name: net.tensor(a) for name, a in noises(*which).items()}

        with net.inference():
            given = {name: net.tensor(a) for name, a in inputs.items()}
            chosen = {name: net.tensor(np.asarray(v)) for name, v in options.items()}
            if isinstance(definition, Call):
                result = definition.function(**given, **draw(definition.noise), **chosen)
            else:
                steps = definition.length if isinstance(definition.length, int) else int(options[definition.length])
                first = definition.init(net.tensor(index), **given, **draw(definition.init_noise), **chosen)
                state = {name: first[name] for name in definition.state}
                constant = {name: first[name] for name in definition.invariants}
                numbers = range(steps)
                if window := self.windows.get(method):
                    numbers = numbers[window.first : window.first + window.steps]
                for i in numbers:
                    fresh = draw(definition.noise, i)
                    state = definition.step(net.tensor(np.asarray(i)), state, **given, **constant, **fresh, **chosen)
                    if definition.until and bool(definition.until(state)):
                        break
                result = definition.finish(state)
            return {name: net.numpy(t) for name, t in named(result, definition.outputs).items()}
