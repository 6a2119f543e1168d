"""Threads: into how many parts to cut a batch, and running each part in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from zoo.artifact.manifest import MethodEntry
from zoo.model import network_rows

T = TypeVar("T")
PART = 3_000_000  # multiplications that are worth a thread of their own
SHARED = 1_000_000  # multiplications of one operator, in the mean, that are worth all threads
UNCOUNTED = 32  # rows that are taken to be worth a thread where nobody counted their work


def plan(entry: MethodEntry, rows: int, options: Mapping[str, Any]) -> tuple[int, int]:
    """Into how many parts to cut a batch, each for a thread of its own, and how many threads share each operator:
    one, or all (0). Rows do not depend on each other, so threads of parts meet once, at the end, and not in each
    operator: these are shared only where there are fewer rows than cores, and operators are large."""
    if entry.work is None:
        parts = min(rows // UNCOUNTED, cores())
        return (parts, 1) if parts > 1 else (1, 0)
    work, length = entry.work * rows * network_rows(entry.signature, options), entry.signature.length
    steps = int(options[length]) if isinstance(length, str) else length or 1
    parts, large = min(rows, work * steps // PART), work >= SHARED * (entry.operators or 1)
    if parts < 2 and not large:
        return 1, 1
    return (1, 0) if large and rows < cores() else (max(1, min(parts, cores())), 1)


def cut(rows: int, parts: int) -> list[tuple[int, int]]:
    """Where each part of the rows begins and ends."""
    cuts = [rows * k // parts for k in range(parts + 1)]
    return list(itertools.pairwise(cuts))


def together(runs: Sequence[Callable[[], T]]) -> list[T]:
    """What the runs give, each in a thread of its own; the first in this one. None goes on after this returns."""
    if len(runs) == 1:
        return [runs[0]()]
    threads = _threads(os.getpid())
    with threads.busy():
        others = [threads.pool.submit(run) for run in runs[1:]]
        try:
            first = runs[0]()
        finally:
            for other in others:
                other.exception()  # waits
    return [first, *(other.result() for other in others)]


class Threads:
    """Threads for parts of a batch. As long as one call uses them, they keep off the core that it came from.

    Linux often wakes a thread on the core that it ran on last. After a pause that was the caller's, and two parts took
    turns on one core while the other did nothing (measured on two cores; where there are more it may find another).
    """

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="genzoo", initializer=self._begin)
        self.lock = threading.Lock()
        self.calls = 0
        self.ids: list[int] = []
        self.allowed: set[int] = set()  # cores; none: those of the thread that began it

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        with self.lock:
            self.calls += 1
            self._place(current_core() if self.calls == 1 else None)
        try:
            yield
        finally:
            with self.lock:
                self.calls -= 1

    def _begin(self) -> None:
        with self.lock:
            self.ids.append(threading.get_native_id())
            self._move(self.ids[-1:])

    def _place(self, avoided: int | None) -> None:
        """Where the caller may be, less one core."""
        if not hasattr(os, "sched_setaffinity"):
            return
        cores = os.sched_getaffinity(0)
        allowed = cores - {avoided} or cores
        if allowed != self.allowed:
            self.allowed = allowed
            self._move(self.ids)

    def _move(self, ids: Sequence[int]) -> None:
        with contextlib.suppress(OSError):  # where that is not allowed, threads are where the system has them
            for thread in ids if self.allowed else ():
                os.sched_setaffinity(thread, self.allowed)


@functools.cache
def _threads(process: int) -> Threads:
    """A forked child does not inherit its parent's threads."""
    return Threads()


def cores() -> int:
    """Those that this thread may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def current_core() -> int | None:
    """The core that this thread runs on; None where the system does not tell."""
    ask = _sched_getcpu()
    core = ask() if ask else -1
    return core if core >= 0 else None


@functools.cache
def _sched_getcpu() -> Callable[[], int] | None:
    try:
        import ctypes

        return ctypes.PyDLL(None).sched_getcpu
    except (ImportError, OSError, AttributeError, TypeError):  # another system's C library, or none; Windows: no None
        return None
