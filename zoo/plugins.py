"""Loading plugins one at a time, so that a bad one is named and the rest goes on.

pluggy's own `load_setuptools_entrypoints` lets one bad distribution end everything: an ImportError stops the rest,
`sys.exit` ends the host, and of two distributions with one entry-point name one vanishes. Here each entry point is
loaded under its own guard and registered as `distribution:name`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import pluggy

from zoo import hookspecs
from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec, Spec

HOOKS: dict[str, type[Spec]] = {
    "zoo_architectures": ModelSpec,
    "zoo_presets": PresetSpec,
    "zoo_datasets": DatasetSpec,
    "zoo_exporters": ExporterSpec,
}


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a plugin, and what to do."""

    plugin: str
    message: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message}"


@dataclass
class Plugin:
    """An entry point: where it comes from and what it offers."""

    name: str  # the distribution
    entry: str
    version: str
    specs: list[Spec] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _plugins() -> Iterator[tuple[Plugin, object]]:
    """Each entry point of the group, loaded; a failure becomes a problem of that plugin."""
    left_out = {name.strip() for name in os.environ.get("ZOO_WITHOUT", "").split(",") if name.strip()}
    if os.environ.get("ZOO_AUTOLOAD", "1") == "0":
        left_out.add("*")
    for entry in sorted(entry_points(group=hookspecs.GROUP), key=lambda e: (e.dist.name if e.dist else "", e.name)):
        plugin = Plugin(entry.dist.name if entry.dist else "?", entry.name, entry.dist.version if entry.dist else "?")
        if plugin.name in left_out or ("*" in left_out and plugin.name != "genzoo"):
            continue
        try:
            module: object = entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit and SyntaxError too: a plugin must not end the host
            message = f"cannot be loaded: {type(error).__name__}: {error}"
            plugin.problems.append(
                Problem(plugin.name, f"{message}. Mend or uninstall it: pip uninstall {plugin.name}.")
            )
            module = None
        yield plugin, module


@functools.cache
def load_plugins() -> tuple[Plugin, ...]:
    """All plugins with what they offer, each asked by itself. Reads specs only: no framework is imported."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = []
    for plugin, module in _plugins():
        plugins.append(plugin)
        if module is None:
            continue
        try:
            manager.register(module, name=f"{plugin.name}:{plugin.entry}")
        except Exception as error:  # a hook with wrong arguments, or a module that is registered twice
            plugin.problems.append(Problem(plugin.name, f"cannot be registered: {error}"))
            continue
        known = set(HOOKS)
        for name in dir(module):
            if name.startswith("zoo_") and name not in known and callable(getattr(module, name)):
                problem = f"has no such hook to offer: {name}. The hooks are {', '.join(HOOKS)}."
                plugin.problems.append(Problem(plugin.name, problem))
        for hook, kind in HOOKS.items():
            for implementation in getattr(manager.hook, hook).get_hookimpls():
                if implementation.plugin is module:
                    _collect(plugin, hook, kind, implementation.function)
    return tuple(plugins)


def _collect(plugin: Plugin, hook: str, kind: type[Spec], function: Callable[[], Iterable[Any]]) -> None:
    try:
        for spec in function():
            if isinstance(spec, kind):
                plugin.specs.append(spec)
            else:
                plugin.problems.append(Problem(plugin.name, f"{hook} gave {spec!r}; expected a {kind.__name__}."))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        plugin.problems.append(Problem(plugin.name, f"{hook} failed: {type(error).__name__}: {error}"))
