"""Removes unnecessary copies.

A Gather copies row by row, about 8 ns each, and `x[:, 0]` is traced to a Gather even along an axis of length one;
`x.index_select(0, i.reshape(1))[0]` to two. A Transpose that only moves axes of length one, such as the single channel
of an image, is a Reshape.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zoo_onnx.graph import known


def without_copies(model: ir.Model) -> None:
    """Replace copies in the model and in its loops if shapes are known."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "Gather" and (axis := _dropped(node)) is not None:
                _drop(graph, node, axis)
            elif node.op_type == "Gather" and (every := _progression(node)) is not None:
                _replace(graph, node, "Slice", node.inputs[0], *every)
            elif node.op_type == "Transpose" and (shape := _same_order(node)) is not None:
                _replace(graph, node, "Reshape", node.inputs[0], shape)


def _axis(node: ir.Node) -> int | None:
    """The axis of a Gather, counted from the first."""
    data = node.inputs[0]
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    if data is None or data.shape is None:
        return axis if axis >= 0 else None
    return axis % len(data.shape)


def _dropped(node: ir.Node) -> int | None:
    """The axis that a Gather of index 0 drops, if it has length one."""
    data, index = node.inputs
    axis = _axis(node)
    if data is None or data.shape is None or index is None or index.const_value is None or index.is_graph_input():
        return None
    first = index.const_value.size == 1 and index.const_value.numpy().shape == () and not index.const_value.numpy()
    return axis if first and axis is not None and data.shape[axis] == 1 else None


def _progression(node: ir.Node) -> list[list[int]] | None:
    """Starts, ends, axes and steps of the Slice equivalent to a Gather whose indices form an arithmetic progression."""
    index, axis = node.inputs[1], _axis(node)
    if index is None or index.const_value is None or index.is_graph_input() or axis is None:
        return None
    places = index.const_value.numpy()
    steps = np.unique(np.diff(places)) if places.ndim == 1 else []
    if len(steps) != 1 or places.min() < 0 or not steps[0]:
        return None
    end = int(places[-1] + steps[0])
    return [[int(places[0])], [end if end >= 0 else -(2**62)], [axis], [int(steps[0])]]


def _drop(graph: ir.Graph, node: ir.Node, axis: int) -> None:
    """For a Gather that drops an axis of the result of another one at `[i]`: look up `i` instead."""
    data = node.inputs[0]
    before = data.producer() if data is not None else None
    scalar = _scalar_index(before, axis) if before is not None else None
    if before is not None and scalar is not None:
        _replace(graph, node, "Gather", before.inputs[0], scalar, axis=axis)
    else:
        _replace(graph, node, "Squeeze", data, [axis])


def _same_order(node: ir.Node) -> list[int] | None:
    """The shape after a Transpose that keeps the order of all axes longer than one."""
    data = node.inputs[0]
    if data is None or data.shape is None or "perm" not in node.attributes:
        return None
    order = list(node.attributes["perm"].as_ints())
    shape = [d if isinstance(d, int) else -1 for d in data.shape]
    long = [axis for axis in order if shape[axis] != 1]
    return [shape[axis] for axis in order] if long == sorted(long) and shape.count(-1) <= 1 else None


def _replace(
    graph: ir.Graph, node: ir.Node, kind: str, data: ir.Value | None, *more: ir.Value | list[int], **attributes: int
) -> None:
    output = node.outputs[0]
    given = [
        known(graph, f"{node.name}_{i}", np.array(v, dtype=np.int64)) if isinstance(v, list) else v
        for i, v in enumerate(more)
    ]
    new = ir.node(kind, [data, *given], attributes, name=f"{node.name}_{kind}")
    new.outputs[0].name = f"{output.name}_{kind}"
    new.outputs[0].type, new.outputs[0].shape = output.type, output.shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], [new], [output], [new.outputs[0]])


def _scalar_index(node: ir.Node, axis: int) -> ir.Value | None:
    """`i`, where a node looks up `[i]` along the axis."""
    if node.op_type != "Gather" or _axis(node) != axis or node.inputs[1] is None:
        return None
    shaped = node.inputs[1].producer()
    if shaped is None or shaped.op_type not in ("Reshape", "Unsqueeze") or node.inputs[1].shape != [1]:
        return None
    scalar = shaped.inputs[0]
    return scalar if scalar is not None and scalar.shape is not None and len(scalar.shape) == 0 else None
