"""Shared by several tests: small trained models, made once per test process, and environments to install in."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv

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


class Environment:
    """A virtual environment of its own that sees all that is installed here: a place to install plugins in."""

    def __init__(self, folder):
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        self.bin = folder / "bin"
        (site,) = folder.glob("lib/python*/site-packages")
        ours = sysconfig.get_path("purelib")
        (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
        for command in ("zoo", "pip", "pytest"):
            script = self.bin / command
            script.write_text(f'#!/bin/sh\nexec "{self.bin / "python"}" -P -m {command} "$@"\n')
            script.chmod(0o755)
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
        self.variables = {
            **outside,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # which means: without it. Building needs nothing from an index
        }

    def run(self, *command, cwd, code=0, timeout=600):
        """Run a command of this environment; what it printed, its exit code checked."""
        result = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert result.returncode == code, f"{' '.join(map(str, command))}\n{result.stdout}"
        return result.stdout


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory):
    return lambda: Environment(tmp_path_factory.mktemp("environment"))
