"""What is installed, by name. Nothing here imports a framework until a model is made."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from zoo.errors import InputError, MissingDependency, PluginError, UnknownName, ZooError, did_you_mean
from zoo.plugins.loading import Problem, load_plugins
from zoo.signature import METHODS
from zoo.spec import FAMILIES, DatasetSpec, ExporterSpec, ModelSpec, PresetSpec, Spec, natural

if TYPE_CHECKING:
    from zoo.eager import EagerModel
    from zoo.network import Network

S = TypeVar("S", bound=Spec)
FIRST_PARTY = {
    "genzoo-torch": (
        *("realnvp", "nsf", "glow", "maf", "made", "transformer", "table", "pixelcnn", "ebm", "ddpm"),
        *("flow-matching", "dcgan"),
    ),
    "genzoo-keras": ("mlp", "cnn", "autoencoder", "vae", "ddim", "wgan", "lstm"),
    "genzoo-onnx": ("onnx",),
    "genzoo-data": ("emoji", "pixel-faces", "adult", "diamonds"),
}


def _find(name: str, *kinds: type[S]) -> S:
    """The one spec of a name, or of `plugin/name` where two plugins claim the name."""
    noun = kinds[0].noun
    named = load_plugins().by_noun[noun]
    plugin, slash, bare = name.rpartition("/")
    claims = [s for s in named.get(bare, []) if isinstance(s, kinds) and (not slash or s.plugin == plugin)]
    if not claims:
        known = [n for n, (first, *_) in named.items() if isinstance(first, kinds)]
        hint = to_install(bare) or did_you_mean(bare, known) or f" Installed: {', '.join(sorted(known)) or 'none'}."
        raise UnknownName(f"unknown {noun} {name!r}.{hint}")
    if len(claims) > 1:
        owners = " and ".join(s.plugin for s in claims)
        raise PluginError(f"{noun} {name!r} is claimed by {owners}; say which: {' or '.join(map(qualified, claims))}.")
    return claims[0]


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
    catalogue = load_plugins()
    found = [p for plugin in catalogue for p in plugin.problems]
    for noun, named in catalogue.by_noun.items():
        for name, claims in named.items():
            if len(claims) > 1:
                # the project's own names were there first
                owners = sorted((s.plugin for s in claims), key=lambda p: p not in FIRST_PARTY)
                message = f"its {noun} {name!r} is also offered by {' and '.join(owners[:-1])}."
                ways = " or ".join(f"{p}/{name}" for p in owners)
                found.append(Problem(owners[-1], message, f"Say which: {ways}; or zoo --without {owners[-1]}"))
    return found


def qualified(spec: Spec) -> str:
    """The name that finds this spec: `plugin/name` where two plugins claim it."""
    return f"{spec.plugin}/{spec.name}" if len(load_plugins().claims(spec)) > 1 else spec.name


def architecture(name: str) -> ModelSpec:
    return _find(name, ModelSpec)


def recorded(name: str, plugin: str | None) -> ModelSpec:
    """The architecture of a file, which says whose it was: another plugin may claim the name by now."""
    known = plugin and any(s.plugin == plugin for s in load_plugins().by_noun[ModelSpec.noun].get(name, []))
    return architecture(f"{plugin}/{name}" if known else name)


def model(name: str) -> ModelSpec | PresetSpec:
    """The spec of an architecture or of a preset."""
    return cast("ModelSpec | PresetSpec", _find(name, ModelSpec, PresetSpec))


def of_model(name: str) -> ModelSpec:
    """The spec of an architecture by its name, or by that of one of its presets."""
    spec = model(name)
    return architecture(spec.architecture) if isinstance(spec, PresetSpec) else spec


def dataset(name: str) -> DatasetSpec:
    return _find(name, DatasetSpec)


def exporter(name: str) -> ExporterSpec:
    return _find(name, ExporterSpec)


def exporters() -> list[ExporterSpec]:
    """Specs of export formats."""
    return _all(ExporterSpec)


def datasets() -> list[DatasetSpec]:
    """Specs of data sets in natural order."""
    return sorted(_all(DatasetSpec), key=lambda s: natural(s.name))


def _all(*kinds: type[S]) -> list[S]:
    return [s for plugin in load_plugins() for s in plugin.specs if isinstance(s, kinds)]


def find_models(
    pattern: str | None = None, *, family: str | None = None, method: str | None = None, framework: str | None = None
) -> list[ModelSpec | PresetSpec]:
    """Specs of architectures and presets in natural order. `pattern` may have `*`, `?` and `[...]`."""
    specs: list[ModelSpec | PresetSpec] = _all(ModelSpec, PresetSpec)
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
    return [qualified(s) for s in find_models(pattern, family=family, method=method, framework=framework)]


def import_target(spec: ModelSpec | DatasetSpec | ExporterSpec, what: str, target: str = "") -> Any:
    """The object of a spec's `"module:attribute"` target, or of another one of it; a missing module says what to
    install."""
    module, _, attribute = (target or spec.target).partition(":")
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
        from zoo.plugins.failures import explain_import

        raise explain_import(error, what, target or spec.target, spec.plugin) from error
    try:
        return getattr(found, attribute)
    except AttributeError:
        from zoo.plugins.failures import remove

        near = did_you_mean(attribute, dir(found))
        raise PluginError(f"{what}: module {module} has no {attribute}.{near} {remove(spec.plugin)}") from None


def refusal(spec: ExporterSpec, model: EagerModel) -> str:
    """Why a format cannot hold a model, as a sentence; nothing if it can."""
    if not spec.refuses:
        return ""
    why = import_target(spec, f"export to {spec.name}", spec.refuses)(model)
    return "" if why is None else str(why)


def network_class(spec: ModelSpec) -> type[Network]:
    """The class of an architecture; this is where its framework is imported."""
    cls: type[Network] = import_target(spec, spec.name)
    return cls
