"""Float64 computations are exported, even if onnxruntime has no kernel for them."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo_onnx.passes.float64_casts import SINGLE
from zoo_onnx.tracing.trace import trace

from zoo.signature import Tensor

torch.manual_seed(0)


def phases(x):
    """A time embedding, for times up to 1000, whose sines want more bits than float32 has."""
    times = (x.abs() * 300).double()
    rates = torch.exp(-math.log(1e4) * torch.arange(4, dtype=torch.float64) / 4)
    return torch.sin(times * rates) + torch.cos(times * rates)


GRU, LSTM = nn.GRU(4, 4, batch_first=True), nn.LSTM(4, 4, batch_first=True)
MODULES = {
    "linear": nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 4), nn.LayerNorm(4)),
    "convolution": nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 3, padding=1), nn.Flatten()),
    "transposed": nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.ConvTranspose2d(1, 2, 2), nn.Flatten()),
    "pooling": nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.AvgPool2d(2), nn.Flatten()),
    "resize": nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Flatten()),
    "group norm": nn.GroupNorm(2, 4),
    "transformer": nn.Sequential(
        nn.Unflatten(1, (2, 2)),
        nn.TransformerEncoderLayer(2, 1, 8, batch_first=True, activation="gelu"),
        nn.Flatten(),
    ),
    "gru": GRU,
    "lstm": LSTM,
}
FUNCTIONS = {
    "phases": phases,
    **MODULES,
    "gru": lambda x: GRU(x[:, None])[0][:, 0],
    "lstm": lambda x: LSTM(x[:, None])[0][:, 0],
    "asin": lambda x: x.tanh().asin(),
    "acosh": lambda x: (1 + x.square()).acosh(),
    "tan": lambda x: x.tanh().tan(),
    "erf": torch.erf,
    "atan": torch.atan,
    "sinh": torch.sinh,
    "asinh": torch.asinh,
    **{
        name: getattr(functional, name)
        for name in ("gelu", "elu", "leaky_relu", "softplus", "mish", "hardswish", "selu", "softsign", "hardsigmoid")
    },
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_inside_a_model(name, tmp_path):
    network, function = MODULES.get(name, nn.Identity()).double().eval(), FUNCTIONS[name]

    def single(x):
        return function(x.double()).float()

    ir.save(trace(network, single, {"x": Tensor("float32", (4,))}, "Mine: sample", {}), tmp_path / "piece.onnx")
    session = ort.InferenceSession(str(tmp_path / "piece.onnx"), providers=["CPUExecutionProvider"])
    for rows in (1, 5):
        x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(rows))
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(y, single(x).detach(), rtol=1e-5, atol=1e-6)


def test_only_what_has_no_kernel_is_computed_in_float32():
    def types(function):
        model = trace(nn.Identity(), lambda x: function(x.double()), {"x": Tensor("float32", (4,))}, "Mine", {})
        return {n.op_type: n.inputs[0].dtype for n in model.graph if n.op_type != "Cast"}

    assert types(lambda x: torch.erf(torch.sin(x) * 2)) == {
        "Sin": ir.DataType.DOUBLE,
        "Mul": ir.DataType.DOUBLE,
        "Erf": ir.DataType.FLOAT,
    }
    assert "Erf" in SINGLE
    assert "Sin" not in SINGLE
