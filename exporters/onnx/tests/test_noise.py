"""The random numbers of an artifact equal those of `zoo.noise`, for any rows at any position in a batch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from zoo_onnx.graph import Scope
from zoo_onnx.noise import draw, row_keys

from zoo import noise
from zoo.signature import Noise

FIXED = [(), (1,), (2,), (5,), (64,), (3, 7), (2, 3, 4)]
SHAPES = [*FIXED, ("samples",), ("samples", 5), (3, "samples"), (3, "samples", 2)]
SAMPLES, BLOCK = 3, 4
SEEDS = np.array([0, 7, -1, -(2**63), 2**63 - 1, 12345678901234, 2**53 + 1, 0])
INDICES = np.array([0, 3, 0, 11, 2**62, 2**40 + 1, 2**58, 2**63 - 1])


def session(scope):
    options = ort.SessionOptions()
    options.log_severity_level = 3  # inputs and constants that a kind of noise does not use
    proto = ir.to_proto(scope.model()).SerializeToString()
    return ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])


def rows(scope):
    return row_keys(scope, *(scope.input(name, "int64", ["batch"]) for name in ("seed", "index")))


def drawn(kind, shape, *, stepwise, block=None):
    """A session that draws noise of a shape for rows."""
    s = Scope()
    keys, step, samples = rows(s), s.input("step", "int64", []), s.input("samples", "int64", [])
    when = {"step": step} if stepwise else {}
    x = draw(s, Noise(kind, shape), keys, "sample/z", options={"samples": samples}, block=block, **when)
    s.output(x, "x", "float32", ["batch", *([] if block is None else [block]), *shape])
    return session(s)


def check(kind, got, expected):
    assert got.shape == expected.shape
    if kind == "uniform":
        np.testing.assert_array_equal(got, expected)
    else:  # log, sin and cos differ in their last bits
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


def feeds(seed, index, step=0):
    return {"seed": seed, "index": index, "step": np.asarray(step), "samples": np.asarray(SAMPLES)}


def expected(kind, shape, seed, index, step=0):
    options = {"samples": SAMPLES}
    return noise.draw(Noise(kind, shape), index, seed=seed, stream="sample/z", step=step, options=options)


@pytest.mark.parametrize("stepwise", [False, True], ids=["once", "in steps"])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_graph_draws_what_numpy_draws(shape, kind, stepwise):
    run = drawn(kind, shape, stepwise=stepwise)
    for step in (0, 1, 999, 2**31 - 1) if stepwise else (0,):
        (got,) = run.run(["x"], feeds(SEEDS, INDICES, step))
        check(kind, got, expected(kind, shape, SEEDS, INDICES, step))
    (alone,) = run.run(["x"], feeds(SEEDS[3:4], INDICES[3:4]))
    check(kind, alone, expected(kind, shape, SEEDS[3:4], INDICES[3:4]))


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_block_is_its_steps(shape, kind):
    run = drawn(kind, shape, stepwise=True, block=BLOCK)
    for first in (0, 20):
        (got,) = run.run(["x"], feeds(SEEDS, INDICES, first))
        steps = [expected(kind, shape, SEEDS, INDICES, first + k) for k in range(BLOCK)]
        check(kind, got, np.stack(steps, axis=1))


@pytest.mark.parametrize("stream", ["", "sample/z", "encode/z"])
def test_keys_are_those_of_numpy(stream):
    s = Scope()
    x = draw(s, Noise("uniform", (4,)), rows(s), stream)
    s.output(x, "x", "float32", ["batch", 4])
    (got,) = session(s).run(None, {"seed": SEEDS, "index": INDICES})
    np.testing.assert_array_equal(got, noise.draw(Noise("uniform", (4,)), INDICES, seed=SEEDS, stream=stream))


def test_one_normal_makes_no_sines():
    kinds = {}
    for shape in ((), (1,), (2,)):
        s = Scope()
        draw(s, Noise("normal", shape), rows(s), "sample/z")
        kinds[shape] = {node.op_type for node in s.graph}
    assert "Sin" in kinds[(2,)]
    assert "Sin" not in kinds[()] | kinds[(1,)]


def test_constants_have_as_many_axes_as_the_columns_that_they_meet():
    """With fewer, onnxruntime takes ten times as long."""
    s = Scope()
    draw(s, Noise("normal"), rows(s), "sample/z", step=s.input("step", "int64", []))
    numbers = [v for v in s.graph.initializers.values() if v.dtype in (ir.DataType.UINT64, ir.DataType.FLOAT)]
    assert len(numbers) > 8
    assert all(len(value.shape) == 2 for value in numbers)
