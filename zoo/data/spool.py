"""Rows that come a block at a time, kept in memory or, where they would take much of it, on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from zoo.data.sources import Parts, Source
from zoo.errors import InputError
from zoo.system.memory import available, check_mappable, gib

Array = npt.NDArray[Any]
SHARE = 4  # a quarter of the memory that is free is taken, at most
FOLDER, LIMIT = "ZOO_CACHE", "ZOO_CACHE_LIMIT"  # the environment variables that say where, and how much


class Spool:
    """Blocks of rows of one shape and dtype, in the order in which they are added.

    `finish` gives them as a `Source`: blocks in memory as they were added, without a copy, or a memory map of a file
    that has no name and goes with the process. `expected` is how many bytes will come, where that is known: what does
    not fit is refused before any is read.
    """

    def __init__(self, what: str, expected: int = 0) -> None:
        self.what, self.most = what, available() // SHARE
        self.blocks: list[Array] = []
        self.file: BinaryIO | None = None
        self.rows = self.bytes = 0
        self.map: np.memmap[Any, Any] | None = None  # of all that is expected: later there may be no room for it
        if expected > self.most:
            self._open(expected)
            assert self.file is not None
            self.file.truncate(expected)
            self.map = np.memmap(self.file, dtype=np.uint8, mode="r", shape=(expected,))
            self.file.seek(0)

    def add(self, block: Array) -> None:
        self.rows += len(block)
        self.bytes += block.nbytes
        self.blocks.append(block)
        if self.file is None and self.bytes > self.most:
            self._open(self.bytes)
        if self.file is not None:
            for waiting in self.blocks:
                self._write(waiting)
            self.blocks = [self.blocks[-1][:0]]  # its shape and dtype

    def _open(self, size: int) -> None:
        check_mappable(size, self.what)
        self.file = scratch(self.what, size)

    def _write(self, block: Array) -> None:
        assert self.file is not None
        try:
            self.file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise InputError(f"{self.what} does not fit on the disk of {cache()}: {error.strerror}.") from None

    def finish(self) -> Source:
        if self.file is None:
            return self.blocks[0] if len(self.blocks) == 1 else Parts(self.blocks)
        self.file.flush()
        with self.file as file:  # a map has a handle of its own
            if self.map is None or len(self.map) != self.bytes:
                check_mappable(self.bytes, self.what)
                self.map = np.memmap(file, dtype=np.uint8, mode="r", shape=(self.bytes,))
        like = self.blocks[0]
        return self.map.view(like.dtype).reshape(self.rows, *like.shape[1:])


def cache() -> Path:
    """The folder for what is kept on disk: ZOO_CACHE, or the user's cache."""
    import platformdirs

    return Path(os.environ.get(FOLDER) or platformdirs.user_cache_dir("genzoo"))


def cache_limit() -> int:
    """Bytes that a file of the cache may have: half of what its disk has free, and at most ZOO_CACHE_LIMIT GiB (32)."""
    folder = cache()
    while not folder.exists():
        folder = folder.parent
    try:
        most = float(os.environ.get(LIMIT) or 32)
    except ValueError:
        raise InputError(f"{LIMIT} is {os.environ[LIMIT]!r}; expected a number of GiB.") from None
    return int(min(shutil.disk_usage(folder).free / 2, most * 2**30))


def scratch(what: str, size: int) -> BinaryIO:
    """A file without a name, for `size` bytes or more of `what`."""
    folder = cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if size > free:
            raise InputError(
                f"{what} needs {gib(size)} on disk, and {folder} has {gib(free)} free. Make room, or set {FOLDER} to "
                "a folder on another disk."
            )
        return TemporaryFile(dir=folder)
    except OSError as error:
        raise InputError(f"{what} is kept on disk, and {folder} cannot be written: {error.strerror}.") from None
