"""What the README says of the presets is what their cards say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_presets_is_made_from_their_cards():
    spec = importlib.util.spec_from_file_location("make", ROOT / "plugins" / "pretrained" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.table() in (ROOT / "README.md").read_text()
