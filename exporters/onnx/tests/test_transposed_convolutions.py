"""A transposed convolution and the plain one that replaces it compute the same function."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from zoo_onnx.graph import Scope
from zoo_onnx.passes.transposed_convolutions import CHANNELS, without_transposed


def model(weight, bias, size, crop=((0, 0), (0, 0)), added=False, **attributes):
    s = Scope()
    x = s.input("x", "float32", ["batch", weight.shape[0], *size])
    inputs = [x, s.constant(weight, "float32"), *([] if bias is None or added else [s.constant(bias, "float32")])]
    y = s.op("ConvTranspose", *inputs, **attributes)
    shape = ["batch", weight.shape[1]]
    for axis in (0, 1):
        pads = attributes["pads"][axis] + attributes["pads"][axis + 2]
        stride = attributes["strides"][axis]
        shape.append((size[axis] - 1) * stride + weight.shape[2 + axis] - pads + attributes["output_padding"][axis])
        y.shape = ir.Shape([*shape[:4], "w"][:4])
    for axis, (low, high) in enumerate(crop):
        ends, (starts, axes) = (
            s.constant([-high or 2**40], "int64"),
            (s.constant([v], "int64") for v in (low, 2 + axis)),
        )
        if low or high:
            y = s.op("Slice", y, starts, ends, axes)
            shape[2 + axis] -= low + high
            y.shape = ir.Shape(shape)
    if bias is not None and added:
        y = s.op("Add", y, s.constant(bias[:, None, None], "float32"))
    s.output(y, "y", "float32", ["batch", weight.shape[1], "h", "w"])
    return s.model()


def run(made, x):
    session = ort.InferenceSession(ir.to_proto(made).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def replaced(made):
    without_transposed(made)
    return "ConvTranspose" not in {node.op_type for node in made.graph}


pair = st.tuples(st.integers(0, 1), st.integers(0, 1))


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(2, 6), st.integers(2, 6)),
    stride=st.integers(2, 3),
    pads=st.tuples(*[st.integers(0, 1)] * 4),
    more=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    crop=st.tuples(pair, pair),
    bias=st.booleans(),
    added=st.booleans(),
)
def test_they_are_equal(size, kernel, stride, pads, more, crop, bias, added):
    crop = list(crop)
    for i in (0, 1):
        whole = (size[i] - 1) * stride + kernel[i] - pads[i] - pads[i + 2]
        left = whole + more[i] - sum(crop[i])
        assume(whole > 0 and left // stride > 0)
        crop[i] = (crop[i][0], crop[i][1] + left % stride)  # so that the phases fill it evenly
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, CHANNELS, *kernel)).astype(np.float32)
    shift = rng.normal(size=CHANNELS).astype(np.float32) if bias else None
    x = rng.normal(size=(2, 3, *size)).astype(np.float32)
    how = {
        "strides": [stride] * 2, "pads": list(pads), "kernel_shape": list(kernel), "output_padding": list(more),
        "crop": crop, "added": added,
    }  # fmt: skip
    expected = run(model(weight, shift, size, **how), x)
    made = model(weight, shift, size, **how)
    if not replaced(made):
        return  # one whose input would have to be cropped
    event("replaced")
    assert {"Slice", "Add"}.isdisjoint(node.op_type for node in made.graph)
    np.testing.assert_allclose(run(made, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "what", ["what Keras makes of padding='same'", "what PyTorch users write", "DCGAN's", "with output_padding"]
)
def test_usual_ones_are_replaced(what):
    kernel, pads, more, crop = {
        "what Keras makes of padding='same'": (3, 0, 0, ((0, 1), (0, 1))),
        "what PyTorch users write": (2, 0, 0, ((0, 0), (0, 0))),
        "DCGAN's": (4, 1, 0, ((0, 0), (0, 0))),
        "with output_padding": (3, 1, 1, ((0, 0), (0, 0))),
    }[what]
    how = {"strides": [2, 2], "pads": [pads] * 4, "output_padding": [more] * 2, "crop": crop}
    assert replaced(model(np.ones((2, CHANNELS, kernel, kernel), np.float32), None, (4, 4), **how))


@pytest.mark.parametrize(
    "how",
    [{"strides": [1, 1]}, {"strides": [3, 1]}, {"strides": [2, 2], "dilations": [2, 2]}, {"strides": [2, 2]}],
    ids=["no stride", "two strides", "dilated", "uneven"],
)
def test_others_stay(how):
    how = {"pads": [0] * 4, "output_padding": [0, 0], **how}
    assert not replaced(model(np.ones((2, CHANNELS, 3, 3), np.float32), None, (4, 4), **how))


def test_few_channels_stay():
    how = {"strides": [2, 2], "pads": [1] * 4, "output_padding": [0, 0]}
    assert not replaced(model(np.ones((2, 1, 4, 4), np.float32), None, (4, 4), **how))
