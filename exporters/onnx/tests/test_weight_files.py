"""Weights are stored inside each file while small, else in one shared file, and each matrix once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import zoo_torch
from torch import nn
from zoo_onnx.compose import compose
from zoo_onnx.weight_files import Weights, computed_bytes, stored_bytes

import zoo
from zoo.artifact import WEIGHTS
from zoo.signature import Call, Tensor

WIDTH = 64
MATRIX = 4 * WIDTH * WIDTH


def outputs(path, x):
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


class Tied(nn.Module):
    """Tokens to tokens: the matrix of the embedding is that of the last layer, transposed. Three axes make a MatMul."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WIDTH, WIDTH)

    def forward(self, x):
        return (self.embedding(x) @ self.embedding.weight.T).relu()


def calls(net):
    tokens = {"x": Tensor("int64", (3,), low=0, high=WIDTH - 1)}
    return {
        "log_prob": Call(lambda x: net(x).sum((1, 2)), tokens, {"log_prob": Tensor("float32")}),
        "encode": Call(lambda x: net(x)[:, 0], tokens, {"z": Tensor("float32", (WIDTH,))}),
    }


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Tied().eval()


@pytest.mark.parametrize("limit", [2**28, 0])
def test_a_matrix_and_its_transpose_are_stored_once(net, limit, tmp_path):
    files = Weights(tmp_path, limit)
    with torch.no_grad():
        for method, call in calls(net).items():
            files.add(f"{method}.onnx", compose(net, method, call))
    files.write()
    sizes = {p.name: p.stat().st_size for p in tmp_path.iterdir()}
    shared = sizes.pop(WEIGHTS, 0)
    assert set(sizes) == {"log_prob.onnx", "encode.onnx"}
    if limit:
        assert shared == 0
        assert all(MATRIX < size < 1.5 * MATRIX for size in sizes.values())
    else:
        assert shared == MATRIX  # for both methods
        assert all(size < MATRIX / 2 for size in sizes.values())
    x = np.random.default_rng(0).integers(0, WIDTH, (5, 3))
    with torch.no_grad():
        y = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(outputs(tmp_path / "encode.onnx", x), y[:, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs(tmp_path / "log_prob.onnx", x), y.sum((1, 2)), rtol=1e-4)


def test_weights_in_fewer_bytes_are_computed_with_as_float32():
    values = [np.zeros((8, 8), dtype) for dtype in ("float32", "float16", "int8", "int64")]
    graph = ir.Graph([], [], nodes=[], initializers=[
        ir.Value(name=str(a.dtype), const_value=ir.tensor(a)) for a in values
    ])  # fmt: skip
    model = ir.Model(graph, ir_version=10)
    assert stored_bytes(model) == 64 * (4 + 2 + 1 + 8)
    assert computed_bytes(model) == 64 * (4 + 4 + 4 + 8)


@pytest.mark.parametrize("options", [{}, {"limit": 2**28}, {"limit": 1000}])
def test_the_limit_is_an_argument_of_export(options, tmp_path):
    model = zoo_torch.wrap(sample=nn.Linear(16, 16), noise=zoo.Normal(16), space=zoo.Real(16))
    zoo.export(model, tmp_path / "linear", **options)
    artifact = zoo.open(tmp_path / "linear", device="cpu")
    assert (tmp_path / "linear" / WEIGHTS).exists() == (options.get("limit") == 1000) == artifact.files.external
    np.testing.assert_allclose(artifact.sample(3, seed=0), model.sample(3, seed=0), rtol=1e-4, atol=1e-5)
