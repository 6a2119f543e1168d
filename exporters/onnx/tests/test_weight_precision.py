"""Weights in float16 and int8: rounded, found again in the graph, folded by onnxruntime, and stated."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_onnx.passes.weight_precision import deviations, in_parts, nearest, rounded

import zoo
from zoo import registry
from zoo.cli import main
from zoo.eager import EagerModel
from zoo.errors import ExportError, InputError
from zoo.numpy_network import NumpyNetwork
from zoo.parity import comparison
from zoo.parity.cases import Case
from zoo.parity.differences import difference
from zoo.signature import Call, Tensor
from zoo.spec import ExporterSpec

PRECISIONS = ("float16", "int8")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def restored(parts):
    small, *scale = parts
    return small.astype(np.float32) * (scale[0] if scale else np.float32(1))


# ---- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", PRECISIONS)
@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(4, 12), min_size=2, max_size=4).filter(lambda s: np.prod(s) >= 256),
    axis=st.integers(0, 3),
    size=st.integers(-12, 12),
    kept=st.sampled_from([1.0, 0.3]),
    data=st.data(),
)
def test_rounded_weights_are_found_again_bit_for_bit_however_they_lie(weights, shape, axis, size, kept, data):
    array = nearest(normal(*shape) * np.float32(10.0**size if weights == "int8" else 1), weights, axis % len(shape))
    masked = array * (np.random.default_rng(1).random(shape) < kept)
    moved = np.ascontiguousarray(masked.transpose(data.draw(st.permutations(range(len(shape))))))
    parts = in_parts(moved, weights)
    assert parts[0].dtype == weights
    assert parts[0].shape == moved.shape
    assert np.array_equal(restored(parts), moved)


@pytest.mark.parametrize("weights", PRECISIONS)
def test_weights_that_tracing_multiplied_by_a_batch_normalization_are_found_but_for_the_last_bits(weights):
    scale = normal(24, 1, 1, 1, seed=1) * np.float32(3)
    array = nearest(normal(24, 8, 3, 3), weights, 0) * scale
    small, found = in_parts(array, weights)
    assert found.shape == scale.shape
    np.testing.assert_allclose(restored([small, found]), array, rtol=1e-6)


@pytest.mark.parametrize("weights", PRECISIONS)
def test_weights_that_were_not_rounded_are_not_touched(weights):
    assert in_parts(normal(32, 16), weights) == []
    assert in_parts(np.where(normal(32, 16) > 0, -np.inf, 0).astype(np.float32), "int8") == []


def test_rounding_is_to_the_nearest_and_leaves_alone_what_it_would_spoil():
    array = normal(64, 32)
    half = nearest(array, "float16", 0)
    assert np.array_equal(half, array.astype(np.float16))
    level = nearest(array, "int8", 0)
    step = np.abs(array).max(axis=1, keepdims=True) / 127
    assert 0.4 * step.max() < np.abs(level - array).max() <= 0.504 * step.max()  # half a step of at most 1/128 more
    for spoilt in (array * np.float32(1e6), array * np.float32(1e-9)):  # beyond float16's largest and smallest
        assert nearest(spoilt, "float16", 0) is spoilt
    small, one = normal(3, 5), normal(4096)  # a few weights; a bias or a schedule
    assert nearest(small, "int8", 0) is small
    assert nearest(one, "int8", 0) is one


# ---- a model: a loop of convolutions, then transposed ones, one under a batch normalization ------------------------


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 16, 3, padding=1))
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.Tanh()
        )
        self.mix = nn.Linear(16 * 16, 16)
        norm = self.grow[1]
        for tensor in (norm.weight.data, norm.running_var):
            tensor.uniform_(0.5, 2, generator=torch.Generator().manual_seed(0))

    def step(self, i, h):
        return h + self.inside(h)

    def finish(self, h):
        return self.mix(self.grow(h).mean(1).flatten(1))


@pytest.fixture(scope="module")
def source():
    wrap = pytest.importorskip("zoo_torch.wrapping.wrap").wrap
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
    model = wrap(
        init=lambda z: z,
        step=net.step,
        finish=net.finish,
        length=3,
        noise=zoo.Normal(16, 8, 8),
        space=zoo.Real(16),
        name="net",
    )
    return model, net


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    """weights -> the folder of the artifact; each export leaves the network as it was."""
    model, net = source
    before = {name: t.clone() for name, t in net.state_dict().items()}
    folders = {}
    for weights in ("float32", *PRECISIONS):
        folders[weights] = tmp_path_factory.mktemp("artifacts") / weights
        zoo.export(model, folders[weights], weights=weights, limit=0)
        assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    return folders


@pytest.mark.parametrize(("weights", "size"), [("float32", 4), ("float16", 2), ("int8", 1)])
def test_the_files_hold_the_weights_in_as_many_bytes(source, exported, weights, size):
    count = sum(p.numel() for p in source[1].parameters() if p.ndim > 1)
    found = (exported[weights] / "weights.bin").stat().st_size
    assert size * count <= found <= size * count + 2500  # ORT's constants and 64-byte places
    assert zoo.open(exported[weights]).manifest.precision.weights == weights
    model = ir.load(exported[weights] / "sample.onnx")
    held = {
        str(value.const_value.dtype)
        for graph in (model.graph, *model.graph.subgraphs())
        for value in graph.initializers.values()
        if value.const_value is not None and value.const_value.size >= 1024
    }
    assert held == {{"float32": "FLOAT"}.get(weights, weights.upper())}


def operators(folder, tmp_path):
    """What onnxruntime runs, by operator and domain, in the graph and in its loops."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # that such a model is for this machine only
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(str(folder / "sample.onnx"), options, providers=["CPUExecutionProvider"])
    graphs, found = [onnx.load(tmp_path / "optimized.onnx", load_external_data=False).graph], Counter()
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            found[graph.name, node.domain, node.op_type] += 1
            graphs += [a.g for a in node.attribute if a.HasField("g")]
    return found


