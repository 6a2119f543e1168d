"""Signals end a command at any point, and its temporary files are removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BUSY = """
import hashlib, sys
from contextlib import nullcontext
from zoo.system.interrupts import stops_command, unstoppable

with stops_command(at_once=lambda: print("cleaned up", flush=True)):
    with unstoppable() if sys.argv[1] == "unstoppable" else nullcontext():
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # no handler runs meanwhile
"""
HASHING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from zoo.system.files import sha256
from zoo.system.interrupts import stops_command

with stops_command(at_once=lambda: None), ThreadPoolExecutor() as pool:
    print("begun", flush=True)
    pool.submit(sha256, sys.argv[1]).result()
"""
FINALIZED = """
import signal
from zoo.system.interrupts import check_signals, stops_command

class Closing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

with stops_command(at_once=lambda: None):
    Closing()
    check_signals()
"""


def stopped(code: str, word: str, *numbers: signal.Signals) -> tuple[int, str]:
    """The exit code of a process that gets signals, and what it has printed by then."""
    with subprocess.Popen(
        [sys.executable, "-c", code, word], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for number in numbers:
            time.sleep(0.2)
            process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_what_cannot_be_told_to_stop(number: signal.Signals) -> None:
    assert stopped(BUSY, "unstoppable", number) == (128 + number, "cleaned up\n")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_everything_at_once(second: signal.Signals) -> None:
    assert stopped(BUSY, "", signal.SIGTERM, second) == (128 + signal.SIGTERM, "cleaned up\n")


def test_a_signal_stops_hashing_in_threads(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 2**40)
    code, _ = stopped(HASHING, str(path), signal.SIGINT)
    assert code == -signal.SIGINT  # as Python ends by a KeyboardInterrupt


def test_an_interrupt_in_a_finalizer_is_raised_later() -> None:
    ended = subprocess.run([sys.executable, "-c", FINALIZED], capture_output=True, text=True, timeout=10)
    assert ended.returncode == -signal.SIGINT
    assert "ignored" not in ended.stderr


def test_an_interrupt_before_a_command_has_begun_says_so() -> None:
    code = "import threading\nfrom zoo.cli import main\n"
    code += "def stop(thread): raise KeyboardInterrupt\nthreading.Thread.start = stop\nmain(['list'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10)
    assert (ended.returncode, ended.stderr) == (130, "stopped.\n")


def test_an_interrupt_that_a_library_reports_as_its_own_failure_stops_the_command() -> None:
    code = "import signal\nimport zoo.cli.list as command\nfrom zoo.cli import main\n"
    code += "def fail(*args, **more):\n    try: signal.raise_signal(signal.SIGTERM)\n"
    code += "    except KeyboardInterrupt: raise RuntimeError('it failed') from None\n"
    code += "command.command.callback = fail\nmain(['list'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=10)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGTERM, "stopped.\n")
