"""Progress on stderr: a live bar on a terminal, elsewhere a line about every ten seconds.

Both show activity while nothing is reported: the bar is animated, and a thread prints the lines.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.cli.output import duration, note
from zoo.cli.streams import printable, say
from zoo.system.memory import gib

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from zoo.training import RunRecord, Status
    from zoo.training.forecast import Forecast

Stage = Callable[..., None]  # stage, done, total
SECONDS = 10.0  # between lines
LONG = 2.0  # the shortest stage that gets a line
REFRESH = 0.1


def _bar(*columns: str) -> Bar:
    """A bar that vanishes when it is done. `columns` are texts with the fields of the task."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Words(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(self.text_format.format(task=task)))

    words = [Words(text) for text in columns]
    return Progress(
        SpinnerColumn(),
        words[0],
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        *words[1:],
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(
            file=sys.stderr
        ),  # the stream of this moment: exporters redirect it to hide the output of libraries
        transient=True,
        expand=True,
    )


@contextmanager
def rows(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yields `progress(done, total)` for rows."""
    with _report(what, lambda done, total: f"{done:,.0f} of {total:,.0f} rows") as show:
        yield lambda done, total: show("", done, total)


@contextmanager
def stages(what: str) -> Iterator[Stage]:
    """Yields `progress(stage, done, total)`: how much of a stage is done; 0 of 0 if that is unknown."""
    with _report(what, lambda done, total: f"{done / total:.0%}") as show:
        show("loading")
        yield show


@contextmanager
def _report(what: str, amount: Callable[[float, float], str]) -> Iterator[Stage]:
    if not sys.stderr.isatty():
        with Lines(what, amount) as lines:
            yield lines
        return
    with _bar("{task.description}", "{task.fields[amount]}") as bar:
        task = bar.add_task(what, total=None, amount="")
        current = ""

        def show(stage: str, done: float = 0, total: float = 0) -> None:
            nonlocal current
            if stage != current:
                current = stage
                bar.reset(task, total=total or None, description=f"{what}: {stage}")
            bar.update(task, completed=done, total=total or None, amount=amount(done, total) if total else "")

        yield show


class Lines:
    """Prints a line about a stage that takes some seconds, and every ten seconds after that, whether or not anything is
    reported."""

    def __init__(self, what: str, amount: Callable[[float, float], str]) -> None:
        self.what, self.amount = what, amount
        self.stream = sys.stderr  # exporters redirect the stream for a while to hide the output of libraries
        self.stage = ""
        self.done = self.total = 0.0
        self.began = self.reported = time.monotonic()
        self.due = self.began + LONG
        self.lock, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Lines:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def __call__(self, stage: str, done: float = 0, total: float = 0) -> None:
        now = time.monotonic()
        with self.lock:
            goes_on = total == self.total and done > self.done  # the next part of the same work
            if stage != self.stage and not goes_on:
                self.began, self.due = now, max(now + LONG, self.due - SECONDS + LONG)
            self.stage, self.done, self.total, self.reported = stage, done, total, now

    def _watch(self) -> None:
        while not self.over.wait(max(0.05, self.due - time.monotonic())):
            with self.lock:
                now = time.monotonic()
                if now >= self.due:
                    self.due = now + SECONDS
                    say(self.line(now), file=self.stream)

    def line(self, now: float) -> str:
        """What is done, and the remaining time if it is known, otherwise the time since the stage began."""
        spent = self.reported - self.began  # for what is done
        if self.done and self.done < self.total and spent:
            left = spent * (self.total - self.done) / self.done - (now - self.reported)
            times = f"{duration(max(left, 0.0))} left"
        else:
            times = f"for {duration(now - self.began)}"
        known = self.amount(self.done, self.total) if self.total else ""
        return f"{self.what}: {', '.join(filter(None, (self.stage, known, times)))}"


def forecast_line(forecast: Forecast) -> str:
    """The forecast of a training as a sentence."""
    memory = ((forecast.memory, "of memory"), (forecast.device_memory, "of the memory of the device"))
    amounts = "".join(f" and {gib(amount)} {what}" for amount, what in memory if amount)
    return f"takes about {duration(forecast.seconds)}{amounts}, estimated from its first steps"


def losses(status: Status) -> str:
    words = [f"{name} {value:.4f}" for name, value in status.losses.items()]
    if status.validation is not None:
        words.append(f"validation {status.validation}")
    if status.best is not None and status.best != status.validation:
        words.append(f"best {status.best}")
    return "  ".join(words)


@contextmanager
def training(title: Callable[[RunRecord], str]) -> Iterator[Callable[[Status], None]]:
    """Yields `progress(status)` for `zoo.train`. `title` is printed at the first step."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    with _bar("{task.description}", "{task.fields[losses]}") as bar:
        from zoo.training.forecast import Forecaster

        task = bar.add_task("loading", total=None, losses="")
        last, forecaster = 0.0, Forecaster()

        def show(status: Status) -> None:
            nonlocal last
            now = time.monotonic()
            if forecast := forecaster(status):
                bar.console.print(printable(forecast_line(forecast)), markup=False, highlight=False)
            if not last:
                bar.console.print(printable(title(status.record)), markup=False, highlight=False)
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
        from zoo.training.forecast import Forecaster

        self.title, self.forecaster = title, Forecaster()
        self.began = self.last = 0.0
        self.first = 0
        self.finished = False

    def __call__(self, status: Status) -> None:
        now = time.monotonic()
        if forecast := self.forecaster(status):
            note(forecast_line(forecast))
        if not self.began:
            note(self.title(status.record))
            self.began, self.first = now, status.step
        elif status.step == status.steps and not self.finished:
            self.finished = True  # the next report includes the validation of this epoch
            return
        elif now - self.last < SECONDS and status.step < status.steps:
            return
        self.last = now
        words = [f"epoch {status.epoch}/{status.epochs}", f"step {status.step}/{status.steps}", losses(status)]
        if self.first < status.step < status.steps:
            left = (now - self.began) * (status.steps - status.step) / (status.step - self.first)
            words.append(f"{duration(left)} left")
        note("  ".join(filter(None, words)))
