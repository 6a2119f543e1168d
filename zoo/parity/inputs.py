"""Synthetic inputs of methods for probes, traces, parity checks and tests without data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.signature import Noise, Tensor, resolve
from zoo.spaces import real_examples
from zoo.system.memory import check_fits

VALUE = 32  # bytes of memory to make a value

if TYPE_CHECKING:  # numpy is imported when arrays are handled, as in zoo.spaces
    import numpy.typing as npt

    from zoo.spaces import Labels, Space

    Array = npt.NDArray[Any]


def input_examples(
    inputs: Mapping[str, Tensor],
    space: Space,
    classes: Labels | None,
    kind: str,
    count: int,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Array]:
    """`count` rows of each input: "random", at the "boundary" of its range, or in its "tail".

    `x` is an observation of `space`, `label` one of `classes`, any other is within the bounds of its `Tensor`.
    `options` are the values of options that shapes name.
    """
    values = count * sum(math.prod(resolve(tensor.shape, options or {})) for tensor in inputs.values())
    check_fits(VALUE * values, f"{count:,} made-up rows", "Take fewer.")
    made: dict[str, Array] = {}
    for seed, (name, tensor) in enumerate(inputs.items()):  # two of the same shape must differ
        if name == "x":
            made[name] = space.examples(kind, count)
        elif name == "label":
            if classes is None:
                raise InputError("a method takes the input 'label' of a model without classes; name its classes.")
            made[name] = tensor_examples(Tensor("int64", low=0, high=len(classes) - 1), kind, count, seed)
        else:
            made[name] = tensor_examples(tensor, kind, count, seed, options)
    return made


def tensor_examples(
    tensor: Tensor, kind: str, count: int, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Array:
    """`count` rows of a tensor, of its dtype and within its bounds. Integers without bounds are 0 and 1, most likely
    valid indices."""
    import numpy as np

    from zoo.noise import draw

    shape = resolve(tensor.shape, options or {})
    low, high = tensor.bounds
    if tensor.dtype == "float32" and not math.isfinite(high - low):
        return np.clip(real_examples(shape, kind, count, seed), low, high)
    if tensor.dtype == "int64" and None in (tensor.low, tensor.high):
        low = (min(0, high - 1) if tensor.high is not None else 0) if tensor.low is None else tensor.low
        high = max(1, low + 1) if tensor.high is None else tensor.high
    u = draw(Noise("uniform", shape), np.arange(count), seed=seed, stream=f"examples/{kind}").astype(np.float64)
    if kind == "boundary":  # all lowest, all highest, then a mixture of the two
        u = (u > 0.5).astype(np.float64)
        u[0::3], u[1::3] = 0, 1
    elif kind == "tail":  # single high values among lows
        u = (u > 0.95).astype(np.float64)
    if tensor.dtype == "float32":
        return np.clip((1 - u) * low + u * high, low, high).astype(np.float32)
    whole = np.floor((1 - u) * low + u * (high + 1))
    whole = np.clip(whole, -(2.0**63), np.nextafter(2.0**63, 0)).astype(np.int64)
    return np.clip(whole, int(low), int(high)).astype(tensor.dtype)  # float64 does not hold all int64


__all__ = ["input_examples", "tensor_examples"]
