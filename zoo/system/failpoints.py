"""Named points at which a test kills this process or makes a system call fail.

`ZOO_FAILPOINT=folder.written:SIGKILL` sends the process that signal when it first gets there; `file.written:ENOSPC`
raises that error. Several are separated by commas. If the variable is not set, nothing happens.
"""

from __future__ import annotations

import errno
import os
import signal

POINTS = (
    *("file.created", "file.written", "file.synced", "file.published"),
    *("folder.created", "folder.written", "folder.synced", "folder.exchange", "folder.published", "folder.emptied"),
    *("folder.moved", "folder.replaced"),  # if names cannot be exchanged atomically
    *("checkpoint.weights", "checkpoint.record", "checkpoint.pruned"),
    *("run.locked", "run.recipe", "run.model", "run.state"),
)


ACTIONS = dict(word.split(":") for word in os.environ.get("ZOO_FAILPOINT", "").split(",") if word)


def failpoint(name: str) -> None:
    """Do what the environment requests at this point."""
    if not ACTIONS:
        return
    assert name in POINTS, name
    action = ACTIONS.get(name, "")
    if action.startswith("SIG"):
        del ACTIONS[name]  # a second one would end the process at once
        signal.raise_signal(signal.Signals[action])
    elif action:
        number = getattr(errno, action)
        raise OSError(number, os.strerror(number))
