"""Timing: several ways of doing one thing in turns, so that what the machine does meanwhile meets all of them."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt

SLICE = 0.03  # seconds that each is run for at least, for each figure
LEAST = 7  # figures of each
LONG = 1.0  # seconds of one call that need no second to be believed
TICK = 0.01
Run = Callable[[], object]
Floats = npt.NDArray[np.float64]


def alternate(runs: Sequence[Run], *, figures: int = 9, limit: float = 40.0) -> Floats:
    """Seconds that a call takes, shape `(figures, len(runs))`: each row has a figure of each of `runs`, in turns.

    All are warmed up first, and none begins before the threads of the last one sleep. Where that would take longer
    than `limit` seconds there are fewer figures, but never less than seven.
    """
    counts, once = zip(*map(_repeats, runs), strict=True)
    rows = int(np.clip(limit / sum(once), min(LEAST, figures), figures))
    return np.array([[_figure(run, n) for run, n in zip(runs, counts, strict=True)] for _ in range(rows)])


class WithThreads:
    """A call with so many threads of PyTorch. They are set where it is entered, which takes longer than small calls."""

    def __init__(self, run: Run, threads: int) -> None:
        self.run, self.threads, self.before = run, threads, threads

    def __enter__(self) -> None:
        torch = sys.modules["torch"]
        self.before = torch.get_num_threads()
        torch.set_num_threads(self.threads)

    def __exit__(self, *error: object) -> None:
        sys.modules["torch"].set_num_threads(self.before)

    def __call__(self) -> object:
        return self.run()


def by_threads(run: Run) -> dict[int, Run]:
    """`run` with one thread of PyTorch, with which Keras computes too, and with all; as it is (0) without PyTorch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {0: run}
    return {threads: WithThreads(run, threads) for threads in sorted({1, torch.get_num_threads()})}


def against(ours: Run, theirs: Mapping[int, Run], *, limit: float = 40.0) -> tuple[Floats, int]:
    """Ours and theirs in turns, `(figures, 2)`, theirs with as many threads as suit it, and how many these are.

    More are not always faster, and where other threads want the cores they can be a hundred times slower. A few calls
    tell, and where these are close, the turns themselves.
    """
    if len(theirs) > 1:
        first = {threads: _few(run) for threads, run in theirs.items()}
        least = min(first.values())
        most = least if least > LONG else 2 * least
        theirs = {threads: run for threads, run in theirs.items() if first[threads] <= most}
    times = alternate([ours, *theirs.values()], limit=limit)
    best = int(np.median(times[:, 1:], axis=0).argmin())
    return times[:, [0, 1 + best]], list(theirs)[best]


def _few(run: Run) -> float:
    count, once = _repeats(run)
    return once / count if once > LONG else float(np.median([_figure(run, count) for _ in range(3)]))


def _repeats(run: Run) -> tuple[int, float]:
    """How often to run so that the clock's steps and the scheduler's do not matter, and the seconds that this takes.
    The first run warms up."""
    with entered(run):
        settle()
        run()
        count = 1
        while (taken := _time(run, count) * count) < SLICE:
            count *= 2
    return count, taken


def _figure(run: Run, count: int) -> float:
    with entered(run):
        settle()
        if count > 1:  # the cores and caches are no longer warm
            run()
        return _time(run, count)


def entered(run: Run) -> AbstractContextManager[None]:
    return run if isinstance(run, WithThreads) else nullcontext()


def settle(limit: float = 1.0) -> None:
    """Wait until this process rests. Threads of onnxruntime go on for some 35 ms after a run, looking for work, and
    PyTorch's for some 3 ms: until then they would take the cores from whoever runs next."""
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        begin = time.process_time()
        time.sleep(TICK)
        if time.process_time() - begin < TICK / 10:
            return


def _time(run: Run, count: int) -> float:
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - begin) / count
    finally:
        gc.enable()
