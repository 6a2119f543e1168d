"""What is installed, by name. Nothing here imports a framework until a model is made."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.errors import InputError, MissingDependency, PluginError, UnknownName, ZooError, did_you_mean
from zoo.plugins import Problem, load_plugins
from zoo.signature import METHODS
from zoo.spec import FAMILIES, DatasetSpec, ExporterSpec, ModelSpec, PresetSpec, Spec, natural

if TYPE_CHECKING:
    from zoo.network import Network

S = TypeVar("S", ModelSpec, PresetSpec, DatasetSpec, ExporterSpec)
FIRST_PARTY = {
    "genzoo-torch": (
        *("realnvp", "nsf", "glow", "maf", "made", "transformer", "pixelcnn", "ebm", "ddpm", "flow-matching", "dcgan"),
    ),
    "genzoo-keras": ("mlp", "cnn", "autoencoder", "vae", "ddim", "wgan", "lstm"),
    "genzoo-onnx": ("onnx",),
    "genzoo-data": ("emoji", "pixel-faces"),
}
KINDS: tuple[tuple[type[Spec], ...], ...] = ((ModelSpec, PresetSpec), (DatasetSpec,), (ExporterSpec,))
NOUN: dict[type, str] = {
    ModelSpec: "model",
    PresetSpec: "model",
    DatasetSpec: "data set",
    ExporterSpec: "export format",
}


def _table(*kinds: type) -> dict[str, list[tuple[str, Any]]]:
    """name -> [(plugin, spec)] for all specs of these kinds."""
    table: dict[str, list[tuple[str, Any]]] = {}
    for plugin in load_plugins():
        for spec in plugin.specs:
            if isinstance(spec, kinds):
                table.setdefault(spec.name, []).append((plugin.name, spec))
    return table


def _find(name: str, *kinds: type[Spec]) -> Any:
    """The one spec of a name, or of `plugin/name` where two plugins claim the name."""
    table = _table(*kinds)
    plugin, slash, bare = name.rpartition("/")
    claims = [(p, s) for p, s in table.get(bare, []) if not slash or p == plugin]
    noun = NOUN[kinds[0]]
    if not claims:
        hint = to_install(bare) or did_you_mean(bare, table) or f" Installed: {', '.join(sorted(table)) or 'none'}."
        raise UnknownName(f"unknown {noun} {name!r}.{hint}")
    if len(claims) > 1:
        owners = " and ".join(p for p, _ in claims)
        ways = " or ".join(f"{p}/{bare}" for p, _ in claims)
        raise PluginError(f"{noun} {name!r} is claimed by {owners}; say which: {ways}.")
    return claims[0][1]


def to_install(name: str) -> str:
    """Which of the project's own distributions has this name, if it is not installed."""
    base, dot, _ = name.partition(".")
    have = {p.name for p in load_plugins()}
    for distribution, names in FIRST_PARTY.items():
        if base in names:
            needed = "genzoo-pretrained" if dot else distribution
            return "" if needed in have else f" It is part of {needed}, which is not installed: pip install {needed}."
    return ""


def problems() -> list[Problem]:
    """What is wrong with installed plugins, two plugins with one name among it."""
    found = [p for plugin in load_plugins() for p in plugin.problems]
    for kinds in KINDS:
        for name, claims in _table(*kinds).items():
            if len(claims) > 1:
                # the project's own names were there first
                owners = sorted((p for p, _ in claims), key=lambda p: p not in FIRST_PARTY)
                message = f"its {NOUN[kinds[0]]} {name!r} is also offered by {' and '.join(owners[:-1])}."
                ways = " or ".join(f"{p}/{name}" for p in owners)
                found.append(Problem(owners[-1], message, f"Say which: {ways}; or zoo --without {owners[-1]}"))
    return found


def qualified(specs: Iterable[Spec]) -> list[str]:
    """Names that find these specs: `plugin/name` where two plugins claim a name."""
    claims = {kinds: _table(*kinds) for kinds in KINDS}
    owner = {id(spec): plugin.name for plugin in load_plugins() for spec in plugin.specs}
    return [
        f"{owner[id(s)]}/{s.name}" if any(type(s) in k and len(t[s.name]) > 1 for k, t in claims.items()) else s.name
        for s in specs
    ]