@pytest.mark.parametrize("weights", PRECISIONS)
def test_onnxruntime_runs_the_same_operators_in_the_same_layout(exported, weights, tmp_path):
    expected = operators(exported["float32"], tmp_path)
    assert any(graph == "step" and "Conv" in kind for graph, _, kind in expected)
    assert operators(exported[weights], tmp_path) == expected


@pytest.mark.parametrize("weights", PRECISIONS)
def test_the_artifact_is_the_rounded_source_and_says_how_far_that_is_from_the_source(source, exported, weights):
    model, artifact = source[0], zoo.open(exported[weights], device="cpu")
    with rounded(model, weights) as near:
        expected = near.sample(7, seed=0)
    exact, got = model.sample(7, seed=0), artifact.sample(7, seed=0)
    assert difference(expected, got) < 1e-5
    stated = artifact.manifest.precision.difference["sample"]
    assert difference(exact, got) == pytest.approx(stated["random"], rel=0.02)
    assert {"float16": 1e-5, "int8": 1e-3}[weights] < stated["random"] < {"float16": 1e-2, "int8": 0.5}[weights]
    assert max(artifact.manifest.parity["sample"].difference.values()) < 1e-5
    assert artifact.manifest.precision.share > 0.97
    zoo.verify(exported[weights], device="cpu")


def test_a_failed_export_leaves_the_weights_as_they_were(source, tmp_path, monkeypatch):
    model, net = source
    before = {name: t.clone() for name, t in net.state_dict().items()}
    seen = []

    def compose(*_):
        seen.append(net.mix.weight.detach().clone())
        raise ExportError("no")

    monkeypatch.setattr("zoo_onnx.export.compose", compose)
    with pytest.raises(ExportError, match="no"):
        zoo.export(model, tmp_path / "artifact", weights="int8")
    assert not torch.equal(seen[0], before["mix.weight"])  # it was rounded by then
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_difference_that_rounding_may_explain(tmp_path, monkeypatch, weights):
    def check(*_, **__):
        raise ExportError("linear: log_prob differs.")

    monkeypatch.setattr(comparison, "check", check)
    with pytest.raises(ExportError, match="differs") as caught:
        zoo.export(EagerModel(Linear(zoo.Real(32), Config()), "linear"), tmp_path / "artifact", weights=weights)
    assert ("Rounded to int8" in str(caught.value)) == (weights == "int8")


# ---- other frameworks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    pass


class Linear(NumpyNetwork):
    density = "exact"

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.weight = normal(space.size, 64)

    def methods(self):
        weight = self.weight  # bound before the export begins
        density = Call(lambda x: (x @ weight).sum(1), {"x": self.space.tensor}, {"log_prob": Tensor("float32")})
        return {"log_prob": density}


