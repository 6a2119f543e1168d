"""What the README says of presets and of speed is what their cards and the benchmarks' results say."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_presets_is_made_from_their_cards():
    spec = importlib.util.spec_from_file_location("make", ROOT / "plugins" / "pretrained" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.table() in (ROOT / "README.md").read_text()


def test_the_figures_of_speed_are_the_benchmarks_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    main, readme = (importlib.import_module(f"benchmarks.{name}") for name in ("__main__", "readme"))
    assert readme.table(main.all_results()) in (ROOT / "README.md").read_text()
