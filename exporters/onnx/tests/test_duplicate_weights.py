"""Equal weights, and a matrix and its transpose, are one initializer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from zoo_onnx.graph import Scope, known
from zoo_onnx.passes import duplicate_weights
from zoo_onnx.passes.duplicate_weights import store_once
from zoo_onnx.weight_files import Weights

from zoo.artifact import WEIGHTS

WEIGHT = np.random.default_rng(0).standard_normal((16, 32), dtype=np.float32)


def chain(*arrays):
    """x times each of the arrays in turn."""
    scope = Scope()
    value = scope.input("x", "float32", ["batch", 16])
    for number, array in enumerate(arrays):
        value = scope.op("MatMul", value, known(scope.graph, f"w{number}", array))
    scope.output(value, "y", "float32", ["batch", arrays[-1].shape[1]])
    return scope.model()


def test_equal_arrays_and_transposes_are_one():
    model = chain(WEIGHT, WEIGHT.T.copy(), WEIGHT.copy(), WEIGHT.T.copy())
    store_once(model)
    assert sum(value.const_value is not None for value in model.graph.initializers.values()) == 1
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((3, 16), dtype=np.float32)
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y, x @ WEIGHT @ WEIGHT.T @ WEIGHT @ WEIGHT.T, rtol=1e-4)


def test_methods_share_weights(tmp_path):
    files = Weights(tmp_path, limit=0)
    files.add("one.onnx", chain(WEIGHT, (2 * WEIGHT.T).copy()))
    files.add("two.onnx", chain(WEIGHT, WEIGHT.T.copy()))
    files.write()
    assert (tmp_path / WEIGHTS).stat().st_size == 2 * WEIGHT.nbytes


@pytest.mark.parametrize("arrays", [(WEIGHT, np.ones((32, 8), np.float32)), (WEIGHT, WEIGHT.T)])
def test_an_array_is_hashed_once(tmp_path, monkeypatch, arrays):
    """And transposed only where there is a matrix of that shape."""
    count = []
    sha256 = duplicate_weights.sha256
    monkeypatch.setattr(duplicate_weights, "sha256", lambda data: count.append(1) or sha256(data))
    files = Weights(tmp_path, limit=0)
    files.add("one.onnx", chain(*arrays))
    assert len(count) == len(arrays)
