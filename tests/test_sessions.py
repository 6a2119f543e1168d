"""Few sessions if weights are large, and no unneeded ones."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zoo
from zoo.artifact import EXAMPLES, WEIGHTS, sessions
from zoo.artifact.sessions import OPEN, Sessions
from zoo.errors import CorruptFile
from zoo.parity import comparison
from zoo.parity.cases import unpack


@pytest.fixture
def opened(monkeypatch):
    """How many sessions there were each time that one was opened."""
    found, create = [], Sessions.create

    def counted(self, *given, **more):
        found.append(len(self.open))
        return create(self, *given, **more)

    monkeypatch.setattr(Sessions, "create", counted)
    return found


def test_what_is_large_is_closed_before_more_is_opened(artifact_folder, opened, monkeypatch):
    monkeypatch.setattr(sessions, "LARGE", 0)
    artifact = zoo.open(artifact_folder, device="cpu")
    x = artifact.sample(4, seed=0)
    z = artifact.encode(x)
    artifact.log_prob(x)
    np.testing.assert_allclose(artifact.decode(z), x, rtol=1e-4, atol=1e-4)
    assert len(artifact.signatures) > OPEN
    assert max(opened) == OPEN - 1
    assert [key[0] for key in artifact.sessions.open] == ["log_prob", "decode"]
    count = len(opened)
    artifact.log_prob(x)  # was not closed, and now was used last
    assert [key[0] for key in artifact.sessions.open] == ["decode", "log_prob"]
    assert len(opened) == count


def test_sessions_that_were_closed_are_opened_again(artifact_folder, opened):
    artifact = zoo.open(artifact_folder, device="cpu")
    x = artifact.sample(4, seed=0)
    artifact.release()
    assert not artifact.sessions.open
    np.testing.assert_array_equal(artifact.sample(4, seed=0), x)
    assert len(opened) == 2


def test_a_comparison_leaves_no_session_open(artifact_folder):
    artifact = zoo.open(artifact_folder, device="cpu")
    comparison.check(artifact, unpack(artifact.files.read(EXAMPLES)))
    assert not artifact.sessions.open


def test_external_weights_that_change_under_an_open_session_are_noticed(run, tmp_path):
    """onnxruntime maps them into memory, so a write to the file changes the weights of sessions that are open."""
    folder = tmp_path / "artifact"
    zoo.export(run, folder, limit=0)
    artifact = zoo.open(folder, device="cpu")
    bound = artifact.bind("sample", 4)
    np.testing.assert_array_equal(bound(7)["x"].numpy(), artifact.sample(4, seed=7))
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(bytes((folder / WEIGHTS).stat().st_size))
    for sample in (bound, lambda seed: artifact.sample(4, seed=seed)):
        with pytest.raises(CorruptFile, match=f"{WEIGHTS} has changed since the artifact was opened"):
            sample(7)


def test_threads_that_call_a_large_method_first_open_one_session(artifact_folder, opened, monkeypatch):
    monkeypatch.setattr(sessions, "LARGE", 0)
    artifact = zoo.open(artifact_folder, device="cpu")
    together, count = threading.Barrier(4), len(opened)

    def call(_):
        together.wait()
        return artifact.sample(4, seed=0)

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(call, range(4))
    assert len(opened) == count + 1
    for rows in others:
        np.testing.assert_array_equal(rows, first)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_a_session_is_opened_leaves_the_child_a_lock_of_its_own(artifact_folder):
    code = f"""
import copy, os, signal, threading, zoo
artifact = zoo.open({str(artifact_folder)!r}, device="cpu")
twin = copy.copy(artifact)
locks = artifact.sessions.lock, twin.sessions.lock
held, done = threading.Event(), threading.Event()
def hold():
    with locks[0], locks[1]:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(20)
    artifact.sample(2, seed=0)
    twin.sample(2, seed=0)
    os._exit(0)
done.set()
thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
