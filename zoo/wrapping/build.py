"""Builds a model with methods from a user's functions, running each once on a few examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.model import FIRST_OUTPUT
from zoo.signature import Call, Loop
from zoo.spaces import Labels, Space
from zoo.wrapping.arguments import (
    FUNCTIONS,
    WrapArguments,
    WrapConfig,
    WrappedNetwork,
    called,
    check_title,
    check_used,
    labels,
    title,
)
from zoo.wrapping.builder import Builder
from zoo.wrapping.calling import Given, check_taken
from zoo.wrapping.diffusion import read_schedule
from zoo.wrapping.methods import MADE
from zoo.wrapping.modules import find
from zoo.wrapping.probe import check_trained, length_of
from zoo.wrapping.samplers import decoded_noise, sampler
from zoo.wrapping.units import infer_values

AFFORDABLE = 5.0  # seconds of sampling to infer the range of an image's floats
FEWEST = 10  # denoising steps for an image


def build(
    network_class: Callable[[Space, WrapConfig, Labels | None, list[Any]], WrappedNetwork],
    kind: type | tuple[type, ...],
    arguments: WrapArguments,
) -> EagerModel:
    """The model of these arguments. `kind` is the framework's class of modules."""
    if not isinstance(arguments.space, Space):
        raise InputError(f"space is {arguments.space!r}; expected a sample space such as zoo.Image(28, 28, 1).")
    check_title(arguments.name, arguments.family)
    given = {name: f for name in FUNCTIONS if (f := getattr(arguments, name)) is not None}
    check_used(arguments, given)
    if arguments.schedule is not None:
        arguments = replace(arguments, schedule=read_schedule(arguments.schedule, arguments.prediction))
    modules = find([*arguments.modules, *map(called, given.values())], kind)
    network = network_class(arguments.space, WrapConfig(), labels(arguments.classes), modules)
    return _model(Builder(network, arguments, given))


def _model(b: Builder) -> EagerModel:
    network, arguments, made = b.network, b.arguments, b.network.made
    if (sampling := sampler(b)) is not None:
        made["sample"] = sampling
        _infer_values(b, "sample")
    # decode first: its outputs determine the range of floats to which the inputs of the others are scaled
    for method in ("log_prob", "decode", "encode", "predict"):
        function = b.given.get(method)
        if isinstance(function, (Call, Loop)):
            made[method] = function
        elif function is not None:
            made[method] = MADE[method](b, Given(method, function))
            if method == "decode":
                _infer_values(b, "decode")
    if b.noise and "sample" not in made:
        if "decode" not in made or len(b.noise) != 1:
            raise InputError("noise= was given without a sampler that takes it: give sample=, or init= and step=.")
        made["sample"] = decoded_noise(b, made["decode"])
    if not made:
        raise InputError("nothing to wrap; give sample=, log_prob=, encode=, decode= or predict=, or a flow.")
    check_taken(
        set(b.options) - b.used,
        b.inputs,
        network.classes is not None and "predict" not in made,
        b.adapted,
    )
    network.made = {m: made[m] for m in FIRST_OUTPUT if m in made}
    network.density = arguments.density or "exact" if "log_prob" in made else None
    network.config = WrapConfig(
        tuple(f"{what}: {title({what: f})}" for what, f in b.given.items()),
        b.units.values or (),
        "" if b.units.values is None else "given" if arguments.values is not None else b.inferred,
        tuple(f"{what}: {v.layout}" for what, v in b.views.items() if v.layout),
    )
    meta = {"architecture": type(network).__name__, "family": arguments.family}
    model = EagerModel(network, b.name, meta)
    later = b.probe.remember()  # the state after all functions have run once
    for method in FIRST_OUTPUT:
        if isinstance(b.given.get(method), (Call, Loop)):
            b.probe.whole(model, method)
        if method in network.made:
            b.probe.alone(model, method)
    check_trained(sorted(b.probe.memory.rewritten() - later.rewritten()))
    network.kept = tuple(name for name in b.probe.memory.kept() if name)
    return model


def _infer_values(b: Builder, method: str) -> None:
    """The range of the floats of an image, from draws of the whole method."""
    view = next((v for what, v in reversed(b.views.items()) if what != "encode"), None)
    if not b.units.image or b.units.values is not None or view is None or view.integers:
        return
    if isinstance(b.given.get(method), (Call, Loop)):
        return
    definition = b.network.made[method]
    steps, seconds = length_of(definition), b.probe.seconds
    most = 4 if isinstance(definition, Loop) else max(4, min(32, 2**18 // b.arguments.space.size))
    count, fewer = min(most, int(AFFORDABLE / (steps * seconds))), int(AFFORDABLE / seconds)
    options, how = {}, ""
    if count < 1 and b.arguments.schedule is not None and method == "sample" and fewer >= FEWEST:
        count, options, how = 1, {"steps": fewer}, f" in {fewer} steps"  # any number of them leads to an image
    if count < 1:
        each = f"{steps} steps of {seconds:.2g} s" if steps > 1 else "one call"
        raise InputError(
            f"{method} gives floats, and it is unknown which are black and white. Inferring them from a single "
            f"draw would take about {steps * seconds:.0f} s ({each}). Give them: values=(low, high), such as "
            "values=(0, 1), (-1, 1) or (0, 255)."
        )
    low, high = b.probe.extremes(EagerModel(b.network, b.name), method, count, options)
    b.units.values = infer_values(method, low, high)
    draws = f"{count} draw{'s' if count > 1 else ''} of {method}{how}"
    b.inferred = f"inferred from {draws}, {low:.3g} to {high:.3g}"
