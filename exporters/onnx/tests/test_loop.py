"""A loop in the graph is the loop that the framework runs, however many of its steps' noise is drawn at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo_torch
from zoo_onnx.compose import BLOCK, block_size

import zoo
from zoo.signature import Loop, Noise, Option

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
