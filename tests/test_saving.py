"""A run is saved during training, as often as costs little of its time."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import zoo
from zoo import checkpoint
from zoo.errors import OutputError
from zoo.training import saving
from zoo.training.saving import Saver, Snapshot

SMALL = {"layers": 2, "hidden": 8}


class Clock:
    """Seconds that pass only where a test lets them."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(saving, "time", clock)
    return clock


def snapshot(step=1, best=None):
    return Snapshot({"step": step}, {"w": np.full(3, step)}, {}, {} if best is None else best)


def steps(folder):
    return json.loads((folder / "training.json").read_text())["position"]["step"]


def saver_of(folder, **more):
    return Saver(folder, **{"size": 0, "publish": lambda: folder, **more})


def test_saving_takes_at_most_its_share_of_the_time(clock, tmp_path, monkeypatch):
    def slow(*arguments, **more):
        clock.now += 7.0

    monkeypatch.setattr(saving, "write", slow)
    with saver_of(tmp_path, size=int(300e6)) as saver:  # two seconds, as is assumed
        clock.now += 39
        assert not saver.is_due()
        clock.now += 2
        assert saver.is_due()
        saver.save(snapshot, wait=False)
        clock.now += 7 / 0.05 - 7 - 1  # since the save began
        assert not saver.is_due()
        clock.now += 2
        assert saver.is_due()


def test_small_models_are_saved_every_ten_seconds_and_all_as_often_as_is_asked(clock, tmp_path):
    with saver_of(tmp_path) as usual, saver_of(tmp_path, every=3) as asked:
        clock.now += 3.5
        assert (usual.is_due(), asked.is_due()) == (False, True)
        clock.now += 7
        assert usual.is_due()


def test_the_training_goes_on_while_it_is_saved(tmp_path, monkeypatch):
    go, threads = threading.Event(), []

    def write(folder, snapshot, write=saving.write, **more):
        threads.append(threading.current_thread())
        if len(threads) > 1:
            assert go.wait(10)
        write(folder, snapshot, **more)

    monkeypatch.setattr(saving, "write", write)
    with saver_of(tmp_path, every=0) as saver:
        saver.save(snapshot, wait=False)  # the first is there when this returns: the run has its folder
        assert steps(tmp_path) == 1
        array = np.array([1.0])
        saver.save(lambda: Snapshot({"step": 2}, {"w": np.array(array)}, {}, {}), wait=False)
        array += 1
        assert not saver.is_due()  # one at a time
        assert steps(tmp_path) == 1
        go.set()
        saver.save(lambda: snapshot(3), wait=True)
        assert steps(tmp_path) == 3
    assert threads[0] is threading.main_thread() is threads[2]
    assert threads[1] is not threading.main_thread()


def test_weights_that_have_not_changed_are_not_written_again(tmp_path):
    best, other = {"w": np.zeros(3)}, {"w": np.ones(3)}
    with saver_of(tmp_path) as saver:
        for weights, changed in ((best, True), (best, False), (other, True)):
            before = (tmp_path / "model.json").stat().st_mtime_ns if (tmp_path / "model.json").exists() else 0
            saver.save(lambda weights=weights: snapshot(best=weights), wait=True)
            assert ((tmp_path / "model.json").stat().st_mtime_ns != before) == changed
    assert checkpoint.load(tmp_path, "model")[1]["w"][0] == 1


def test_a_save_that_fails_beside_the_training_ends_it(tmp_path, monkeypatch):
    count = []

    def full(folder, snapshot, write=saving.write, **more):
        count.append(1)
        if len(count) > 1:
            raise OutputError("no room")
        write(folder, snapshot, **more)

    monkeypatch.setattr(saving, "write", full)
    with pytest.raises(OutputError, match="no room"):
        zoo.train("realnvp", "moons", tmp_path / "run", epochs=500, config=SMALL, save_every=0)
    assert len(count) == 2


def test_a_training_is_saved_on_the_way(tmp_path):
    seen = set()

    def look(status):
        if (tmp_path / "run" / "training.json").exists():
            seen.add(steps(tmp_path / "run"))

    zoo.train("realnvp", "moons", tmp_path / "run", epochs=2, config=SMALL, save_every=0.02, progress=look)
    assert len(seen) > 3
