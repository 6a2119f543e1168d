"""What is known of a model without loading it: `zoo.show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo import registry, spaces
from zoo.errors import InputError, PluginError, UnknownName
from zoo.plugins.loading import load_plugins
from zoo.spec import FAMILIES, ModelSpec, PresetSpec, Spec
from zoo.system.files import refuse_file

MODEL, RECIPE, STATE, MANIFEST = "model.json", "recipe.json", "training.json", "manifest.json"
SCHEMA = 1
# what the card of a file may not say: it is known, or it is not
KNOWN = frozenset(
    {
        *("name", "kind", "architecture", "family", "taxonomy", "framework", "plugin", "summary", "paper", "presets"),
        *("requires", "space", "classes", "categories", "density", "methods", "settings", "opset", "versions"),
        *("precision", "parity", "weights", "note", "training", "takes"),
    }
)
Facts = dict[str, Any]


def show(name: str | Path) -> Facts:
    """All that is known of an architecture, a preset, or the folder of a run, checkpoint or artifact.

    What is not known is left out. No framework is imported, no weights are read.
    """
    path = Path(name).expanduser()
    refuse_file(path)
    facts = _folder(path) if path.is_dir() and not _is_only_called_like_a_model(path) else _named(str(name))
    return {key: value for key, value in facts.items() if value not in (None, "", (), [], {})}


def _is_only_called_like_a_model(folder: Path) -> bool:
    """As the folder is that `zoo new-plugin tiny-flow` writes: it holds nothing that could be shown."""
    return str(folder) in registry.list_models() and not any((folder / f).exists() for f in (MODEL, RECIPE, MANIFEST))


def _named(name: str) -> Facts:
    spec = registry.model(name)
    facts: Facts = {"name": spec.name, "kind": "architecture", **_family(spec.family)}
    facts |= {"framework": spec.framework, "summary": spec.summary, "paper": getattr(spec, "paper", "")}
    facts |= {"plugin": _owner(spec), "density": spec.density, "methods": {m: {} for m in spec.methods}}
    if isinstance(spec, ModelSpec):
        presets = registry.list_models(f"{spec.name}.*")
        return facts | {"presets": presets, "requires": dict(spec.requires)}
    return facts | _preset(spec)


def _preset(spec: PresetSpec) -> Facts:
    facts: Facts = {"kind": "preset", "architecture": spec.architecture}
    weights = []
    if spec.checkpoint and (Path(spec.checkpoint) / MODEL).exists():
        found = _checkpoint(Path(spec.checkpoint))
        weights += found.pop("weights")
        described = ("space", "classes", "categories", "settings", "paper")
        facts |= {key: found[key] for key in described if key in found}
    if spec.artifact and (Path(spec.artifact) / MANIFEST).exists():
        found = _artifact(Path(spec.artifact))
        weights += found.pop("weights")
        known = ("space", "classes", "categories", "settings", "methods", "opset", "precision", "parity", "paper")
        facts |= {key: found[key] for key in known}
    return facts | dict(spec.card) | {"weights": weights}


def _folder(folder: Path) -> Facts:
    if (folder / MANIFEST).exists():
        return _artifact(folder)
    if (folder / MODEL).exists():
        kind = "run" if (folder / RECIPE).exists() else "checkpoint"
        return {"name": folder.name, "kind": kind} | _checkpoint(folder) | _state(folder)
    if (folder / RECIPE).exists():
        return {"name": folder.name, "kind": "run"} | _recipe(folder) | _state(folder)
    raise InputError(f"{folder} is not a run, checkpoint or artifact: it has no {MODEL}, {RECIPE} or {MANIFEST}.")


def _artifact(folder: Path) -> Facts:
    import msgspec

    from zoo.api import MethodFacts
    from zoo.artifact import read_manifest

    manifest = read_manifest(folder)
    return {
        "name": manifest.name,
        "kind": "artifact",
        "architecture": manifest.architecture,
        **_family(manifest.family),
        "framework": manifest.framework,
        "paper": _paper(manifest.architecture),
        **_space(manifest.space, manifest.classes),
        "categories": manifest.categories,
        "density": manifest.density,
        "methods": {
            name: msgspec.to_builtins(MethodFacts.of(entry.signature)) for name, entry in manifest.methods.items()
        },
        "settings": manifest.config,
        **_card(manifest.card),
        "opset": manifest.opset,
        "versions": manifest.versions,
        "precision": msgspec.to_builtins(manifest.precision),
        "parity": msgspec.to_builtins(manifest.parity),
        "weights": [_weights(folder, "artifact", sum(f.bytes for f in manifest.files.values()))],
    }


def _checkpoint(folder: Path) -> Facts:
    from msgspec import to_builtins

    from zoo.api import Record
    from zoo.checkpoint import Weights, convert, read_json

    path = folder / MODEL
    meta = read_json(path, SCHEMA)
    record, weights = convert(meta, Record, path), convert(meta.get("weights"), Weights, path)
    return {
        **_architecture(record.architecture, record.plugin),
        **({"methods": to_builtins(record.methods)} if record.methods else {}),
        **_space(record.space, record.classes),
        "categories": record.categories,
        "density": record.density,
        "settings": record.config,
        **_card(record.card),
        "weights": [_weights(folder, "checkpoint", weights.bytes)],
    }


def _recipe(folder: Path) -> Facts:
    from dataclasses import asdict

    from zoo.training import read_record

    record = read_record(folder)
    return {
        **_architecture(record.architecture, record.plugin),
        **_space(record.space, record.classes),
        "categories": record.categories,
        "settings": record.config,
        "data": record.data,
        "recipe": asdict(record.recipe),
    }


def _state(folder: Path) -> Facts:
    """Where the training of a run is."""
    if not (folder / RECIPE).exists():
        return {}
    if not (folder / STATE).exists():
        return {"training": f"not begun; go on: zoo train --resume {folder}"}
    from zoo.training import read_position

    position = read_position(folder)
    where = f"step {position.step}"
    return {"training": f"done, {where}" if position.done else f"{where}; go on: zoo train --resume {folder}"}


def _architecture(name: str, plugin: str | None) -> Facts:
    """What the plugin of an architecture says of it; only its name if the plugin is not installed."""
    try:
        spec = registry.recorded(name, plugin)
    except (UnknownName, PluginError):
        return {"architecture": name, "note": "its plugin is not installed"}
    facts = {"architecture": name, **_family(spec.family), "framework": spec.framework, "paper": spec.paper}
    return facts | {"methods": {m: {} for m in spec.methods}}


def _paper(architecture: str) -> str:
    try:
        return registry.architecture(architecture).paper
    except (UnknownName, PluginError):  # not installed, or of several plugins
        return ""


def _family(family: str) -> Facts:
    return {"family": family, "taxonomy": FAMILIES.get(family)}


def _space(space: Any, classes: list[str] | None) -> Facts:
    return {"space": spaces.from_json(space).describe() if space else None, "classes": classes}


def _card(card: dict[str, Any]) -> Facts:
    return {key: value for key, value in card.items() if key not in KNOWN}


def _weights(folder: Path, kind: str, size: int) -> Facts:
    return {"folder": str(folder), "format": kind, "bytes": size}


def _owner(spec: Spec) -> str:
    return next(f"{p.name} {p.version}" for p in load_plugins() if p.name == spec.plugin)


__all__ = ["show"]
