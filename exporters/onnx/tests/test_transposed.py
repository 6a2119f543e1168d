"""A transposed convolution and the plain one that replaces it are one function."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from zoo_onnx.graph import Scope
from zoo_onnx.transposed import without_transposed


def model(weight, bias, **attributes):
    s = Scope()
    x = s.input("x", "float32", ["batch", weight.shape[0], "height", "width"])
    inputs = [x, s.constant(weight, "float32"), *([] if bias is None else [s.constant(bias, "float32")])]
    s.output(s.op("ConvTranspose", *inputs, **attributes), "y", "float32", ["batch", weight.shape[1], "h", "w"])
    return s.model()


def run(made, x):
    session = ort.InferenceSession(ir.to_proto(made).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    taps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(2, 3),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    bias=st.booleans(),
)
def test_they_are_equal(size, taps, channels, stride, pads, bias):
    kernel = [t * stride for t in taps]
    for i in (0, 1):
        assume((size[i] - 1) * stride + kernel[i] - pads[i] - pads[i + 2] > 0)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(*channels, *kernel)).astype(np.float32)
    shift = rng.normal(size=channels[1]).astype(np.float32) if bias else None
    x = rng.normal(size=(2, channels[0], *size)).astype(np.float32)
    how = {"strides": [stride] * 2, "pads": list(pads), "kernel_shape": kernel}
    expected = run(model(weight, shift, **how), x)
    made = model(weight, shift, **how)
    without_transposed(made)
    assert "ConvTranspose" not in {node.op_type for node in made.graph}
    np.testing.assert_allclose(run(made, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "how", [{"strides": [1, 1]}, {"strides": [3, 1]}, {"strides": [3, 3], "dilations": [2, 2]}, {"strides": [2, 2]}]
)
def test_others_stay(how):
    made = model(np.ones((2, 3, 3, 3), np.float32), None, **how)
    without_transposed(made)
    assert [node.op_type for node in made.graph][:1] == ["ConvTranspose"]
