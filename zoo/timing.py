"""Timing: several ways of doing one thing in turns, so that what the machine does meanwhile meets all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

SLICE = 0.05  # seconds that each is run for at least, for each figure
LEAST = 7  # figures of each
Run = Callable[[], object]
Floats = npt.NDArray[np.float64]


def alternate(runs: Sequence[Run], *, figures: int = 9, limit: float = 40.0) -> Floats:
    """Seconds that a call takes, shape `(figures, len(runs))`: each row has a figure of each of `runs`, in turns.

    All are warmed up first. Where that would take longer than `limit` seconds there are fewer figures, but never less
    than seven.
    """
    counts = [_repeats(run) for run in runs]
    once = sum(_time(run, n) * n for run, n in zip(runs, counts, strict=True))
    rows = int(np.clip(limit / once, min(LEAST, figures), figures))
    return np.array([[_time(run, n) for run, n in zip(runs, counts, strict=True)] for _ in range(rows)])


def _repeats(run: Run) -> int:
    """How often to run so that the clock's steps and the scheduler's do not matter; the first runs warm up."""
    run()
    count = 1
    while _time(run, count) * count < SLICE:
        count *= 2
    return count


def _time(run: Run, count: int) -> float:
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - begin) / count
    finally:
        gc.enable()
