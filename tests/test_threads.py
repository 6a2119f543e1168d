import os
import threading
from functools import partial

import pytest

from zoo.artifact.threads import current_core, cut, together

# only Linux moves single threads, and there has to be a core to leave and one to go to
needs_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores"
)


def where():
    return os.sched_getaffinity(0)


def test_parts_are_all_rows_once():
    assert cut(10, 3) == [(0, 3), (3, 6), (6, 10)]


@needs_cores
def test_parts_keep_off_the_core_of_whoever_calls(monkeypatch):
    mine = where()
    for core in sorted(mine) * 2:
        monkeypatch.setattr("zoo.artifact.threads.current_core", lambda core=core: core)
        assert together([where, where]) == [mine, mine - {core}]


@needs_cores
def test_two_callers_leave_it_to_the_system(monkeypatch):
    mine, ready, go, found = where(), threading.Event(), threading.Event(), []
    monkeypatch.setattr("zoo.artifact.threads.current_core", lambda: min(mine))
    first = threading.Thread(target=together, args=[[ready.set, partial(go.wait, 10)]])
    first.start()
    ready.wait(10)
    found += together([where, where])
    go.set()
    first.join()
    assert found == [mine, mine]
    assert together([where, where]) == [mine, mine - {min(mine)}]


@needs_cores
def test_the_core_that_this_thread_runs_on():
    found = {}

    def pinned(core):
        os.sched_setaffinity(0, {core})  # this thread only
        found[core] = current_core()

    for core in where():
        thread = threading.Thread(target=pinned, args=[core])
        thread.start()
        thread.join()
    assert found == {core: core for core in where()}


def test_where_threads_cannot_be_moved_parts_run_all_the_same(monkeypatch):
    def refuse(thread, cores):
        raise PermissionError

    monkeypatch.setattr("os.sched_setaffinity", refuse, raising=False)
    monkeypatch.setattr("zoo.artifact.threads.current_core", iter([None, 0, 1]).__next__)
    for _ in range(3):
        assert together([lambda: 1, lambda: 2]) == [1, 2]


def test_no_part_goes_on_when_another_has_failed():
    begun, go, done = threading.Event(), threading.Event(), []

    def fail():
        begun.wait(10)
        threading.Timer(0.05, go.set).start()
        raise RuntimeError("no memory")

    def slow():
        begun.set()
        go.wait(10)
        done.append(1)

    with pytest.raises(RuntimeError, match="no memory"):
        together([fail, slow])
    assert done == [1]
