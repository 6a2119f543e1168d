"""On CUDA the artifacts give what their sources gave on a CPU."""

from __future__ import annotations

import pytest

import zoo

ort = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="this onnxruntime has no CUDA provider"
)


@pytest.mark.parametrize("name", zoo.list_models("*.*"))
def test_every_method_of_every_preset_on_cuda(name):
    report = zoo.verify(name, device="cuda")
    assert all(worst <= 1e-4 for kinds in report.values() for worst in kinds.values())
