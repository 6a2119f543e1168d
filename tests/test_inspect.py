"""`zoo inspect`: the metadata of a file, without its folder, and whether this runtime reproduces its known answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import onnx
import pytest

import zoo
from zoo import api, spaces
from zoo.cli import main
from zoo.cli.inspect import classes
from zoo.errors import InputError


@pytest.fixture
def sample(artifact_folder, tmp_path):
    """A file of an artifact alone."""
    return Path(shutil.copy(artifact_folder / "sample.onnx", tmp_path / "sample.onnx"))


def run(*words, code=0):
    with pytest.raises(SystemExit) as left:
        main(["inspect", *map(str, words)])
    assert left.value.code == code


def rewrite(path, **facts):
    """Change what a file says; None takes a fact away."""
    proto = onnx.load(path)
    metadata = {p.key: p.value for p in proto.metadata_props}
    metadata |= {f"genzoo.{key}": value for key, value in facts.items()}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {key: value for key, value in metadata.items() if value is not None})
    onnx.save(proto, path)


def test_it_prints_what_a_caller_has_to_know(sample, capsys):
    run(sample)
    printed = capsys.readouterr().out
    for line in (
        r"model         moons",
        "seed   int64  (batch)",
        "x       float32  (batch, 2)         units of the data  real numbers in the units of the data",
        "license       none is stated",
        "known answer",
    ):
        assert line in printed


def test_json_has_every_fact_and_check_says_how_close_this_runtime_is(sample, capsys):
    run(sample, "--json", "--check")
    found = json.loads(capsys.readouterr().out)
    assert found["description"]["inputs"].keys() == {"seed", "index"}
    assert found["description"]["versions"]["genzoo"] == zoo.__version__
    assert found["beside"] == []
    assert "MatMul" in found["operators"] or "Gemm" in found["operators"]
    assert 0 <= found["checked"]["x"] < 1e-5


def test_no_runtime_and_no_framework_is_imported(sample):
    code = """
import sys
from zoo.cli import main
from zoo.cli.inspect import classes
try:
    main(["inspect", sys.argv[1]])
except SystemExit as left:
    assert left.code == 0
assert not {"onnxruntime", "onnx", "torch", "keras"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, sample], check=True, capture_output=True)


def test_a_runtime_that_computes_something_else_is_told(sample, capsys):
    """As a runtime with narrower integers would: the file has another answer than it computes."""
    proto = onnx.load(sample)
    known = json.loads({p.key: p.value for p in proto.metadata_props}["genzoo.known_answer"])
    known["outputs"]["x"][1] += 0.1
    rewrite(sample, known_answer=json.dumps(known))
    run(sample, "--check", code=2)
    assert "this runtime does not reproduce sample of " in capsys.readouterr().err


def test_a_file_that_is_not_genzoo_s_says_so(sample, capsys):
    proto = onnx.load(sample)
    del proto.metadata_props[:]
    onnx.save(proto, sample)
    run(sample)
    printed = capsys.readouterr()
    assert "operators" in printed.out
    assert "It was not written by genzoo" in printed.err
    run(sample, "--check", code=2)
    assert "has no known answer" in capsys.readouterr().err


def answer(inputs, **outputs):
    return {"known_answer": json.dumps({"inputs": inputs, "options": {}, "outputs": outputs})}


