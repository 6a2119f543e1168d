"""The presets' graphs as optimized by onnxruntime: no nodes are left that cost time and compute nothing."""

from __future__ import annotations

import platform

import onnx_ir as ir
import onnxruntime as ort
import pytest
from zoo_onnx.passes.transposed_convolutions import CHANNELS

import zoo
from zoo import registry

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere onnxruntime lays out and fuses other nodes"
)
METHODS = [(name, method) for name in zoo.list_models("*.*") for method in registry.model(name).methods]
TRANSPOSED = {  # how often, in a method that cannot do without
    ("ddpm.digits", "sample"): 1,  # the labels' embeddings, before the loop
    ("pixelcnn.digits", "sample"): 1,  # of the new row, in each step
    ("pixelcnn.digits", "log_prob"): 2,  # (N, C, D) to (N, D, C) and back
}

IN_LOOPS = {  # casts, and convolutions' inputs and outputs laid out anew, in the loops of a method
    ("ddpm.digits", "sample"): (8, 9),
    ("ebm.digits", "sample"): (4, 13),
    ("ebm.moons", "sample"): (4, 0),
    ("lstm.names", "sample"): (3, 0),
    ("lstm.names", "log_prob"): (2, 0),
    ("made.digits", "sample"): (2, 0),
    ("maf.digits", "sample"): (2, 0),
    ("maf.digits", "decode"): (2, 0),
    ("maf.moons", "sample"): (2, 0),
    ("maf.moons", "decode"): (2, 0),
    ("pixelcnn.digits", "sample"): (5, 0),
    ("transformer.names", "sample"): (3, 0),
}


@pytest.fixture(params=METHODS, ids=" ".join)
def optimized(request, tmp_path):
    """The graphs of a method, those of loops included, after onnxruntime has optimized them for a CPU."""
    name, method = request.param
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(
        str(zoo.open(name, device="cpu").folder / f"{method}.onnx"), options, providers=["CPUExecutionProvider"]
    )
    model = ir.load(options.optimized_model_filepath)
    return request.param, [model.graph, *model.graph.subgraphs()]


def test_no_copies_transposes_or_casts_of_casts_are_left(optimized):
    which, graphs = optimized
    nodes = [node for graph in graphs for node in graph]
    kinds = [node.op_type for node in nodes]
    assert kinds.count("Transpose") == TRANSPOSED.get(which, 0)
    assert kinds.count("Identity") == 0
    assert all(node.inputs[1].shape[1] < CHANNELS for node in nodes if node.op_type == "ConvTranspose")
    casts = [node for node in nodes if node.op_type == "Cast"]
    assert not [node for node in casts if node.inputs[0].producer() in casts]
    assert {node.domain for node in nodes if node.op_type in ("Conv", "FusedConv")} <= {"com.microsoft.nchwc"}


def test_loops_have_no_more_casts_and_layouts_than_they_had(optimized):
    which, (_, *bodies) = optimized
    kinds = [node.op_type for body in bodies for node in body]
    layouts = kinds.count("ReorderInput") + kinds.count("ReorderOutput")
    casts_known, layouts_known = IN_LOOPS.get(which, (0, 0))
    assert kinds.count("Cast") <= casts_known
    assert layouts <= layouts_known


def test_a_loop_computes_nothing_that_is_the_same_in_every_step(optimized):
    _, (_, *bodies) = optimized
    for body in bodies:
        for node in body:
            made_here = [v for v in node.inputs if v is not None and v.graph is body and not v.is_initializer()]
            option = node.op_type == "Cast" and node.inputs[0].shape == ()  # moved out, onnxruntime warned of it
            assert made_here or option or node.op_type in ("Loop", "Constant"), node
