"""Models that people already have, as methods: what the `wrap` of every framework's plugin shares.

A user's functions become a `Call` or `Loop` whose shapes were found by running them once on a few examples. Knows no
framework: tensors are used through the methods that they have, and `WrappedNetwork` is what a plugin adds.
"""

from __future__ import annotations

from zoo.wrapping.build import build
from zoo.wrapping.diffusion import read_schedule
from zoo.wrapping.wish import Wish, WrapConfig, WrappedNetwork

__all__ = ["Wish", "WrapConfig", "WrappedNetwork", "build", "read_schedule"]
