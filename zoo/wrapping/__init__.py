"""Turns existing models into methods: the parts of `wrap` shared by all framework plugins.

A user's functions become a `Call` or `Loop` whose shapes were found by running them on a few examples. Imports no
framework, but tensors are used by the methods that PyTorch's have, which are also those of Keras on the torch backend;
a plugin adds its `WrappedNetwork`, and `Wrap` makes its `wrap` of that.
"""

from __future__ import annotations

from zoo.wrapping.api import Wrap
from zoo.wrapping.arguments import WrapArguments, WrapConfig, WrappedNetwork

__all__ = ["Wrap", "WrapArguments", "WrapConfig", "WrappedNetwork"]
