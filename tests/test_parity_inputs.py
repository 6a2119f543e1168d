"""Example inputs for probes, traces, parity checks and the conformance suite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.errors import InputError
from zoo.model import check_tensor
from zoo.parity.inputs import input_examples, tensor_examples
from zoo.signature import Tensor
from zoo.spaces import KINDS, Labels, Real

WHOLE = st.none() | st.integers(-(2**63), 2**63 - 1)
FLOAT = st.none() | st.floats(-1e30, 1e30)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(["float32", "int64", "uint8", "bool"]))
    strategy = {"float32": FLOAT, "int64": WHOLE, "uint8": st.none() | st.integers(0, 255), "bool": st.none()}[dtype]
    low, high = draw(strategy), draw(strategy)
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    return Tensor(dtype, draw(st.sampled_from([(), (3,), (2, "n")])), low, high)


@given(tensors(), st.sampled_from(KINDS))
@example(Tensor("float32", (50,), 0.1, 0.1), "random")  # a bound that is no float32
@example(Tensor("float32", (), -1.5845632502852868e29, 17592186044417.0), "boundary")
@example(Tensor("int64", (), None, 2**54 - 1), "boundary")
def test_examples_are_what_a_caller_may_give(tensor, kind):
    options = {"n": 3}
    made = tensor_examples(tensor, kind, 7, options=options)
    assert made.dtype == tensor.dtype
    checked = check_tensor(made, tensor, "made", options)
    assert np.array_equal(checked, made)


@pytest.mark.parametrize(("tensor", "values"), [
    (Tensor("int64", (500,), low=3, high=7), {3, 4, 5, 6, 7}),
    (Tensor("int64", (500,), low=4), {4, 5}),
    (Tensor("int64", (500,), high=-3), {-4, -3}),
    (Tensor("int64", (500,)), {0, 1}),
    (Tensor("bool", (500,)), {False, True}),
    (Tensor("uint8", (20000,)), set(range(256))),
])  # fmt: skip
def test_random_integers_are_all_of_the_range(tensor, values):
    assert set(np.unique(tensor_examples(tensor, "random", 2))) == values


def test_a_vocabulary_is_drawn_evenly():
    tokens = tensor_examples(Tensor("int64", (77,), low=0, high=49407), "random", 500)
    assert abs(tokens.mean() - 49407 / 2) < 300
    assert len(np.unique(tokens)) > 20000


def test_the_boundary_is_the_bounds():
    x = tensor_examples(Tensor("float32", (50,), low=-2, high=3), "boundary", 7)
    assert (x[0], x[1]) == (pytest.approx(-2), pytest.approx(3))
    assert set(np.unique(x)) == {-2, 3}


def test_two_inputs_of_one_shape_hold_different_numbers():
    inputs = {"a": Tensor("float32", (3,)), "b": Tensor("float32", (3,))}
    made = input_examples(inputs, Real(2), None, "random", 4)
    assert not np.array_equal(made["a"], made["b"])


def test_observations_are_of_the_space_and_labels_of_the_classes():
    inputs = {"x": Tensor("float32", (2,)), "label": Tensor("int64")}
    made = input_examples(inputs, Real(2), Labels(("a", "b", "c")), "random", 100)
    assert np.array_equal(made["x"], Real(2).examples("random", 100))
    assert set(made["label"]) == {0, 1, 2}
    with pytest.raises(InputError, match="without classes"):
        input_examples(inputs, Real(2), None, "random", 4)
