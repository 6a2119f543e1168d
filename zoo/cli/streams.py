"""Standard streams that are closed or full, and untrusted text that is shown on them."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from typing import IO

import click

# control characters, which terminals interpret, and those that change the writing direction; not tab and line feed
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with terminal control characters escaped: names come from other people's files."""
    return UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def say(text: object = "", *, mark: str = "", err: bool = False, file: IO[str] | None = None) -> None:
    """Print a line. All output of commands passes through here, so that no name reaches a terminal unescaped. `mark` is
    a trusted word before it, which may have colors."""
    click.echo(mark + printable(str(text)), err=err, file=file)


class Closed(io.TextIOBase):
    """A standard output that is closed: printing results to it must be an error."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def open_streams() -> None:
    """Make sure that all three standard streams are open. The descriptor of a closed one would be reused for the next
    file that is opened, and the output of libraries would go into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def give_up_stdout() -> None:
    """Prevent Python from flushing to the standard output when it exits."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def broken() -> str:
    """What is wrong with the standard output, or an empty string."""
    try:
        print(end="", flush=True)
        if isinstance(sys.stdout, Closed):
            return "it is closed"
    except OSError as error:
        return error.strerror or str(error)
    return ""
