"""Loading plugins one at a time, so that a bad one is named and the rest goes on.

pluggy's own `load_setuptools_entrypoints` lets one bad distribution end everything: an ImportError stops the rest,
`sys.exit` ends the host, and of two distributions with one entry-point name one vanishes. Here each entry point is
loaded under its own guard, and each of its hooks is called by itself. What an exception means is in
`zoo.plugins.failures`, which is imported when there is one: listing must stay quick.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from zoo import __version__
from zoo.errors import PluginError
from zoo.plugins import hookspecs
from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec, Spec


class NewerCoreNeeded(PluginError):
    """A plugin asks for an argument that this core does not give."""


HOOKS: dict[str, type[Spec]] = {
    "zoo_architectures": ModelSpec,
    "zoo_presets": PresetSpec,
    "zoo_datasets": DatasetSpec,
    "zoo_exporters": ExporterSpec,
}
# The arguments of each hook and their values. An implementation gets those that it declares, as in pluggy, so an
# argument may be added here and to `hookspecs` without harm to the plugins that do not know it.
ARGUMENTS: dict[str, dict[str, Any]] = {hook: {} for hook in HOOKS}
FRAMEWORKS = ("torch", "keras", "tensorflow", "jax")  # seconds to import: a list of models must not wait for them
WITHOUT, AUTOLOAD = "ZOO_WITHOUT", "ZOO_AUTOLOAD"
OURS = "genzoo"  # what the core itself offers is there even without autoloading


@dataclass(frozen=True)
class Problem:
    """What is wrong with a plugin, and what to do."""

    plugin: str  # the distribution
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message} {self.remedy}"


@dataclass
class Plugin:
    """An entry point: where it comes from and what it offers."""

    name: str  # the distribution
    entry: str
    version: str
    value: str  # `module` or `module:object`: what the entry point names
    specs: list[Spec] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def packages(self) -> set[str]:
        """The packages that its code is in, as far as its entry point and its specs tell."""
        targets = (getattr(spec, "target", "") for spec in self.specs)
        return {package_of(target) for target in (self.value, *targets) if target}

    def blame(self, message: str, remedy: str) -> None:
        self.problems.append(Problem(self.name, message, remedy))


def package_of(target: str) -> str:
    """The top-level package of a module, or of a target, `"module:attribute"`."""
    return target.partition(":")[0].partition(".")[0]


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_left_out(distribution: str) -> bool:
    """Whether ZOO_WITHOUT names it (names separated by commas), or ZOO_AUTOLOAD=0 turns all plugins off."""
    if os.environ.get(AUTOLOAD, "1") == "0" and distribution != OURS:
        return True
    return canonical(distribution) in {canonical(n.strip()) for n in os.environ.get(WITHOUT, "").split(",")}


class Catalogue(tuple[Plugin, ...]):
    """All plugins, and what they offer by name."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.by_noun: dict[str, dict[str, list[Spec]]] = {kind.noun: {} for kind in HOOKS.values()}
        for plugin in self:
            for spec in plugin.specs:
                self.by_noun[spec.noun].setdefault(spec.name, []).append(spec)

    def claims(self, spec: Spec) -> list[Spec]:
        """All specs with the noun and the name of this one: one of each plugin that offers it."""
        return self.by_noun[spec.noun].get(spec.name, [])


