"""Weights in two bytes or one, restored to float32 at the start of the graph; onnxruntime folds that on opening.

The network is rounded first: to float16, or to int8 with a scale for each output channel (for each matrix of a stack;
Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: A whitepaper", arXiv 1806.08342,
section 3). So the artifact is compared with a source of the same weights. The effect of rounding is stated separately.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import nn

from zoo.eager import EagerModel
from zoo.numpy_network import NumpyNetwork
from zoo.parity.cases import Case
from zoo.parity.differences import SCALES, difference
from zoo_onnx.graph import known

Floats = npt.NDArray[np.float32]
SMALL = 1024  # bytes: smaller tensors, such as biases, would cost more in the graph than they save
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LEVELS = 127  # int8, symmetric about zero


@contextmanager
def rounded(model: EagerModel, weights: str) -> Iterator[EagerModel]:
    """`model` with the nearest weights that `weights` can represent. A module is rounded in place, for the duration of
    the context, because wrapped functions of a user refer to it."""
    network = model.network
    axis = -1 if network.framework == "keras" else 0  # where most weights have their output channels
    if weights == "float32" or not isinstance(network, (nn.Module, NumpyNetwork)):
        yield model
        return
    if isinstance(network, NumpyNetwork):
        arrays = {name: nearest(a, weights, axis) for name, a in network.arrays().items()}
        yield EagerModel(network.with_arrays(arrays), model.name, model.meta)
        return
    parameters = [p for p in network.parameters() if p.dtype == torch.float32]
    transposed = {id(m.weight) for m in network.modules() if isinstance(m, TRANSPOSED)}
    axes = [1 if id(p) in transposed else axis for p in parameters]
    before = [p.detach().to("cpu", copy=True) for p in parameters]
    try:
        near = [nearest(array.numpy(), weights, a) for array, a in zip(before, axes, strict=True)]
        assign(parameters, [torch.from_numpy(array) for array in near])
        yield model
    finally:
        assign(parameters, before)


def assign(parameters: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> None:
    with torch.inference_mode():  # which may write to every tensor
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)


def is_large(array: npt.NDArray[np.generic]) -> bool:
    """Whether an array holds matrices, convolutions or embeddings, and is large enough to matter."""
    return array.dtype == np.float32 and array.ndim > 1 and array.nbytes >= SMALL


def nearest(array: Floats, weights: str, axis: int) -> Floats:
    """The nearest weights that float16, or int8 with a scale for each index of `axis`, can represent. Small arrays, and
    those outside the range of float16, are left unchanged."""
    if not is_large(array) or not np.isfinite(array).all():
        return array
    if weights == "float16":
        with np.errstate(over="ignore"):
            half = array.astype(np.float16).astype(np.float32)
        fine = np.abs(half - array).max() <= np.abs(array).max() / 1024
        return half if fine else array
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    # A scale of 8 bits, rounded up: a level times it is exact in float32, so `find_scale` finds it again.
    mantissa, exponent = np.frexp(np.abs(array.astype(np.float64)).max(axis=others, keepdims=True) / LEVELS)
    scale = np.ldexp(np.ceil(mantissa * 256) / 256, exponent)
    scale[scale == 0] = 1
    return (np.rint(array / scale) * scale + 0.0).astype(np.float32)  # + 0.0: int8 has no negative zero


def store(model: ir.Model, weights: str) -> tuple[int, int]:
    """Replace the float32 initializers that fewer bytes can represent. Returns their count and that of all."""
    stored = total = 0
    to_float32 = {"to": int(ir.DataType.FLOAT)}
    for graph in (model.graph, *model.graph.subgraphs()):
        nodes: list[ir.Node] = []
        for name, value in list(graph.initializers.items()):
            if value.const_value is None or value.is_graph_input() or value.const_value.dtype != ir.DataType.FLOAT:
                continue
            array = value.const_value.numpy()
            total += array.size
            if not is_large(array) or not (parts := in_parts(array, weights)):
                continue
            stored += array.size
            del graph.initializers[name]
            value.const_value = None  # from here on it is the output of a node
            small, *scale = (known(graph, f"{name}_{i}", part) for i, part in enumerate(parts))
            if scale:  # not DequantizeLinear, which onnxruntime folds nowhere
                nodes.append(ir.node("Cast", [small], to_float32, name=f"{name}_cast"))
                nodes[-1].outputs[0].name = f"{name}_levels"
                nodes.append(ir.node("Mul", [*nodes[-1].outputs, *scale], outputs=[value], name=f"{name}_scaled"))
            else:
                nodes.append(ir.node("Cast", [small], to_float32, outputs=[value], name=f"{name}_cast"))
        if nodes:
            graph.insert_before(graph[0], nodes)
    return stored, total


def in_parts(array: Floats, weights: str) -> list[npt.NDArray[np.generic]]:
    """`array` in fewer bytes, float16 or int8, and its scale, if it needs one; nothing if that is impossible.

    This does not rely on which array was rounded along which axis: since then tracing may have transposed, masked and
    rearranged it, and multiplied it by the scale of a batch normalization, which is why float16 may need a scale, too.
    The last bits of a product may then differ, which the comparison with the source covers.
    """
    if not np.isfinite(array).all():
        return []
    if weights == "float16" and np.array_equal(on_grid(array, weights).astype(np.float32), array):
        return [on_grid(array, weights)]
    for axis in sorted(range(array.ndim), key=lambda a: array.shape[a]):
        slices = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        scale = None if find_scale(slices[:4], weights) is None else find_scale(slices, weights)
        if scale is None:
            continue
        scale = scale.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
        small = on_grid(array / scale, weights)
        if equal(small * scale, array).all() and small.nbytes + scale.nbytes < array.nbytes:
            return [small, scale]
    return []


def find_scale(slices: Floats, weights: str) -> Floats | None:
    """A scale for each slice (S, N) of which all its values are multiples by levels; None if one has none.

    The largest value of a slice is one of the levels, so that is the number of scales to try. The 64 largest values
    decide."""
    largest = -np.sort(-np.abs(slices.astype(np.float64)), axis=1)[:, :64]
    scale = np.where(largest[:, 0] == 0, 1.0, 0.0)
    for top in range(LEVELS, 0, -1) if weights == "int8" else range(2**14, 2**15, 2**4):
        missing = np.flatnonzero(scale == 0)
        if not len(missing):
            break
        candidate = largest[missing, :1] / top
        fits = equal(on_grid(largest[missing] / candidate, weights) * candidate, largest[missing]).all(axis=1)
        scale[missing[fits]] = candidate[fits, 0]
    return None if (scale == 0).any() else scale.astype(np.float32)


def on_grid(values: npt.NDArray[np.floating], weights: str) -> npt.NDArray[np.generic]:
    with np.errstate(over="ignore"):
        return np.rint(values).astype(np.int8) if weights == "int8" else values.astype(np.float16)


def equal(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Equal up to the last bits of float32."""
    return np.abs(a - b) <= np.abs(b) * 2.0**-21


def deviations(before: Sequence[Case], after: Sequence[Case]) -> dict[str, dict[str, float]]:
    """The effect of rounding: the largest difference for each method and kind of input, of log_prob in nats, of predict
    absolute, of other floats relative to the value or to the root mean square of its row, of integers the share that
    differs. Rows in which either is not finite are left out."""
    report: dict[str, dict[str, float]] = {}
    for a, b in zip(before, after, strict=True):
        for name, expected in a.outputs.items():
            found = b.outputs[name]
            if expected.dtype.kind == "f":
                rows = [np.isfinite(v).reshape(len(v), -1).all(axis=1) for v in (expected, found)]
                expected, found = (v[rows[0] & rows[1]] for v in (expected, found))
            if not len(expected):
                continue
            if a.method == "log_prob":
                largest = float(np.abs(expected.astype(np.float64) - found).max())
            else:
                largest = difference(expected, found, SCALES.get(a.method))
            kinds = report.setdefault(a.method, {})
            kinds[a.kind] = max(kinds.get(a.kind, 0.0), largest)
    return report
