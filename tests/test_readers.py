"""Every reader checks the type and size of a file before reading: a pipe could block forever, and a terabyte-sized
sparse file would fill the memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import zoo
from zoo import writers
from zoo.cli import main
from zoo.errors import CorruptFile, InputError
from zoo.parity.inputs import input_examples

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs pipes, holes and limits")
TERABYTE = 2**40
SECONDS = 60
TRAIN = ["train", "--resume", "run"]
SCORE = ["score", "realnvp.moons", "--data"]


@pytest.fixture(scope="module")
def materials(run, tmp_path_factory):
    """A folder with everything that is read: an artifact with weights beside it, an unfinished run, and data."""
    folder = tmp_path_factory.mktemp("materials")
    zoo.export(run, folder / "artifact", limit=0, check="quick")
    shutil.copytree(run, folder / "run")
    state = json.loads((folder / "run" / "training.json").read_text())
    state["position"] |= {"done": False, "step": 0, "best_epoch": 0}
    (folder / "run" / "training.json").write_text(json.dumps(state))
    x = zoo.open("realnvp.moons").sample(4, seed=1)
    np.savez(folder / "x.npz", x=x)
    np.save(folder / "x.npy", x)
    for name in ("x.csv", "x.tsv", "x.parquet"):
        writers.write(folder / name, iter([{"x": x}]), zoo.Real(2, ("x", "y")))
    (folder / "x.txt").write_text("anna\n")
    (folder / "images").mkdir()
    for number in range(2):
        Image.new("L", (8, 8), number).save(folder / "images" / f"{number}.png")
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"")
    return folder


READERS = [
    *(
        (f"artifact/{name}", ["verify", "artifact"])
        for name in ("manifest.json", "sample.onnx", "examples.safetensors")
    ),
    ("artifact/weights.bin", ["verify", "artifact"]),
    ("artifact/manifest.json", ["show", "artifact"]),
    ("artifact/manifest.json", ["export", "run", "--out", "artifact", "--force"]),
    ("artifact/sample.onnx", ["inspect", "artifact/sample.onnx", "--check"]),
    ("run/model.json", ["show", "run"]),
    ("run/model.json", ["sample", "run"]),
    ("run/model-*.safetensors", ["sample", "run"]),
    *((f"run/{name}", TRAIN) for name in ("recipe.json", "training.json", "training-*.safetensors")),
    *((f"x.{kind}", [*SCORE, f"x.{kind}"]) for kind in ("csv", "tsv", "parquet", "npz", "npy")),
    ("x.txt", ["score", "lstm.names", "--data", "x.txt"]),
    ("x.txt", ["train", "lstm", "--data", "x.txt", "--out", "new"]),
    ("x.csv", ["train", "realnvp", "--data", "x.csv", "--out", "new"]),
    ("x.npz", ["decode", "realnvp.moons", "--data", "x.npz"]),
    ("images/0.png", ["encode", "vae.digits", "--data", "images/0.png"]),
    ("images/0.png", ["encode", "vae.digits", "--data", "images"]),
    ("train-images-idx3-ubyte", ["train", "mlp", "--data", "fashion-mnist", "--out", "new"]),
]


@pytest.mark.parametrize("kind", ["a pipe", "a terabyte of holes", "holes behind it"])
@pytest.mark.parametrize(("file", "words"), READERS, ids=[f"{file} by {words[0]}" for file, words in READERS])
def test_a_file_that_is_none_is_a_sentence_at_once(materials, tmp_path, monkeypatch, file, words, kind):
    place = tmp_path / "place"
    shutil.copytree(materials, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("ZOO_FASHION_MNIST", str(place))
    (path,) = place.glob(file)
    if kind == "a pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        if kind == "a terabyte of holes":
            os.truncate(path, 0)
        os.truncate(path, TERABYTE)
        for record in place.glob("*/*.json"):
            if record.stat().st_size < TERABYTE:  # and the record says so too
                size = re.compile(
                    rf'({re.escape(path.name)}": \{{[^}}]*"bytes": |{re.escape(path.name)}"[^}}]*"bytes": )\d+'
                )
                record.write_text(size.sub(rf"\g<1>{TERABYTE}", record.read_text()))
    before = memory()
    result = invoke(words)
    # a format may be whole, whatever stands behind it, and a pipe in a folder is none of its images
    whole = kind == "holes behind it" and path.suffix in (".npy", ".png")
    fine = whole or (kind == "a pipe" and words[-1] == "images")
    assert result.exit_code == (0 if fine else 2), f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    assert fine or ("error: " in result.stderr and path.name in result.stderr), result.stderr
    assert memory() - before < 2**30


@pytest.mark.parametrize(
    ("settings", "space", "says"),
    [
        ({"layers": 2**31}, {}, "is too large"),
        ({"hidden": 2**20}, {}, "cannot be made: it needs more than the "),
        ({"hidden": 2**14}, {}, "cannot be made: it needs more than the "),
        ({}, {"width": 2**30, "names": []}, "cannot be made: it needs more than the "),
    ],
)
def test_settings_that_the_weights_do_not_bear_out_are_refused(run, tmp_path, settings, space, says):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    record = json.loads((folder / "model.json").read_text())
    record["config"] |= settings
    record["space"] |= space
    (folder / "model.json").write_text(json.dumps(record))
    before = memory()
    result = invoke(["sample", str(folder), "-n", "1"])
    assert result.exit_code == 2, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    assert says in result.stderr
    assert memory() - before < 2**30


def test_more_arrays_than_anyone_gives_are_not_looked_through(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{f"x{number}": np.zeros(1) for number in range(1001)})
    result = invoke([*SCORE, str(path)])
    assert result.exit_code == 2
    assert "holds more than 1000 arrays" in result.stderr


def test_rows_that_do_not_fit_are_not_made_up():
    """A manifest may say any shape."""
    with pytest.raises(InputError, match=r"10 made-up rows needs .* of memory"):
        input_examples({"h": zoo.Tensor("float32", (2**31, 2**10))}, zoo.Real(1), None, "random", 10)


def invoke(words):
    """The result of a command, which is not to take long."""

    def too_long(*_):
        raise AssertionError(f"it goes on for more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        return CliRunner().invoke(main, words)
    finally:
        signal.alarm(0)


def memory():
    """The most bytes that this process has had."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_long_header_of_an_array_is_not_read(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"))
    os.truncate(path, 2**32)
    with pytest.raises(CorruptFile, match="the header of an array has 2,147,483,648 bytes"):
        zoo.load_dataset(path)
