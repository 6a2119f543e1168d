"""Every architecture exports without anyone having told the exporter about it, and its convolutions run fast."""

from __future__ import annotations

import pytest

import zoo
from zoo import registry

DIGITS = zoo.Image(8, 8, 1, levels=17)
CLASSES = zoo.Labels(tuple("0123456789"))
MODELS = {
    "realnvp": ("realnvp", zoo.Real(3), None, {"layers": 2, "hidden": 8}),
    "maf": ("maf", zoo.Real(5), None, {"layers": 3, "hidden": 16}),
    "maf-image": ("maf", DIGITS, None, {"layers": 2, "hidden": 64}),
    "made": ("made", DIGITS, None, {"hidden": 64}),
    "made-discrete": ("made", zoo.Discrete(7, levels=3), None, {"hidden": 16, "rank": 2}),
    "ebm": ("ebm", DIGITS, None, {"channels": 16}),
    "ebm-real": ("ebm", zoo.Real(2), None, {"hidden": 16}),
    "ddpm": ("ddpm", DIGITS, CLASSES, {"channels": 16}),
    "ddpm-free": ("ddpm", zoo.Image(12, 8, 3, levels=17), None, {"channels": 16}),
    "dcgan": ("dcgan", DIGITS, None, {"channels": 16}),
}
CONVOLUTIONAL = {"ebm", "ddpm", "ddpm-free"}


@pytest.mark.parametrize("case", MODELS)
def test_every_declared_method_is_exported_and_equals_its_source(case, make, loop_convolutions, tmp_path):
    name, space, classes, config = MODELS[case]
    model = make(name, space, classes, spread=0.05, **config)
    manifest = zoo.export(model, tmp_path / "artifact")  # raises where the two differ
    assert set(manifest.methods) == set(registry.architecture(name).methods)
    counts = loop_convolutions(tmp_path / "artifact" / "sample.onnx")
    assert set(counts) == ({"com.microsoft.nchwc"} if case in CONVOLUTIONAL else set())
