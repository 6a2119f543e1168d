"""`zoo bench` times what a user would call, and `zoo.timing` any function."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli import main
from zoo.signature import Signature
from zoo.timing import against, alternate, by_threads, settle


def run(*args):
    return CliRunner().invoke(main, ["bench", *args])


def test_each_takes_its_own_time():
    taken = alternate([lambda: time.sleep(0.002), lambda: time.sleep(0.02)], figures=3)
    assert taken.shape == (3, 2)
    assert 0.002 <= taken[:, 0].min() < 0.02 <= taken[:, 1].min()


def test_no_fewer_than_seven_figures_however_long_it_takes():
    assert len(alternate([lambda: time.sleep(0.06)], limit=0.01)) == 7


def test_all_methods_and_batches():
    result = run("realnvp.moons", "--batch", "1,8", "--seconds", "0.1", "--json", "--device", "cpu")
    found = json.loads(result.stdout)
    assert {(f["method"], f["batch"]) for f in found} == {
        (method, size) for method in ("sample", "log_prob", "encode", "decode") for size in (1, 8)
    }
    for f in found:
        assert f["rows_per_second"] == pytest.approx(f["batch"] / f["ms"] * 1e3)
        assert f["quartiles_ms"][0] <= f["ms"] <= f["quartiles_ms"][1]


def test_settings_reach_the_methods_that_have_them():
    def ms(steps):
        result = run("ebm.moons", "--batch", "1", "--set", f"steps={steps}", "--seconds", "0.1", "--json")
        (found,) = json.loads(result.stdout)
        assert found["method"] == "sample"  # log_prob has no steps
        return found["ms"]

    assert ms(60) > 3 * ms(1)


def test_beside_the_source():
    torch = pytest.importorskip("torch")
    args = ("realnvp.moons", "--method", "decode", "--batch", "1", "--seconds", "0.1", "--against-source")
    assert "its threads" in run(*args).stdout
    (found,) = json.loads(run(*args, "--json").stdout)
    assert found["source_threads"] in {1, torch.get_num_threads()}


def test_the_framework_runs_with_one_thread_or_all_and_keeps_its_setting():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = []
        for run in by_threads(lambda: seen.append(torch.get_num_threads())).values():
            alternate([run], figures=1)
        assert set(seen) == {1, 3}
        assert seen == sorted(seen)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_without_a_framework_there_is_no_choice(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    call = object()
    assert by_threads(call) == {0: call}


def test_theirs_has_as_many_threads_as_suit_it(monkeypatch):
    monkeypatch.setattr("zoo.timing.SLICE", 0.0)
    ours, slow, less, fast = (partial(time.sleep, seconds) for seconds in (0.02, 0.1, 0.035, 0.02))
    for theirs, best in (({1: fast, 2: slow}, 1), ({1: less, 2: fast}, 2), ({4: slow}, 4)):
        times, threads = against(ours, theirs)
        assert threads == best
        assert times.shape == (9, 2)
        assert np.median(times[:, 0]) >= 0.02
        assert 0.02 <= np.median(times[:, 1]) < (0.035 if best < 4 else 0.2)


def test_whoever_runs_next_waits_until_threads_sleep():
    end = time.perf_counter() + 0.3

    def spin():
        while time.perf_counter() < end:
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    settle()
    assert time.perf_counter() >= end
    thread.join()


def test_both_sides_get_the_same_options(monkeypatch):
    pytest.importorskip("torch")
    source, seen = zoo.load("ebm.moons"), []
    loop = source.methods["sample"]
    other = replace(loop.options["steps"], default=1)
    source.signatures["sample"] = Signature.of(replace(loop, options={**loop.options, "steps": other}))
    compute = source._execute
    monkeypatch.setattr(source, "_execute", lambda *given: seen.append(given[-1]) or compute(*given))
    monkeypatch.setattr(zoo, "load", lambda name: source)
    args = ("ebm.moons", "--method", "sample", "--batch", "1", "--seconds", "0.1", "--against-source")
    assert run(*args).exit_code == run(*args, "--set", "steps=3").exit_code == 0
    assert {int(options["steps"]) for options in seen} == {loop.options["steps"].default, 3}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["realnvp.moons", "--batch", "1,x"], "integers"),
        (["realnvp.moons", "--batch", "0"], "at least 1"),
        (["realnvp.moons", "--seconds", "nan"], "not a number of seconds"),
        (["realnvp.moons", "--method", "predict"], "no method 'predict'"),
        (["realnvp.moons", "--set", "steps=3"], "no method of realnvp.moons has all the options steps"),
        (["realnvp.moons", "--method", "sample", "--set", "steps=3"], "no option 'steps'"),
        (["ebm.moons", "--set", "steps=no"], "is not a number"),
        (["realnvp.moon"], "realnvp.moons"),
    ],
)
def test_mistakes(args, said):
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_has_no_source_beside_it(tmp_path):
    folder = str(zoo.open("realnvp.moons", device="cpu").folder)
    result = run(folder, "--against-source")
    assert result.exit_code == 2
    assert "presets" in result.stderr


def test_ctrl_c_leaves_what_was_measured_and_says_so_to_scripts(monkeypatch):
    def stop(*calls, **limit):
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.timing.alternate", stop)
    result = run("maf.moons", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout) == []
    assert "stopped after 0 of 12 figures" in result.stderr
