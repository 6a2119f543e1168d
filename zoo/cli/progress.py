"""Progress on stderr: a live bar on a terminal, elsewhere a line about every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.cli.output import duration, note

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from zoo.training import RunRecord, Status

SECONDS = 10.0
REFRESH = 0.1


def _bar(*columns: str) -> Bar:
    """A bar that vanishes when it is done. `columns` are texts with the fields of the task."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    words = [TextColumn(text, markup=False) for text in columns]
    return Progress(
        SpinnerColumn(),
        words[0],
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *words[1:],
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )


@contextmanager
def rows(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields `progress(done, total)` for rows."""
    if not sys.stderr.isatty():
        began = last = time.monotonic()

        def line(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= SECONDS and done < total:
                last = now
                left = duration((now - began) * (total - done) / done) if done else "?"
                note(f"{what}: {done:,} of {total:,} rows, {left} left")

        yield line
        return
    with _bar("{task.description}", "{task.fields[rows]}") as bar:
        task = bar.add_task(what, total=None, rows="")
        yield lambda done, total: bar.update(task, completed=done, total=total, rows=f"{done:,}/{total:,} rows")


@contextmanager
def stages(what: str) -> Iterator[Callable[[str], None]]:
    """Yields `progress(stage)` for work whose length is not known."""
    if not sys.stderr.isatty():
        yield lambda stage: note(f"{what}: {stage}")
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as spinner:
        yield lambda stage: spinner.update(f"{what}: {stage}")


def losses(status: Status) -> str:
    words = [f"{name} {value:.4f}" for name, value in status.losses.items()]
    if status.validation is not None:
        words.append(f"validation {status.validation:.4f}")
    if status.best is not None and status.best != status.validation:
        words.append(f"best {status.best:.4f}")
    return "  ".join(words)


@contextmanager
def training(title: Callable[[RunRecord], str]) -> Iterator[Callable[[Status], None]]:
    """Yields `progress(status)` for `zoo.train`. `title` is printed at the first step."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    with _bar("{task.description}", "{task.fields[losses]}") as bar:
        task = bar.add_task("loading", total=None, losses="")
        last = 0.0

        def show(status: Status) -> None:
            nonlocal last
            now = time.monotonic()
            if not last:
                bar.console.print(title(status.record), markup=False, highlight=False)
                bar.reset(task, total=status.steps, completed=status.step)
            elif now - last < REFRESH and status.step < status.steps:
                return
            last = now
            epoch = f"epoch {status.epoch}/{status.epochs}"
            bar.update(task, completed=status.step, description=epoch, losses=losses(status))

        yield show


class _Lines:
    """A line at the first step, about every ten seconds, and at the end."""

    def __init__(self, title: Callable[[RunRecord], str]) -> None:
        self.title = title
        self.began = self.last = 0.0
        self.first = 0
        self.finished = False

    def __call__(self, status: Status) -> None:
        now = time.monotonic()
        if not self.began:
            note(self.title(status.record))
            self.began, self.first = now, status.step
        elif status.step == status.steps and not self.finished:
            self.finished = True  # the next report has this epoch's validation
            return
        elif now - self.last < SECONDS and status.step < status.steps:
            return
        self.last = now
        words = [f"epoch {status.epoch}/{status.epochs}", f"step {status.step}/{status.steps}", losses(status)]
        if self.first < status.step < status.steps:
            left = (now - self.began) * (status.steps - status.step) / (status.step - self.first)
            words.append(f"{duration(left)} left")
        note("  ".join(filter(None, words)))
