"""Computations that are the same in every step are hoisted out of the body of a loop."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from zoo_onnx.graph import DTYPES, Scope, known
from zoo_onnx.passes.loop_invariants import hoist


def power(shared: bool) -> tuple[ir.Model, ir.Graph]:
    """x times relu(w v) in each of three steps, where w is a weight of the body; `shared`: x is added to w v first."""
    main = Scope()
    x, v = main.input("x", "float32", [2]), main.input("v", "float32", [2])
    body = Scope(main, "step")
    body.input("i", "int64", [])
    body.input("more", "bool", [])
    state = body.input("state", "float32", [2])
    w = known(body.graph, "w", np.array([2.0, -3.0], np.float32))
    steady = body.op("Relu", body.op("Mul", w, v))
    after = body.op("Mul", state, steady)
    if shared:
        after = body.op("Add", after, w)
    body.declare(body.op("Constant", value=ir.tensor(np.asarray(True))), "goes_on", "bool", [])
    body.output(after, "after", "float32", [2])
    hoist(body.graph, main)
    node = ir.node("Loop", [main.constant(3, "int64"), main.constant(True, "bool"), x], {"body": body.graph})
    node.outputs[0].name, node.outputs[0].type = "last", ir.TensorType(DTYPES["float32"])
    main.graph.append(node)
    main.output(node.outputs[0], "y", "float32", [2])
    return main.model(), body.graph


def test_what_is_the_same_in_every_step_is_computed_before_the_loop():
    for shared in (False, True):
        model, body = power(shared)
        assert [node.op_type for node in body] == ["Mul", *["Add"] * shared, "Constant"]
        assert [node.op_type for node in model.graph] == ["Mul", "Relu", "Loop"]
        assert ("w" in body.initializers) == shared  # it stays where it has other uses
        session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
        x, v, w = (np.array(a, np.float32) for a in ([1, 1], [0.5, -1], [2, -3]))
        expected = x
        for _ in range(3):
            expected = expected * np.maximum(w * v, 0) + (w if shared else 0)
        (y,) = session.run(None, {"x": x, "v": v})
        np.testing.assert_allclose(y, expected)


def test_what_depends_on_the_step_stays():
    main = Scope()
    body = Scope(main, "step")
    i = body.input("i", "int64", [])
    moved = body.op("Mul", i, main.constant(2, "int64"))
    body.output(body.op("Add", moved, i), "after", "int64", [])
    hoist(body.graph, main)
    assert [node.op_type for node in body.graph] == ["Mul", "Add"]
    assert not list(main.graph)
