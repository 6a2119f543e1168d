"""Common code with a wrong or missing translation is exported, and gives PyTorch's rows for any batch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry
from zoo_onnx.graph import OPSET
from zoo_onnx.tracing import onnx_registry
from zoo_onnx.tracing.trace import trace

from zoo.signature import Tensor

torch.manual_seed(0)
NETWORK = nn.Linear(4, 4)


def double(x):
    return torch.cat([x, x * 2])


def guided(x):
    plain, conditional = NETWORK(double(x)).chunk(2)
    return plain + 3 * (conditional - plain)


def both(parts):
    one, other = parts
    return one - 2 * other


def thirds(x):
    return torch.cat([x, x * 2, x * 3])


def density(x):
    """As normflows writes it."""
    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    total += -0.5 * np.prod([4]) * np.log(2 * np.pi) - x.square().sum(list(range(1, 2)))
    return total


PARTS = {
    "chunk": guided,
    "chunk by keyword": lambda x: both(torch.chunk(double(x), chunks=2, dim=0)),
    "chunk in three": lambda x: torch.stack(thirds(x).chunk(3)).prod(0),
    "chunk of a chunk": lambda x: double(double(x)).chunk(2)[1].chunk(2)[1],
    "chunk of images": lambda x: both(double(x).reshape(-1, 2, 2).chunk(2)).flatten(1),
    "unsafe_chunk": lambda x: both(double(x).unsafe_chunk(2)),
    "split": lambda x: both(double(x).split(x.shape[0])),
    "split from the last axis": lambda x: both(torch.split(double(x), len(x), dim=-2)),
    "split of a list": lambda x: (lambda a, b: a[: len(b)] - b)(*thirds(x).split([2 * len(x), len(x)])),
    "split_with_sizes": lambda x: both(torch.split_with_sizes(double(x), [len(x), len(x)])),
    "tensor_split": lambda x: both(double(x).tensor_split(2)),
    "tensor_split at": lambda x: both(torch.tensor_split(double(x), [len(x)])),
    "vsplit": lambda x: both(double(x).vsplit(2)),
    "unbind": lambda x: both(torch.stack([x, x * 2]).unbind()),
    "unpacked": lambda x: both(double(x).reshape(2, -1, 4)),
    "unflatten": lambda x: both(double(x).unflatten(0, (2, -1)).unbind(0)),
    "slices": lambda x: both([double(x)[: len(x)], double(x)[len(x) :]]),
    "repeated": lambda x: both((x.repeat(2, 1) * torch.arange(2.0).repeat_interleave(len(x))[:, None]).chunk(2)),
    "features": lambda x: both(x.chunk(2, 1)),
}
ROWS = {
    "zeros": density,
    "full": lambda x: torch.full((len(x), 2), 3.0) + x[:, :2],
    "reshape": lambda x: x.reshape(len(x), -1, 2).sum(1),
    "expand": lambda x: NETWORK.weight[0].expand(len(x), -1) * x,
    "arange": lambda x: torch.arange(len(x))[:, None] * x,
    "mean": lambda x: x / len(x),
    "repeat_interleave": lambda x: NETWORK.weight[:1].repeat_interleave(len(x), 0) * x,
    "repeat_interleave, flat": lambda x: torch.arange(2.0).repeat_interleave(len(x)).reshape(2, -1).T + x[:, :2],
}


def triples(x):
    return (x.reshape(-1, 2, 2) * factor for factor in (1, 2, 3))


HEADS = {
    "one head": lambda x: attention(*triples(x)).flatten(1),
    "one head, causal": lambda x: attention(*triples(x), is_causal=True).flatten(1),
    "one head, masked": lambda x: attention(*triples(x), attn_mask=TRIANGLE).flatten(1),
    "one head, masked for each row": lambda x: attention(*triples(x), TRIANGLE | (x[:, :1, None] > 0)).flatten(1),
    "heads": lambda x: attention(*(t[:, None] for t in triples(x)), scale=0.5).flatten(1),
}
attention, TRIANGLE = nn.functional.scaled_dot_product_attention, torch.ones(2, 2, dtype=torch.bool).tril()


def exported(function, tmp_path):
    ir.save(trace(NETWORK, function, {"x": Tensor("float32", (4,))}, "Mine: sample", {}), tmp_path / "piece.onnx")
    session = ort.InferenceSession(str(tmp_path / "piece.onnx"), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


@pytest.mark.parametrize("function", [*PARTS.values(), *ROWS.values(), *HEADS.values()], ids=[*PARTS, *ROWS, *HEADS])
def test_rows_are_those_of_pytorch_for_any_batch(function, tmp_path):
    run = exported(function, tmp_path)
    for rows in (1, 2, 3, 8):
        x = torch.randn(rows, 4)
        np.testing.assert_allclose(run(x), function(x).detach(), rtol=1e-5, atol=1e-5)


def test_len_is_python_s_own_afterwards(tmp_path):
    exported(ROWS["reshape"], tmp_path)
    with pytest.raises(Exception, match="cannot be traced"):
        exported(lambda x: x if x.sum() > len(x) else -x, tmp_path)
    assert "len" not in globals()


def test_the_table_of_operators_is_made_once_and_each_export_has_its_own(monkeypatch):
    """What one export adds is in no other's, and PyTorch's own exports make theirs as before."""
    made, make = [], ONNXRegistry.from_torchlib
    monkeypatch.setattr(onnx_registry, "_make", lambda opset_version: made.append(0) or make(opset_version))
    onnx_registry._made.cache_clear()
    with onnx_registry.registry_made_once():
        first, second = (ONNXRegistry().from_torchlib(opset_version=OPSET) for _ in range(2))
    assert len(made) == 1
    relu = torch.ops.aten.relu.default
    first.register_op(relu, lambda x: x)
    assert len(first.get_decomps(relu)) == len(second.get_decomps(relu)) + 1
    assert ONNXRegistry.from_torchlib == make
