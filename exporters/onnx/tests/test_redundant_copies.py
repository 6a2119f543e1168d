"""Redundant copies are removed from the graph, and the rest computes the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn
from zoo_onnx.tracing.trace import trace

from zoo.signature import Option, Tensor

TABLE = torch.arange(60.0).reshape(5, 3, 4)


def scaled_ends(i, x):
    y = x.clone()
    y[..., :2] *= 3
    y[..., -1:] /= 2
    return y


def nothing_written(i, x):
    y = 2 * x
    y[:, 3:1] = 0
    return y


def every_other_written(i, x):
    y = x.clone()
    y[:, ::2] = 0.5
    y[:, torch.tensor([1, 3])] = 0.25
    return y


def written(i, x):
    y = x.clone()
    y[:, torch.tensor([2, 0])] = 2 * x[:, :2]
    return y


def looked_up(number, rows=None):
    """So many numbers of each row of the last axis; with `rows`, of so many rows only."""

    def function(i, x):
        return x.gather(-1, x[:, :rows][..., :number].abs().to(torch.int64) % x.shape[-1])

    return function


PLACES = {"Slice", "Abs", "Cast", "Mod"}

CASES = {  # what is written: the function, its input, and the operators that remain
    "an axis of length one": (lambda i, x: x[:, 0], (1, 4), {"Squeeze"}),
    "the last axis, of length one": (lambda i, x: x[..., 0], (4, 1), {"Squeeze"}),
    "one of several": (lambda i, x: x[:, 0], (2, 4), {"Gather"}),
    "one channel to the front": (lambda i, x: x.permute(0, 3, 1, 2), (2, 5, 1), {"Reshape"}),
    "one channel to the back": (lambda i, x: x.permute(0, 2, 3, 1), (1, 2, 5), {"Reshape"}),
    "three channels": (lambda i, x: x.permute(0, 3, 1, 2), (2, 5, 3), {"Transpose"}),
    "columns": (lambda i, x: x.transpose(1, 2), (2, 5), {"Transpose"}),
    "every other column": (lambda i, x: x[:, [0, 2, 4]], (5, 3), {"Slice"}),
    "rows from the last to the first": (lambda i, x: x[..., [3, 2, 1, 0]], (2, 4), {"Slice"}),
    "columns in any order, some twice": (lambda i, x: x[:, [3, 0, 3, -2]], (5, 3), {"Gather"}),
    "columns of columns": (lambda i, x: x[:, [2, 0, 1], [0, 0, 1]], (5, 3), {"Transpose", "GatherND"}),
    "both ends scaled in place": (scaled_ends, (2, 5), {"Slice", "Mul", "Div", "Concat"}),
    "columns written": (written, (4, 2), {"Slice", "Mul", "Shape", "Expand", "ScatterElements", "Identity"}),
    "nothing written": (nothing_written, (5, 3), {"Mul", "Slice", "Concat", "Identity"}),
    "every other column written, and one number to several": (every_other_written, (5, 3), None),
    "a number of each of many rows": (looked_up(1), (9, 5), {*PLACES, "Reshape", "Add", "GatherElements"}),
    "a number of each row of two axes": (looked_up(1), (2, 4, 5), {*PLACES, "Reshape", "Add", "GatherElements"}),
    "two of each of many rows": (looked_up(2), (9, 5), {*PLACES, "GatherElements"}),
    "none of many rows": (looked_up(0), (9, 5), {*PLACES, "GatherElements"}),
    "a number of each of few rows": (looked_up(1), (2, 5), {*PLACES, "GatherElements"}),
    "a number of some rows": (looked_up(1, rows=8), (9, 5), {*PLACES, "GatherElements"}),
    "the weights of step i": (lambda i, x: x @ TABLE.index_select(0, i.reshape(1))[0], (3,), {"Gather", "MatMul"}),
}


@pytest.mark.parametrize("what", CASES)
def test_copies(what, tmp_path):
    function, shape, expected = CASES[what]
    made = trace(nn.Identity(), function, {"i": Option(0), "x": Tensor("float32", shape)}, "Mine: sample", {})
    assert expected in ({node.op_type for node in made.graph}, None)  # None: as torch.onnx would have it
    ir.save(made, tmp_path / "piece.onnx")
    session = ort.InferenceSession(str(tmp_path / "piece.onnx"), providers=["CPUExecutionProvider"])
    for i, rows in ((0, 7), (3, 7), (0, 0)):
        x = np.random.default_rng(0).normal(size=(rows, *shape)).astype(np.float32)
        (got,) = session.run(None, dict(zip([v.name for v in made.graph.inputs], (np.asarray(i), x), strict=True)))
        np.testing.assert_allclose(got, function(torch.tensor(i), torch.from_numpy(x)).numpy(), rtol=1e-6, atol=1e-5)