def test_a_network_in_numpy(tmp_path):
    model = EagerModel(Linear(zoo.Real(32), Config()), "linear")
    before = model.network.weight.copy()
    zoo.export(model, tmp_path / "artifact", weights="int8")
    assert np.array_equal(model.network.weight, before)
    x = normal(5, 32)
    got = zoo.open(tmp_path / "artifact", device="cpu").log_prob(x)
    np.testing.assert_allclose(got, (x @ nearest(before, "int8", 0)).sum(1), rtol=1e-4, atol=1e-4)
    assert np.abs(got - model.log_prob(x)).max() > 1e-3


def test_a_layer_of_keras_has_a_scale_for_each_output(tmp_path):
    wrap = pytest.importorskip("zoo_keras").wrap
    from zoo_keras.backend import keras

    net = keras.Sequential([keras.Input((32,)), keras.layers.Dense(48)])
    kernel = net.layers[0].kernel.value
    before = kernel.detach().numpy().copy()
    model = wrap(decode=net, latent=32, space=zoo.Real(48))
    zoo.export(model, tmp_path / "artifact", weights="int8")
    assert np.array_equal(kernel.detach().numpy(), before)
    held = {v.name: v.const_value for v in ir.load(tmp_path / "artifact" / "decode.onnx").graph.initializers.values()}
    assert [1, 48] in [list(t.shape) for t in held.values()]
    z = normal(5, 32)
    expected = z @ nearest(before, "int8", -1)
    np.testing.assert_allclose(zoo.open(tmp_path / "artifact", device="cpu").decode(z), expected, rtol=1e-4, atol=1e-4)


# ---- what is said --------------------------------------------------------------------------------------------------


def case(method, *outputs):
    return Case(method, "random", 0, 0, {}, {}, {f"o{i}": np.array(o) for i, o in enumerate(outputs)})


def test_differences_are_in_the_units_of_the_method():
    def stated(method, a, b):
        (found,) = deviations([case(method, *a)], [case(method, *b)]).values()
        return found["random"]

    f = np.float32
    assert stated("log_prob", [f([-1000, 5])], [f([-1002, 5])]) == 2  # nats
    assert stated("predict", [f([1e-6])], [f([0.25])]) == pytest.approx(0.25, rel=1e-3)  # a probability
    assert stated("decode", [f([[10, 10]])], [f([[10, 11]])]) == pytest.approx(0.1)  # relative
    assert stated("sample", [np.arange(4)], [np.array([0, 1, 2, 9])]) == 0.25  # share
    assert stated("encode", [f([[1], [2]]), f([[1], [np.inf]])], [f([[1], [2]]), f([[1.5], [3]])]) == 0.5
    assert deviations([case("encode", f([np.nan]))], [case("encode", f([1]))]) == {}


def test_the_command_says_what_rounding_has_changed(exported, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.api.export", lambda *given, weights, **more: zoo.open(exported[weights]).manifest)

    def said(*args):
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    for command in (
        ["export", "realnvp.moons", "--out", tmp_path / "no", "--weights", "int8"],
        ["show", exported["int8"]],
    ):
        text = said(*command)
        assert "of the weights are int8, as in that source" in text
        assert "int8 from float32" in text
    assert "precision" in text
    assert "int8 from" not in said("export", "realnvp.moons", "--out", tmp_path / "no")
    text = said("show", exported["float32"])
    assert "float32 weights" in text
    assert "rounding" not in text.lower()
    assert json.loads(said("show", exported["float16"], "--json"))["precision"]["weights"] == "float16"


def test_weights_that_nobody_knows(source, tmp_path):
    with pytest.raises(InputError, match=r"unknown weights 'flaot16'; .*int8. Did you mean 'float16'"):
        zoo.export(source[0], tmp_path / "artifact", weights="flaot16")


def test_an_exporter_without_a_choice_of_weights_is_an_error_only_if_one_is_made(source, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "exporter", lambda name: ExporterSpec(name=name, target="lab:export", summary=""))
    monkeypatch.setattr(registry, "import_target", lambda *given: lambda model, folder: "written")
    assert zoo.export(source[0], tmp_path / "a", to="npz") == "written"
    with pytest.raises(InputError, match="the exporter npz has no choice of weights; got 'int8'"):
        zoo.export(source[0], tmp_path / "a", to="npz", weights="int8")
