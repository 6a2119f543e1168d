"""Parts of a batch, each in a thread and on a core of its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def cut(rows: int, parts: int) -> list[tuple[int, int]]:
    """Where each part of the rows begins and ends."""
    cuts = [rows * k // parts for k in range(parts + 1)]
    return list(itertools.pairwise(cuts))


def together(runs: Sequence[Callable[[], T]]) -> list[T]:
    """What the runs give, each in a thread of its own; the first in this one."""
    if len(runs) == 1:
        return [runs[0]()]
    threads = _threads(os.getpid())
    threads.leave(current_core())
    others = [threads.pool.submit(run) for run in runs[1:]]
    return [runs[0](), *(other.result() for other in others)]


class Threads:
    """Threads for parts of a batch, which keep off the core of whoever calls.

    Linux often wakes a thread on the core that it ran on last. After a pause that was the caller's, and two parts took
    turns on one core while the other did nothing.
    """

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(cores(), thread_name_prefix="genzoo", initializer=self._begin)
        self.ids: list[int] = []
        self.left: int | None = None

    def _begin(self) -> None:
        self.ids.append(threading.get_native_id())
        self._keep_off(self.ids[-1:])

    def leave(self, core: int | None) -> None:
        """Keep all threads off a core, until another is to be left."""
        if core != self.left:
            self.left = core
            self._keep_off(self.ids)

    def _keep_off(self, ids: Sequence[int]) -> None:
        if self.left is None:
            return
        with contextlib.suppress(OSError):  # where it is not allowed, threads are where the system has them
            # those of the process's first thread: this thread's own are less one
            others = os.sched_getaffinity(os.getpid()) - {self.left}
            for thread in ids if others else ():
                os.sched_setaffinity(thread, others)


@functools.cache
def _threads(process: int) -> Threads:
    """A forked process has none of its parent's."""
    return Threads()


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def current_core() -> int | None:
    """The core that this thread runs on; None where the system does not tell, or threads cannot be kept off it."""
    return _sched_getcpu()() if hasattr(os, "sched_setaffinity") else None


@functools.cache
def _sched_getcpu() -> Callable[[], int]:
    import ctypes

    return ctypes.CDLL(None).sched_getcpu
