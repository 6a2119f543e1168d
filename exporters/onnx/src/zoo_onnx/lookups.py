"""Looking one entry up without copies: what `x[:, 0]` and `x.index_select(0, i.reshape(1))[0]` are traced to.

A Gather copies row by row, about 8 ns each, and `select` becomes a Gather even along an axis of length one.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def without_copies(model: ir.Model) -> None:
    """Make each Gather that only drops an axis of length one a Squeeze, and each that looks up `[i]`, to drop the axis
    at once, one that looks up `i`; in the model and in its loops."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "Gather" and (axis := _dropped(node)) is not None:
                _drop(graph, node, axis)


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


def _drop(graph: ir.Graph, node: ir.Node, axis: int) -> None:
    data = node.inputs[0]
    assert data is not None
    before, output = data.producer(), node.outputs[0]
    scalar = _scalar_index(before, axis) if before is not None else None
    if before is not None and scalar is not None:
        made = ir.node("Gather", [before.inputs[0], scalar], {"axis": axis}, name=f"{node.name}_one")
        new = [made]
    else:
        axes = ir.Value(name=f"{node.name}_axes", const_value=ir.tensor(np.array([axis], dtype=np.int64)))
        axes.type, axes.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([1])
        graph.register_initializer(axes)
        made = ir.node("Squeeze", [data, axes], name=f"{node.name}_dropped")
        new = [made]
    made.outputs[0].name = f"{output.name}_dropped"
    made.outputs[0].type, made.outputs[0].shape = output.type, output.shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], new, [output], [made.outputs[0]])


def _scalar_index(node: ir.Node, axis: int) -> ir.Value | None:
    """`i`, where a node looks up `[i]` along the axis."""
    if node.op_type != "Gather" or _axis(node) != axis or node.inputs[1] is None:
        return None
    shaped = node.inputs[1].producer()
    if shaped is None or shaped.op_type not in ("Reshape", "Unsqueeze") or node.inputs[1].shape != [1]:
        return None
    scalar = shaped.inputs[0]
    return scalar if scalar is not None and scalar.shape is not None and len(scalar.shape) == 0 else None
