"""A file explains itself to whoever opens it in a viewer: names, doc strings, metadata."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
import zoo_torch
from zoo_onnx import describe
from zoo_onnx.compose import compose

import zoo
from zoo.artifact import inspection
from zoo.signature import Call, Loop, Noise, Option
from zoo.spaces import Labels

SPACE = zoo.Real(3)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
        self.x = torch.nn.Parameter(torch.ones(3))  # called like an output, and like a constant of the exporter
        self.w_0 = torch.nn.Parameter(torch.full((3,), 0.5))

    def forward(self, x):
        return self.body(x) * self.x + self.w_0


def methods(network):
    loop = Loop(
        length="steps", init=lambda index, z0, **options: {"y": z0}, finish=lambda state: state["y"],
        step=lambda i, state, z, **options: {"y": network(state["y"]) + z}, state={"y": SPACE.tensor},
        outputs={"x": SPACE.tensor}, init_noise={"z0": Noise("normal", (3,))}, noise={"z": Noise("normal", (3,))},
        options={"steps": Option(4, low=1), "way": Option("mean", choices=("mean", "draw"), help="of ending")},
    )  # fmt: skip
    encode = Call(lambda x: network(x), inputs={"x": SPACE.tensor}, outputs={"z": SPACE.tensor})
    return {"sample": loop, "encode": encode}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("chain") / "artifact"
    zoo.export(zoo_torch.wrap(**methods(Network()), space=SPACE, name="chain"), folder)
    return folder


def composed(method):
    network = Network()
    return ir.to_proto(compose(network, method, methods(network)[method]))


def graphs(graph):
    """A graph and those of the bodies of its loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def test_nodes_and_weights_have_the_names_of_the_network():
    model = composed("sample")
    assert [graph.name for graph in graphs(model.graph)] == ["sample", "block", "step"]
    (step,) = (graph for graph in graphs(model.graph) if graph.name == "step")
    modules = {node.name.rpartition("_")[0] for node in step.node}
    assert {"step/body.0/Gemm", "step/body.1/Tanh", "step/body.2/Gemm"} <= modules
    weights = {tensor.name for graph in graphs(model.graph) for tensor in graph.initializer}
    assert {"body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"} <= weights
    assert any(node.name.startswith("noise/Mul_") for node in model.graph.node)


@pytest.mark.parametrize("method", ["sample", "encode"])
def test_no_name_stands_for_two_values(method):
    """A body of a loop must not use a name of the graph around it for something else."""
    model = composed(method)
    made = [
        name
        for graph in graphs(model.graph)
        for name in (
            *(v.name for v in graph.input),
            *(t.name for t in graph.initializer),
            *(name for node in graph.node for name in node.output),
        )
    ]
    assert len(made) == len(set(made))
    assert not any(node.metadata_props for graph in graphs(model.graph) for node in graph.node)


def test_doc_strings_say_what_goes_in_and_out(folder):
    model = onnx.load(folder / "sample.onnx")
    assert model.producer_name == "genzoo"
    assert model.producer_version == zoo.__version__
    assert "It takes as many steps as steps says." in model.doc_string
    said = {value.name: value.doc_string for value in (*model.graph.input, *model.graph.output)}
    assert said == {
        "seed": "the seed of each row, any integer; rows of different seeds are independent",
        "index": "the number of each row under its seed, from 0 on; no two indices share random numbers",
        "steps": "how many steps to take; the default is 4",
        "way": "of ending: 0 for mean, 1 for draw; the default is 0",
        "x": "real numbers in the units of the data",
    }


def test_metadata_is_what_the_reader_reads_and_the_known_answer_holds(folder):
    for method in ("sample", "encode"):
        inspected = inspection.inspect(folder / f"{method}.onnx")
        known = inspected.description
        assert (known.model, known.method) == ("chain", method)
        assert known.known_answer.inputs == ({"seed": 7, "index": 3} if method == "sample" else {"x": 0.5})
        assert max(inspection.check(inspected).values()) < 1e-5
    assert (inspected.description.loop, inspected.description.options) == (None, {})
    sampled = inspection.inspect(folder / "sample.onnx").description
    assert sampled.loop == "steps"
    assert sampled.options["way"].choices == ["mean", "draw"]
    assert sampled.options["steps"].default == 4


SPACES = {
    "image": (zoo.Image(2, 3, 1, levels=17), "x * 255 / 16", "levels", (0, 16)),
    "color": (zoo.Image(2, 3, 3), "2 rows, 3 columns and 3 channels, integers from 0 to 255", "levels", (0, 255)),
    "text": (zoo.Text(4, "abc"), "token t from 1 on is character t - 1, counted from 0, of 'abc'", "tokens", (0, 3)),
    "discrete": (zoo.Discrete(4, 5), "4 integers from 0 to 4", "levels", (0, 4)),
    "columns": (zoo.Real(2, ("age", "height")), "columns age, height", "units of the data", (None, None)),
}


