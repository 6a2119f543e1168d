"""Ctrl-C and SIGTERM: what stops a command, wherever it is, and what must not be interrupted.

Python runs a signal's handler in the main thread, between two of its own instructions: not while onnxruntime runs a
chunk. So a command has a thread beside it that is woken by the signal itself and tells onnxruntime to stop.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.errors import ZooError
from zoo.system.memory import is_shortage

if TYPE_CHECKING:
    import onnxruntime as ort

T = TypeVar("T")
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # end the process when they come a second time
TWICE = 0.1  # seconds: a second signal is one that comes later; `timeout` and process groups send each one twice
PATIENCE = 1.0  # seconds until the first one ends what cannot be told to stop


class _Command:
    """The command that signals stop, if this process is one."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self.at_once = at_once
        self.number, self.when = 0, 0.0  # the signal that came first
        self.told = False  # whether the main thread knows

    def interrupt(self, number: int, frame: Any) -> None:
        """The handler in the main thread. What follows is cleaning up, which is not interrupted."""
        if not self.told:
            self.number, self.told = self.number or number, True
            raise KeyboardInterrupt

    def check(self) -> None:
        """Stop this thread if a signal has come."""
        if self.number:
            if threading.current_thread() is threading.main_thread():
                self.told = True  # the handler, which is about to run, would interrupt once more
            raise KeyboardInterrupt

    def unraisable(self, hook: Callable[[Any], Any], what: Any) -> None:
        """Python's hook for what a finalizer raises and nobody catches. An interrupt there needs no traceback: the
        next `check` raises it once more."""
        if not (self.told and isinstance(what.exc_value, KeyboardInterrupt)):
            hook(what)

    def watch(self, pipe: int) -> None:
        """Wait for signals in a thread of its own. Each writes its number into the pipe at once."""
        with open(pipe, "rb", buffering=0) as numbers:
            while read := numbers.read(1):
                number = read[0]
                if number not in SIGNALS:
                    continue
                if not self.when:
                    self.number, self.when = number, time.monotonic()
                    for options in list(_running):
                        options.terminate = True
                    if _unstoppable:
                        threading.Thread(target=self._end_if_it_goes_on, daemon=True).start()
                elif number in AT_ONCE and time.monotonic() - self.when > TWICE:
                    self._end()

    def _end_if_it_goes_on(self) -> None:
        time.sleep(PATIENCE)
        if _unstoppable and not _holding:
            self._end()

    def _end(self) -> None:
        self.at_once()
        os._exit(128 + self.number)


_command: _Command | None = None
_running: set[ort.RunOptions] = set()
_unstoppable: set[object] = set()
_holding = 0  # blocks of `held`, one within another


@contextmanager
def stops_command(at_once: Callable[[], None]) -> Iterator[Callable[[], int]]:
    """For the time of a command, the first signal raises `KeyboardInterrupt`, and a second one calls `at_once` and ends
    the process. Yields a function that gives the number of the signal that came, or 0."""
    global _command
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    _command = command = _Command(at_once)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=command.watch, args=(reader,), daemon=True, name="genzoo signals").start()
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(command.unraisable, hook)
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in previous.items():
        if handler not in (signal.SIG_IGN, None):  # ignored in a job that a shell has put in the background
            signal.signal(number, command.interrupt)
    try:
        yield lambda: command.number
    finally:
        if not command.number:  # else the process ends now, and no signal is to disturb that
            for number, handler in previous.items():
                if handler is not None:
                    signal.signal(number, handler)
            sys.unraisablehook = hook
            signal.set_wakeup_fd(woken)
            os.close(writer)  # which ends the thread
            _command = None


def check_signals() -> None:
    """`KeyboardInterrupt`, in whatever thread, if a signal has come that is to stop the command and is not held. Long
    work calls this now and then."""
    if _command is not None and not _holding:
        _command.check()


@contextmanager
def unstoppable() -> Iterator[None]:
    """What is done in this block cannot be told to stop, as the opening of a session: a signal ends the process."""
    check_signals()
    block = object()
    _unstoppable.add(block)
    try:
        yield
    finally:
        _unstoppable.discard(block)


@contextmanager
def held(twice: bool = True) -> Iterator[Callable[[], int]]:
    """In this block signals do not interrupt: yields a function that gives the number of the one that came, or 0.

    With `twice`, a second Ctrl-C does. A signal that ends the process at once, as SIGTERM outside of commands, still
    does. In threads other than the main one, where signals never interrupt, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    global _holding
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if twice and came and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    previous = {number: handler for number in SIGNALS if callable(handler := signal.getsignal(number))}
    for number in previous:
        signal.signal(number, note)
    _holding += 1
    try:
        yield lambda: came[0] if came else 0
    finally:
        _holding -= 1
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[None]:
    """What is done in this block is done as a whole: a signal that comes in it interrupts when it ends."""
    came: Callable[[], int] = lambda: 0  # noqa: E731
    try:
        with held(twice=False) as came:
            yield
    finally:
        if number := came():
            handler = signal.getsignal(number)
            assert callable(handler)
            handler(number, None)


def quiet() -> ort.RunOptions:
    """Of a run that does not log what goes wrong, because it is raised."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.log_severity_level = 4
    return options


_uninterrupted = functools.cache(quiet)  # of all runs outside of commands


def stoppable(run: Callable[[ort.RunOptions], T]) -> T:
    """Call a run of onnxruntime, such as `partial(session.run, outputs, feed)`, so that a signal stops it.

    What it raises becomes a `ZooError`, or a `MemoryError`: arguments have been checked, so the graph is at fault.
    """
    if _command is None:
        options = _uninterrupted()
    else:
        options = quiet()
        _running.add(options)
    try:
        if _command is not None:
            _command.check()
        return run(options)
    except Exception as error:
        if _command is not None:
            _command.check()
        said = " ".join(str(error).split())[:300].rstrip(".")
        if is_shortage(error):
            raise MemoryError(said) from error
        raise ZooError(
            f"onnxruntime cannot run the model: {said}. If its files were altered, export it again."
        ) from error
    finally:
        _running.discard(options)
