"""A run can be resumed elsewhere, extended, and used as the start of another."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo import checkpoint
from zoo.errors import InputError
from zoo.system import files
from zoo.training import read_position, read_record

SMALL = {"layers": 2, "hidden": 8}
TWO = """
import sys, zoo
zoo.resume(sys.argv[1], devices=2)
"""


def stop_at(step):
    def stop(status):
        if status.step == step:
            raise KeyboardInterrupt

    return stop


def weights(run):
    return checkpoint.load(run, "model")[1]


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture
def finished(run, tmp_path):
    """A run of three epochs of its own for a test."""
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


# ---- elsewhere


def from_cuda(run):
    """As if it had been trained there."""
    record = (run / "recipe.json").read_text()
    (run / "recipe.json").write_text(record.replace('"device": "cpu"', '"device": "cuda:0"'))


def test_a_finished_run_of_another_machine_is_loaded_here(finished):
    from_cuda(finished)
    with pytest.raises(InputError, match="--device cpu"):
        zoo.resume(finished)
    model = zoo.resume(finished, device="cpu")
    assert same(weights(finished), model.network.arrays())


def test_a_finished_run_loses_the_lock_of_a_killed_process(finished):
    (finished / "training.lock").write_text("process 1")
    zoo.resume(finished)
    assert not (finished / "training.lock").exists()


def test_an_unfinished_run_of_another_machine_goes_on_here(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        zoo.train("realnvp", "moons", run, epochs=2, config=SMALL, save_every=0, progress=stop_at(30))
    from_cuda(run)
    with pytest.raises(InputError, match="--device cpu"):
        zoo.resume(run)
    zoo.resume(run, device="cpu")
    assert read_record(run).device == "cpu"  # and the next time too
    zoo.train("realnvp", "moons", tmp_path / "whole", epochs=2, config=SMALL)
    assert same(weights(run), weights(tmp_path / "whole"))


def test_it_goes_on_with_more_processes_and_with_fewer(tmp_path):
    run, settings = tmp_path / "run", {"epochs": 2, "batch_size": 512, "config": SMALL}
    with pytest.raises(KeyboardInterrupt):
        zoo.train("realnvp", "moons", run, save_every=0, progress=stop_at(5), **settings)
    (tmp_path / "two.py").write_text(TWO)
    subprocess.run([sys.executable, tmp_path / "two.py", run], check=True, capture_output=True, timeout=120)
    assert read_record(run).devices == 2
    zoo.train("realnvp", "moons", tmp_path / "one", **settings)
    one, two = weights(tmp_path / "one"), weights(run)
    for name in one:  # the same gradients, summed in another order
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_what_a_machine_has_not_is_said_and_the_run_stays_as_it_is(finished):
    before = (finished / "recipe.json").read_text()
    for wrong in ({"device": "cuda"}, {"precision": "none"}, {"devices": 10**6}):
        with pytest.raises(InputError):
            zoo.resume(finished, epochs=9, **wrong)
    assert (finished / "recipe.json").read_text() == before


def test_a_finished_run_is_cleared_of_what_a_kill_at_its_end_left(finished):
    left, theirs = files._sibling(finished / "losses.png"), finished / ".losses.png.swp"
    for path in (left, theirs, finished / "training.lock"):
        path.touch()
    zoo.resume(finished)
    assert not left.exists()
    assert not (finished / "training.lock").exists()
    assert theirs.exists()


# ---- longer


def test_more_epochs_lay_the_schedule_over_the_new_total(finished):
    rates, before = {}, read_position(finished).cpu_seconds
    zoo.resume(finished, epochs=5, progress=lambda status: rates.setdefault(status.step, status.learning_rate))
    at, record = read_position(finished), read_record(finished)
    assert (len(at.history), record.recipe.epochs, at.done) == (5, 5, True)
    assert 0 < before < at.cpu_seconds
    total = at.step
    first = min(rates)
    expected = 0.5 * (1 + np.cos(np.pi * (first - 1) / total)) * record.recipe.learning_rate
    assert rates[first] == pytest.approx(expected)
    assert zoo.load(finished).meta["card"]["recipe"]["epochs"] == 5


def test_no_more_epochs_than_there_were_are_an_error(finished):
    with pytest.raises(InputError, match="has trained 3 epochs; got epochs=3"):
        zoo.resume(finished, epochs=3)


def test_a_training_that_lost_its_patience_asks_for_more_of_it(tmp_path):
    few = zoo.load_dataset("moons")
    few = zoo.data.Dataset("few", few.space, few.train[:64], few.validation[:64], few.test[:64])
    rough = {"batch_size": 32, "learning_rate": 0.03, "schedule": "constant", "config": SMALL}
    zoo.train("realnvp", few, tmp_path / "run", epochs=400, patience=2, **rough)
    done = len(read_position(tmp_path / "run").history)
    assert done < 400
    with pytest.raises(InputError, match=r"Give it more patience than 2: --patience \d+"):
        zoo.resume(tmp_path / "run", data=few, epochs=500)
    zoo.resume(tmp_path / "run", data=few, epochs=done + 2, patience=0)
    assert len(read_position(tmp_path / "run").history) == done + 2


# ---- the start of another


def test_fine_tuning_begins_with_the_weights_and_units_of_its_start(finished, tmp_path):
    shifted = zoo.load_dataset("moons")
    shifted = zoo.data.Dataset("shifted", shifted.space, shifted.train + 1, shifted.validation + 1, shifted.test + 1)
    seen = []

    def first(status):
        if status.step == 1:
            seen.append(checkpoint.load(tmp_path / "new", "training"))

    tuned = zoo.train("realnvp", shifted, tmp_path / "new", start=finished, epochs=1, progress=first)
    meta, arrays = seen[0]
    began = {name.removeprefix("now/network."): a for name, a in arrays.items() if name.startswith("now/network.")}
    assert meta["position"]["step"] == 0
    assert same(weights(finished), began)
    assert tuned.meta["config"] == zoo.load(finished).meta["config"]
    assert tuned.meta["card"]["start"] == str(finished.resolve())
    assert tuned.log_prob(shifted.test).mean() > zoo.load(finished).log_prob(shifted.test).mean()


def test_what_a_training_began_with_may_go_away(finished, tmp_path):
    settings = {"start": finished, "epochs": 1, "batch_size": 512}
    zoo.train("realnvp", "moons", tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        zoo.train("realnvp", "moons", tmp_path / "stopped", progress=stop_at(2), **settings)
    shutil.rmtree(finished)
    zoo.resume(tmp_path / "stopped")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


def test_a_preset_is_trained_further(tmp_path):
    preset = zoo.load("mlp.digits")
    tuned = zoo.train("mlp.digits", "digits", tmp_path / "run", epochs=1, learning_rate=1e-6)
    assert tuned.meta["architecture"] == "mlp"
    for name, array in preset.network.arrays().items():
        np.testing.assert_allclose(tuned.network.arrays()[name], array, atol=1e-3)


@pytest.mark.parametrize(
    ("architecture", "data", "more", "says"),
    [
        ("maf", "moons", {}, "fit no maf"),
        ("realnvp", "digits", {}, "the model takes"),
        ("realnvp", "moons", {"config": {"layers": 5}}, "do not fit"),
        ("realnvp", "moons", {"config": {"layer": 5}}, "Did you mean 'layers'"),
    ],
)
def test_a_start_that_does_not_fit(run, tmp_path, architecture, data, more, says):
    with pytest.raises(InputError, match=says):
        zoo.train(architecture, data, tmp_path / "new", start=run, **more)
    assert not (tmp_path / "new").exists()


def test_a_start_with_classes_needs_data_with_classes(tmp_path):
    digits = zoo.load_dataset("digits")
    plain = zoo.data.Dataset("plain", digits.space, digits.train, digits.validation, digits.test)
    with pytest.raises(InputError, match="plain has none"):
        zoo.train("mlp.digits", plain, tmp_path / "new")
