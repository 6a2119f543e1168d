"""Models that are broken in one way each, a room for each kind of fault: what the conformance suite is tested with.

`BROKEN` has each broken model with its fault, its size, and the checks that see it. `python -m benchmarks.conformance`
runs the suite over all of them and writes the table of docs/conformance.md.
"""

from __future__ import annotations

from benchmarks.broken import (
    classes,
    collapsed,
    declared,
    densities,
    learning,
    noises,
    options,
    rows,
    samplers,
    transforms,
)
from benchmarks.broken.register import BY_ROOM, Broken

ROOMS = (declared, rows, classes, options, noises, densities, samplers, transforms, collapsed, learning)
BROKEN: tuple[Broken, ...] = tuple(broken for room in ROOMS for broken in BY_ROOM[room.__name__])
