"""What an exception of a plugin means: what is wrong, and what to do. Imported only when there is one."""

from __future__ import annotations

import json
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import zoo
from zoo.errors import MissingDependency, PluginError, ZooError, did_you_mean
from zoo.plugins.loading import OURS, NewerCoreNeeded, Problem, canonical, load_plugins, package_of

NEWER = "pip install -U genzoo"
UNKNOWN_FIELD = re.compile(r"(\w+Spec)\.__init__\(\) got an unexpected keyword argument '(\w+)'")
MISSING_FIELDS = re.compile(r"(\w+Spec)\.__init__\(\) missing \d+ required keyword-only arguments?: (.*)")
UNKNOWN_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
Fault = tuple[str, str]  # what is wrong, what to do


def explain(error: BaseException, doing: str, plugin: str, target: str, metadata: Distribution | None) -> Fault:
    """The fault behind an exception that the code of a plugin raised while `doing` something.

    `target` is what was being imported or called. The plugin's metadata is read only here: that takes time.
    """
    said, where = f"{type(error).__name__}: {_line(error)}", place_of(error, {package_of(target)})
    wants = newer_core(metadata)
    if wants:
        return f"needs genzoo {wants}, and this is {zoo.__version__} ({doing}: {said}).", f"Update it: {NEWER}"
    if isinstance(error, NewerCoreNeeded):
        return f"needs a newer genzoo than {zoo.__version__}: {error}.", f"Update it: {NEWER}"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "zoo":
        return _not_in_core(error, where)
    if isinstance(error, TypeError) and (unknown := UNKNOWN_FIELD.search(str(error))):
        return _unknown_field(unknown[1], unknown[2], where)
    if isinstance(error, TypeError) and (missing := MISSING_FIELDS.search(str(error))):
        return f"{missing[1]} needs {missing[2]}, which is not given{where}.", "Its author should add it."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, f"{doing}: there is no module {error.name}{where}.", plugin, target, metadata)
    message = f"{doing}: {_line(error) if isinstance(error, PluginError) else said}"
    return f"{message.rstrip('.')}{where}.", remove(plugin)


def place_of(error: BaseException, packages: Iterable[str]) -> str:
    """`" (FILE, line N)"`: the last line of these packages that an exception has passed through, or nothing."""
    owners = set(packages)
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if package_of(frame.f_globals.get("__name__", "")) in owners:
            found = f" ({frame.f_code.co_filename}, line {line})"
    return found


def blame(error: BaseException) -> Fault | None:
    """The fault behind an exception that the code of a plugin raised while it was used: the plugin whose code it has
    passed through last. None if it has not passed through any but the project's own."""
    from zoo.registry import FIRST_PARTY

    owners: dict[str, str] = {}
    for plugin in load_plugins():
        if plugin.name != OURS and plugin.name not in FIRST_PARTY:
            owners |= dict.fromkeys(plugin.packages, plugin.name)
    passed = (package_of(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__))
    package = next((name for name in reversed(list(passed)) if name in owners), None)
    if package is None:
        return None
    name, said = owners[package], f"{type(error).__name__}: {_line(error)}"
    return f"plugin {name}: {said.rstrip('.')}{place_of(error, {package})}.", remove(name)


def _unknown_field(spec: str, name: str, where: str) -> Fault:
    """A field that a spec does not have: misspelt, or of a newer core."""
    from zoo import spec as specs

    near = did_you_mean(name, getattr(getattr(specs, spec, None), "__dataclass_fields__", {}))
    return _unknown(f"{spec} has no field {name!r}{where}.", near)


def _not_in_core(error: ImportError, where: str) -> Fault:
    """A name or a module that genzoo does not have: misspelt, or of a newer core."""
    known: Iterable[str]
    if found := UNKNOWN_NAME.search(str(error)):
        name, known = found[1], dir(sys.modules.get(found[2], zoo))
    else:
        parent, _, name = (error.name or "").rpartition(".")
        known = (module.name for module in pkgutil.iter_modules(getattr(sys.modules.get(parent), "__path__", [])))
    message = re.sub(r" \(\S*\.py\)$", "", _line(error))  # the file of the core that lacks it
    return _unknown(f"{message}{where}.", did_you_mean(name, known))


def _unknown(message: str, near: str) -> Fault:
    """What the core does not have: misspelt if it has something like it, else of a newer core."""
    if near:
        return f"{message}{near}", f"Its author should rename it. If a newer genzoo has it: {NEWER}"
    return f"needs a newer genzoo than {zoo.__version__}: {message}", f"Update it: {NEWER}"


def remove(plugin: str) -> str:
    """What helps against any plugin: its author fixes it, others update it."""
    first = "Fix it" if is_editable(plugin) else f"Update it (pip install -U {plugin})"
    leave_out = f"leave it out (zoo --without {plugin}, or ZOO_WITHOUT={plugin})"
    return f"{first}, {leave_out}, or remove it (pip uninstall {plugin})."


def is_editable(plugin: str) -> bool:
    """Whether a distribution was installed by `pip install -e`."""
    try:
        said = json.loads(distribution(plugin).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return False
    return bool(said.get("dir_info", {}).get("editable"))


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


def outdated() -> list[Problem]:
    """Plugins whose metadata asks for a newer genzoo than this, though nothing has failed yet. It reads the metadata of
    all, which takes time."""
    found = []
    for name in sorted({p.name for p in load_plugins() if not p.problems and p.name != OURS}):
        if wants := newer_core(distribution(name)):
            message = f"needs genzoo {wants}, and this is {zoo.__version__}: it may fail later."
            found.append(Problem(name, message, f"Update it: {NEWER}"))
    return found


def _missing(module: str, message: str, plugin: str, target: str, metadata: Distribution | None) -> Fault:
    """A module that cannot be found: the plugin's own, misspelt, or what it depends on. Nothing is said to be
    installed that the plugin does not require: who knows what has that name."""
    top = package_of(module)
    if top == package_of(target):
        message = message.replace("there is no module", "it has no module")
        return message, f"Install it again: pip install --force-reinstall {plugin}"
    required = [re.split(r"[^\w.-]", line)[0] for line in (metadata.requires if metadata else None) or []]
    if name := next((r for r in required if canonical(r) == canonical(top)), None):
        return message, f"Install it: pip install {name}"
    if near := did_you_mean(top, (name for name in sys.stdlib_module_names if not name.startswith("_"))):
        return f"{message}{near}", "Its author should rename it."
    again = f"Install what it requires: pip install {plugin}"
    return message, f"{again}. If {top} is still missing, its author should add what offers it to its dependencies."


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
