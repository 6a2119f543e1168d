"""The README's statements on presets and speed match their cards and the benchmarks' results."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from zoo.estimate import Estimate

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "plugins" / "pretrained" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_and_the_table_of_presets_are_made_from_their_cards(gallery):
    assert gallery.table() in (ROOT / "README.md").read_text(), gallery.__doc__
    assert gallery.page() == gallery.PAGE.read_text(), gallery.__doc__
    assert all(gallery.picture_of(spec).exists() for spec in gallery.presets()), gallery.__doc__


def test_a_preset_is_shown_by_several_figures_with_their_errors(gallery):
    real = Estimate(0.5, 0.01, 100)
    figures = {
        "nats": Estimate(80.0, 1.0, 100),
        "bits_per_dim": Estimate(1.9, 0.02, 100),
        "bits_per_dim_of_mixture": Estimate(2.2, 0.02, 100),
        "c2st_accuracy": Estimate(0.7, 0.02, 100, real),
        "distinct": Estimate(1.0, 0.01, 100, real),
    }
    assert list(gallery.headlines(figures, bound=True)) == [
        "1.900 ± 0.020 bits/dim (bound)",
        "mixture 2.200 ± 0.020",
        "told from data 0.700 ± 0.020 (real 0.500 ± 0.010)",
    ]
    assert list(gallery.headlines({"nats": Estimate(1.0, 0.25)}, bound=False)) == ["1.00 ± 0.25 nats"]
    remarks = ["Its samples are means.", "Its lower bound is no better than a mixture of 5 normals: 0.1 nats above."]
    assert list(gallery.floors(remarks)) == ["no better than a mixture of 5 normals"]


def test_the_figures_of_speed_are_the_benchmarks_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    main, readme = (importlib.import_module(f"benchmarks.{name}") for name in ("__main__", "readme"))
    assert readme.table(main.all_results()) in (ROOT / "README.md").read_text()
