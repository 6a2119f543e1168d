"""The short form of `python tests/robustness`: kills at each named point, mutated files, scarce resources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork, /proc and mounts")
def test_nothing_is_lost_and_nothing_crashes():
    command = [sys.executable, Path(__file__).parent / "robustness"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 failed") == 3
