"""scikit-learn, imported when a figure needs it. Sums are computed on one thread."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from zoo.errors import MissingDependency

P = ParamSpec("P")
T = TypeVar("T")


def sklearn(module: str) -> Any:
    return _needed(f"sklearn.{module}")


def single_threaded(function: Callable[P, T]) -> Callable[P, T]:
    """Run the function with one thread for BLAS and OpenMP: splitting sums over threads changes their last bits, and
    with them which of two neighbors is nearer."""

    @functools.wraps(function)
    def run(*args: P.args, **more: P.kwargs) -> T:
        with _needed("threadpoolctl").threadpool_limits(1):
            return function(*args, **more)

    return run


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependency("evaluating needs scikit-learn: pip install 'genzoo[evaluate]'") from None
