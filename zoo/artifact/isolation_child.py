"""The child process of `zoo.artifact.isolation`: it runs untrusted graphs, within limits."""

from __future__ import annotations

import json
import math
import os
import resource
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401 (before there are limits)

from zoo.artifact import inspection
from zoo.artifact.hashed_files import StoredFiles
from zoo.artifact.isolation import LONGEST, MEMORY, bytes_of, receive
from zoo.artifact.limits import Limits
from zoo.artifact.manifest import MANIFEST, read_manifest
from zoo.artifact.sessions import Sessions
from zoo.artifact.threads import cores
from zoo.errors import CorruptFile, ZooError
from zoo.model import Array
from zoo.signature import Window, resolve
from zoo.system.files import sha256
from zoo.system.memory import in_use, is_shortage


def main(about: str) -> None:
    """Answer the parent until it closes its end of the pipe. `about` is JSON from `Child`."""
    given = json.loads(about)
    limits = Limits(given["seconds"], given["memory"])
    threading.Thread(target=_end_with, args=(given["parent"],), daemon=True).start()
    with Connection(given["pipe"]) as connection:
        restrict(limits)
        connection.send_bytes(b"{}")
        server = Server(connection, limits)
        with suppress(EOFError, OSError):
            while server.answer():
                pass


def _end_with(parent: int) -> None:
    """End this process when the parent has ended: a running graph does not watch the pipe."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def restrict(limits: Limits) -> None:
    """Set limits for the lifetime of the process."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):  # it writes no files
        resource.setrlimit(kind, (0, 0))
    with suppress(OSError):  # systems without this file do not limit memory either
        _lower(resource.RLIMIT_AS, in_use()[0] + limits.memory)
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, this process is killed first


def _lower(kind: int, most: int) -> None:
    """Set a soft limit, unless a lower one is in force."""
    soft, hard = resource.getrlimit(kind)
    known = [limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(known), hard))


class Server:
    """Answers requests. Each is self-contained; files are opened once for requests that share them."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self.connection, self.limits = connection, limits
        self.opened: tuple[Any, Sessions] | None = None

    def answer(self) -> bool:
        """Answer one request. After an error the parent ends this process."""
        request = json.loads(self.connection.recv_bytes())
        self._limit_time()
        outputs: dict[str, Array] = {}
        answer: Mapping[str, Any] = {}
        try:
            if "file" in request:
                answer = {"differences": inspection.check(inspection.inspect(request["file"]), trust=False)}
            else:
                outputs = self._run(request)
        except Exception as error:  # any error is reported to the parent
            kind = MEMORY if is_shortage(error) else type(error).__name__ if isinstance(error, ZooError) else "ZooError"
            answer = {"error": kind, "said": " ".join(str(error).split())[: LONGEST // 16]}
        self.connection.send_bytes(json.dumps(answer).encode())
        for array in outputs.values():
            self.connection.send_bytes(bytes_of(np.ascontiguousarray(array)))
        return "error" not in answer

    def _limit_time(self) -> None:
        """Limit the CPU time of this request, in case no parent is left to enforce the timeout."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = used.ru_utime + used.ru_stime + self.limits.seconds * cores()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(most) + 1, hard))

    def _run(self, request: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs of a method, their types and shapes checked."""
        sessions = self._sessions(request)
        method, rows = request["method"], request["rows"]
        signature = sessions.manifest.methods[method].signature
        options = {n: np.dtype(o.dtype).type(request["options"][n]) for n, o in signature.options.items()}
        arrays = receive(self.connection, signature.row_inputs, rows, options)
        found = sessions.run(method, arrays, options)
        for name, tensor in signature.outputs.items():
            expected = f"{tensor.dtype} {(rows, *resolve(tensor.shape, options))}"
            if (what := f"{found[name].dtype} {found[name].shape}") != expected:
                raise ZooError(f"{method} of {sessions.manifest.name} gives {name} as {what}; expected {expected}.")
        return found

    def _sessions(self, request: Mapping[str, Any]) -> Sessions:
        same = request["folder"], request["digest"], request["windows"]
        if self.opened and self.opened[0] == same:
            return self.opened[1]
        folder = Path(request["folder"])
        manifest = read_manifest(folder)
        if sha256(folder / MANIFEST) != request["digest"]:
            raise CorruptFile(f"{folder} has changed since it was opened. Open it again: zoo.open(...).")
        sessions = Sessions(StoredFiles(folder, manifest, trust=False), manifest, "cpu")
        sessions.windows = {name: Window(*window) for name, window in request["windows"].items()}
        self.opened = same, sessions
        return sessions
