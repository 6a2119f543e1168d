"""The state shared by the functions that build methods: the parsed arguments, and what was inferred so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from zoo.errors import InputError
from zoo.signature import Option, Tensor
from zoo.spec import Density
from zoo.wrapping import probe
from zoo.wrapping.arguments import (
    WrapArguments,
    WrappedNetwork,
    check_names,
    read_inputs,
    read_latent,
    read_noise,
    read_options,
    title,
)
from zoo.wrapping.calling import Given
from zoo.wrapping.units import Units, View


class Builder:
    """The network under construction. `adapted` are the user's functions, `views` how they see observations."""

    def __init__(self, network: WrappedNetwork, arguments: WrapArguments, given: Mapping[str, Any]) -> None:
        self.network, self.arguments, self.given = network, arguments, given
        self.units = Units(arguments.space, network.cast, network.first, arguments.values, arguments.layout)
        self.options = read_options(arguments.options)
        self.noise = read_noise(arguments.noise, "noise")
        self.fresh = read_noise(arguments.step_noise, "step_noise")
        self.inputs = read_inputs(arguments.inputs)
        check_names(self.noise, self.fresh, self.options, self.inputs, network.classes is not None)
        self.adapted: list[Given] = []
        self.views: dict[str, View] = {}
        self.used: set[str] = set()  # options that are used even if no function takes them
        self.inferred = ""  # how the range of an image's floats was inferred
        self.latent = read_latent(arguments.latent)
        self.name = arguments.name or title(given)
        if arguments.density not in (None, *get_args(Density)):
            raise InputError(f"density is {arguments.density!r}; expected {', '.join(map(repr, get_args(Density)))}.")
        network.made = {}
        self.probe = probe.Probe(network, self.options, given.values())

    def bind(self, what: str, tensors: Any, extra: Sequence[str] = ()) -> Given:
        return self.bound(Given(what, self.given[what]), tensors, self.network.classes is not None, extra)

    def bound(self, given: Given, tensors: Any, conditional: bool, extra: Sequence[str] = ()) -> Given:
        given.bind(tensors, (*self.options, *self.inputs, *extra), conditional)
        self.adapted.append(given)
        return given

    def after(self, what: str) -> Given | None:
        """`finish` or `until`, which receive only the state."""
        if what not in self.given:
            return None
        given = Given(what, self.given[what])
        given.bind(("state",), (), False)
        return given

    def conditions(self, *given: Given) -> dict[str, Tensor]:
        """The class and the inputs, which functions take by keyword."""
        known = {"label": Tensor("int64"), **self.inputs}
        return {name: t for name, t in known.items() if any(name in g.keywords for g in given)}

    def taken(self, given: Given) -> dict[str, Option]:
        return {n: o for n, o in self.options.items() if n in given.keywords}

    def view(self, what: str, y: Any) -> View:
        """Check an output that represents observations."""
        self.probe.check(what, y)
        view = self.units.recognize(what, tuple(y.shape[1:]), probe.dtype_name(y))
        if self.units.image is None or view.integers:
            values = self.probe.array(y).reshape(len(y), *self.arguments.space.shape)  # an image's axes in any order
            self.arguments.space.check(values, f"what {what} gives")
        self.views[what] = view
        return view
