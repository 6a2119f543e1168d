"""Every method of every architecture as an artifact that reproduces its source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.spaces import Image, Labels, Real, Text

pytest.importorskip("zoo_onnx")
onnx = pytest.importorskip("onnx")

DIGITS = Labels(tuple("0123456789"))
SMALL = {"latent": 3, "filters": (4, 6), "mixtures": 2}
CASES = {
    "mlp": ("mlp", Real(4), DIGITS, {"hidden": (8,)}),
    "cnn": ("cnn", Image(8, 8, 3), DIGITS, {}),
    "vae": ("vae", Image(8, 7, 3), DIGITS, {**SMALL, "conditional": True}),
    "lstm": ("lstm", Text(6, "abcd"), None, {"hidden": 8, "embedding": 4}),
}


@pytest.mark.parametrize("case", CASES)
def test_artifact_gives_what_its_source_gives(case: str, tmp_path: Path) -> None:
    name, space, classes, config = CASES[case]
    model = zoo.create(name, space, config=config, classes=classes)
    zoo.export(model, tmp_path / "artifact")  # compares, at batch sizes 1, 2 and 7
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    assert set(artifact.signatures) == set(model.signatures)
    if "sample" in artifact.signatures:
        more = {"label": 3} if classes else {}
        assert np.array_equal(artifact.sample(40, seed=5, **more), model.sample(40, seed=5, **more))
    if name == "vae":
        x, more = space.examples("random", 5), {"label": 1} if classes else {}
        a, b = (m.log_prob(x, seed=2, samples=9, **more) for m in (artifact, model))
        np.testing.assert_allclose(a, b, rtol=1e-5)
    for path in (tmp_path / "artifact").glob("*.onnx"):
        nodes = onnx.load(path, load_external_data=False).graph.node
        # the axis of the colors moves once where images come in, and once where they go out
        assert sum(n.op_type == "Transpose" for n in nodes) <= (2 if name in ("cnn", "vae") else 0), path.name
