"""How much of a method to check: as much as its cost allows, and never nothing.

The cost of a row is measured. If all kinds of input, all batch sizes and whole loops fit into the budget, all are
checked. Otherwise there are fewer rows, and only a few steps at the start, middle and end of a long loop, each from the
initial state, plus a short run of the whole loop if the number of steps is an option.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from zoo.errors import InputError, did_you_mean
from zoo.signature import Signature, Window
from zoo.spaces import KINDS

DEFAULT = 40.0  # seconds for each method; with tracing about a minute
BUDGETS = {"full": math.inf, "quick": 5.0}
COUNT = 7  # rows of a case, at most
# rows of a case -> the ranges computed in separate calls. The last one shows whether rows mix
BATCHES = {
    7: ((0, 1), (0, 2), (0, 7), (4, 7)),
    3: ((0, 1), (0, 3), (1, 3)),
    2: ((0, 2), (1, 2)),
    1: ((0, 1),),
}
WINDOWS = ((7, 8), (3, 8), (3, 4), (2, 4), (2, 2), (2, 1))  # rows and steps of each part of a loop that is too long
Check = str | float | None  # a budget as given by the user


@dataclass(frozen=True)
class Run:
    """A case to run: the kind of its inputs, its rows, a window of the loop (None: the whole), and the largest value of
    the option that is the loop's length."""

    kind: str
    rows: int
    window: Window | None = None
    steps: int | None = None

    def seconds(self, signature: Signature, source: Cost, artifact: Cost) -> float:
        """Its cost. For inputs that are not random the source runs twice, if it takes floats, including noise."""
        length = loop_length(signature)
        floats = signature.random or any(tensor.dtype == "float32" for tensor in signature.inputs.values())
        steps = self.window.steps if self.window else min(self.steps or length, length)
        times = 2 if floats and self.kind != "random" else 1
        calls = len(BATCHES[self.rows])
        return steps * (times * source.of(self.rows) + artifact.of(batched_rows(self.rows), calls))


@dataclass(frozen=True)
class Cost:
    """Seconds of a pass through the network: a constant per call, and seconds per row."""

    call: float
    row: float

    def of(self, rows: int, calls: int = 1) -> float:
        return calls * self.call + rows * self.row


def seconds_of(check: Check) -> float:
    """A budget given by the user ("full", "quick", seconds or None) in seconds for each method."""
    if check is None:
        return DEFAULT
    if check in BUDGETS:
        return BUDGETS[str(check)]
    try:
        seconds = float(check)
    except (TypeError, ValueError):
        seconds = math.nan
    if not seconds > 0:
        near = did_you_mean(str(check), BUDGETS)
        raise InputError(f"check is {check!r}; expected full, quick, or seconds for each method.{near}")
    return seconds


def plan(signature: Signature, source: Cost, artifact: Cost, seconds: float, windowed: bool) -> list[Run]:
    """The runs of a method that fit into the budget; the smallest set if none do. `windowed` says whether a loop can be
    entered anywhere."""
    runs: list[Run] = []
    spent = 0.0
    for runs in candidates(signature, windowed):
        spent = sum(run.seconds(signature, source, artifact) for run in runs)
        whole = signature.length is None or any(run.window is None and run.steps is None for run in runs)
        if spent <= (seconds if whole else seconds / 2):
            return runs if whole else [*runs, *longest(signature, source, artifact, seconds - spent)]
    return runs


def longest(signature: Signature, source: Cost, artifact: Cost, seconds: float) -> list[Run]:
    """As many steps of one row as fit, from the first on: windows start at the initial state, so they do not test what
    a loop does with a state that has been filled for long, such as a cache."""
    step = Run("random", 1, Window(0, 1)).seconds(signature, source, artifact)
    steps = min(loop_length(signature), int(seconds / step))
    return [Run("random", 1, Window(0, steps))] if steps else []


def candidates(signature: Signature, windowed: bool) -> Iterator[list[Run]]:
    """The possible sets of runs of a method, largest first."""
    for rows in (7, 3):
        yield [Run(kind, rows) for kind in KINDS]
    if signature.length is None:
        yield [Run(kind, 2) for kind in KINDS]
        yield [Run("random", 2)]
        yield [Run("random", 1)]
        return
    yield [Run("random", 1), *parts(signature, windowed, 3, 8)]
    for rows, steps in WINDOWS:
        yield parts(signature, windowed, rows, steps)
    yield [Run("random", 1, Window(0, 1))]


def parts(signature: Signature, windowed: bool, rows: int, steps: int) -> list[Run]:
    """Runs of a few steps of a loop, for all kinds of input, at all possible entry points."""
    length = loop_length(signature)
    steps = min(steps, length)
    first, middle, last = (place if windowed else 0 for place in (0, (length - steps) // 2, length - steps))
    wanted = [("random", first), ("random", middle), ("random", last), ("boundary", middle), ("tail", first)]
    runs = [Run(kind, rows, Window(place, steps)) for kind, place in dict.fromkeys(wanted)]
    if isinstance(signature.length, str):
        runs.insert(0, Run("random", rows, steps=max(steps, int(signature.options[signature.length].low or 1))))
    return runs


def loop_length(signature: Signature) -> int:
    """Default number of steps of a loop; 1 without a loop."""
    length = signature.length
    return int(signature.options[length].number) if isinstance(length, str) else length or 1


def batched_rows(rows: int) -> int:
    """Rows that an artifact computes for a case, over all calls."""
    return sum(high - low for low, high in BATCHES[rows])
