"""Specs: what a plugin tells the registry, as frozen dataclasses that cost nothing to read.

A `target` is `"module:attribute"` and is imported only when it is used.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self, get_args

from zoo.errors import PluginError
from zoo.signature import METHODS

Density = Literal["exact", "lower_bound", "unnormalized"]
FAMILIES: Mapping[str, str] = {
    "autoregressive": "tractable density",
    "flow": "tractable density",
    "mixture": "tractable density",
    "vae": "approximate density",
    "energy": "approximate density",
    "diffusion": "approximate density",
    "gan": "implicit density",
    "classifier": "discriminative",
}
PRECISIONS = ("float32", "float16", "int8")  # the storage types of weights in an export
NAME = re.compile(r"[a-z][a-z0-9_-]*")
METHOD = re.compile(r"[a-z][a-z0-9_]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _require(condition: bool, spec: object, problem: str) -> None:
    if not condition:
        raise PluginError(f"{type(spec).__name__} {getattr(spec, 'name', '?')!r}: {problem}.")


def _check_strings(spec: Any) -> None:
    for f in fields(spec):
        value = getattr(spec, f.name)
        if f.type == "str" or (f.type == "str | None" and value is not None):
            _require(isinstance(value, str), spec, f"{f.name} is {value!r}; expected a string")


def _check_model(spec: ModelSpec | PresetSpec) -> None:
    """The fields that describe the model of an architecture or a preset."""
    _require(spec.family in FAMILIES, spec, f"family {spec.family!r} is not one of {', '.join(FAMILIES)}")
    is_tuple = isinstance(spec.methods, tuple) and bool(spec.methods)
    expected = f"a tuple of {', '.join(METHODS)} or names of your own"
    _require(is_tuple, spec, f"methods are {spec.methods!r}; expected {expected}")
    wrong = [m for m in spec.methods if not isinstance(m, str) or not METHOD.fullmatch(m)]
    _require(not wrong, spec, f"methods {wrong} have names that are not lower case letters, digits and '_'")
    _require("log_prob" not in spec.methods or spec.density is not None, spec, "log_prob needs a density kind")
    kinds = get_args(Density)
    known = spec.density is None or spec.density in kinds
    _require(known, spec, f"density {spec.density!r} is not one of {', '.join(kinds)}")


def _check_named(spec: ModelSpec | DatasetSpec | ExporterSpec) -> None:
    _check_strings(spec)
    _require(bool(NAME.fullmatch(spec.name)), spec, "a name is lower case letters, digits, '-' and '_'")
    _require(bool(TARGET.fullmatch(spec.target)), spec, f"target {spec.target!r} is not 'module:attribute'")


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which `net10` comes after `net9`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


class Offer:
    """Base of all specs: a named thing that a plugin offers."""

    noun: ClassVar[str]  # names of one noun are told apart
    plugin = ""  # the distribution, once it is in the catalogue

    def of(self, plugin: str) -> Self:
        """This spec as one of a distribution's."""
        twin = copy.copy(self)
        object.__setattr__(twin, "plugin", plugin)
        return twin


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Offer):
    """An architecture: code that becomes a model by training.

    `requires` are importable modules and what to install for them: `{"torch": "pip install genzoo-torch"}`.
    """

    noun = "model"
    name: str
    target: str
    family: str
    framework: str
    methods: tuple[str, ...]
    summary: str
    paper: str = ""
    density: Density | None = None
    requires: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_named(self)
        _check_model(self)


@dataclass(frozen=True, kw_only=True)
class PresetSpec(Offer):
    """An architecture with trained weights: `architecture.tag`.

    `checkpoint` and `artifact` are folders. `card` is what `zoo show` prints: data, test metrics, recipe.
    """

    noun = "model"
    name: str
    architecture: str
    family: str
    framework: str
    methods: tuple[str, ...]
    summary: str = ""
    density: Density | None = None
    checkpoint: str | None = None
    artifact: str | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_strings(self)
        base, dot, tag = self.name.partition(".")
        _require(bool(dot and NAME.fullmatch(base) and NAME.fullmatch(tag)), self, "a name is 'architecture.tag'")
        _check_model(self)
        _require(self.checkpoint is not None or self.artifact is not None, self, "has neither checkpoint nor artifact")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Offer):
    """A data set by name. `target` is a function that returns a `zoo.data.Dataset`."""

    noun = "data set"
    name: str
    target: str
    summary: str
    source: str = ""

    def __post_init__(self) -> None:
        _check_named(self)


@dataclass(frozen=True, kw_only=True)
class ExporterSpec(Offer):
    """A format to export to. `target` is `function(model, folder, *, weights, force, progress) -> report`, with the
    keyword arguments that it declares.

    `refuses` is `"module:function"`, called with a model: why this format cannot hold it, or None. `verify` is
    `"module:function"`, called with a folder of this format for `zoo verify`.

    `marker` is a JSON file of every export that lists the others (`zoo.system.files.listed`): `--force` replaces a
    folder that holds these, unchanged, and nothing else.
    """

    noun = "export format"
    name: str
    target: str
    summary: str
    requires: Mapping[str, str] = field(default_factory=dict)
    marker: str = "manifest.json"
    refuses: str = ""
    verify: str = ""

    def __post_init__(self) -> None:
        _check_named(self)
        for name in ("refuses", "verify"):
            target = getattr(self, name)
            _require(not target or bool(TARGET.fullmatch(target)), self, f"{name} {target!r} is not 'module:attribute'")


Spec = ModelSpec | PresetSpec | DatasetSpec | ExporterSpec
