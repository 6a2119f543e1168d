"""Malicious graphs, and changes to graphs that a parser still accepts, so that they reach the runtime."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper

NUMBERS = [-(2**63), -1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**63 - 1]
OPERATORS = sorted({schema.name for schema in defs.get_all_schemas() if not schema.domain})
node = helper.make_node


def make(nodes: list[NodeProto], *, functions: Any = (), domains: Any = (), **initializers: Any) -> bytes:
    """A graph that takes what `sample` of a flow of two columns takes, and gives `x`, whose shape is `shape`."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["N"]) for name in ("seed", "index")]
    outputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])]
    tensors = [numpy_helper.from_array(np.array(value), name) for name, value in {"two": [2], **initializers}.items()]
    shape = [node("Shape", ["seed"], ["rows"]), node("Concat", ["rows", "two"], ["shape"], axis=0)]
    graph = helper.make_graph([*shape, *nodes], "graph", inputs, outputs, tensors)
    opsets = [helper.make_opsetid(domain, 20 if domain == "" else 1) for domain in ("", *domains)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets, functions=functions)
    data: bytes = model.SerializeToString()
    return data


def body(nodes: list[NodeProto], inputs: Any, outputs: Any) -> GraphProto:
    """A subgraph; inputs and outputs are (name, type, shape)."""
    return helper.make_graph(
        nodes, "body", *([helper.make_tensor_value_info(*v) for v in vs] for vs in (inputs, outputs))
    )


FLOATS = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
ZEROS = node("ConstantOfShape", ["shape"], ["zeros"], value=FLOATS)
_STATE = [("on", TensorProto.BOOL, []), ("state", TensorProto.FLOAT, ["N", 2])]
_NEXT = [("on_again", TensorProto.BOOL, []), ("next", TensorProto.FLOAT, ["N", 2])]
STEP = body(
    [node("Identity", ["on"], ["on_again"]), node("Mul", ["state", "state"], ["next"])],
    [("i", TensorProto.INT64, []), *_STATE],
    _NEXT,
)
_COLLECT = body(
    [node("Identity", ["on"], ["on_again"]), node("ConstantOfShape", ["million"], ["some"], value=FLOATS)],
    [("i", TensorProto.INT64, []), _STATE[0]],
    [_NEXT[0], ("some", TensorProto.FLOAT, [10**6])],
)
SUM = [node("ReduceSum", ["y"], ["sum"], keepdims=0), node("Expand", ["sum", "shape"], ["x"])]
ENDLESS = make([ZEROS, node("Loop", ["most", "true", "zeros"], ["x"], body=STEP)], most=10**15, true=True)
LARGE = make([node("ConstantOfShape", ["large"], ["y"], value=FLOATS), *SUM], large=[2**29])
GROWING = make([node("Loop", ["most", "true"], ["y"], body=_COLLECT), *SUM], most=10**15, true=True, million=[10**6])
OTHER_SHAPE = make([node("ConstantOfShape", ["other"], ["x"], value=FLOATS)], other=[3, 5])
RANDOM = make([ZEROS, node("RandomNormalLike", ["zeros"], ["x"], scale=0.0)])
HOSTILE = [ENDLESS, LARGE, GROWING, OTHER_SHAPE, RANDOM]


def mutated(data: bytes, chance: random.Random, damage: Callable[[bytes, random.Random], bytes]) -> bytes:
    """This graph or a hostile one, changed by its nodes and tensors, or damaged by its bytes."""
    data = chance.choice([data, data, *HOSTILE])
    if chance.random() < 0.3:
        return damage(data, chance)
    model = onnx.load_from_string(data)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 5])):
        _change(model, chance)
    changed: bytes = model.SerializeToString()
    return changed


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all that are in it."""
    yield graph
    for n in graph.node:
        for attribute in n.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _change(model: ModelProto, chance: random.Random) -> None:
    """One change somewhere."""
    graph = chance.choice([g for g in _graphs(model.graph) if g.node])
    one, kind = chance.choice(graph.node), chance.randrange(7)
    values = [*(o for n in graph.node for o in n.output), *(t.name for t in graph.initializer), ""]
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.HasField("t"))]
    if kind == 0:
        one.op_type = chance.choice(OPERATORS)
    elif kind == 1 and one.input:
        one.input[chance.randrange(len(one.input))] = chance.choice(values)
    elif kind == 2:
        one.input.append(chance.choice(values))
    elif kind == 3 and one.attribute:
        attribute = chance.choice(one.attribute)
        attribute.i, attribute.f = chance.choice(NUMBERS), chance.choice([0.0, -1.0, float("nan"), 1e38])
        attribute.ints[:] = [chance.choice(NUMBERS) for _ in attribute.ints]
    elif kind == 4 and tensors:
        tensor = chance.choice(tensors)
        tensor.dims[:] = [chance.choice(NUMBERS) if chance.random() < 0.5 else d for d in tensor.dims]
        if chance.random() < 0.2:
            tensor.data_type = chance.randrange(24)
    elif kind == 5 and tensors:
        tensor = chance.choice(tensors)
        if tensor.data_type == TensorProto.INT64 and tensor.raw_data:
            count = len(tensor.raw_data) // 8
            tensor.raw_data = np.array([chance.choice(NUMBERS) for _ in range(count)], np.int64).tobytes()
    else:
        graph.node.remove(one) if chance.random() < 0.5 and len(graph.node) > 1 else graph.node.append(one)
