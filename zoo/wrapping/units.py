"""Data units: conversion between observations of a space and the numbers that a user's functions take and return."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import InputError
from zoo.spaces import Image, Real, Space

Layout = Literal["channels_first", "channels_last", "plane", "flat"]
LAYOUTS: tuple[Layout, ...] = ("channels_first", "channels_last", "plane", "flat")
Cast = Callable[[Any, str], Any]  # a tensor and the name of a dtype -> a tensor
SLACK = 0.1  # by how much a network's output may exceed its range
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class View:
    """How one function sees observations: the layout of images, and whether its outputs are levels already."""

    layout: Layout | None = None
    integers: bool = False


class Units:
    """Converts outputs of functions to observations (`observe`) and observations to their inputs (`present`).

    For images, `values` is the range of floats that corresponds to levels `0` to `levels - 1`; without it, outputs are
    used unchanged and inputs are raw observations. `first` is the usual layout of the framework; with `layout`, no
    other one is considered.
    """

    def __init__(
        self, space: Space, cast: Cast, first: Layout, values: Any = None, layout: Layout | None = None
    ) -> None:
        self.space, self.cast, self.first, self.layout = space, cast, first, layout
        self.image = space if isinstance(space, Image) else None
        if not self.image and (values is not None or layout is not None):
            raise InputError(f"values= and layout= are for images; this space is {space.describe()}.")
        self.values = None if values is None else _check_values(values)
        if layout is not None and layout not in LAYOUTS:
            raise InputError(f"layout is {layout!r}; expected {', '.join(map(repr, LAYOUTS))}.")

    def layouts(self) -> dict[Layout, tuple[int, ...]]:
        """The shapes that an image may have, the framework's own first. A flat image has the framework's order."""
        assert self.image
        h, w, c = self.image.shape
        shapes: dict[Layout, tuple[int, ...]] = {"channels_first": (c, h, w), "channels_last": (h, w, c)}
        shapes = {self.first: shapes[self.first]} | shapes
        if c == 1:
            shapes["plane"] = (h, w)
        shapes["flat"] = (h * w * c,)
        return {self.layout: shapes[self.layout]} if self.layout in shapes else shapes

    def recognize(self, what: str, shape: tuple[int, ...], dtype: str) -> View:
        """The view of a function whose output has this shape (without the batch) and dtype; `InputError` if the space
        has no such view."""
        if dtype not in INTEGERS + FLOATS:
            raise InputError(f"{what} gives {dtype}; expected numbers.")
        whole = dtype in INTEGERS
        if self.image:
            shapes = self.layouts()
            layout = next((name for name, s in shapes.items() if s == shape), None)
            if layout is None:
                expected = " or ".join(dict.fromkeys(map(rows, shapes.values())))
                raise InputError(f"{what} gives {rows(shape)}; expected {expected}: {self.space.describe()}.")
            return View(layout, whole)
        fits = shape == self.space.shape or (shape == () and self.space.shape == (1,))
        real = isinstance(self.space, Real)
        if not fits or whole == real:
            raise InputError(
                f"{what} gives {dtype} of shape {rows(shape)}; expected {'floats' if real else 'integers'} of shape "
                f"{rows(self.space.shape)}: {self.space.describe()}."
            )
        return View()

    def observe(self, y: Any, view: View) -> Any:
        """A function's output as observations (N, *space.shape)."""
        if not self.image:
            return self.cast(y.reshape(-1, *self.space.shape), self.space.dtype)
        if not view.integers and str(y.dtype).endswith("float16"):
            y = self.cast(y, "float32")  # numpy has no bfloat16, and levels need the precision
        h, w, c = self.image.shape
        if self._order(view.layout) == "channels_first":
            y = y.reshape(-1, c, h, w).permute(0, 2, 3, 1)
        else:
            y = y.reshape(-1, h, w, c)
        if not view.integers:
            if self.values is None:
                return y  # floats, while their range is still unknown
            low, high = self.values
            top = self.image.levels - 1
            y = ((y - low) * (top / (high - low))).round().clamp(0, top)
        return self.cast(y, "uint8")

    def present(self, x: Any, view: View) -> Any:
        """Observations as a function takes them."""
        if not self.image or self.values is None:
            return x
        low, high = self.values
        x = self.cast(x, "float32") * ((high - low) / (self.image.levels - 1)) + low
        if self._order(view.layout) == "channels_first":
            x = x.permute(0, 3, 1, 2)
        return x.reshape(-1, *self.layouts()[view.layout or self.first])

    def _order(self, layout: Layout | None) -> Layout:
        """The order of an image's axes, before a plane or flat image drops some of them."""
        return layout if layout in ("channels_first", "channels_last") else self.first


def infer_values(what: str, low: float, high: float) -> tuple[float, float]:
    """The range of an image's floats, from the extremes of some draws; `InputError` if it is ambiguous."""
    if low >= 0 and high <= 1:
        return (0.0, 1.0)
    if -1 - SLACK <= low < -SLACK * high and high <= 1 + SLACK:  # negatives beyond a mere overshoot of zero
        return (-1.0, 1.0)
    raise InputError(
        f"{what} gives floats from {low:.4g} to {high:.4g}: it is not clear which are black and white. Give them "
        "as values=(low, high), such as values=(0, 1), (-1, 1) or (0, 255)."
    )


def _check_values(values: Any) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in values)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            f"values is {values!r}; expected the two floats of black and white, such as (-1, 1)."
        ) from None
    return low, high


def rows(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"
