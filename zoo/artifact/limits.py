"""The limits for an untrusted graph."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import InputError


@dataclass(frozen=True)
class Limits:
    """`seconds` per call, which computes one chunk of rows, and bytes of `memory` on top of what Python and onnxruntime
    need themselves."""

    seconds: float = 60.0
    memory: int = 2**32

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 2**31:
            raise InputError(f"a limit of {self.seconds} seconds; expected more than 0.")
        if not 0 < self.memory < 2**62:
            raise InputError(f"a limit of {self.memory} bytes of memory; expected more than 0.")
