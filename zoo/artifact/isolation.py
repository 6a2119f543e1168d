"""Runs untrusted graphs in a child process, with limits on time and memory.

Whatever a graph does to its process, it does to the child. An abort, an infinite loop or a lack of memory ends the
child, and the caller gets a readable error; the next call starts another child. Only JSON and the bytes of arrays,
whose types and shapes both processes know from the manifest, pass between the two: nothing that could run code is read
back.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing import BufferTooShort, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.artifact.limits import Limits
from zoo.artifact.manifest import Manifest
from zoo.artifact.sessions import forget_in_forks
from zoo.errors import CorruptFile, ExportError, InputError, ZooError
from zoo.signature import Tensor, Window, resolve
from zoo.system.memory import check_fits, gib

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from zoo.model import Array

BEGIN = "import sys; sys.path[:] = sys.argv[2:]; from zoo.artifact.isolation_child import main; main(sys.argv[1])"
START = 60.0  # seconds for a child to import what it needs
LONGEST = 2**16  # bytes of an answer
MEMORY = "MemoryError"  # a kind of error in an answer
KINDS = {kind.__name__: kind for kind in (CorruptFile, ExportError, InputError)}


class Child:
    """A process that runs untrusted graphs. Any error ends it."""

    def __init__(self, limits: Limits) -> None:
        if os.name != "posix":
            raise InputError("untrusted graphs can only be run on Linux and macOS, where processes can be limited.")
        self.limits = limits
        self.connection, theirs = Pipe()
        about = {"pipe": theirs.fileno(), "parent": os.getpid(), "seconds": limits.seconds, "memory": limits.memory}
        words = [sys.executable, "-P", "-c", BEGIN, json.dumps(about), *map(str, sys.path)]
        with theirs:
            # in its own session: Ctrl-C reaches this process only, which ends the child
            self.process = subprocess.Popen(
                words,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("ZOO_DEBUG") else subprocess.DEVNULL,
                start_new_session=True,
            )
        self.end = weakref.finalize(self, _end, self.process, self.connection, os.getpid())
        try:
            self._answer("", START)
        except ZooError:
            raise ZooError(
                f"a process for untrusted graphs could not be started ({self._how()}). Is there enough memory? "
                "ZOO_DEBUG=1 shows its output."
            ) from None

    @property
    def alive(self) -> bool:
        return self.end.alive and self.process.poll() is None

    def ask(self, what: str, request: Mapping[str, Any], arrays: Iterable[Array] = ()) -> dict[str, Any]:
        """The answer to a request with its arrays; a `ZooError` says why there is none. `what` names the task."""
        with suppress(OSError):  # the child may reject a request and exit before it has all arrays
            self.connection.send_bytes(json.dumps(request).encode())
            for array in arrays:
                self.connection.send_bytes(bytes_of(array))
        return self._answer(what, self.limits.seconds)

    def receive(
        self, what: str, tensors: Mapping[str, Tensor], rows: int, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The arrays that follow an answer."""
        try:
            return receive(self.connection, tensors, rows, options)
        except (OSError, EOFError):
            raise self._ended(what) from None

    def _answer(self, what: str, seconds: float) -> dict[str, Any]:
        try:
            if not self.connection.poll(seconds):
                raise self._too_slow(what, seconds)
            answer: dict[str, Any] = dict(json.loads(self.connection.recv_bytes(LONGEST)))
        except (OSError, EOFError, ValueError):
            raise self._ended(what) from None
        if kind := answer.get("error"):
            raise self._too_large(what) if kind == MEMORY else KINDS.get(kind, ZooError)(answer.get("said"))
        return answer

    def _ended(self, what: str) -> ZooError:
        """The error for a process that has ended."""
        self.connection.close()
        how = self._how()
        if how == "SIGXCPU":
            return self._too_slow(what, self.limits.seconds)
        if how == "SIGKILL":
            return ZooError(
                f"{what} was killed, probably because memory ran out. Give it fewer rows (a smaller chunk)."
            )
        return ZooError(
            f"{what} crashed the process that ran it ({how}). The graph is damaged, or was made to do harm: do not "
            "trust it."
        )

    def _how(self) -> str:
        """How the process ended: the name of a signal, or its exit code."""
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:  # it does not answer, has closed its end of the pipe, or sent garbage
            return "still running"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _too_slow(self, what: str, seconds: float) -> ZooError:
        return ZooError(
            f"{what} takes longer than the {seconds:g} s allowed for an untrusted graph. Give it fewer rows (a "
            "smaller chunk) or steps, or more time: --time-limit SECONDS (limits=Limits(seconds=...))."
        )

    def _too_large(self, what: str) -> ZooError:
        return ZooError(
            f"{what} needs more than the {gib(self.limits.memory)} of memory allowed for an untrusted graph. Give it "
            "fewer rows (a smaller chunk), or more: --memory-limit GIB (limits=Limits(memory=...))."
        )