DAMAGED = {
    "no JSON": ({"inputs": "{"}, "damaged"),
    "another type": ({"inputs": "[1]"}, "altered or damaged"),
    "no model": ({"model": None}, "missing required field `model`"),
    "an unknown dtype": (
        {"inputs": json.dumps({name: {"dtype": "complex", "shape": [""]} for name in ("seed", "index")})},
        "cannot run the known answer",
    ),
    "an answer to nothing": (answer({"q": 1}, x=[1]), "has the inputs ['q'], which the method does not have"),
    "an answer of nothing": (answer({}), "has no numbers"),
    "an answer without numbers": (answer({}, x=[]), "has no numbers"),
    "an answer of another output": (answer({}, q=[1]), "has the outputs ['q']"),
    "an answer with too few inputs": (answer({"seed": 1}, x=[1]), "the graph takes ['index', 'seed']"),
    "an answer without end": ({"known_answer": "[" * 100_000}, "damaged"),
    "a space without end": ({"space": "[" * 100_000}, "damaged"),
    "an input beyond all memory": (
        {"inputs": json.dumps({n: {"dtype": "int64", "shape": ["batch", 2**33]} for n in ("seed", "index")})},
        f"seed is int64 [1, {2**33}], and the graph takes tensor(int64) ['",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_facts_are_named(what, sample, capsys):
    changed, message = DAMAGED[what]
    rewrite(sample, **changed)
    run(sample, "--check", code=2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin"])
def test_check_reads_no_file_from_elsewhere(location, sample, capsys):
    proto = onnx.load(sample)
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    onnx.save(proto, sample)
    run(sample, "--check", code=2)
    assert "takes weights from" in capsys.readouterr().err


def test_an_input_that_does_not_fit_into_memory_is_refused(tmp_path, capsys):
    """Where the graph leaves a size open, metadata alone says it."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", "size"])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", "size"])
    proto = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [value], [output]),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 21)],
    )
    shape = {"dtype": "float32", "shape": ["batch", 2**50]}
    facts = {
        "schema": "3",
        "model": "wide",
        "method": "decode",
        "inputs": json.dumps({"x": shape}),
        "outputs": json.dumps({"y": shape}),
        **answer({"x": 1}, y=[1]),
    }
    onnx.save(proto, tmp_path / "wide.onnx")
    rewrite(tmp_path / "wide.onnx", **facts)
    run(tmp_path / "wide.onnx", "--check", code=2)
    assert "the known answer needs 4,194,304.0 GiB of memory" in capsys.readouterr().err


class TooLarge:
    """A session of onnxruntime that does not get its memory."""

    def __init__(self, *arguments, **settings):
        raise RuntimeError("Failed to allocate memory for requested buffer of size 4000000000")


def test_a_shortage_of_memory_is_no_damage(sample, monkeypatch, capsys):
    monkeypatch.setattr("onnxruntime.InferenceSession", TooLarge)
    run(sample, "--check", code=2)
    said = capsys.readouterr().err
    assert "not enough memory (Failed to allocate" in said
    assert "sample.onnx" not in said


def test_the_check_runs_so_that_a_signal_stops_it(sample, monkeypatch):
    def interrupted(run):
        assert run.func.__name__ == "run"
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.artifact.inspection.stoppable", interrupted)
    run(sample, "--check", code=130)


def test_weights_that_are_a_link_are_said_to_be_one(sample, tmp_path, capsys):
    """As package managers and caches lay them."""
    proto = onnx.load(sample)
    onnx.save(proto, sample, save_as_external_data=True, location="real.bin", size_threshold=0)
    proto = onnx.load(sample, load_external_data=False)
    for weight in proto.graph.initializer:
        for entry in weight.external_data:
            if entry.key == "location":
                entry.value = "weights.bin"
    onnx.save(proto, sample)
    (tmp_path / "weights.bin").symlink_to(tmp_path / "real.bin")
    run(sample, "--check", code=2)
    assert f"Its weights are a link: copy the artifact to real files: cp -rL {tmp_path}" in capsys.readouterr().err


def test_an_artifact_with_linked_weights_is_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    zoo.export("realnvp.moons", tmp_path / "artifact", limit=0, check="quick")
    (tmp_path / "linked").mkdir()
    for path in (tmp_path / "artifact").iterdir():
        (tmp_path / "linked" / path.name).hardlink_to(path)
    run(tmp_path / "linked" / "sample.onnx", "--check")
    assert "This runtime computes the known answer" in capsys.readouterr().err


@pytest.mark.parametrize(("names", "shown"), [("012", "0 to 2"), ("ab", "0 a, 1 b"), ("0", "0 0")])
def test_classes_that_are_called_by_their_numbers_are_not_listed(names, shown):
    assert classes(names) == shown


def test_a_file_of_a_newer_genzoo_says_so(sample, capsys):
    rewrite(sample, schema="99")
    run(sample)
    assert "written by a newer genzoo" in capsys.readouterr().err


def test_a_pipe_is_no_file(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    run(tmp_path / "pipe", code=2)
    assert "it is not a regular file" in capsys.readouterr().err


def test_what_is_no_model_is_named(sample, tmp_path, capsys):
    whole = sample.read_bytes()
    for name, data, message in (
        ("empty", b"", "is empty"),
        ("text", b"hello, world", "is not an ONNX model"),
        ("half", whole[: len(whole) // 2], "is truncated"),
        ("number", b"\x08\x07", "is not an ONNX model: it has no operators"),
    ):
        (tmp_path / name).write_bytes(data)
        run(tmp_path / name, code=2)
        assert message in capsys.readouterr().err
    run(tmp_path, code=2)
    assert "is a folder; give one of its files: sample.onnx" in capsys.readouterr().err
    run(tmp_path / "missing.onnx", code=2)
    assert "cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("call", [zoo.open, zoo.load, api.load_or_open, zoo.verify, zoo.show])
def test_one_file_of_an_artifact_is_told_from_its_folder(call, sample, monkeypatch):
    (sample.parent / "artifact").mkdir()
    sample.rename(sample.parent / "artifact" / "sample.onnx")
    monkeypatch.chdir(sample.parent)
    for name in ("artifact/sample.onnx", sample.parent / "artifact" / "sample.onnx"):
        with pytest.raises(
            InputError, match=r"is a file; give its folder: .*artifact \(or: zoo inspect .*sample.onnx\)"
        ):
            call(name)


def test_a_space_that_cannot_be_is_one_sentence():
    with pytest.raises(InputError, match=r"expected 2 to 256\.$"):
        spaces.from_json({"type": "image", "height": 8, "width": 8, "levels": 0})


def test_every_line_fits_a_narrow_terminal(sample, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    run(sample)
    assert max(map(len, click.unstyle(capsys.readouterr().out).splitlines())) <= 60
