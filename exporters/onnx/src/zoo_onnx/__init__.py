"""The ONNX exporter. Importing this package imports neither torch nor onnx: specs only."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import ExporterSpec

INSTALL = "pip install genzoo-onnx"


@hookimpl
def zoo_exporters() -> Iterator[ExporterSpec]:
    yield ExporterSpec(
        name="onnx",
        target="zoo_onnx.export:export",
        summary="a folder that onnxruntime alone can run",
        requires={
            "torch": INSTALL,
            "onnx_ir": INSTALL,
            "onnxscript": INSTALL,
            "onnxruntime": "pip install 'genzoo[cpu]'",
        },
    )
