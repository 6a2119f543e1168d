"""Shared by several tests: small models with nonzero weights, and inspection of artifacts."""

from __future__ import annotations

import collections

import onnx
import onnxruntime as ort
import pytest
import torch

import zoo


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """The models are small: more threads only wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make():
    """`make(architecture, space, classes=None, **config)`: a model whose zero weights have been disturbed, so that
    nothing under test is trivially the identity."""

    def function(architecture, space, classes=None, spread=0.1, **config):
        model = zoo.create(architecture, space, config=config, classes=classes)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter += spread * torch.randn(parameter.shape, generator=generator)
        return model

    return function


@pytest.fixture(scope="session")
def loop_convolutions(tmp_path_factory):
    """`loop_convolutions(file)`: how many convolutions of each operator domain run inside the loops of an ONNX model,
    after onnxruntime has optimized it. Those in `com.microsoft.nchwc` have the blocked layout, which is fast."""

    def function(path):
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(tmp_path_factory.mktemp("optimized") / "model.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        counts = collections.Counter()

        def visit(graph, inside):
            for node in graph.node:
                if inside and node.op_type in ("Conv", "ConvTranspose", "FusedConv"):
                    counts[node.domain] += 1
                for attribute in node.attribute:
                    if attribute.HasField("g"):
                        visit(attribute.g, inside or node.op_type == "Loop")

        visit(onnx.load(options.optimized_model_filepath, load_external_data=False).graph, False)
        return dict(counts)

    return function
