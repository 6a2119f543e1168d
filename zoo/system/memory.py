"""How much memory is available, and an early error if a job needs more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import InputError

UNKNOWN = 2**40  # bytes, if the system does not tell
SMALL = 2**24  # bytes that need no check
SAID = ("bad_alloc", "allocat", "out of memory", "can't start new thread", "failed to map segment")  # in errors
CGROUPS = Path("/sys/fs/cgroup")

_limited = threading.Lock()


def check_fits(need: int, what: str, advice: str) -> None:
    """`InputError` if `what` needs more bytes (`need`) than are free. `advice` says what to do then."""
    if need > SMALL and need > (free := available()):
        raise InputError(f"{what} needs {gib(need)} of memory, but {gib(free)} are free. {advice}")


def check_mappable(size: int, what: str) -> None:
    """`InputError` if a file of `size` bytes cannot be mapped into memory: address space may be limited."""
    most = next(_limit(), UNKNOWN)
    if size > SMALL and size > most:
        raise InputError(
            f"{what} takes {gib(size)} of address space, and the limit of this process leaves {gib(max(0, most))}. "
            "Raise it (ulimit -v unlimited), or give fewer rows."
        )


def is_shortage(error: BaseException) -> bool:
    """Whether an exception of any library means that memory ran out."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in SAID)


def gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"


def available() -> int:
    """Bytes that this process can still allocate, by the machine's free memory, its control groups and its limits."""
    return max(0, min([UNKNOWN, *_machine(), *_groups(), *_limit()]))


def _machine() -> Iterator[int]:
    with suppress(OSError, ValueError), open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _groups() -> Iterator[int]:
    """The remaining memory of each control group of this process, as in containers: version 2 or 1."""
    with suppress(OSError), open("/proc/self/cgroup") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers in ("", "memory"):
                root = CGROUPS / controllers
                names = ("memory.max", "memory.current") if not controllers else (
                    "memory.limit_in_bytes", "memory.usage_in_bytes"
                )  # fmt: skip
                inner = root / path.lstrip("/")
                for folder in (inner, *inner.parents):
                    yield from _left(folder, *names)
                    if folder == root:
                        break


def _left(folder: Path, most: str, used: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # "max": no limit
        limit, taken = int((folder / most).read_text()), int((folder / used).read_text())
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):  # cache that can be reclaimed
                taken -= int(value)
        yield limit - taken


def _limit() -> Iterator[int]:
    """The remainders of `ulimit -v` (address space), then of `ulimit -d` (data)."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        limits = zip((resource.RLIMIT_AS, resource.RLIMIT_DATA), in_use(), strict=True)
        for kind, used in limits:
            limit, _ = resource.getrlimit(kind)
            yield limit - used if limit != resource.RLIM_INFINITY else UNKNOWN


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """In this block the process gets at most `size` further bytes, on Linux: requests beyond that raise `MemoryError`,
    or the library's own error, instead of exhausting the machine. One block at a time is limited.
    """
    if not _limited.acquire(blocking=False):
        yield
        return
    before = None
    try:
        with suppress(ImportError, OSError, ValueError):
            import resource

            soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            known = [limit for limit in (in_use()[1] + size, soft, hard) if limit != resource.RLIM_INFINITY]
            resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))
            before = soft, hard
        yield
    finally:
        if before:
            resource.setrlimit(resource.RLIMIT_DATA, before)
        _limited.release()


def in_use() -> tuple[int, int]:
    """Bytes of address space of this process, and of data in it. `OSError` if the system does not tell."""
    pages = [int(word) for word in Path("/proc/self/statm").read_text().split()]
    return pages[0] * os.sysconf("SC_PAGE_SIZE"), pages[5] * os.sysconf("SC_PAGE_SIZE")
