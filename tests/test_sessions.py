"""Few sessions where weights are large, and none that is not needed."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo import parity
from zoo.artifact import EXAMPLES, sessions
from zoo.artifact.sessions import OPEN, Sessions


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
    parity.check(artifact, parity.unpack(artifact.files.read(EXAMPLES)))
    assert not artifact.sessions.open
