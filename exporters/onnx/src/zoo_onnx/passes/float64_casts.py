"""Replaces float64 by float32, between casts, for operators that onnxruntime does not have in float64.

Computations in float64, such as the phases of a time embedding, are mostly sums, products and sines, which it has; the
others are layers."""

from __future__ import annotations

import onnx_ir as ir

# operators without a float64 kernel in onnxruntime's CPU provider
SINGLE = {
    *("Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Erf", "Sinh", "Tan"),
    *("Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Selu", "Softplus", "Softsign"),
    *("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GridSample", "Resize"),
    *("GroupNormalization", "InstanceNormalization", "GRU", "LSTM", "RNN"),
}


def without_missing_kernels(model: ir.Model) -> None:
    """Make float64 operators of `SINGLE` compute in float32."""
    for node in list(model.graph.all_nodes()):
        if node.op_type in SINGLE and any(v is not None and v.dtype == ir.DataType.DOUBLE for v in node.inputs):
            _in_single(node)


def _in_single(node: ir.Node) -> None:
    assert node.graph is not None
    for place, value in enumerate(node.inputs):
        if value is not None and value.dtype == ir.DataType.DOUBLE:
            cast = _cast(value, ir.DataType.FLOAT)
            node.graph.insert_before(node, cast)
            node.replace_input_with(place, cast.outputs[0])
    for value in node.outputs:
        if value.dtype != ir.DataType.DOUBLE:
            continue
        value.type = ir.TensorType(ir.DataType.FLOAT)
        cast = _cast(value, ir.DataType.DOUBLE)
        ir.convenience.replace_all_uses_with(value, cast.outputs[0], replace_graph_outputs=True)
        cast.replace_input_with(0, value)
        node.graph.insert_after(node, cast)


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    cast = ir.node("Cast", [value], {"to": int(dtype)})
    cast.outputs[0].type, cast.outputs[0].shape = ir.TensorType(dtype), value.shape
    return cast
