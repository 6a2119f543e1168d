"""Specs: what a plugin tells the registry, as frozen dataclasses that cost nothing to read.

A `target` is `"module:attribute"` and is imported only when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from zoo.errors import PluginError
from zoo.signature import METHODS

Density = Literal["exact", "lower_bound", "unnormalized"]
FAMILIES: Mapping[str, str] = {
    "autoregressive": "tractable density",
    "flow": "tractable density",
    "vae": "approximate density",
    "energy": "approximate density",
    "diffusion": "approximate density",
    "gan": "implicit density",
    "classifier": "discriminative",
}
NAME = re.compile(r"[a-z][a-z0-9_-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _require(condition: bool, spec: object, problem: str) -> None:
    if not condition:
        raise PluginError(f"{type(spec).__name__} {getattr(spec, 'name', '?')!r}: {problem}.")


@dataclass(frozen=True)
class ModelSpec:
    """An architecture: code that becomes a model by training.

    `requires` are importable modules and what to install for them: `{"torch": "pip install genzoo-torch"}`.
    """

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
        _require(bool(NAME.fullmatch(self.name)), self, "a name is lower case letters, digits, '-' and '_'")
        _require(bool(TARGET.fullmatch(self.target)), self, f"target {self.target!r} is not 'module:attribute'")
        _require(self.family in FAMILIES, self, f"family {self.family!r} is not one of {', '.join(FAMILIES)}")
        unknown = [m for m in self.methods if m not in METHODS]
        _require(bool(self.methods) and not unknown, self, f"methods {self.methods} are not of {', '.join(METHODS)}")
        _require("log_prob" not in self.methods or self.density is not None, self, "log_prob needs a density kind")


@dataclass(frozen=True)
class PresetSpec:
    """An architecture with trained weights: `architecture.tag`.

    `checkpoint` and `artifact` are folders. `card` is what `zoo show` prints: data, test metrics, recipe.
    """

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
        base, dot, tag = self.name.partition(".")
        _require(bool(dot and NAME.fullmatch(base) and NAME.fullmatch(tag)), self, "a name is 'architecture.tag'")
        _require(self.family in FAMILIES, self, f"family {self.family!r} is not one of {', '.join(FAMILIES)}")
        _require(self.checkpoint is not None or self.artifact is not None, self, "has neither checkpoint nor artifact")


@dataclass(frozen=True)
class DatasetSpec:
    """A data set by name. `target` is a function that returns a `zoo.data.Dataset`."""

    name: str
    target: str
    summary: str
    source: str = ""

    def __post_init__(self) -> None:
        _require(bool(NAME.fullmatch(self.name)), self, "a name is lower case letters, digits, '-' and '_'")
        _require(bool(TARGET.fullmatch(self.target)), self, f"target {self.target!r} is not 'module:attribute'")


@dataclass(frozen=True)
class ExporterSpec:
    """A format to export to. `target` is `function(model, folder, *, force, progress) -> report`."""

    name: str
    target: str
    summary: str
    requires: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(bool(NAME.fullmatch(self.name)), self, "a name is lower case letters, digits, '-' and '_'")
        _require(bool(TARGET.fullmatch(self.target)), self, f"target {self.target!r} is not 'module:attribute'")


Spec = ModelSpec | PresetSpec | DatasetSpec | ExporterSpec
