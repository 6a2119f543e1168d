"""The records of a training: tables of losses, a picture, callbacks and loggers, lists of runs, comparisons."""

from __future__ import annotations

import json
import math
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo import checkpoint, notebook
from zoo.errors import InputError
from zoo.estimate import Estimate
from zoo.evaluation.compare import Comparison, settle
from zoo.evaluation.estimates import mean
from zoo.network import Objective
from zoo.pictures import BLUE
from zoo.signature import Call, Tensor
from zoo.training.curves import ORANGE, PALE
from zoo.training.history import ROWS, Curve, mean_of_steps

SMALL = {"layers": 2, "hidden": 8}


# ---- losses


def test_a_curve_keeps_the_mean_of_all_steps_in_few_rows():
    curve, values = Curve(), np.random.default_rng(0).normal(size=5 * ROWS)
    for step, value in enumerate(values, start=1):
        curve.add(step, {"nll": value})
        assert len(curve.rows) < ROWS
    assert curve.window == 8
    for row in curve.rows:
        window = values[int(row["step"]) - 8 : int(row["step"])]
        assert row["nll"] == pytest.approx(window.mean())
    assert [row["step"] for row in curve.rows] == list(range(8, 5 * ROWS + 1, 8))


def test_the_history_of_a_run(run):
    seen = zoo.Run(run)
    parts = ("", "_standard_error", "_rows")
    assert seen.history.column_names == ["epoch", *(name + part for name in ("nll", "validation") for part in parts)]
    assert seen.history["epoch"].to_pylist() == [1, 2, 3]
    steps = seen.steps.to_pylist()
    assert steps[-1]["step"] == seen.position.step
    per_epoch = seen.position.step // 3
    first = [row["nll"] for row in steps if row["step"] <= per_epoch]
    assert np.mean(first) == pytest.approx(seen.history["nll"][0].as_py())
    error = np.std(first, ddof=1) / np.sqrt(per_epoch)  # of the means of batches, which is all that a step gives
    assert seen.history["nll_standard_error"][0].as_py() == pytest.approx(error)
    assert seen.history["nll_rows"][0].as_py() == 256 * per_epoch
    assert seen.is_done
    assert "3/3 done" in repr(seen)
    assert "<td>realnvp</td>" in seen._repr_html_()


def test_a_validation_loss_has_the_error_of_its_rows(run):
    seen, validation = zoo.Run(run), zoo.load_dataset("moons").validation
    nats = -seen.load().log_prob(validation)
    best = seen.position.best
    assert best.value == pytest.approx(nats.mean(), rel=1e-5)
    assert best.error == pytest.approx(nats.std(ddof=1) / np.sqrt(len(nats)), rel=1e-4)
    assert best.rows == len(nats)
    assert zoo.load(run).meta["card"]["validation"] == {"nll": best.to_json()}
    assert repr(seen).endswith(f"best {best}, at {seen.position.best_epoch}>")


