"""The random numbers of an artifact are those of `zoo.noise`, wherever in the stream they are taken."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from zoo_onnx.graph import Scope
from zoo_onnx.noise import draw, seed_key

from zoo import noise
from zoo.signature import Noise

SHAPES = [(), (1,), (2,), (5,), (64,), (3, 7), (2, 3, 4), ("samples",), ("samples", 5), (3, "samples")]
PLACES = [(0, 0), (7, 3), (-1, 0), (-(2**63), 11), (2**63 - 1, 2**62), (12345678901234, 2**40 + 1), (0, 2**63 - 8)]
SAMPLES = 3


def session(shape, kind, steps):
    """An ONNX model that draws noise of `shape` for seven examples."""
    s = Scope()
    seed, start, step, samples = (s.input(name, "int64", []) for name in ("seed", "start", "step", "samples"))
    index = s.op("Add", s.constant(np.arange(7), "int64"), start)  # not a Range: start + 7 may exceed int64
    when = {} if steps is None else {"step": step, "steps": s.constant(steps, "int64")}
    x = draw(s, Noise(kind, shape), index, seed_key(s, seed), "sample/z", options={"samples": samples}, **when)
    s.output(x, "x", "float32", ["batch", *shape])
    proto = ir.to_proto(s.model()).SerializeToString()
    return ort.InferenceSession(proto, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("steps", [None, 1000])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_graph_draws_what_numpy_draws(shape, kind, steps):
    run = session(shape, kind, steps)
    for seed, start in PLACES:
        for step in (0,) if steps is None else (0, 999):
            given = {"seed": seed, "start": start, "step": step, "samples": SAMPLES}
            (got,) = run.run(["x"], {k: np.asarray(v) for k, v in given.items()})
            with np.errstate(over="ignore"):
                index = np.arange(7) + np.int64(start)
            options, when = {"samples": SAMPLES}, {} if steps is None else {"step": step, "steps": steps}
            expected = noise.draw(Noise(kind, shape), index, seed=seed, stream="sample/z", options=options, **when)
            assert got.shape == expected.shape
            if kind == "uniform":
                np.testing.assert_array_equal(got, expected)
            else:  # log, sin and cos differ in their last bits
                np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


def test_streams_differ():
    s = Scope()
    key = seed_key(s, s.constant(3, "int64"))
    index = s.constant(np.arange(5), "int64")
    for name in ("sample/z", "decode/z"):
        s.output(draw(s, Noise("uniform", (4,)), index, key, name), name, "float32", ["batch", 4])
    run = ort.InferenceSession(ir.to_proto(s.model()).SerializeToString(), providers=["CPUExecutionProvider"])
    a, b = run.run(None, {})
    assert (a != b).all()
