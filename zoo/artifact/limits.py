"""What a graph that is not trusted may take."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import InputError


@dataclass(frozen=True)
class Limits:
    """`seconds` of each call, which is of a chunk of rows, and bytes of `memory` beside those of Python and onnxruntime
    themselves."""

    seconds: float = 60.0
    memory: int = 2**32

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 2**31:
            raise InputError(f"a limit of {self.seconds} seconds; expected more than 0.")
        if not 0 < self.memory < 2**62:
            raise InputError(f"a limit of {self.memory} bytes of memory; expected more than 0.")
