"""Threads: into how many parts to split a batch, and running each part in its own thread."""

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
PART = 3_000_000  # multiplications worth their own thread
SHARED = 1_000_000  # mean multiplications per operator worth all threads
UNCOUNTED = 32  # rows assumed to be worth a thread if their work was not counted


def plan(entry: MethodEntry, rows: int, options: Mapping[str, Any]) -> tuple[int, int]:
    """Into how many parts to split a batch, each with its own thread, and how many threads share each operator: one, or
    all (0). Rows are independent, so the threads of parts synchronize once, at the end, instead of in each operator:
    operators are shared only if there are fewer rows than cores, and operators are large."""
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
    """Start and end of each part of the rows."""
    cuts = [rows * k // parts for k in range(parts + 1)]
    return list(itertools.pairwise(cuts))


def together(runs: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the runs, each in its own thread; the first in this one. All have ended when this returns."""
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
    """Threads for parts of a batch. While one call uses them, they stay off the core of the caller.

    Linux often wakes a thread on the core that it last ran on. After a pause that was the caller's core, and two parts
    took turns on it while the other core was idle (measured on two cores; with more, Linux may find another).
    """

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="genzoo", initializer=self._begin)
        self.lock = threading.Lock()
        self.calls = 0
        self.ids: list[int] = []
        self.allowed: set[int] = set()  # cores; empty: those of the thread that started it

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
        """Allow the cores of the caller, except `avoided`."""
        if not hasattr(os, "sched_setaffinity"):
            return
        cores = os.sched_getaffinity(0)
        allowed = cores - {avoided} or cores
        if allowed != self.allowed:
            self.allowed = allowed
            self._move(self.ids)

    def _move(self, ids: Sequence[int]) -> None:
        with contextlib.suppress(OSError):  # if that is not permitted, the system places the threads
            for thread in ids if self.allowed else ():
                os.sched_setaffinity(thread, self.allowed)


@functools.cache
def _threads(process: int) -> Threads:
    """A forked child does not inherit its parent's threads."""
    return Threads()


def cores() -> int:
    """The cores that this thread may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def current_core() -> int | None:
    """The core that this thread runs on; None if unknown."""
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
