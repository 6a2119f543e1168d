"""Whether what a plugin offers is there, and is what its specs say: `zoo plugins --check`. Listing reads specs alone;
this imports every target and reads the folder of every preset, which takes seconds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from zoo import registry
from zoo.errors import ZooError
from zoo.metadata import show
from zoo.network import Network
from zoo.plugins.failures import blame
from zoo.plugins.loading import Plugin, Problem
from zoo.spaces import Space
from zoo.spec import DatasetSpec, Density, ExporterSpec, ModelSpec, PresetSpec, Spec

AUTHOR = "Its author should correct the spec or the code."


def check(plugin: Plugin) -> list[Problem]:
    """What is wrong with each thing that a plugin offers."""
    return [Problem(plugin.name, f"{spec.name}: {said}", AUTHOR) for spec in plugin.specs for said in faults(spec)]


def faults(spec: Spec) -> list[str]:
    """What is wrong with one thing, as sentences."""
    try:
        return list(_faults(spec))
    except Exception as error:  # whatever a plugin's own code raises
        return [str(error) if isinstance(error, ZooError) else " ".join(blame(error) or (f"{error!r}.",))]


def _faults(spec: Spec) -> Iterator[str]:
    if isinstance(spec, ModelSpec):
        return _architecture(spec)
    if isinstance(spec, PresetSpec):
        return _preset(spec)
    if isinstance(spec, ExporterSpec):
        return _exporter(spec)
    return _function(spec)


def _architecture(spec: ModelSpec) -> Iterator[str]:
    found: object = registry.import_target(spec, spec.name)
    if not (isinstance(found, type) and issubclass(found, Network)):
        yield f"{spec.target} is {found!r}; expected a subclass of a framework's base class, such as TorchNetwork."
        return
    if lacking := [name for name in ("Config", "spaces") if not hasattr(found, name)]:
        yield f"{spec.target} has no {' and no '.join(lacking)}."
        return
    if found.framework != spec.framework:
        yield f"{spec.target} is a class of {found.framework}; the spec says {spec.framework}."
    if (network := _small(found)) is not None:
        yield from differences(spec, set(network.methods()), network.density, network.space)


def _small(cls: type[Network]) -> Network | None:
    """A network on the first of the small spaces of the conformance suite that it takes."""
    from zoo.testing.subject import CLASSES, SPACES

    spaces = [space for kind, space in SPACES.items() if issubclass(kind, cls.spaces)]
    return cls.create(spaces[0], {}, CLASSES) if spaces else None


def differences(
    spec: ModelSpec | PresetSpec, methods: set[str], density: Density | None, space: Space
) -> Iterator[str]:
    """Where the methods and the density of a model are not those of its spec. What is exact for real vectors may have
    a bound for integers, which it dequantizes."""
    if methods != set(spec.methods):
        yield f"the spec declares the methods {sorted(spec.methods)}, methods() returns {sorted(methods)}."
    dequantized = spec.density == "exact" and space.discrete and density == "lower_bound"
    if density != spec.density and not dequantized and "log_prob" in methods:
        yield f"log_prob is {density!r}; the spec says {spec.density!r}. Set `density` alike."


def _preset(spec: PresetSpec) -> Iterator[str]:
    if spec.name.partition(".")[0] != spec.architecture:
        yield f"it is of the architecture {spec.architecture}, so its name is expected to begin with it."
    if not registry.to_install(spec.architecture):  # a preset is used without its architecture, too
        base = registry.architecture(spec.architecture)
        for name in ("family", "framework"):
            mine, theirs = getattr(spec, name), getattr(base, name)
            if mine != theirs:
                yield f"its {name} is {mine}; that of its architecture {base.name} is {theirs}."
    for kind in ("checkpoint", "artifact"):
        folder = getattr(spec, kind)
        if folder is None:
            continue
        if not Path(folder).is_dir():
            yield f"its {kind} {folder} is no folder."
            continue
        facts = {"methods": {}, **show(folder)}
        if facts["kind"] not in (kind, "run"):
            yield f"{folder} is a folder of another kind: {facts['kind']}; expected {kind}."
        for name, mine in (("architecture", spec.architecture), ("density", spec.density)):
            if facts.get(name, mine) != mine:
                yield f"its {name} is {mine}; that of its {kind} is {facts[name]}."
        if facts["methods"] and set(facts["methods"]) != set(spec.methods):
            yield f"its methods are {sorted(spec.methods)}; those of its {kind} are {sorted(facts['methods'])}."


def _function(spec: DatasetSpec | ExporterSpec) -> Iterator[str]:
    found = registry.import_target(spec, f"{spec.noun} {spec.name}")
    if not callable(found):
        yield f"{spec.target} is {found!r}; expected a function."


def _exporter(spec: ExporterSpec) -> Iterator[str]:
    from zoo.api import EXPORT_ARGUMENTS

    yield from _function(spec)
    for target in filter(None, (spec.refuses, spec.verify)):
        registry.import_target(spec, f"export format {spec.name}", target)
    function = registry.import_target(spec, f"export to {spec.name}")
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < 2:
        yield f"{spec.target} takes {len(parameters)} arguments; expected a model, a folder, and more by name."
    for parameter in parameters[2:]:
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if named and parameter.name not in EXPORT_ARGUMENTS and parameter.default is parameter.empty:
            given = ", ".join(EXPORT_ARGUMENTS)
            yield f"{spec.target} asks for the argument {parameter.name!r}; it is given {given}."