@functools.cache
def load_plugins() -> Catalogue:
    """All plugins with what they offer, each asked by itself. Reads specs only: no framework is imported."""
    found = entry_points(group=hookspecs.GROUP)
    manager = pluggy.PluginManager(hookspecs.GROUP)  # only to read what `hookimpl` marked
    owners: dict[int, Plugin] = {}
    plugins = []
    for entry in sorted(found, key=lambda e: (canonical(e.dist.name) if e.dist else "", e.name)):
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("?", "?")
        plugin = Plugin(name, entry.name, version, entry.value)
        if is_left_out(plugin.name):
            continue
        plugins.append(plugin)
        hooks: list[tuple[str, Callable[..., Any]]] = []
        with _watched(plugin, entry, "cannot be loaded"):
            module: object = entry.load()
            other = owners.setdefault(id(module), plugin)
            if other is plugin:
                hooks = _hooks(plugin, module, manager)
            else:
                plugin.blame(
                    f"its entry point {entry.name!r} and {other.entry!r} of {other.name} are one module, "
                    f"{entry.value}; it was asked once.",
                    f"Uninstall one of them: pip uninstall {plugin.name}",
                )
        for hook, function in hooks:
            with _watched(plugin, entry, f"{hook} failed"):
                _collect(plugin, hook, function, [s for p in plugins if p.name == plugin.name for s in p.specs])
    return Catalogue(plugins)


@contextlib.contextmanager
def _watched(plugin: Plugin, entry: EntryPoint, doing: str) -> Iterator[None]:
    """Run a plugin's own code: attribute whatever it raises, prints or imports to the plugin; others are unaffected."""
    before = {name for name in FRAMEWORKS if name in sys.modules}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is the command's: it may be JSON
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and SyntaxError too: a plugin must not end the host
        from zoo.plugins.failures import explain

        if os.environ.get("ZOO_DEBUG"):
            traceback.print_exception(error)
        plugin.blame(*explain(error, doing, plugin.name, entry.value, entry.dist))
    new = [name for name in FRAMEWORKS if name in sys.modules and name not in before]
    if new:
        plugin.blame(
            f"imports {' and '.join(new)} while it is listed, so every command waits for it.",
            f"Its author should import {new[0]} only in the module of a target, as zoo new-plugin shows. "
            f"Until then: zoo --without {plugin.name}",
        )


def _hooks(plugin: Plugin, module: object, manager: pluggy.PluginManager) -> list[tuple[str, Callable[..., Any]]]:
    """The hooks of a plugin's module or object; what was meant as one and is none becomes a problem."""
    hooks = []
    # a module's own names only: asking for others would run its __getattr__, which may import a framework
    for attribute in vars(module) if isinstance(module, ModuleType) else dir(module):
        options = manager.parse_hookimpl_opts(module, attribute)
        name = (options and options["specname"]) or attribute
        if options is not None and name in HOOKS:
            hooks.append((name, getattr(module, attribute)))
        elif (options is not None or attribute.startswith("zoo_")) and callable(getattr(module, attribute)):
            from zoo.plugins.failures import misnamed

            fault = misnamed(name, options is not None, HOOKS)
            if fault:
                plugin.blame(*fault)
    return hooks


def _collect(plugin: Plugin, hook: str, function: Callable[..., Any], known: list[Spec]) -> None:
    """Keep the specs that a hook gives. `known` are those that the distribution has given before."""
    kind, given = HOOKS[hook], call_with(function, ARGUMENTS[hook])
    if not isinstance(given, Iterable):
        given = [given]
    for spec in given:
        if not isinstance(spec, kind):
            message = f"{hook} gave {spec!r}; expected it to yield one {kind.__name__} after another."
            plugin.blame(message, f"Its author should mend {hook}.")
        elif any(type(s) is kind and s.name == spec.name for s in known):
            plugin.blame(f"{hook} gave {spec.name!r} twice; the first counts.", "Its author should rename one.")
        else:
            plugin.specs.append(spec.of(plugin.name))
            known.append(spec)


def call_with(function: Callable[..., Any], given: Mapping[str, Any], *positional: Any) -> Any:
    """Call a plugin's function with those of the `given` arguments that it declares."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return function(*positional, **given)
    wanted = [p for p in list(parameters)[len(positional) :] if p.kind is not p.VAR_POSITIONAL]
    missing = [p.name for p in wanted if p.name not in given and p.default is p.empty]
    if missing:
        raise NewerCoreNeeded(f"asks for the argument {missing[0]!r}, which genzoo {__version__} does not give")
    return function(*positional, **{p.name: given[p.name] for p in wanted if p.name in given})
