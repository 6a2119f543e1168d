"""Every preset: artifact and framework model agree, row by row, for any kind of call."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo import registry
from zoo.data import load_dataset
from zoo.estimate import figures_of
from zoo.evaluation.likelihood import likelihood
from zoo.evaluation.report import Report
from zoo.evaluation.samples import SAMPLES, compare_neighbors
from zoo.evaluation.task import Task
from zoo.parity.differences import TOLERANCE, difference

UNTRAINED = {"autoencoder", "ddim", "flow-matching", "glow", "table", "wgan"}  # not yet
PRESETS = zoo.list_models("*.*")
GENERATORS = zoo.list_models("*.*", method="sample")
ROWS = 1000


@pytest.fixture(scope="module")
def opened():
    """Each artifact, and 1,000 of its rows at once."""
    made = {}

    def get(name):
        if name not in made:
            model = zoo.open(name, device="cpu")
            made[name] = model, model.sample(ROWS, seed=7, chunk=ROWS, **labels(model, 0, ROWS))
        return made[name]

    return get


def labels(model, start, stop):
    if "label" not in model.signature("sample").inputs:
        return {}
    return {"label": np.arange(start, stop) % len(model.classes)}


def agree(expected, got):
    """Discrete values exactly, floats within 1e-4 relative."""
    assert difference(expected, got) <= (TOLERANCE if expected.dtype.kind == "f" else 0)


def test_every_architecture_has_a_preset_or_is_known_to_have_none_yet():
    trained = {registry.model(name).architecture for name in PRESETS}
    assert trained | UNTRAINED == {n for n in zoo.list_models() if "." not in n}
    assert not trained & UNTRAINED


@pytest.mark.parametrize("name", GENERATORS)
def test_the_same_seed_gives_the_same_rows_in_any_chunks_and_from_any_start(name, opened):
    model, whole = opened(name)
    model.space.check(whole)
    for chunk, count in ((1, 5), (2, 9), (7, 100)):
        agree(whole[:count], model.sample(count, seed=7, chunk=chunk, **labels(model, 0, count)))
    agree(whole[490:510], model.sample(20, seed=7, start=490, **labels(model, 490, 510)))
    assert not np.array_equal(whole[:20], model.sample(20, seed=8, **labels(model, 0, 20)))


@pytest.mark.parametrize("name", GENERATORS)
def test_the_framework_model_gives_the_same_rows(name, opened):
    """Discrete values exactly: the conformance suite, which is for everybody's models, lets a rounding tie pass."""
    model, whole = opened(name)
    source = zoo.load(name)
    agree(whole[:7], source.sample(7, seed=7, chunk=3, **labels(model, 0, 7)))
    agree(whole[100:104], source.sample(4, seed=7, start=100, **labels(model, 100, 104)))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_s_card_has_test_metrics_and_what_made_it(name):
    card = registry.model(name).card
    assert card["test"]["split"] == "test"
    assert card["made_by"].endswith(name)
    assert card["recipe"]["epochs"] >= card["epoch"] > 0
    figures = {**figures_of(card["test"]), **figures_of({"figures": card["validation"]})}
    assert all(figure.rows for figure in figures.values())
    assert {name for name, figure in figures.items() if figure.error is None} <= {"reconstruction_rmse"}  # it is 0
    assert card["validation"] == zoo.open(name, device="cpu").manifest.card["validation"]


def check_same(known, found, name):
    for part in ("value", "error"):
        assert getattr(found, part) == pytest.approx(getattr(known, part), rel=1e-3), (
            f"{name}: python plugins/pretrained/make.py --figures"
        )


def test_the_figures_in_a_card_come_out_again():
    report = zoo.evaluate(zoo.open("mlp.digits", device="cpu"), "digits")
    known = figures_of(registry.model("mlp.digits").card["test"])
    assert list(report.figures) == list(known)
    for name, figure in known.items():
        check_same(figure, report[name], name)


@pytest.mark.parametrize("name", ["digits", "moons", "names"])
def test_cards_are_about_the_rows_that_evaluation_looks_at(name):
    """What cards say of real data, which no model has a part in, and of energies comes out again."""
    data = load_dataset(name)
    x, y = data.split("test")
    presets = [registry.model(found) for found in zoo.list_models(f"*.{name}", method="sample")]

    def task(preset):
        return Task(zoo.open(preset, device="cpu"), data, x, y, Report(preset, name, "test", len(x), 0))

    real = task(presets[0].name)
    compare_neighbors(real, x[:SAMPLES])
    for preset in presets:
        known = figures_of(preset.card["test"])
        for figure, found in real.report.figures.items():
            check_same(known[figure].real, found.real, f"{figure} of {preset.name}")
        if preset.density == "unnormalized":
            energies = task(preset.name)
            likelihood(energies)
            for figure, found in energies.report.figures.items():
                check_same(known[figure], found, f"{figure} of {preset.name}")


def test_all_presets_together_are_small():
    from zoo_pretrained import PRESETS as FOLDER

    # a checkpoint, and the weights once more in the file of each method that uses them
    assert sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) < 20e6
