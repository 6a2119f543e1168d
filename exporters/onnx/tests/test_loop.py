"""A loop in the graph equals the framework's loop, no matter for how many steps noise is drawn at once."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import zoo_torch
from zoo_onnx import loop as loop_module
from zoo_onnx.compose import compose
from zoo_onnx.loop import BLOCK, block_size

import zoo
from zoo.errors import ExportError
from zoo.signature import Loop, Noise, Option, Window

SPACE = zoo.Real(3)


def sampler(width: int, length: int | str, until: float | None = None):
    """A sum of what each step drew: normals and uniforms, weighted by the number of the step."""

    def init(index, **options):
        return {"y": torch.zeros(index.shape[0], 3)}

    def step(i, state, z, u, **options):
        weight = torch.arange(1, width + 1) * (i + 1)
        return {"y": state["y"] + torch.stack([(z * weight).sum(1), u, torch.ones_like(u)], 1)}

    noise = {"z": Noise("normal", (width,)), "u": Noise("uniform")}
    options = {"steps": Option(7, low=1)} if isinstance(length, str) else {}
    loop = Loop(
        length=length, init=init, step=step, finish=lambda state: state["y"], state={"y": SPACE.tensor},
        outputs={"x": SPACE.tensor}, noise=noise, options=options,
        until=None if until is None else lambda state: state["y"][0, 2] >= until,
    )  # fmt: skip
    return zoo_torch.wrap(sample=loop, space=SPACE, name="sums")


@pytest.mark.parametrize(
    ("width", "length", "until", "block"),
    [
        (2, 9, None, 9),  # all at once
        (2, 9, 4, 9),
        (100, 9, None, 2),  # blocks, the last of them not whole
        (100, 9, 4, 1),  # it may end within a block
        (100, "steps", None, 2),
        (BLOCK, 3, None, 1),  # more in a step than fits into a block
    ],
)
def test_blocks_of_noise(width, length, until, block, tmp_path):
    model = sampler(width, length, until)
    assert block_size(model.methods["sample"]) == block
    zoo.export(model, tmp_path / "sums")
    artifact = zoo.open(tmp_path / "sums", device="cpu")
    for steps in (1, 2, 7, 8) if length == "steps" else (None,):
        chosen = {} if steps is None else {"steps": steps}
        for start, seed in ((0, 0), (5, 3)):
            expected = model.sample(4, seed=seed, start=start, **chosen)
            got = artifact.sample(4, seed=seed, start=start, **chosen)
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2)
            assert (got[:, 2] == (until or steps or length)).all()


@pytest.mark.parametrize(("width", "length"), [(2, 9), (100, 9), (100, "steps"), (BLOCK, 9), (BLOCK, "steps")])
def test_a_few_steps_of_a_loop(width, length, tmp_path, monkeypatch):
    """From any step on, whether noise is drawn for all steps, for a block of them or for each."""
    monkeypatch.setattr(loop_module, "WINDOWED", 0)
    model = sampler(width, length)
    zoo.export(model, tmp_path / "sums")
    artifact = zoo.open(tmp_path / "sums", device="cpu")
    for first, steps in ((0, 1), (0, 4), (3, 1), (3, 4), (6, 1)):
        window = Window(first, steps)
        expected = model.windowed("sample", window).sample(4, seed=3)
        assert (expected[:, 2] == steps).all()
        np.testing.assert_allclose(
            artifact.windowed("sample", window).sample(4, seed=3), expected, rtol=1e-4, atol=1e-2
        )
    np.testing.assert_allclose(artifact.sample(4, seed=3), model.sample(4, seed=3), rtol=1e-4, atol=1e-2)


def test_a_fault_late_in_a_loop_is_found_without_running_it(tmp_path, monkeypatch):
    """A loop that would take hours: a graph that computes its last steps otherwise is refused, though no more than a
    few steps are run."""
    monkeypatch.setattr(loop_module, "WINDOWED", 0)
    ran = []

    def step(i, state):
        if not torch.compiler.is_exporting():
            ran.append(int(i))
        late = (i > 990_000) & torch.compiler.is_exporting() & faulty
        return {"y": state["y"] + torch.where(late, 2.0, 1.0)}

    loop = Loop(
        length=1_000_000, init=lambda index: {"y": torch.zeros(index.shape[0], 3)}, step=step,
        finish=lambda state: state["y"], state={"y": SPACE.tensor}, outputs={"x": SPACE.tensor},
    )  # fmt: skip
    for faulty in (False, True):
        model = zoo_torch.wrap(sample=loop, space=SPACE, name="long")
        ran.clear()
        if faulty:
            with pytest.raises(ExportError, match=r"steps 9999.. to 999999 of 1000000"):
                zoo.export(model, tmp_path / "faulty", check=1)
        else:
            found = zoo.export(model, tmp_path / "long", check=1).parity["sample"]
            assert {s.first for s in found.steps} >= {0, 1_000_000 - found.steps[0].count}
        assert len(ran) < 100_000  # as many as fit into half of the second
    found = zoo.verify(tmp_path / "long", device="cpu", check=1)["sample"]
    assert sum(s.count for s in found.steps) < 100_000


def test_what_is_the_same_in_every_step_is_computed_before_the_loop(tmp_path):
    weight = torch.nn.Parameter(torch.arange(9.0).reshape(3, 3) / 9)
    network = torch.nn.ParameterList([weight])

    def step(i, state, x, scale):
        steady = torch.tanh(x @ network[0]) * scale  # of an input, a weight and an option
        y = state["y"] @ network[0] + steady  # the weight has a use in the step too
        return {"y": y, "kept": state["kept"], "first": y, "second": y}  # handed on, and one value twice

    def init(index, x, scale):
        return {"y": x, "kept": 2 * x, "first": x, "second": x}

    loop = Loop(
        length=4, init=init, step=step, finish=lambda state: sum(state.values()),
        state=dict.fromkeys(("y", "kept", "first", "second"), SPACE.tensor), inputs={"x": SPACE.tensor},
        outputs={"z": SPACE.tensor}, options={"scale": Option(0.5)},
    )  # fmt: skip
    with torch.no_grad():
        model = compose(network, "encode", loop)
    (body,) = model.graph.subgraphs()
    assert [node.op_type for node in body if node.op_type != "Constant"].count("Tanh") == 0
    assert sum(node.op_type in ("MatMul", "Gemm") for node in body) == 1
    assert all(value.uses() for value in body.initializers.values())
    ir.save(model, tmp_path / "loop.onnx")
    session = ort.InferenceSession(str(tmp_path / "loop.onnx"), providers=["CPUExecutionProvider"])
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for scale in (0.5, 2.0):
        state = init(None, x, scale)
        for i in range(4):
            state = step(i, state, x, scale)
        (got,) = session.run(None, {"x": x.numpy(), "scale": np.asarray(scale, np.float32)})
        np.testing.assert_allclose(got, sum(state.values()).detach().numpy(), rtol=1e-5)
