"""Errors that a user can act on: each says what was wrong, what was expected and what to do next.

The command line turns any `ZooError` into one message and exit code 2; everything else is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ZooError(Exception):
    """An error the user can fix."""


class UnknownName(ZooError, KeyError):
    """A name that nothing installed has."""

    def __str__(self) -> str:  # KeyError would print the repr
        return str(self.args[0])


class InputError(ZooError, ValueError):
    """A value, shape, dtype or option outside what the model takes."""


class UnknownMethod(ZooError, AttributeError):
    """A method that this model does not have."""


class MissingDependency(ZooError, ImportError):
    """A missing dependency, to be installed first."""


class CorruptFile(ZooError):
    """A file whose contents have changed since it was written."""


class OutputError(ZooError, OSError):
    """An output that exists already or cannot be written."""


class ExportError(ZooError):
    """A method that cannot be exported, or whose artifact differs from its source."""


class PluginError(ZooError):
    """A plugin that breaks the contract."""


class ZooWarning(UserWarning):
    """A warning about a result. The command line prints it as one line."""


def listed(where: str, problems: Sequence[str]) -> InputError:
    """One error with all problems of a file or frame, each on a line."""
    count = len(problems)
    return InputError(f"{where} has {count} problem{'s' * (count > 1)}:\n  " + "\n  ".join(problems))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