def test_runs_of_before_have_bare_numbers(run, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(run, old)
    meta, arrays = checkpoint.load(old, "training")
    at, steps = meta["position"], zoo.Run(run).position.step
    at["history"] = [{"epoch": n, "nll": 1.5, "validation": 1.5 + n} for n in (1, 2, 3)]
    at |= {"best": 3.5, "best_epoch": 2, "sums": {"nll": 5.0}, "step": 2 * steps // 3 + 1, "done": False}
    del at["squares"], at["history"][2]
    checkpoint.save(old, "training", meta, arrays)
    assert zoo.Run(old).position.best == Estimate(3.5)
    zoo.resume(old)
    *_, last = zoo.Run(old).history.to_pylist()
    assert last["nll_standard_error"] is None  # of its first step nothing is known but the loss
    assert last["validation_standard_error"] > 0


@pytest.mark.parametrize(("total", "squares", "steps"), [(3.0, None, 2), (3.0, 9.0, 1), (math.inf, math.inf, 2)])
def test_an_error_that_is_not_known_is_none(total, squares, steps):
    assert mean_of_steps(total, squares, steps, 10).error is None


def test_what_is_not_finite_has_no_error():
    assert mean(np.array([1.0, np.inf])) == Estimate(np.inf, None, 2)


def test_the_picture_of_the_losses_shows_both_curves_and_errors(run):
    picture = np.asarray(Image.open(run / "losses.png").convert("RGB")).reshape(-1, 3)
    for color, least in ((BLUE, 100), (ORANGE, 100), (PALE, 30)):
        assert (picture == color).all(1).sum() > least, color


def test_further_outputs_of_a_loss_are_kept_and_shown(tmp_path, monkeypatch):
    from zoo_torch.architectures.realnvp import RealNVP

    def objectives(self):
        def loss(x):
            return {"loss": self.to_normal(x)[0].square().sum(1), "width": x.std(1)}

        outputs = {"loss": Tensor("float32"), "width": Tensor("float32")}
        return {"nll": Objective(Call(loss, {"x": self.space.tensor}, outputs))}

    monkeypatch.setattr(RealNVP, "objectives", objectives)
    shown = []
    zoo.train("realnvp", "moons", tmp_path / "run", epochs=1, config=SMALL, progress=shown.append)
    (row,) = zoo.Run(tmp_path / "run").history.to_pylist()
    data = zoo.load_dataset("moons")
    assert row["validation.width"] == pytest.approx(float(np.std(data.validation, axis=1, ddof=1).mean()), rel=1e-4)
    assert row["nll.width"] == pytest.approx(row["validation.width"], rel=0.1)
    assert "nll.width" in shown[0].losses


# ---- what it will take


def test_a_training_says_what_it_will_take_from_its_first_steps(monkeypatch):
    from zoo.training import forecast

    clock, forecaster, said = types.SimpleNamespace(now=50.0), forecast.Forecaster(), []
    monkeypatch.setattr(forecast, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    for step in range(11, 30):
        clock.now += 0.5 if step > 11 else 9.0  # the first warms up
        status = types.SimpleNamespace(step=step, steps=1011, row=None, device_memory=7)
        if found := forecaster(status):
            said.append((step, found))
    ((step, found),) = said
    assert step == 15
    assert found.seconds == pytest.approx(500)
    assert found.device_memory == 7
    assert 2**25 < found.memory < 2**38


def test_a_step_that_does_not_fit_says_what_does(tmp_path, monkeypatch):
    from zoo_torch.learner import TorchLearner

    def step(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9700000000 bytes")

    monkeypatch.setattr(TorchLearner, "step", step)
    with pytest.raises(InputError, match=r"a step of 256 rows .* --accumulate 2; .* --batch-size 128"):
        zoo.train("realnvp", "moons", tmp_path / "run", batch_size=256, config=SMALL)


@pytest.mark.parametrize(("architecture", "source"), [("realnvp", "moons"), ("mlp", "digits")])
def test_accumulated_gradients_are_those_of_the_whole_batch(architecture, source, tmp_path):
    found = {}
    for parts in (1, 3):
        zoo.train(architecture, source, tmp_path / str(parts), epochs=1, batch_size=500, accumulate=parts)
        found[parts] = zoo.load(tmp_path / str(parts)).network.arrays()
        history = zoo.Run(tmp_path / str(parts)).history.to_pylist()[0]
        found[parts]["history"] = np.array([history["validation"]])
    for name, array in found[1].items():
        np.testing.assert_allclose(found[3][name], array, rtol=1e-3, atol=1e-4)


# ---- whoever listens


def test_callbacks_and_loggers_are_told(tmp_path):
    from lightning_fabric.loggers import CSVLogger

    statuses, logger = [], CSVLogger(tmp_path, name="log")
    zoo.train(
        "realnvp", "moons", tmp_path / "run", epochs=2, batch_size=350, config=SMALL, callbacks=[statuses.append],
        logger=logger,
    )  # fmt: skip
    per_epoch = statuses[-1].steps // 2
    assert [s.step for s in statuses if s.row is None] == list(range(1, 2 * per_epoch + 1))
    assert [s.row["epoch"] for s in statuses if s.row is not None] == [1, 2]
    assert statuses[0].latest["nll"] == statuses[0].losses["nll"] != statuses[1].latest["nll"]
    logged = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    figures = {"epoch/nll", "epoch/nll_standard_error", "epoch/validation", "epoch/validation_standard_error"}
    assert set(logged[0].split(",")) == {"nll", "learning_rate", "epoch", "step", *figures}
    assert len(logged) > 2


class Listed:
    """A logger with all that there may be."""

    def __init__(self, fails=False):
        self.fails, self.settings, self.status = fails, None, None

    def log_params(self, settings):
        self.settings = settings

    def log_metrics(self, metrics, step):
        if self.fails:
            raise OSError("the server is gone")

    def finalize(self, status):
        self.status = status


def test_loggers_are_told_the_settings_and_how_it_ended(tmp_path):
    small = {"epochs": 1, "batch_size": 700, "config": SMALL}
    logger = Listed()
    zoo.train("realnvp", "moons", tmp_path / "run", logger=logger, **small)
    assert logger.status == "success"
    assert (logger.settings["architecture"], logger.settings["batch_size"]) == ("realnvp", 700)
    logger = Listed(fails=True)
    with pytest.raises(OSError, match="the server is gone"):
        zoo.train("realnvp", "moons", tmp_path / "failed", logger=logger, **small)
    assert logger.status == "failed"
    with pytest.raises(InputError, match=r"logger is a object; expected a logger with log_metrics\(metrics, step\)"):
        zoo.train("realnvp", "moons", tmp_path / "none", logger=object(), **small)
    assert not (tmp_path / "none").exists()


def test_a_notebook_shows_how_far_a_training_is(tmp_path, monkeypatch):
    shown = []
    handle = types.SimpleNamespace(update=lambda html: shown.append(html))
    fake = types.ModuleType("IPython")
    fake.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    fake.display = types.ModuleType("IPython.display")
    fake.display.HTML, fake.display.display = str, lambda html, display_id: handle
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", fake.display)
    assert notebook.is_here()
    zoo.train("realnvp", "moons", tmp_path / "run", epochs=1, batch_size=1000, config=SMALL)
    assert 'value="7" max="7"' in shown[-1] or "step 7/7" in shown[-1]
    assert "validation" in shown[-1]


def test_without_a_notebook_python_is_silent(tmp_path, capfd):
    zoo.train("realnvp", "moons", tmp_path / "run", epochs=1, batch_size=1000, config=SMALL)
    assert capfd.readouterr() == ("", "")


def test_a_model_shows_its_methods_and_observations():
    model = zoo.create("realnvp", zoo.Image(4, 4, 1, levels=4), config=SMALL)
    assert repr(model).startswith("<EagerModel realnvp: sample, log_prob")
    assert "<td>log_prob</td>" in model._repr_html_()
    assert model.picture(model.sample(9, seed=0)).size[0] > 100


# ---- many runs, many models


def test_runs_of_a_folder(tmp_path):
    for name, epochs in (("a", 1), ("b", 2)):
        zoo.train("realnvp", "moons", tmp_path / name, epochs=epochs, batch_size=1000, config=SMALL)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "recipe.json").write_text('{"name": "Apple pie"}')
    assert [run.name for run in zoo.runs(tmp_path)] == ["b", "a"]
    assert [run.facts()["epochs"] for run in zoo.runs(tmp_path)] == ["2/2 done", "1/1 done"]
    with pytest.raises(InputError, match="not a folder"):
        zoo.runs(tmp_path / "nowhere")


def compared(**nats):
    found = Comparison("rows", "test", 400)
    settle(found, "nats", {name: (np.asarray(values), np.ones(400)) for name, values in nats.items()})
    return found


def test_a_small_difference_that_every_row_shows_earns_a_verdict():
    rows = np.random.default_rng(0).normal(size=400) * 10
    found = compared(good=rows, bad=rows + 0.1 + 0.1 * np.random.default_rng(1).normal(size=400))
    assert found.verdicts["nats"].startswith("good is the best")
    assert found.behind["nats"]["bad"].error < 0.01 < found.figures["nats"]["bad"].error


def test_chance_earns_none_however_many_models_there_are():
    random, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        rows = random.normal(size=400)
        found = compared(**{f"m{i}": rows + random.normal(size=400) for i in range(6)})
        wrong += not found.verdicts["nats"].startswith("None")
    assert wrong <= 200 * 0.05


def test_models_are_compared_on_the_same_rows():
    found = zoo.compare([zoo.open(name, device="cpu") for name in ("mlp.digits", "cnn.digits")], "digits")
    data = zoo.load_dataset("digits")
    x, y = data.split("test")
    right = (zoo.open("mlp.digits", device="cpu").predict(x).argmax(1) == y).mean()
    assert next(iter(found.figures["accuracy"].values())).value == pytest.approx(right)
    assert found.rows == len(x)
    assert json.dumps(found.to_json())


def test_what_cannot_be_compared_is_said():
    model = zoo.open("realnvp.moons", device="cpu")
    with pytest.raises(InputError, match="two or more models"):
        zoo.compare([model], "moons")
    with pytest.raises(InputError, match="different names"):
        zoo.compare([model, model], "moons")
    with pytest.raises(InputError, match=r"unknown split 'tset'.*Did you mean 'test'"):
        zoo.compare([model, zoo.open("maf.moons", device="cpu")], "moons", "tset")
    gans = [zoo.open(name, device="cpu") for name in ("dcgan.digits", "ddpm.digits")]
    with pytest.raises(InputError, match="neither log_prob nor predict"):
        zoo.compare(gans, "digits")
