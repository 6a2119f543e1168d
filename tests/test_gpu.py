"""CUDA: every node has a kernel, which can be checked without a GPU; on a GPU, artifacts give the same as on a CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import zoo
from zoo.parity import comparison
from zoo.parity.cases import make_cases, make_inputs
from zoo.parity.differences import SCALES, TOLERANCE, difference, only_rounding

ort = pytest.importorskip("onnxruntime")
cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="this onnxruntime has no CUDA provider"
)
PRESETS = zoo.list_models("*.*")
TABLE = json.loads((Path(__file__).parent / "data" / "cuda_kernels.json").read_text())


def nodes(graph, depth=0):
    """(depth in loops, node) of a graph and of its loops' bodies."""
    for node in graph.node:
        yield depth, node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g, depth + 1)


def types(graph, known=None):
    """The type of every value, as the table names it; those of bodies too, as no name is there twice."""
    known = {} if known is None else known
    for value in (*graph.input, *graph.output, *graph.value_info):
        number = value.type.tensor_type.elem_type
        known[value.name] = onnx.TensorProto.DataType.Name(number).lower()
    for tensor in graph.initializer:
        known[tensor.name] = onnx.TensorProto.DataType.Name(tensor.data_type).lower()
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                types(attribute.g, known)
    return known


def without_kernel(model):
    """The nodes that no kernel of CUDA takes, with the types that they have."""
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    known, (opset,) = types(model.graph), model.opset_import
    assert opset.version == TABLE["opset"]
    missing = []
    for _, node in nodes(model.graph):
        if node.op_type == "Constant":  # which becomes an initializer
            continue
        schema = onnx.defs.get_schema(node.op_type, opset.version)
        found = {}  # the types of the node, by the names that its kernels give them
        for formal, names in ((schema.inputs, node.input), (schema.outputs, node.output)):
            for i, name in enumerate(names):
                parameter = formal[min(i, len(formal) - 1)]  # the last one may be there many times
                if name:
                    kind = known[name].replace("float32", "float")
                    found.setdefault(parameter.type_str, set()).add(kind)
                    found.setdefault(parameter.name, set()).add(kind)
        kernels = TABLE["kernels"].get(node.op_type, [])
        if not any(all(found.get(n, set()) <= set(allowed.split()) for n, allowed in k.items()) for k in kernels):
            missing.append(f"{node.op_type} {found}")
    return missing


# the inputs that a kernel of CUDA reads on the host, where that is not the device
ON_HOST = {
    "Clip": [1, 2], "ConstantOfShape": [0], "CumSum": [1], "Expand": [1], "Pad": [1], "Range": [0, 1, 2],
    "ReduceLogSumExp": [1], "ReduceMin": [1], "ReduceSum": [1], "Reshape": [1], "Resize": [1, 2, 3],
    "Slice": [1, 2, 3, 4], "Split": [1], "Squeeze": [1], "Tile": [1], "TopK": [1], "Unsqueeze": [1],
}  # fmt: skip


def copies(graph):
    """What onnxruntime would copy between host and device, which keeps a graph from being captured: values of shapes
    are on the host, and so is what is computed of nothing else; all else is on the device."""
    given = {value.name for value in graph.input}
    constant = {tensor.name for tensor in graph.initializer} - given
    shapes, host, device, found = set(), set(), set(), []
    for node in graph.node:
        names, read_there = {n for n in node.input if n}, ON_HOST.get(node.op_type, [])
        kernel = any(node.input[i] in shapes for i in read_there if i < len(node.input))
        if names <= constant:
            constant.update(node.output)
        elif node.op_type == "Shape":
            shapes.update(node.output)
        elif names & shapes and names <= shapes | constant | given and not kernel:
            shapes.update(node.output)
            host |= names & given
        else:
            for i, name in enumerate(node.input):
                if name in given:
                    (host if i in read_there else device).add(name)
                elif name and name not in constant and (i in read_there) != (name in shapes):
                    found.append(f"{name} for {node.op_type}")
    return found + sorted(host & device)


def graph(artifact, method):
    return onnx.load(artifact.folder / artifact.manifest.methods[method].file, load_external_data=False)


@pytest.mark.parametrize("name", PRESETS)
def test_every_node_of_every_preset_has_a_kernel_on_cuda(name):
    artifact = zoo.open(name, device="cpu")
    for method in artifact.signatures:
        assert without_kernel(graph(artifact, method)) == []


def test_every_node_of_a_new_export_has_a_kernel_on_cuda(artifact_folder):
    for path in artifact_folder.glob("*.onnx"):
        assert without_kernel(onnx.load(path, load_external_data=False)) == []


@pytest.mark.parametrize(("text", "expected"), [
    ("g (float[N] x) => (float[N] y) { y = Sin(x) }", 0),
    ("g (float[N] x) => (float[N] y) { c = Cast<to = 7>(x) d = Mod(c, c) y = Cast<to = 1>(d) }", 0),
    ("g (uint64[N] x) => (uint64[N] y) { y = BitwiseXor(x, x) }", 1),
    ("g (bool[N] b, uint64[N] x) => (uint64[N] y) { y = Where(b, x, x) }", 1),
    ("g (int64 n, bool b, uint64[N] x) => (uint64[N] y) { y = Loop<body = h (int64 i, bool c, uint64[N] s) => "
     "(bool d, uint64[N] t) { d = Identity(c) t = BitwiseXor(s, s) }>(n, b, x) }", 1),
])  # fmt: skip
def test_what_has_no_kernel_is_found_inside_loops_too(text, expected):
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {TABLE["opset"]}]> {text}')
    assert len(without_kernel(model)) == expected


