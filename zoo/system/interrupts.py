"""Ctrl-C and SIGTERM: stopping a command at any point, and blocks that must not be interrupted.

Python runs signal handlers in the main thread, between two bytecode instructions, so not while onnxruntime runs a
chunk. Therefore a command has another thread that the signal itself wakes, and that tells onnxruntime to stop.
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
AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # end the process when received a second time
TWICE = 0.1  # seconds after which a signal counts as a second one; `timeout` and process groups send each one twice
PATIENCE = 1.0  # seconds until the first signal ends work that cannot be told to stop


class _Command:
    """The command that signals stop, if this process runs one."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self.at_once = at_once
        self.number, self.when = 0, 0.0  # the first signal
        self.told = False  # whether the main thread has been interrupted

    def interrupt(self, number: int, frame: Any) -> None:
        """The handler in the main thread. The cleanup that follows is not interrupted."""
        if not self.told:
            self.number, self.told = self.number or number, True
            raise KeyboardInterrupt

    def check(self) -> None:
        """Stop this thread if a signal has arrived."""
        if self.number:
            if threading.current_thread() is threading.main_thread():
                self.told = True  # else the handler, which is about to run, would interrupt again
            raise KeyboardInterrupt

    def unraisable(self, hook: Callable[[Any], Any], what: Any) -> None:
        """Python's hook for uncaught exceptions of finalizers. An interrupt there needs no traceback: the next `check`
        raises it again."""
        if not (self.told and isinstance(what.exc_value, KeyboardInterrupt)):
            hook(what)

    def watch(self, pipe: int) -> None:
        """Wait for signals in a separate thread. Each writes its number into the pipe at once."""
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
_holding = 0  # nesting depth of `held`


@contextmanager
def stops_command(at_once: Callable[[], None]) -> Iterator[Callable[[], int]]:
    """During a command, the first signal raises `KeyboardInterrupt`, and a second one calls `at_once` and ends the
    process. Yields a function that returns the number of the signal received, or 0."""
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
        if handler not in (signal.SIG_IGN, None):  # ignored in a background job of a shell
            signal.signal(number, command.interrupt)
    try:
        yield lambda: command.number
    finally:
        if not command.number:  # else the process is about to end, undisturbed by signals
            for number, handler in previous.items():
                if handler is not None:
                    signal.signal(number, handler)
            sys.unraisablehook = hook
            signal.set_wakeup_fd(woken)
            os.close(writer)  # which ends the thread
            _command = None


def check_signals() -> None:
    """Raise `KeyboardInterrupt`, in any thread, if a signal that stops the command has arrived and is not held. Long
    work calls this regularly."""
    if _command is not None and not _holding:
        _command.check()


@contextmanager
def unstoppable() -> Iterator[None]:
    """A block that cannot be told to stop, such as opening a session: a signal ends the process."""
    check_signals()
    block = object()
    _unstoppable.add(block)
    try:
        yield
    finally:
        _unstoppable.discard(block)


@contextmanager
def held(twice: bool = True) -> Iterator[Callable[[], int]]:
    """In this block signals do not interrupt: yields a function that returns the number of the one received, or 0.

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
    """A block that is not interrupted: a signal that arrives in it interrupts at its end."""
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
    """Options of a run that does not log errors, because they are raised."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.log_severity_level = 4
    return options


_uninterrupted = functools.cache(quiet)  # of all runs outside of commands


def stoppable(run: Callable[[ort.RunOptions], T]) -> T:
    """Call a run of onnxruntime, such as `partial(session.run, outputs, feed)`, so that a signal stops it.

    Its exceptions become a `ZooError` or a `MemoryError`: arguments have been checked, so the graph is at fault.
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
