"""The convolutions of sampling loops run in onnxruntime's blocked layout: their weights are inside the loop's body."""

from __future__ import annotations

import pytest

import zoo

DIGITS = zoo.Image(8, 8, 1, levels=17)
CLASSES = zoo.Labels(tuple("0123456789"))
MODELS = {
    "ebm": ("ebm", DIGITS, None),
    "ddpm": ("ddpm", DIGITS, CLASSES),
    "ddpm-free": ("ddpm", zoo.Image(12, 8, 3, levels=17), None),
}


@pytest.mark.parametrize("case", MODELS)
def test_convolutions_in_loops_are_blocked(case, make, loop_convolutions, tmp_path):
    name, space, classes = MODELS[case]
    zoo.export(make(name, space, classes, spread=0.05, channels=16), tmp_path / "artifact")
    assert set(loop_convolutions(tmp_path / "artifact" / "sample.onnx")) == {"com.microsoft.nchwc"}
