"""Text as data: a string a line, of any length, as characters or as the tokens of a tokenizer.

A row has a length. What is longer than that is cut into pieces, which are rows of their own and stay together in one
split. A tokenizer is trained on the strings of the training split.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.data.tables import FEWER, WORD, check_utf8
from zoo.errors import InputError, ZooWarning
from zoo.spaces import Strings, Text, Tokens
from zoo.system.memory import check_fits
from zoo.tokenizer import make_tokenizer, strings_of

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.integer[Any]]
LENGTH = 200  # characters or tokens of a row, where nothing else is asked for
MOST = 2**16  # of them, at most
BLOCK = 2**14  # strings that are tokenized at a time


@dataclass(frozen=True)
class Lines:
    """Strings that are not yet tokens, and what messages call them: `where`, and the `noun` of each."""

    where: str
    noun: str
    strings: Sequence[str]

    def __len__(self) -> int:
        return len(self.strings)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    check_fits(WORD // 2 * path.stat().st_size, str(path), FEWER)  # a line has two characters at least
    lines = []
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            check_utf8(line, path, number)
            if "\0" in line:
                raise InputError(f"{path}, line {number} has a zero byte; expected a text file.")
            lines.append(line.rstrip("\n"))
    return lines


def read_strings(where: str, paths: Sequence[Path]) -> Lines:
    """The lines of text files that are not blank, those of one file after those of another."""
    lines = [line for path in paths for line in read_lines(path)]
    strings = [line for line in lines if line.strip()]
    if not strings:
        raise InputError(f"{where} is empty; expected a string a line.")
    if len(strings) < len(lines):
        say(f"{where}: left out {len(lines) - len(strings):,} blank lines.")
    return Lines(where, "line", strings)


class Rows(NamedTuple):
    """Tokens (N, length) of a space, and the number of the first row of each string (strings + 1,)."""

    x: Array
    space: Strings
    starts: Numbers

    def of(self, numbers: Numbers) -> Numbers:
        """The rows of these strings."""
        counts = np.diff(self.starts)[numbers]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(np.repeat(self.starts[:-1][numbers], counts) + within)


def rows_of(
    lines: Lines, train: Numbers, *, tokenizer: Any = None, length: int | None = None, space: Strings | None = None
) -> Rows:
    """Strings as rows of a `space`, by default of one that just holds them: of the characters that occur, or, with a
    `tokenizer`, of its tokens (see `zoo.tokenizer.make_tokenizer`). `train` are the numbers of the training strings,
    `length` is the most characters or tokens of a row. Says how many strings were cut."""
    strings = lines.strings
    if length is not None and not 1 <= length <= MOST:
        raise InputError(f"the length of a row is {length}; expected 1 to {MOST:,} characters or tokens.")
    if space is None:
        most = LENGTH if length is None else length
        if tokenizer is None:
            space = Text(most, "".join(sorted(set("".join(strings)))))
        else:
            space = Tokens.of(most, make_tokenizer(tokenizer, (strings[i] for i in train)))
        parts, sizes = _tokens(lines, space)
        space = replace(space, length=max(1, min(most, int(sizes.max()))))
    elif tokenizer is not None or length not in (None, space.length):
        raise InputError("the model has a length and tokens of its own. Leave out the length and the tokenizer.")
    else:
        parts, sizes = _tokens(lines, space)
    counts = np.maximum(1, -(-sizes // space.length))
    starts = np.concatenate([[0], np.cumsum(counts)])
    if starts[-1] > len(strings):
        say(
            f"{lines.where}: {int((counts > 1).sum()):,} of {len(strings):,} {lines.noun}s have more than "
            f"{space.length} {space.unit}s; they are cut into pieces, which makes {starts[-1]:,} rows. Another length: "
            "--length N (length=N)."
        )
    dtype = np.min_scalar_type(space.tokens - 1)
    check_fits(2 * int(starts[-1]) * space.length * dtype.itemsize, f"{lines.where}, {starts[-1]:,} rows,", FEWER)
    x = np.zeros((int(starts[-1]), space.length), dtype=dtype)
    for low, found in zip(range(0, len(strings), BLOCK), parts, strict=True):
        own = sizes[low : low + BLOCK]
        within = np.arange(len(found)) - np.repeat(np.cumsum(own) - own, own)
        first = np.repeat(starts[low : low + len(own)], own)
        x[first + within // space.length, within % space.length] = found
    return Rows(x, space, starts)


def encode(space: Strings, lines: Lines) -> Array:
    """Each string as a row of a space; `InputError` says which is none."""
    check_fits(4 * 8 * len(lines) * space.length, f"{lines.where}, {len(lines):,} strings,", FEWER)
    return space.encode(lines.strings, f"{lines.where}, {lines.noun}", 1)


def _tokens(lines: Lines, space: Strings) -> tuple[list[Array], Numbers]:
    """The tokens of all strings, a block of strings each, and how many each string has. Says how many strings a
    tokenizer changes."""
    parts, sizes, changed, example = [], [], 0, ""
    for low in range(0, len(lines), BLOCK):
        strings = lines.strings[low : low + BLOCK]
        found, counts = space.tokenize(strings, f"{lines.where}, {lines.noun}", low + 1)
        if isinstance(space, Tokens):
            ids = np.split(found - 1, np.cumsum(counts)[:-1])
            again = strings_of(space.tokenizer, [part.tolist() for part in ids])
            others = [f"{a!r} as {b!r}" for a, b in zip(strings, again, strict=True) if a != b]
            changed, example = changed + len(others), example or next(iter(others), "")
        parts.append(found.astype(np.min_scalar_type(space.tokens - 1)))
        sizes.append(counts)
    if changed:
        say(
            f"{lines.where}: the tokenizer does not keep {changed:,} of {len(lines):,} {lines.noun}s as "
            f"they are, such as {example[:200]}."
        )
    return parts, np.concatenate(sizes)


def say(message: str) -> None:
    warnings.warn(message, ZooWarning, stacklevel=3)
