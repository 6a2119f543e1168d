"""The checks, by what they are about. Importing this package registers all of them in `CHECKS`."""

from __future__ import annotations

from zoo.testing.check import CHECKS
from zoo.testing.checks import (
    density,
    latents,
    options,
    rows,
    sampling,
    sampling_and_density,
    saving_and_export,
    training,
)

__all__ = [
    "CHECKS",
    "density",
    "latents",
    "options",
    "rows",
    "sampling",
    "sampling_and_density",
    "saving_and_export",
    "training",
]
