"""Small trained models that several tests share, made once for each test process."""

from __future__ import annotations

import pytest

import zoo


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a small finished training."""
    path = tmp_path_factory.mktemp("runs") / "moons"
    zoo.train("realnvp", "moons", path, epochs=3, batch_size=256, config={"layers": 4, "hidden": 16})
    return path


@pytest.fixture(scope="session")
def artifact_folder(run, tmp_path_factory):
    """The artifact of `run`. Tests that alter it work on a copy."""
    path = tmp_path_factory.mktemp("artifacts") / "moons"
    zoo.export(run, path)
    return path