def architecture(name: str) -> ModelSpec:
    spec: ModelSpec = _find(name, ModelSpec)
    return spec


def plugin_of(spec: Spec) -> str:
    """The distribution that offers a spec."""
    return next((p.name for p in load_plugins() if any(s is spec for s in p.specs)), "")


def recorded(name: str, plugin: str | None) -> ModelSpec:
    """The architecture of a file, which says whose it was: another plugin may claim the name by now."""
    known = plugin and any(p == plugin for p, _ in _table(ModelSpec).get(name, []))
    return architecture(f"{plugin}/{name}" if known else name)


def model(name: str) -> ModelSpec | PresetSpec:
    """The spec of an architecture or of a preset."""
    spec: ModelSpec | PresetSpec = _find(name, ModelSpec, PresetSpec)
    return spec


def of_model(name: str) -> ModelSpec:
    """The spec of an architecture by its name, or by that of one of its presets."""
    spec = model(name)
    return architecture(spec.architecture) if isinstance(spec, PresetSpec) else spec


def dataset(name: str) -> DatasetSpec:
    spec: DatasetSpec = _find(name, DatasetSpec)
    return spec


def exporter(name: str) -> ExporterSpec:
    spec: ExporterSpec = _find(name, ExporterSpec)
    return spec


def datasets() -> list[DatasetSpec]:
    return [claims[0][1] for _, claims in sorted(_table(DatasetSpec).items())]


def find_models(
    pattern: str | None = None, *, family: str | None = None, method: str | None = None, framework: str | None = None
) -> list[ModelSpec | PresetSpec]:
    """Specs of architectures and presets in natural order. `pattern` may have `*`, `?` and `[...]`."""
    specs = [s for claims in _table(ModelSpec, PresetSpec).values() for _, s in claims]
    for what, value in (("family", family), ("method", method), ("framework", framework)):
        offered: dict[str, Iterable[str]] = {
            "family": FAMILIES,
            "method": dict.fromkeys((*METHODS, *(m for s in specs for m in s.methods))),
            "framework": {s.framework for s in specs},
        }
        known = list(offered[what])
        if value is not None and value not in known:
            raise InputError(f"unknown {what} {value!r}; there are {', '.join(known)}.{did_you_mean(value, known)}")
    return sorted(
        (
            s
            for s in specs
            if (pattern is None or fnmatch.fnmatchcase(s.name, pattern if "*" in pattern else f"*{pattern}*"))
            and (family is None or s.family == family)
            and (method is None or method in s.methods)
            and (framework is None or s.framework == framework)
        ),
        key=lambda s: natural(s.name),
    )


def list_models(
    pattern: str | None = None, *, family: str | None = None, method: str | None = None, framework: str | None = None
) -> list[str]:
    """Names of architectures and presets, as `plugin/name` where two plugins claim one. No framework is imported.

    >>> import zoo
    >>> zoo.list_models("*vae*", method="encode")
    ['vae', 'vae.digits']
    """
    return qualified(find_models(pattern, family=family, method=method, framework=framework))


def import_target(spec: ModelSpec | DatasetSpec | ExporterSpec, what: str) -> Any:
    """The object of a spec's `"module:attribute"` target; a missing module says what to install."""
    module, _, attribute = spec.target.partition(":")
    for needed, install in getattr(spec, "requires", {}).items():
        try:
            importlib.import_module(needed)
        except ImportError as error:
            raise MissingDependency(
                f"{what} needs {needed}, which cannot be imported ({error}). Install it: {install}"
            ) from None
    try:
        found = importlib.import_module(module)
    except (ZooError, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a plugin's file does when it is first run, such as sys.exit
        from zoo.faults import explain_import

        raise explain_import(error, what, spec.target, plugin_of(spec)) from error
    try:
        return getattr(found, attribute)
    except AttributeError:
        from zoo.faults import remove

        raise PluginError(f"{what}: module {module} has no {attribute}. {remove(plugin_of(spec))}") from None


def network_class(spec: ModelSpec) -> type[Network]:
    """The class of an architecture; this is where its framework is imported."""
    cls: type[Network] = import_target(spec, spec.name)
    return cls
