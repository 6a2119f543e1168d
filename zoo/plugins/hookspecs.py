"""The hooks of a plugin: functions that yield specs. A plugin is a module, or an object, of the entry-point group
`genzoo` that has any of these, marked with `zoo.hookimpl`. `docs/hooks.md` has an example of each.

Hooks are additive: an implementation declares the arguments that it wants and gets those, so a later genzoo may offer
more (`zoo.plugins.loading.ARGUMENTS`), and specs take their fields by name, so a later genzoo may add some.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec

GROUP = "genzoo"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def zoo_architectures() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """Architectures: code that becomes a model by training."""


@hookspec
def zoo_presets() -> Iterable[PresetSpec]:  # type: ignore[empty-body]
    """Presets: architectures with trained weights, as checkpoint, artifact or both."""


@hookspec
def zoo_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Data sets by name, for `--data NAME`."""


@hookspec
def zoo_exporters() -> Iterable[ExporterSpec]:  # type: ignore[empty-body]
    """Formats for `zoo export --to NAME`."""
