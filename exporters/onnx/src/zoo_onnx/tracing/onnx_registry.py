"""PyTorch's table of operators and their ONNX functions, created once per process."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
from collections.abc import Iterator
from typing import Any

from torch.onnx._internal.exporter._registration import ONNXRegistry

_OWN = vars(ONNXRegistry)["from_torchlib"]
_make = ONNXRegistry.from_torchlib


@contextlib.contextmanager
def registry_made_once() -> Iterator[None]:
    """Inside, `torch.onnx.export` uses a copy of one table. By default it creates one for each graph by parsing the
    source of some 500 functions, which takes longer than tracing a small network."""
    ONNXRegistry.from_torchlib = staticmethod(_copied)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = _OWN  # type: ignore[method-assign]


@functools.cache
def _made(opset_version: int, with_torchvision: bool) -> Any:
    return _make(opset_version=opset_version)


def _copied(opset_version: int) -> Any:
    """A table to which an export may add its own functions. It has the operators of torchvision once these are
    imported."""
    made = _made(opset_version, "torchvision" in sys.modules)
    twin = copy.copy(made)
    twin.functions = {operator: [*known] for operator, known in made.functions.items()}
    return twin
