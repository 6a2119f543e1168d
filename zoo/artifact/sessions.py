"""onnxruntime sessions for the methods of an artifact: opened on demand, and few if weights are large."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import weakref
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.artifact.hashed_files import StoredFiles
from zoo.artifact.manifest import FIRST_STEP, MOST_STEPS, Manifest, MethodEntry
from zoo.artifact.threads import cut, plan, together
from zoo.errors import CorruptFile, InputError, MissingDependency
from zoo.signature import Window
from zoo.system.interrupts import stoppable, unstoppable
from zoo.system.memory import is_shortage

if TYPE_CHECKING:
    import onnxruntime as ort

    from zoo.model import Array

DEVICES = ("auto", "cpu", "cuda")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
LARGE = 2**26  # bytes of a method's weights, above which all its calls share one session
COPIES = 2**27  # bytes of all sessions of a smaller method: weights, and SESSION for each
SESSION = 2**22  # bytes assumed for a session besides its weights
OPEN = 2  # weights of large methods that stay open, as a multiple of the largest method's
BY_VALUE = ("ConstantSharing", "NoopElimination")  # optimizers that read a constant that is about to be replaced
Key = tuple[str, int, int]  # method, threads, part

_left_behind: list[Any] = []  # sessions of a parent process: their threads do not exist here, so they cannot be closed
_all: weakref.WeakSet[Any] = weakref.WeakSet()  # of this process


class Sessions:
    """The sessions of an artifact on a device, which is determined when the first one is opened.

    Several threads may request sessions at once: those of large methods are opened one after another, to bound memory;
    small ones in parallel.
    """

    def __init__(self, files: StoredFiles, manifest: Manifest, device: str) -> None:
        self.files, self.manifest = files, manifest
        self.asked, self._device = device, choose_device(device)
        self.decided = self._device == "cpu"
        self.windows: dict[str, Window] = {}  # of loops that run only some of their steps
        self._begin()

    def _begin(self) -> None:
        """Start without any session."""
        self.open: dict[Key, ort.InferenceSession] = {}  # most recently used last
        self.replaced: list[ort.OrtValue] = []  # constants of sessions, which keep no copy
        self.lock = threading.RLock()  # guards `open`
        forget_in_forks(self)

    def twin(self) -> Sessions:
        """New sessions for the same files."""
        twin = copy.copy(self)
        twin._begin()
        return twin

    def windowed(self, method: str, window: Window) -> Sessions:
        """New sessions for the same files that run only these steps of a method's loop."""
        twin = self.twin()
        twin.windows = {**self.windows, method: window}
        return twin

    def leave_behind(self) -> None:
        """In a forked child: start over, with a lock that no thread of the parent holds."""
        _left_behind.append((self.open, self.replaced))
        self._begin()

    @property
    def device(self) -> str:
        """Opens a session, if none is open: only then is it known whether a GPU can be used."""
        if not self.decided:
            self.session(next(iter(self.manifest.methods)), 0)
        return self._device

    def run(self, method: str, arrays: Mapping[str, Array], options: Mapping[str, np.generic]) -> dict[str, Array]:
        """The outputs of a method for the rows of `arrays`, which are its row inputs."""
        rows, outputs = len(next(iter(arrays.values()))), list(self.manifest.methods[method].signature.outputs)
        scalars: dict[str, Array] = {name: np.asarray(v) for name, v in options.items()}
        sessions = self.of(method, rows, options)

        def run(session: ort.InferenceSession, feed: Mapping[str, Array]) -> list[Array]:
            results: list[Array] = stoppable(partial(session.run, outputs, feed))
            return results

        if len(sessions) == 1:
            return dict(zip(outputs, run(sessions[0], scalars | dict(arrays)), strict=True))
        feeds = [scalars | {n: a[low:high] for n, a in arrays.items()} for low, high in cut(rows, len(sessions))]
        results = together([partial(run, *part) for part in zip(sessions, feeds, strict=True)])
        return {name: np.concatenate(found) for name, found in zip(outputs, zip(*results, strict=True), strict=True)}

    def of(self, method: str, rows: int, options: Mapping[str, Any]) -> list[ort.InferenceSession]:
        """A session for each part of a batch. Runs of one session block each other whenever they allocate memory, which
        loops do in every step; cores that share no cache block longer."""
        entry = self.manifest.methods[method]
        if self.device != "cpu" or entry.weights > LARGE:
            return [self.session(method, 0)]
        parts, threads = plan(entry, rows, options)
        if parts == 1:
            return [self.session(method, threads)]
        numbers = [n % max(1, COPIES // (entry.weights + SESSION)) for n in range(parts)]
        new = [n for n in sorted(set(numbers)) if (method, threads, n) not in self.open]
        if new:
            together([partial(self.session, method, threads, n) for n in new])
        return [self.session(method, threads, n) for n in numbers]

    def session(self, method: str, threads: int, part: int = 0) -> ort.InferenceSession:
        """The session of a method, with one thread (the caller's) or all (0)."""
        key, entry = (method, threads, part), self.manifest.methods[method]
        if entry.weights <= LARGE and (found := self.open.get(key)):
            return found
        with self.lock:
            if key in self.open:
                return self._used(key, self.open[key])
            if entry.weights > LARGE:
                self._release(entry)
                return self._used(key, self._decide(method, threads))
        new = self._decide(method, threads)
        with self.lock:  # another thread may have opened it meanwhile
            return self._used(key, self.open.get(key, new))

    def _used(self, key: Key, session: ort.InferenceSession) -> ort.InferenceSession:
        """Keep a session as the most recently used. The caller holds the lock."""
        self.open.pop(key, None)
        self.open[key] = session
        return session

    def _release(self, entry: MethodEntry) -> None:
        """Close the least recently used sessions to make room for the weights of `entry`. The caller holds the lock."""
        methods = self.manifest.methods
        most = OPEN * max(m.weights for m in methods.values()) - entry.weights
        large = [key for key in self.open if methods[key[0]].weights > LARGE]
        count = len(large)
        while large and sum(methods[key[0]].weights for key in large) > most:
            del self.open[large.pop(0)]
        if len(large) < count:
            return_memory()

    def close(self) -> None:
        """Close all sessions; they are reopened on demand."""
        with self.lock:
            self.open.clear()
        return_memory()

    def _decide(self, method: str, threads: int) -> ort.InferenceSession:
        """A new session, on the CPU if no GPU was requested and none can be used."""
        import onnxruntime as ort

        session, problem = None, None
        try:
            session = self.create(method, threads=threads)
        except CorruptFile:
            raise
        except Exception as error:  # onnxruntime's own exceptions share no base class
            if is_shortage(error):
                raise MemoryError(str(error)) from error
            if self._device == "cpu":
                path = self.files.folder / self.manifest.methods[method].file
                raise CorruptFile(f"{path} cannot be opened by onnxruntime {ort.__version__}: {error}") from error
            problem = error
        # without CUDA's libraries onnxruntime falls back to the CPU and only logs it; without a GPU it raises
        if self._device == "cuda" and (session is None or CUDA not in session.get_providers()):
            if self.asked == "auto":
                self._device, self.decided = "cpu", True
                return self._decide(method, threads)
            raise InputError(
                "onnxruntime could not start its CUDA provider. Check the driver and pip install 'genzoo[gpu]', "
                "or use the CPU: --device cpu."
            ) from problem
        self.decided = True
        assert session is not None
        return session

    def create(self, method: str, *, threads: int = 0, captured: bool = False) -> ort.InferenceSession:
        """A session of a method with `threads` threads (0: all). `captured`: its kernels are recorded as a CUDA graph,
        or onnxruntime raises."""
        import onnxruntime as ort

        options = ort.SessionOptions()
        more: dict[str, Any] = {}
        options.log_severity_level = 4  # errors are raised anyway, and names may hold control characters
        options.intra_op_num_threads = threads
        # threads would spin for some 40 ms after a call and keep the cores from whatever runs next
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers: list[Any] = [CPU]
        if self._device == "cuda":
            ort.preload_dlls()  # CUDA and cuDNN as pip installs them
            cuda = {"use_tf32": "0", "enable_cuda_graph": str(int(captured))}  # full float32, as parity requires
            providers = [(CUDA, cuda), CPU]
            more["enable_fallback"] = 0  # else it prints errors, then or later, and falls back to the CPU
        if window := self.windows.get(method):
            more["disabled_optimizers"] = list(BY_VALUE)
            for name, number in ((FIRST_STEP, window.first), (MOST_STEPS, window.steps)):
                self.replaced.append(ort.OrtValue.ortvalue_from_numpy(np.asarray(number, dtype=np.int64)))
                options.add_initializer(name, self.replaced[-1])
        options.add_session_config_entry("session.load_model_format", "ONNX")  # not whatever the bytes look like
        with self.files.source(self.manifest.methods[method].file) as source:
            if isinstance(source, bytes):  # external weights would be searched in the working directory
                options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
            with unstoppable():
                return ort.InferenceSession(source, options, providers=providers, **more)


def forget_in_forks(sessions: Any) -> None:
    """Have a forked child call `sessions.leave_behind()`."""
    _all.add(sessions)


def _after_fork() -> None:
    for sessions in list(_all):
        sessions.leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def return_memory() -> None:
    """Have the C library return freed memory to the system. Otherwise a process keeps the weights of closed sessions:
    3.2 times those of an artifact with four methods instead of 2.2."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # not Linux with glibc
        ctypes.CDLL(None).malloc_trim(0)


def choose_device(device: str) -> str:
    """ "cpu" or "cuda", by what was requested and what onnxruntime has."""
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}; expected one of {', '.join(DEVICES)}.")
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingDependency(
            "running an artifact needs onnxruntime. Install it: pip install 'genzoo[cpu]' (or 'genzoo[gpu]')."
        ) from None
    if CUDA in ort.get_available_providers():
        return "cpu" if device == "cpu" else "cuda"
    if device == "cuda":
        raise InputError(
            "CUDA was requested, but this onnxruntime has no CUDA provider. Install it: pip install 'genzoo[gpu]', "
            "or use the CPU: --device cpu."
        )
    return "cpu"
