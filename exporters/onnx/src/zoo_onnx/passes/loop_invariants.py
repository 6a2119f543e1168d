"""Hoists computations that are the same in every step out of the body of a loop."""

from __future__ import annotations

import onnx_ir as ir

from zoo_onnx.graph import Scope, known


def hoist(body: ir.Graph, scope: Scope) -> None:
    """Move loop-invariant nodes from the body of a loop to the end of the outer graph."""

    def own(value: ir.Value) -> bool:
        node = value.producer()
        return value.graph is body if node is None else node.graph is body

    for node in list(body):
        values = [value for value in node.inputs if value is not None]
        steady = all(not own(value) or value.is_initializer() for value in values)
        folded = all(value.is_initializer() and not value.is_graph_input() for value in values)  # by onnxruntime, once
        contained = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
        # onnxruntime tries to remove such a cast, and warns if it cannot because bodies of loops use both
        option = node.op_type == "Cast" and values[0].is_graph_input() and values[0].shape == ()
        if not steady or folded or contained or option or any(value.is_graph_output() for value in node.outputs):
            continue
        for place, value in enumerate(node.inputs):
            if value is not None and own(value):  # a weight, which may have other uses here
                assert value.const_value is not None
                name = str(value.name)
                if len(value.uses()) == 1:
                    body.initializers.pop(name)
                else:
                    name = scope.reserve(name)
                node.replace_input_with(place, known(scope.graph, name, value.const_value))
        body.remove(node)
        scope.graph.append(node)
