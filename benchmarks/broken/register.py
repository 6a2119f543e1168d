"""A broken model: its fault, the size of the fault, and the checks that see it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.broken.honest import HONEST
from zoo.network import Network


@dataclass(frozen=True)
class Broken:
    """A model with a fault of a size, and the checks that see it: none, where it is beyond what the suite sees."""

    fault: str
    size: str
    cls: type[Network]
    seen_by: tuple[str, ...]

    @property
    def kind(self) -> str:
        return next(base.__name__ for base in self.cls.__mro__ if base in HONEST)

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.size}".rstrip("-").replace(" ", "_")


BY_ROOM: defaultdict[str, list[Broken]] = defaultdict(list)  # by the name of the module that they stand in


def broken(fault: str, *seen_by: str, size: str = "") -> Callable[[type], type]:
    def register(cls: type) -> type:
        BY_ROOM[cls.__module__].append(Broken(fault, size, cls, seen_by))
        return cls

    return register


def sized(fault: str, sizes: dict[Any, tuple[str, ...]], unit: str = "{}") -> Callable[[type], type]:
    """A model once for each size, its attribute `size`."""

    def register(cls: type) -> type:
        for size, seen_by in sizes.items():
            of_size = type(cls.__name__, (cls,), {"size": size})
            BY_ROOM[cls.__module__].append(Broken(fault, unit.format(size), of_size, seen_by))
        return cls

    return register