@pytest.mark.parametrize("kind", SPACES)
def test_what_observations_mean(kind, tmp_path):
    space, meaning, unit, bounds = SPACES[kind]
    classify = Call(
        lambda x: torch.softmax(torch.stack([x.reshape(x.shape[0], -1).float().mean(1)] * 3, 1), 1),
        inputs={"x": space.tensor},
        outputs={"y": zoo.Tensor("float32", (3,))},
    )
    model = zoo_torch.wrap(predict=classify, space=space, classes=("cat", "dog", "owl"), name=kind)
    zoo.export(model, tmp_path / kind)
    known = inspection.inspect(tmp_path / kind / "predict.onnx").description
    assert meaning in known.inputs["x"].meaning
    assert (known.inputs["x"].unit, (known.inputs["x"].low, known.inputs["x"].high)) == (unit, bounds)
    y = known.outputs["y"]
    assert (y.meaning, y.low, y.high) == ("probability of each class: 0 is cat, 1 is dog, 2 is owl", 0, 1)
    assert known.classes == ["cat", "dog", "owl"]
    assert known.known_answer.inputs == {"x": 0.5 if kind == "columns" else 1}


def test_tokens_are_decoded_by_what_lies_in_the_artifact(tmp_path):
    """As docs/data.md has it: ids from onnxruntime, the tokenizer from the manifest or the file."""
    library = pytest.importorskip("tokenizers")
    space = zoo.load_dataset([f"words {i}" for i in range(20)], tokenizer="bpe:270").space
    draw = Call(
        lambda u: (u * space.tokens).long() * (torch.arange(space.length) < 3),
        outputs={"x": space.tensor},
        noise={"u": Noise("uniform", space.shape)},
    )
    model = zoo_torch.wrap(sample=draw, space=space, name="tokens")
    zoo.export(model, tmp_path / "tokens", check="quick")
    known = inspection.inspect(tmp_path / "tokens" / "sample.onnx").description.outputs["x"]
    assert "token t from 1 on is the id t - 1 of the tokenizer.json" in known.meaning
    assert (known.unit, known.low, known.high) == ("tokens", 0, space.vocabulary)
    strings = model.sample(5, seed=2)
    assert zoo.open(tmp_path / "tokens").sample(5, seed=2) == strings
    session = ort.InferenceSession(tmp_path / "tokens" / "sample.onnx", providers=["CPUExecutionProvider"])
    (x,) = session.run(["x"], {"seed": np.full(5, 2), "index": np.arange(5)})
    spaces = [json.loads((tmp_path / "tokens" / "manifest.json").read_text())["space"]]
    spaces.append(json.loads(session.get_modelmeta().custom_metadata_map["genzoo.space"]))
    for found in spaces:
        tokenizer = library.Tokenizer.from_str(found["tokenizer"])
        assert [tokenizer.decode([t - 1 for t in row if t]) for row in x.tolist()] == strings


def test_the_known_answer_can_be_checked_by_hand(folder):
    """As docs/runtimes.md has it: metadata, one row, the first numbers."""
    session = ort.InferenceSession(folder / "sample.onnx", providers=["CPUExecutionProvider"])
    known = json.loads(session.get_modelmeta().custom_metadata_map["genzoo.known_answer"])
    feeds = {name: np.array([number]) for name, number in known["inputs"].items()}
    feeds |= {name: np.array(number) for name, number in known["options"].items()}
    (x,) = session.run(["x"], feeds)
    np.testing.assert_allclose(x.ravel()[:8], known["outputs"]["x"], rtol=1e-5)


@pytest.mark.parametrize(
    ("names", "meaning"), [("012", "0 to 2"), ("ab", "0 is a, 1 is b"), ("021", "0 is 0, 1 is 2, 2 is 1")]
)
def test_classes_that_are_called_by_their_numbers_are_not_listed(names, meaning):
    assert describe.numbering(Labels(tuple(names))) == meaning


def test_the_license_is_that_of_the_preset_or_what_is_given(tmp_path):
    own = zoo_torch.wrap(sample=lambda z: 2 * z, noise=zoo.Normal(3), space=SPACE)
    zoo.export("dcgan.digits", tmp_path / "preset", check="quick")
    zoo.export(own, tmp_path / "own", license="CC-BY-4.0", check="quick")
    for folder, license in (("preset", "Apache-2.0"), ("own", "CC-BY-4.0")):
        assert inspection.inspect(tmp_path / folder / "sample.onnx").description.license == license
        assert zoo.open(tmp_path / folder, device="cpu").manifest.card["license"] == license