def test_a_method_without_a_loop_can_be_captured_as_a_cuda_graph(artifact_folder):
    for name in (artifact_folder, *PRESETS):
        artifact = zoo.open(name, device="cpu")
        for method, signature in artifact.signatures.items():
            if signature.length is None:
                assert copies(graph(artifact, method).graph) == [], f"{name} {method}"


@pytest.mark.parametrize(("text", "expected"), [
    ("g (int64 n, float[M] x) => (float[K] y) { s = Shape(x) t = Expand(n, s) y = Cast<to = 1>(t) }", []),
    ("g (int64 n, int64 m, int64 d) => (int64[K] y) { s = Add(n, m) y = Range(n, s, d) }", ["s for Range", "n"]),
    ("g (float[M] x) => (int64[K] y) { s = Shape(x) c = Cast<to = 7>(x) y = Add(c, s) }", ["s for Add"]),
])  # fmt: skip
def test_what_would_be_copied_is_found(text, expected):
    assert copies(onnx.parser.parse_graph(text)) == expected


# ---- what needs a GPU ----------------------------------------------------------------------------------------------


def same(expected, got, method, what):
    """As parity has it: floats to its tolerance, levels of an image but for rounding, other integers equal."""
    for name, value in expected.items():
        if value.dtype.kind == "f":
            assert difference(value, got[name], SCALES.get(method)) <= TOLERANCE, what
        else:
            assert np.array_equal(value, got[name]) or only_rounding(value, got[name]), what


def numbers(outputs):
    return {name: value.numpy().copy() for name, value in outputs.items()}


@cuda
@pytest.mark.parametrize("name", PRESETS)
def test_every_method_of_every_preset_on_cuda(name):
    report = zoo.verify(name, device="cuda")
    assert all(worst <= TOLERANCE for found in report.values() for worst in found.difference.values())


@cuda
@pytest.mark.parametrize("name", PRESETS)
def test_cuda_gives_the_rows_of_the_cpu(name):
    comparison.check(zoo.open(name, device="cuda"), list(make_cases(zoo.open(name, device="cpu"))))


@cuda
@pytest.mark.parametrize("name", PRESETS)
def test_bound_methods_on_cuda_give_what_run_gives(name):
    artifact = zoo.open(name, device="cuda")
    for method, signature in artifact.signatures.items():
        inputs = make_inputs(artifact, signature, "random", 5)
        bound = artifact.bind(method, 5, **inputs)
        for seed, start in ((3, 0), (4, 2**33)):
            count = None if inputs else 5
            expected = artifact.run(method, inputs, count=count, seed=seed, start=start, chunk=5)
            same(expected, numbers(bound(seed, start=start)), method, f"{name} {method}")


@cuda
@pytest.mark.parametrize("name", PRESETS)
def test_a_captured_method_follows_its_seed_its_start_and_its_inputs(name):
    """A graph that has baked one of them in would give the first call's rows again."""
    artifact = zoo.open(name, device="cuda")
    for method, signature in artifact.signatures.items():
        bound, seen = artifact.bind(method, 6), []
        assert bound.captured == (signature.length is None), f"{name} {method}"
        for seed, start, kind in ((0, 0, "random"), (7, 5, "boundary"), (-(2**40), 2**33, "tail")):
            inputs = make_inputs(artifact, signature, kind, 6)
            got = numbers(bound(seed, start=start, **inputs))
            count = None if inputs else 6
            expected = artifact.run(method, inputs, count=count, seed=seed, start=start, chunk=6)  # without capture
            same(expected, got, method, f"{name} {method} {kind}")
            seen.append(got[next(iter(got))])
        assert not np.array_equal(seen[0], seen[1]), f"{name} {method}"


@cuda
def test_outputs_stay_on_the_device_and_go_on_from_there():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    artifact = zoo.open("realnvp.moons", device="cuda")
    x = artifact.space.examples("random", 8)
    encode = artifact.bind("encode", 8, x=x)
    z = encode()["z"]
    assert z.device_name() == "cuda"
    tensor = torch.from_dlpack(z)
    assert tensor.is_cuda
    assert tensor.data_ptr() == z.data_ptr()
    decode = artifact.bind("decode", 8, z=z)
    np.testing.assert_allclose(decode()["x"].numpy(), x, rtol=1e-3, atol=1e-4)
    again = artifact.bind("encode", 8)(x=torch.from_dlpack(decode.outputs["x"]).clone())["z"]
    np.testing.assert_allclose(again.numpy(), z.numpy(), rtol=1e-3, atol=1e-4)


@cuda
@pytest.mark.parametrize("name", PRESETS)
def test_no_node_that_computes_runs_on_the_host(name, tmp_path):
    """Whole numbers that make shapes may; and a step of a loop copies nothing between host and device."""
    artifact = zoo.open(name, device="cuda")
    for method, entry in artifact.manifest.methods.items():
        options = ort.SessionOptions()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        options.optimized_model_filepath = str(tmp_path / f"{method}.onnx")
        options.log_severity_level = 3
        path = str(artifact.folder / entry.file)
        session = ort.InferenceSession(path, options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
        model = onnx.shape_inference.infer_shapes(graph(artifact, method))
        made = {node.name: node.output for _, node in nodes(model.graph)}
        known = types(model.graph)
        for part in session.get_provider_graph_assignment_info():
            if part.ep_name != "CUDAExecutionProvider":
                for node in part.get_nodes():
                    assert {known[o] for o in made[node.name]} == {"int64"}, f"{name} {method}: {node.name}"
        placed = list(nodes(onnx.load(tmp_path / f"{method}.onnx", load_external_data=False).graph))
        innermost = max(depth for depth, _ in placed)
        copies = [node.name for depth, node in placed if node.op_type.startswith("Memcpy") and depth == innermost > 0]
        assert copies == [], f"{name} {method}"
