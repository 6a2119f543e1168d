"""Trained presets, each a folder of `presets/` with a checkpoint, an artifact and a card. No framework is needed to
list, open, sample and score them; `make.py` beside this package made them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import PresetSpec

PRESETS = Path(__file__).parent / "presets"


@hookimpl
def zoo_presets() -> Iterator[PresetSpec]:
    for path in sorted(PRESETS.glob("*/preset.json")):
        data = json.loads(path.read_text())
        yield PresetSpec(
            **{**data, "methods": tuple(data["methods"])},
            checkpoint=str(path.parent / "checkpoint"),
            artifact=str(path.parent / "artifact"),
        )
