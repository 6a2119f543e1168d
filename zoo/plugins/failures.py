"""What an exception of a plugin means: what is wrong, and what to do. Imported only when there is one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution

import zoo
from zoo.errors import MissingDependency, PluginError, ZooError, did_you_mean
from zoo.plugins.loading import OURS, NewerCoreNeeded, Problem, canonical, load_plugins

NEWER = "pip install -U genzoo"
UNKNOWN_FIELD = re.compile(r"(\w+Spec)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
Fault = tuple[str, str]  # what is wrong, what to do


def explain(error: BaseException, doing: str, plugin: str, target: str, metadata: Distribution | None) -> Fault:
    """The fault behind an exception that the code of a plugin raised while `doing` something.

    `target` is what was being imported or called. The plugin's metadata is read only here: that takes time.
    """
    said = f"{type(error).__name__}: {_line(error)}"
    wants = newer_core(metadata)
    if wants:
        return f"needs genzoo {wants}, and this is {zoo.__version__} ({doing}: {said}).", f"Update it: {NEWER}"
    if newer := _newer(error):
        return f"needs a newer genzoo than {zoo.__version__}: {newer}.", f"Update it: {NEWER}"
    if isinstance(error, TypeError) and (unknown := UNKNOWN_FIELD.search(str(error))):
        return _unknown_field(*unknown.groups())
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, doing, plugin, target, metadata)
    message = f"{doing}: {_line(error) if isinstance(error, PluginError) else said}"
    return message.rstrip(".") + ".", remove(plugin)


def _unknown_field(spec: str, name: str) -> Fault:
    """A field that a spec does not have: misspelt, or of a newer core."""
    from zoo import spec as specs

    near = did_you_mean(name, getattr(getattr(specs, spec, None), "__dataclass_fields__", {}))
    if near:
        return f"{spec} has no field {name!r}.{near}", f"Its author should rename it. If a newer genzoo has it: {NEWER}"
    return f"needs a newer genzoo than {zoo.__version__}: {spec} has no field {name!r}.", f"Update it: {NEWER}"


def remove(plugin: str) -> str:
    """What helps against any plugin."""
    return (
        f"Update it (pip install -U {plugin}), leave it out (zoo --without {plugin}, or ZOO_WITHOUT={plugin}), or "
        f"remove it (pip uninstall {plugin})."
    )


def newer_core(metadata: Distribution | None) -> str:
    """The versions of genzoo that a distribution requires, if this one is not among them."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in (metadata.requires if metadata else None) or []:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if canonical(wanted.name) == "genzoo" and applies and not wanted.specifier.contains(zoo.__version__, True):
            return str(wanted.specifier)
    return ""


def _newer(error: BaseException) -> str:
    """Why an exception says that the plugin was written for a newer core, or nothing."""
    if isinstance(error, NewerCoreNeeded):
        return str(error)
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "zoo":
        return _line(error)
    return ""


def outdated() -> list[Problem]:
    """Plugins whose metadata asks for a newer genzoo than this, though nothing has failed yet. It reads the metadata of
    all, which takes time."""
    found = []
    for name in sorted({p.name for p in load_plugins() if not p.problems and p.name != OURS}):
        if wants := newer_core(distribution(name)):
            message = f"needs genzoo {wants}, and this is {zoo.__version__}: it may fail later."
            found.append(Problem(name, message, f"Update it: {NEWER}"))
    return found


def _missing(module: str, doing: str, plugin: str, target: str, metadata: Distribution | None) -> Fault:
    """A module that cannot be found: the plugin's own, or what it depends on."""
    top = module.partition(".")[0]
    if top == target.partition(":")[0].partition(".")[0]:
        return f"{doing}: it has no module {module}.", f"Install it again: pip install --force-reinstall {plugin}"
    required = [re.split(r"[^\w.-]", line)[0] for line in (metadata.requires if metadata else None) or []]
    name = next((r for r in required if canonical(r) == canonical(top)), top)
    return f"{doing}: there is no module {module}.", f"Install it: pip install {name}"


def misnamed(name: str, marked: bool, hooks: Iterable[str]) -> Fault | None:
    """What is wrong with a function that was meant as a hook and is none; None if it was not meant as one."""
    known = list(hooks)
    near = did_you_mean(name, known).strip()
    if name in known:
        return f"{name} is not marked as a hook; it was not asked.", "Its author should put @zoo.hookimpl above it."
    if not marked and not near:
        return None
    advice = near or f"The hooks are {', '.join(known)}."
    return f"there is no hook {name}; it was not asked.", f"{advice} If a newer genzoo has it: {NEWER}"


def _line(error: BaseException) -> str:
    """An exception's message on one line."""
    return " ".join(str(error).split())[:300]


def explain_import(error: BaseException, what: str, target: str, owner: str) -> ZooError:
    """The error to raise where `what`, of the plugin `owner`, is used and its target's module cannot be imported."""
    if not owner:  # a spec that no plugin offered
        return MissingDependency(f"{what} cannot be imported: {_line(error)}.")
    message, remedy = explain(error, "cannot be imported", owner, target, distribution(owner))
    kind = MissingDependency if isinstance(error, ImportError) and NEWER not in remedy else PluginError
    return kind(f"{what} {message} {remedy}")