def _end(process: subprocess.Popen[bytes], connection: Connection, owner: int) -> None:
    """End a child, unless this is a fork of its parent."""
    connection.close()
    if owner == os.getpid():
        process.kill()
        process.wait()


class IsolatedSessions:
    """The counterpart of `Sessions` that runs methods in a child process. One call runs at a time."""

    device = "cpu"

    def __init__(self, folder: Path, manifest: Manifest, digest: str, limits: Limits) -> None:
        self.folder, self.manifest, self.digest, self.limits = folder, manifest, digest, limits
        self.windows: dict[str, Window] = {}
        self._begin()

    def _begin(self) -> None:
        self.child: Child | None = None
        self.lock = threading.Lock()
        forget_in_forks(self)

    def leave_behind(self) -> None:
        """In a forked process: the child belongs to the parent."""
        if self.child:
            self.child.process.returncode = 0  # it is not waited for here
        self._begin()

    def twin(self) -> IsolatedSessions:
        """New sessions for the same files, with their own process."""
        twin = IsolatedSessions(self.folder, self.manifest, self.digest, self.limits)
        twin.windows |= self.windows
        return twin

    def windowed(self, method: str, window: Window) -> IsolatedSessions:
        twin = self.twin()
        twin.windows[method] = window
        return twin

    def run(self, method: str, arrays: Mapping[str, Array], options: Mapping[str, np.generic]) -> dict[str, Array]:
        """The outputs of a method for the rows of `arrays`, which are its row inputs."""
        signature, what = self.manifest.methods[method].signature, f"{method} of {self.manifest.name}"
        rows = len(next(iter(arrays.values())))
        request = {
            "folder": str(self.folder),
            "digest": self.digest,
            "windows": {name: [window.first, window.steps] for name, window in self.windows.items()},
            "method": method,
            "rows": rows,
            "options": {name: value.item() for name, value in options.items()},
        }
        with self.lock:
            try:
                if self.child is None or not self.child.alive:
                    self.child = Child(self.limits)
                self.child.ask(what, request, arrays.values())
                return self.child.receive(what, signature.outputs, rows, options)
            except BaseException:  # also for a signal
                self._end()
                raise

    def close(self) -> None:
        with self.lock:
            self._end()

    def _end(self) -> None:
        if self.child:
            self.child.end()
        self.child = None


def bytes_of(array: Array) -> memoryview:
    """A view of the bytes of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def receive(
    connection: Connection, tensors: Mapping[str, Tensor], rows: int, options: Mapping[str, Any]
) -> dict[str, Array]:
    """Arrays of these tensors, read from the other process; `OSError` if the size of one is wrong."""
    found: dict[str, Array] = {}
    for name, tensor in tensors.items():
        shape = (rows, *resolve(tensor.shape, options))
        check_fits(math.prod(shape) * np.dtype(tensor.dtype).itemsize, name, "Give it fewer rows (a smaller chunk).")
        found[name] = np.empty(shape, tensor.dtype)
        place = bytes_of(found[name])
        try:
            size = connection.recv_bytes_into(place)
        except BufferTooShort:
            raise OSError(f"there are more than {place.nbytes} bytes of {name}") from None
        if size != place.nbytes:
            raise OSError(f"there are {size} bytes of {name}; expected {place.nbytes}")
    return found


def check_file(file: str, limits: Limits) -> dict[str, float]:
    """`inspection.check` for a file, in a child process."""
    child = Child(limits)
    try:
        found: dict[str, float] = child.ask(f"the known answer of {file}", {"file": file})["differences"]
        return found
    finally:
        child.end()
