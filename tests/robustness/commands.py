"""Commands in forks of this process, and what they work on."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import PIL.Image

from zoo.cli import COMMANDS
from zoo.plugins.loading import load_plugins

# `hidden` as large as weights must be to lie in a file of their own
SMALL = ["--epochs", "2", "--batch-size", "1000", "--set", "layers=2", "--set", "hidden=16"]


IMPORTED = (
    *("onnxruntime", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "safetensors.numpy"),
    *("zoo_onnx.export", "zoo_torch.learner", "zoo_torch.architectures.realnvp"),
    *("zoo.cli.row_commands", "zoo.evaluation.report", "zoo.estimate", "zoo.training", "zoo.artifact.isolation"),
)


def imports() -> None:
    """What commands import and look up, once."""
    for name in (*IMPORTED, *(f"zoo.cli.{command.replace('-', '_')}" for command in COMMANDS)):
        importlib.import_module(name)
    load_plugins()
    PIL.Image.init()
    gc.freeze()  # no fork copies these pages to look for garbage in them


@dataclass
class Outcome:
    """What became of a command. `problem` is what should not have happened."""

    kind: str
    words: list[str] = field(default_factory=list)
    problem: str = ""
    said: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.problem)

    def __str__(self) -> str:
        return f"{self.problem}\n  $ zoo {' '.join(self.words)}\n  " + self.said[-2000:].replace("\n", "\n  ")


class Commands:
    """A folder with a run, an artifact and data of every format, in which commands run."""

    def __init__(self, folder: Path, timeout: float) -> None:
        self.folder, self.timeout = folder, timeout  # a busy machine is slow; what hangs, hangs longer
        self.log = folder / "log"
        self.materials = folder / "materials"
        self.materials.mkdir()
        for words in (
            ["train", "realnvp", "--data", "moons", "--out", "run", *SMALL],
            ["export", "run", "--limit", "0", "--out", "artifact"],
            *(["sample", "artifact", "-n", "40", "--seed", "1", "--out", f"x.{s}"] for s in ("csv", "parquet", "npz")),
            ["sample", "artifact", "-n", "40", "--seed", "1", "--out", "x.npy"],
            ["sample", "transformer.names", "-n", "40", "--seed", "1", "--out", "x.txt"],
        ):
            outcome = self.run(words, self.materials)
            assert not outcome.failed, outcome
        for letter in "ab":
            (self.materials / "images" / letter).mkdir(parents=True)
            for i in range(6):
                PIL.Image.new("L", (8, 8), 40 * i).save(self.materials / "images" / letter / f"{i}.png")
        half = ["train", "realnvp", "--data", "x.csv", "--out", "half", *SMALL, "--epochs", "300", "--patience", "0"]
        outcome = self.run(half, self.materials, _stopped_in_the_middle, allowed=(130,))
        assert not outcome.failed, outcome

    def start(self, words: list[str], folder: Path, prepare: Callable[[], None] | None = None) -> int:
        """The process id of a command in `folder`; `prepare` runs in it first."""
        process = os.fork()
        if not process:
            self._become(words, folder, prepare)
        return process

    def _become(self, words: list[str], folder: Path, prepare: Callable[[], None] | None) -> NoReturn:
        code, begun = 1, False
        try:
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(folder)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if prepare:
                prepare()
            from zoo.cli import main

            begun = True
            main(words)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not begun:
                code = 128 + signal.SIGINT
            else:
                traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def end(self, process: int) -> int | None:
        """The exit code of a process (a signal is negative); None if it did not end in time."""
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def run(
        self, words: list[str], folder: Path, prepare: Callable[[], None] | None = None, allowed: tuple[int, ...] = (0,)
    ) -> Outcome:
        """Run a command to its end; a problem if its exit code is not one of those allowed, or if it said too much."""
        code = self.end(self.start(words, folder, prepare))
        said = self.said()
        if code is None:
            return Outcome("hung", words, f"no end after {self.timeout:.0f} s", said)
        if code < 0:
            return Outcome("crashed", words, f"killed by {signal.Signals(-code).name}", said)
        if "Traceback" in said:
            return Outcome("traceback", words, "a traceback", said)
        if code not in allowed:
            return Outcome(f"exit {code}", words, f"exit code {code}, expected {allowed}", said)
        return Outcome(f"exit {code}", words, "", said)


def _stopped_in_the_middle() -> None:
    """Ctrl-C comes in step 100 of a training of this process, which is a fork that ends with its command."""
    from zoo.training.loop import Loop

    step = Loop.step

    def interrupted(self: Loop) -> None:
        step(self)
        if self.at.step == 100:
            signal.raise_signal(signal.SIGINT)

    Loop.step = interrupted  # type: ignore[method-assign]
