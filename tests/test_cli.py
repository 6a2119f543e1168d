"""The command line: the results of each command, and its error messages."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pictures

import zoo
from zoo import noise
from zoo.cli import COMMANDS, main
from zoo.errors import MissingDependency, ZooError
from zoo.estimate import Estimate
from zoo.model import Model
from zoo.signature import Noise, Option, Signature, Tensor
from zoo.spaces import Image, Labels, Real, Text

HEAVY = ("torch", "keras", "onnx", "onnxruntime", "scipy", "pyarrow", "PIL", "sklearn", "pandas")
SMALL = ["--set", "layers=2", "--set", "hidden=8", "--batch-size", "256"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def call(*args, code=0):
    """Run a command in this process; the result, its exit code checked."""
    result = CliRunner().invoke(main, [str(a) for a in args])
    said = f"{args}: {result.exit_code}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
    assert result.exit_code == code, said
    return result


def fails(*args, says):
    """The command ends with exit code 2 and one error that has all these words."""
    result = call(*args, code=2)
    assert "error: " in result.stderr
    for words in (says,) if isinstance(says, str) else says:
        assert words in result.stderr, result.stderr
    assert "Traceback" not in result.stderr
    return result


def read(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def process(*args, **more):
    """A fresh process with the command."""
    command = [sys.executable, "-m", "zoo", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, **more)


def imported(*args, watched=(*HEAVY, "numpy")):
    """The heavy modules that a command imports in a fresh process, and numpy."""
    code = (
        "import sys, zoo.cli; zoo.cli.main(sys.argv[1:], standalone_mode=False); "
        f"print('LOADED', *sorted(set({watched!r}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return set(result.stdout.rpartition("LOADED")[2].split())


# ---- what is installed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [["list"], ["list", "--json"], ["plugins"], ["data"], ["--help"], ["--version"], ["show", "realnvp"]]
)
def test_looking_around_imports_nothing_heavy(args):
    assert imported(*args) == set()


@pytest.mark.parametrize("name", [c for c in COMMANDS if c != "demo"])
def test_help_has_examples_and_imports_nothing_heavy(name):
    assert imported(name, "--help") == set()
    text = call(name, "--help").stdout
    assert f"zoo {name}" in text.partition("Examples:")[2]
    assert call("--help").stdout.count(f"\n  {name} ") == 1


def test_list_takes_at_most_twice_as_long_as_importing_numpy():
    code = {"numpy": "import numpy", "list": "from zoo.cli import main; main(['list'])"}
    seconds = {name: [] for name in code}
    for _ in range(7):  # in turn, and the quickest of each: other work on the machine only ever adds
        for name, text in code.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", text], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    assert min(seconds["list"]) <= 2 * min(seconds["numpy"]), seconds


def test_showing_an_artifact_imports_no_framework(artifact_folder):
    assert imported("show", artifact_folder) <= {"numpy"}


def test_sampling_an_artifact_asks_no_plugin(artifact_folder, tmp_path):
    watched = (*HEAVY, "pluggy", "importlib.metadata")
    assert imported("sample", artifact_folder, "-n", 1, "--out", tmp_path / "x.npz", watched=watched) <= {"onnxruntime"}


def test_list_shows_models_as_a_table_and_as_json():
    lines = call("list").stdout.splitlines()
    assert lines[0].split() == ["name", "family", "framework", "methods"]
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("realnvp "))
    assert "sample log_prob encode decode" in row
    assert "flow" in row
    models = json.loads(call("list", "real*", "--family", "flow", "--framework", "torch", "--json").stdout)
    assert {"realnvp"} <= {m["name"] for m in models} == set(zoo.list_models("real*"))
    assert models[0]["methods"] == ["sample", "log_prob", "encode", "decode"]


def test_list_without_a_match():
    fails("list", "relnvp", says="Did you mean 'realnvp'")
    result = call("list", "relnvp*")
    assert result.stdout == ""
    assert "no model matches" in result.stderr
    fails("list", "--family", "flwo", says="Did you mean 'flow'")


@pytest.fixture
def broken_plugin(tmp_path, monkeypatch):
    """A distribution whose plugin cannot be imported, where fresh processes find it."""
    (tmp_path / "zoo_broken.py").write_text("raise RuntimeError('out of order')\n")
    about = tmp_path / "zoo_broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[genzoo]\nbroken = zoo_broken\n")
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    return "zoo-broken"


def test_a_broken_plugin_is_named_and_the_rest_goes_on(broken_plugin):
    result = process("list")
    assert result.returncode == 0
    assert "realnvp" in result.stdout
    assert "warning: plugin zoo-broken: cannot be loaded: RuntimeError: out of order" in result.stderr
    assert "pip uninstall zoo-broken" in result.stderr
    found = json.loads(process("plugins", "--json").stdout)
    assert [p["plugin"] for p in found["problems"]] == [broken_plugin]
    assert "zoo-broken" not in process("--without", broken_plugin, "list").stderr
    unknown = process("show", "brokenflow")
    assert unknown.returncode == 2
    assert "zoo-broken" in unknown.stderr, "the plugin that failed may be the one that has the name"


def test_plugins_and_without():
    plugins = {p["name"]: p for p in json.loads(call("plugins", "--json").stdout)["plugins"]}
    assert "realnvp" in plugins["genzoo-torch"]["architectures"]
    assert "moons" in plugins["genzoo"]["data sets"]
    assert plugins["genzoo-onnx"]["exporters"] == ["onnx"]
    assert "realnvp" not in call("--without", "genzoo-torch", "list").stdout.split()
    assert "realnvp" in call("list").stdout, "leaving a plugin out is over with the command"
    assert "ZOO_WITHOUT" not in os.environ
    fails("--without", "genzoo-troch", "list", says=["no plugin 'genzoo-troch'", "Did you mean 'genzoo-torch'"])


def test_show(run, artifact_folder):
    known = json.loads(call("show", "realnvp", "--settings", "--json").stdout)
    assert known["kind"] == "architecture"
    assert "1605.08803" in known["paper"]
    hidden = next(s for s in known["takes"] if s["name"] == "hidden")
    assert (hidden["default"], hidden["of"]) == (64, "architecture")
    assert hidden["meaning"] == "units of each coupling's hidden layers"
    known = json.loads(call("show", run, "--json").stdout)
    assert (known["kind"], known["data"], known["classes"]) == ("run", "moons", ["upper", "lower"])
    assert known["recipe"]["epochs"] == 3
    known = json.loads(call("show", artifact_folder, "--json").stdout)
    assert known["kind"] == "artifact"
    assert known["space"] == "real vectors of 2 columns"
    assert known["methods"]["log_prob"]["outputs"] == {"log_prob": "float32 (N)"}
    assert known == json.loads(json.dumps(zoo.show(artifact_folder)))
    text = call("show", artifact_folder).stdout
    assert "exact: log_prob is the log-density in nats" in text
    words = [line.split()[:4] for line in call("show", "vae.digits").stdout.splitlines()]
    assert ["sample", "observe=mean", "mean,", "draw"] in words
    fails("show", "realnvq", says="Did you mean 'realnvp'")
    fails("show", artifact_folder.parent, says="not a run, checkpoint or artifact")


# ---- usage ----------------------------------------------------------------------------------------------------------


def test_what_was_mistyped_is_named():
    fails("smaple", says=["no command 'smaple'", "Did you mean 'sample'"])
    fails("sample", "x", "--sede", "7", says="--seed")
    fails("sample", says="Missing argument")
    fails("sample", "x", "--set", "temperature", says="is not KEY=VALUE")
    assert "Commands:" in call().stdout


def test_debug_shows_where_an_error_comes_from():
    result = call("--debug", "show", "nothing", code=2)
    assert "Traceback" in result.stderr
    assert "error: unknown model 'nothing'" in result.stderr
    assert "Traceback" not in call("show", "nothing", code=2).stderr, "the option is over with the command"


def test_a_reader_that_has_had_enough_is_no_error(artifact_folder):
    command = f"{sys.executable} -m zoo sample {artifact_folder} -n 200000 --seed 1 | head -2"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert result.stdout.startswith("x,y\n")
    assert "Error" not in result.stderr


def test_in_a_program_errors_are_raised():
    with pytest.raises(ZooError):
        main(["show", "nothing"], standalone_mode=False)


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_sample_writes_what_the_model_gives(artifact_folder, tmp_path):
    expected = zoo.open(artifact_folder).sample(50, seed=7, start=5, chunk=7)
    for name in ("x.csv", "x.npz", "x.parquet", "x.png"):
        args = ["sample", artifact_folder, "-n", 50, "--seed", 7, "--start", 5, "--chunk", 7, "--out", tmp_path / name]
        assert "on cpu (onnxruntime)" in call(*args).stderr
    rows = read(tmp_path / "x.csv")
    assert rows[0] == ["x", "y"]
    np.testing.assert_array_equal(np.array(rows[1:], dtype=np.float32), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], expected)
    with Pictures.open(tmp_path / "x.png") as picture:
        assert picture.width > 100
    printed = call("sample", artifact_folder, "-n", 50, "--seed", 7, "--start", 5, "--chunk", 7).stdout.splitlines()
    np.testing.assert_array_equal(np.array([line.split(",") for line in printed[1:]], dtype=np.float32), expected)


def test_a_new_seed_is_told(artifact_folder):
    first, second = call("sample", artifact_folder), call("sample", artifact_folder)
    assert first.stdout != second.stdout
    seed = first.stderr.partition("--seed ")[2].partition(")")[0]
    assert call("sample", artifact_folder, "--seed", seed).stdout == first.stdout


def test_scores_of_a_file_of_a_data_set_and_of_a_split(run, artifact_folder, tmp_path):
    data = zoo.load_dataset("moons")
    call("score", artifact_folder, "--data", "moons:validation", "--out", tmp_path / "s.csv")
    rows = read(tmp_path / "s.csv")
    assert rows[0] == ["log_prob"]
    np.testing.assert_allclose(
        np.array(rows[1:], dtype=float)[:, 0], zoo.load(run).log_prob(data.validation), rtol=1e-4, atol=1e-4
    )
    np.savez(tmp_path / "x.npz", x=data.test[:5])
    result = call("score", artifact_folder, "--data", tmp_path / "x.npz")
    assert len(result.stdout.splitlines()) == 6
    scores = np.array([float(line) for line in result.stdout.split()[1:]])
    figure = Estimate(scores.mean(), scores.std(ddof=1) / np.sqrt(5))
    assert f"mean of 5 rows: {figure} nats" in result.stderr
    assert "log-density" in result.stderr


def test_decode_takes_what_encode_writes(artifact_folder, tmp_path):
    x = zoo.load_dataset("moons").test[:20]
    np.savez(tmp_path / "x.npz", x=x)
    for suffix in ("csv", "npz", "parquet"):
        z, again = tmp_path / f"z.{suffix}", tmp_path / f"again_{suffix}.npz"
        call("encode", artifact_folder, "--data", tmp_path / "x.npz", "--out", z)
        call("decode", artifact_folder, "--data", z, "--out", again)
        np.testing.assert_allclose(np.load(again)["x"], x, atol=1e-4)
    fails("decode", artifact_folder, "--data", "moons", says="Encode them first: zoo encode")


def test_a_run_gives_the_rows_of_its_artifact(run, artifact_folder):
    one, other = (call("sample", m, "-n", 5, "--seed", 3).stdout.splitlines() for m in (run, artifact_folder))
    values = [np.array([line.split(",") for line in lines[1:]], dtype=float) for lines in (one, other)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_evaluate(artifact_folder):
    pytest.importorskip("sklearn")
    report = json.loads(call("evaluate", artifact_folder, "--json", "--split", "validation").stdout)
    assert report["split"] == "validation"
    nats = report["figures"]["nats"]
    assert nats["value"] < 3
    assert nats["rows"] == 1000
    printed = call("evaluate", artifact_folder, "--split", "validation").stdout
    for name, figure in report["figures"].items():
        line = next(line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert str(Estimate.from_json(figure)) in line
        assert "±" in line
    assert all(remark in printed for remark in report["remarks"])
    fresh = json.loads(call("evaluate", artifact_folder, "--json", "--fresh", "1500").stdout)
    assert (fresh["split"], fresh["figures"]["nats_above_truth"]["rows"]) == ("fresh", 1500)
    fails("evaluate", "made.digits", "--fresh", "9", says="no fresh rows of digits: its distribution is unknown")
    fails("evaluate", artifact_folder, "--judge", "maf.moons", says="maf.moons cannot judge: it is not a classifier")
    fails("evaluate", artifact_folder, "--split", "tets", says=["unknown split 'tets'", "Did you mean 'test'"])


def test_show_prints_figures_with_their_errors_and_those_of_older_cards(artifact_folder, tmp_path):
    folder = tmp_path / "shown"
    shutil.copytree(artifact_folder, folder)

    def shown(test):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "card": {**manifest["card"], "test": test}}))
        return call("show", folder).stdout

    nats, real = Estimate(1.5, 0.25, 20), Estimate(0.5, 0.01, 20)
    histogram = {"upper": Estimate(0.4, 0.1, 20, real).to_json()}
    test = {"figures": {"nats": nats.to_json()}, "histogram": histogram, "remarks": ["It is no better than chance."]}
    lines = shown(test).splitlines()
    assert any(line.split()[:4] == ["nats", "1.50", "±", "0.25"] for line in lines)
    assert "upper 0.40 ± 0.10 0.500 ± 0.010" in [" ".join(line.split()) for line in lines]
    assert "It is no better than chance." in lines
    older = shown({"split": "test", "rows": 20, "nats": 1.5, "nats_standard_error": 0.25, "new": 0.5}).splitlines()
    assert any(line.split()[:4] == ["nats", "1.50", "±", "0.25"] for line in older)
    assert any(line.split()[:2] == ["new", "0.5"] for line in older)


# ---- rows of models with classes, of images, of text ----------------------------------------------------------------


class Toy(Model):
    """Conditional: an observation is noise plus the number of its class. `space` may be of any kind."""

    name, density, classes = "toy", "exact", Labels(("ant", "bee", "cat"))
    network = SimpleNamespace(device="cpu", framework="toy")

    def __init__(self, space, conditional=True):
        self.space = space
        x, z, one = space.tensor, Tensor("float32", (space.size,)), Tensor("float32")
        label = {"label": Tensor("int64")} if conditional else {}
        options = {"temperature": Option(1.0, low=0)}
        self.signatures = {
            "sample": Signature(label, {"x": x}, options, True),
            "log_prob": Signature({"x": x, **label}, {"log_prob": one}, {}, False),
            "encode": Signature({"x": x, **label}, {"z": z}, {}, False),
            "decode": Signature({"z": z, **label}, {"x": x}, {}, False),
            "predict": Signature({"x": x}, {"y": Tensor("float32", (3,))}, {}, False),
        }

    def _execute(self, method, inputs, index, seed, options):
        label = inputs.get("label", np.zeros(len(index), dtype=np.int64))
        if method == "sample":
            u = noise.draw(Noise("uniform", self.space.shape), index, seed=seed, stream="u")
            shift = label.reshape(-1, *[1] * len(self.space.shape))
            if not self.space.discrete:
                return {"x": (u * options["temperature"] + shift).astype(np.float32)}
            levels = getattr(self.space, "levels", None) or self.space.tokens
            return {"x": np.minimum(np.floor(u * 2) + 1 + shift, levels - 1).astype(self.space.dtype)}
        if method == "decode":
            return {"x": (inputs["z"].reshape(-1, *self.space.shape) + label[:, None]).astype(self.space.dtype)}
        flat = inputs["x"].reshape(len(index), -1).astype(np.float32)
        if method == "encode":
            return {"z": (flat - label[:, None]).astype(np.float32)}
        if method == "predict":
            return {"y": np.eye(3, dtype=np.float32)[np.floor(flat[:, 0]).astype(int)]}
        return {"log_prob": -np.abs(flat[:, 0] - label - 0.5).astype(np.float32)}


@pytest.fixture
def toy(monkeypatch):
    def use(space, **more):
        monkeypatch.setattr("zoo.cli.row_commands.load_or_open", lambda name, **_: Toy(space, **more))

    use(Real(2))
    return use


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_classes_travel_with_the_rows(toy, tmp_path, suffix):
    x, z, again = (tmp_path / f"{name}.{suffix}" for name in ("x", "z", "again"))
    call("sample", "toy", "-n", 7, "--class", "all", "--start", 1, "--seed", 1, "--chunk", 2, "--out", x)
    expected = ["bee", "cat", "ant"] * 2 + ["bee"]
    assert list(zoo.data.readers.read_labels(x, Toy.classes, "label")) == [Toy.classes.names.index(c) for c in expected]
    scores = call("score", "toy", "--data", x).stdout.split()[1:]
    assert np.abs(np.array(scores, dtype=float)).max() <= 0.5, "each row is scored under its own class"
    call("encode", "toy", "--data", x, "--out", z)
    call("decode", "toy", "--data", z, "--out", again)
    rows = [zoo.data.readers.read_rows(path, Real(2), "label") for path in (x, again)]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    result = call("predict", "toy", "--data", x, "--label", "label").stdout.splitlines()
    assert result[0] == "class,ant,bee,cat"
    assert [line.split(",")[0] for line in result[1:]] == expected


def test_a_class_by_name_or_number(toy):
    named, numbered = (call("sample", "toy", "-n", 3, "--seed", 1, "--class", c).stdout for c in ("cat", "2"))
    assert named == numbered
    assert float(named.splitlines()[1].split(",")[0]) > 2
    fails("sample", "toy", says=["needs a class", "ant, bee, cat"])
    fails("sample", "toy", "--class", "dog", says=["unknown class 'dog'", "ant, bee, cat"])
    fails("sample", "toy", "--class", "3", says=["unknown class 3", "ant, bee, cat"])
    toy(Real(2), conditional=False)
    fails("sample", "toy", "--class", "cat", says="takes no class")


def test_classes_do_not_depend_on_blocks(toy, monkeypatch):
    whole = call("sample", "toy", "-n", 20, "--seed", 1, "--class", "all").stdout
    monkeypatch.setattr("zoo.cli.sample.BLOCK", 3)
    assert call("sample", "toy", "-n", 20, "--seed", 1, "--class", "all").stdout == whole


def test_options_of_a_method(toy):
    cold = call("sample", "toy", "--class", "0", "--set", "temperature=0.5", "-n", 100).stdout.split()[1:]
    assert max(float(line.split(",")[0]) for line in cold) <= 0.5
    fails("sample", "toy", "--class", "0", "--set", "temprature=1", says="Did you mean 'temperature'")
    fails("sample", "toy", "--class", "0", "--set", "temperature=hot", says="is not a number")
    fails("sample", "toy", "--class", "0", "--set", "temperature=-1", says="of at least 0")
    fails("sample", "toy", "--class", "0", "--set", "seed=1", says="has no option 'seed'")


def test_text_goes_in_and_out_as_strings(toy, tmp_path):
    toy(Text(4, "abcdef"), conditional=False)
    lines = call("sample", "toy", "-n", 5, "--seed", 2).stdout.splitlines()
    assert len(lines) == 5
    assert all(len(line) == 4 and set(line) <= set("ab") for line in lines)
    call("sample", "toy", "-n", 5, "--seed", 2, "--out", tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text().splitlines() == lines
    assert len(call("score", "toy", "--data", tmp_path / "x.txt").stdout.splitlines()) == 6
    fails("sample", "toy", "--out", tmp_path / "x.png", says="cannot hold strings")


def test_images_want_a_file(toy, tmp_path):
    toy(Image(4, 4, 1, levels=17), conditional=False)
    fails("sample", "toy", says="images need a file: --out x.png")
    call("sample", "toy", "-n", 4, "--out", tmp_path / "x.png")
    with Pictures.open(tmp_path / "x.png") as picture:
        assert picture.mode == "L"
    fails("sample", "toy", "-n", 2000, "--out", tmp_path / "y.png", says="a picture holds at most")
    assert not (tmp_path / "y.png").exists()


def test_data_of_another_space(toy):
    fails("predict", "toy", "--data", "digits", says=["the model takes real vectors of 2 columns", "8x8x1"])
    fails("score", "toy", "--data", "moons", says=["unknown class 'upper'", "ant, bee, cat"])
    assert call("score", "toy", "--data", "moons", "--class", "bee").stderr.count("mean of 2,000 rows")
    toy(Text(16, "abcdefghijklmnopqrstuvwxyz"))
    fails("score", "toy", "--data", "names", says="names has no classes, and toy needs one for each row")


# ---- bad input leaves nothing behind --------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty current folder; it must be empty in the end, but for what the test lists."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    kept = []
    yield kept
    assert sorted(p.name for p in folder.rglob("*")) == sorted(kept)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-n", "0"], "count is 0"),
        (["-n", "-5"], "count is -5"),
        (["-n", "many"], "not a valid integer"),
        (["--start", "-1"], "start is -1"),
        (["--chunk", "0"], "chunk is 0"),
        (["-n", "1000000000000000"], "are free. Draw fewer"),
        (["--set", "temperature=1"], "it takes none"),
        (["--class", "3"], "takes no class"),
        (["--device", "cuda"], "CUDA was requested"),
        (["--device", "tpu"], "'tpu' is not one of"),
    ],
)
def test_bad_arguments_of_sample(artifact_folder, empty, args, says):
    fails("sample", artifact_folder, *args, "--out", "x.npz", says=says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("x,y\n", "no rows"),
        ("x,y\n1,2\n3\n", ["line 3", "1 columns", "2"]),
        ("x,y\n1,2\n3,four\n", ["line 3", "'y'", "'four'"]),
        ("x,y\n1,2\n3,nan\n", ["line 3", "'y'", "nan"]),
        ("x,z\n1,2\n", "no column 'y'"),
    ],
)
def test_bad_tables(artifact_folder, empty, content, says):
    with open("rows.csv", "w") as file:
        file.write(content)
    empty.append("rows.csv")
    fails("score", artifact_folder, "--data", "rows.csv", "--out", "scores.csv", says=says)
    fails("encode", artifact_folder, "--data", "rows.csv", "--out", "z.npz", says=says)


def test_bad_arrays(artifact_folder, empty):
    empty.append("x.npz")
    for array, says in (
        (np.zeros((3, 5), np.float32), "expected (N, 2)"),
        (np.zeros((0, 2), np.float32), "empty"),
        (np.full((3, 2), np.inf, np.float32), "inf"),
        (np.array([["a", "b"]]), "dtype"),
    ):
        np.savez("x.npz", x=array)
        fails("score", artifact_folder, "--data", "x.npz", "--out", "scores.csv", says=says)


def test_unknown_names(artifact_folder, empty):
    fails("sample", "realnvpp.moons", says="Did you mean 'realnvp")
    fails("sample", "realnvp", says=["an architecture without weights", "zoo train realnvp"])
    fails("sample", "out/nothing", says="no folder 'out/nothing'")
    fails("score", artifact_folder, "--data", "mons", says="Did you mean 'moons'")
    fails("score", artifact_folder, "--data", "moons:tset", says="Did you mean 'test'")
    fails("score", artifact_folder, "--data", "rows.csv", says="no file or folder 'rows.csv'")
    fails("predict", artifact_folder, "--data", "moons", says="has no method 'predict'")
    fails("export", "realnvq", "--out", "out", says="Did you mean 'realnvp'")
    fails("export", artifact_folder, "--out", "out", says="it is an artifact")
    fails("verify", "nowhere/x", says="unknown model")


def test_outputs_that_exist_or_cannot_be_written(run, artifact_folder, empty):
    empty.append("here.csv")
    with open("here.csv", "w") as file:
        file.write("precious")
    nothing = ["sample", "no-such-model"]  # the output is looked at first
    fails(*nothing, "--out", "here.csv", says="here.csv exists; use --force")
    fails(*nothing, "--out", "here.csv/x.csv", says="is not a folder")
    fails(*nothing, "--out", "x.docx", says="'.docx'; expected .csv")
    fails("train", "realnvp", "--data", "moons", "--out", "here.csv", says="is a file")
    fails("train", "realnvp", "--data", "moons", "--out", "here.csv/run", says="is not a folder")
    fails("export", run, "--out", artifact_folder, says="exists; use --force")
    if sys.platform == "linux":  # where not even root makes files
        fails("export", "no-such-model", "--out", "/proc/x", says="/proc/x: no file can be created in /proc")
        fails(*nothing, "--out", "/proc/x.csv", says="cannot write /proc/x.csv")
    with open("here.csv") as file:
        assert file.read() == "precious"
    call("sample", artifact_folder, "--out", "here.csv", "--force")


def test_altered_and_newer_files(run, artifact_folder, tmp_path, empty):
    shutil.copytree(artifact_folder, tmp_path / "artifact")
    shutil.copytree(run, tmp_path / "run")
    graph = tmp_path / "artifact" / "sample.onnx"
    whole = graph.read_bytes()
    for change in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        graph.write_bytes(change)
        for args in (["sample"], ["verify"]):
            fails(*args, tmp_path / "artifact", says="sample.onnx is ")
    graph.write_bytes(whole)
    manifest = tmp_path / "artifact" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"schema": 3', '"schema": 99'))
    for command in ("sample", "show", "verify"):
        fails(command, tmp_path / "artifact", says=["schema 99", "pip install -U genzoo"])
    manifest.write_text(text)
    call("verify", tmp_path / "artifact")
    weights = next((tmp_path / "run").glob("model-*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    fails("sample", tmp_path / "run", says=[weights.name, "altered or truncated"])
    fails("export", tmp_path / "run", "--out", "out", says=weights.name)


def test_a_framework_that_is_missing(run, artifact_folder, empty, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    fails("sample", run, says=["needs torch", "pip install genzoo-torch"])
    fails("train", "realnvp", "--data", "moons", "--out", "run", says="pip install genzoo-torch")
    call("sample", artifact_folder)

    def missing(device):
        raise MissingDependency("running an artifact needs onnxruntime. Install it: pip install 'genzoo[cpu]'")

    monkeypatch.setattr("zoo.artifact.sessions.choose_device", missing)
    fails("sample", artifact_folder, says="genzoo[cpu]")


# ---- training and exporting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["realnvq", "--data", "moons"], "Did you mean 'realnvp'"),
        (["realnvp", "--data", "mons"], "Did you mean 'moons'"),
        (["realnvp"], "missing --data"),
        (["realnvp", "--data", "moons", "--set", "hiden=8"], ["has no setting 'hiden'", "Did you mean 'hidden'"]),
        (["realnvp", "--data", "moons", "--set", "hidden=wide"], "hidden='wide'"),
        (["realnvp", "--data", "moons", "--set", "epochs=2", "--epochs", "3"], "epochs is given twice"),
        (["realnvp", "--data", "moons", "--epochs", "0"], "epochs is 0"),
        (["realnvp", "--data", "moons", "--learning-rate", "nan"], "learning_rate is nan"),
        (["realnvp", "--data", "moons", "--label", "x"], "brings its own classes"),
        (["realnvp", "--data", "names"], "models Real or Image or Discrete spaces"),
        (["realnvp", "--data", "moons", "--device", "cuda"], "CUDA was requested"),
        (["realnvp", "--data", "moons", "--resume", "run"], "omit"),
    ],
)
def test_a_training_that_cannot_begin_leaves_nothing(empty, args, says):
    out = [] if "--resume" in args else ["--out", "run"]
    fails("train", *args, *out, says=says)


def test_a_training_that_diverges_says_what_to_do(tmp_path):
    args = ["--data", "moons", "--out", tmp_path / "run", *SMALL, "--learning-rate", "1e20", "--set", "clip=0"]
    fails("train", "realnvp", *args, says=["loss is ", "Try a lower learning rate", "--set clip=1"])


def test_train_export_and_verify(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = [f"{a},{b},{'left' if a < 0 else 'right'}" for a, b in zoo.load_dataset("moons").train[:600]]
    (tmp_path / "rows.csv").write_text("a,b,side\n" + "\n".join(table) + "\n")
    args = [
        "--data",
        "rows.csv",
        "--label",
        "side",
        "--out",
        "run",
        *SMALL,
        "--epochs",
        2,
        "--seed",
        5,
        "--set",
        "ema=0.5",
    ]
    result = call("train", "realnvp", *args)
    assert "rows.csv, on cpu: 2 epochs, batch 256" in result.stderr
    assert re.search(r"validation  nll \S+ ± ", result.stdout)
    assert "zoo export run" in result.stderr
    assert (tmp_path / "run" / "samples.png").exists()
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (recipe["config"]["hidden"], recipe["recipe"]["ema"], recipe["recipe"]["seed"]) == (8, 0.5, 5)
    fails("train", "realnvp", *args, says="run exists; use --force")
    result = call("export", "run", "--out", "art")
    assert "tail inputs" in result.stdout
    assert result.stdout.splitlines()[1].startswith("sample")
    report = json.loads(call("verify", "art", "--json").stdout)
    assert max(v for row in report.values() for v in row["difference"].values()) <= 1e-4
    assert "compared" in call("verify", "art", "--check", "quick").stdout
    fails("verify", "art", "--check", "quik", says="expected full, quick, or seconds")
    assert "zoo train --resume" not in call("show", "run").stdout
    call("evaluate", "art")  # knows the file and the column that it was trained on


def test_a_run_is_extended_and_is_the_start_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("train", "realnvp", "--data", "moons", "--out", "run", *SMALL, "--epochs", 1, "--batch-size", 1000)
    fails("train", "--resume", "run", "--epochs", 1, says="has trained 1 epochs; got epochs=1")
    fails("train", "--resume", "run", "--seed", 1, says=["omit --seed", "except --device"])
    assert "epoch 2 of at most 2" in call("train", "--resume", "run", "--epochs", 2, "--device", "cpu").stdout
    tune = ["--data", "moons", "--epochs", 1, "--batch-size", 1000]
    fails("train", "maf", "--from", "run", *tune, "--out", "tuned", says="fit no maf")
    result = call("train", "--from", "run", *tune, "--out", "tuned")
    assert "training realnvp on moons, from " in result.stderr
    assert json.loads((tmp_path / "tuned" / "recipe.json").read_text())["start"] == str(tmp_path / "run")
    call("train", "mlp.digits", "--data", "digits", "--epochs", 1, "--out", "digits")


def test_runs_their_losses_and_their_options(tmp_path, run):
    listed = call("runs", run.parent).stdout.splitlines()
    assert listed[0].split() == ["run", "model", "data", "epochs", "best", "at"]
    best = zoo.Run(run).position.best
    assert [str(run), str(best)] == [re.split(r"\s{2,}", listed[1])[i] for i in (0, 4)]
    (listed,) = json.loads(call("runs", run.parent, "--json").stdout)
    assert (listed["model"], listed["best"]) == ("realnvp", best.to_json())
    assert "there are no runs in" in call("runs", tmp_path).stderr
    shown = call("show", run, "--history")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["epoch", "1", "2", "3"]
    assert shown.stdout.count(" ± ") == 6
    assert f"the best: epoch {zoo.Run(run).position.best_epoch}, {best}." in shown.stderr
    history = json.loads(call("show", run, "--history", "--json").stdout)
    assert history["steps"][0]["step"] == 1
    assert set(history["epochs"][0]["validation"]) == {"value", "error", "rows"}
    fails("show", "realnvp.moons", "--history", says="is not a run")
    few = ["--epochs", 1, "--batch-size", 1000, "--set", "hidden=8", "--set", "steps=2"]
    call("train", "ebm", "--data", "moons", "--out", tmp_path / "ebm", *few)
    assert "temperature=1.0  from 0  0: go downhill" in call("show", tmp_path / "ebm").stdout


def test_compare_earns_its_verdict(run, tmp_path):
    few = [*SMALL, "--epochs", 1, "--batch-size", 1000]
    call("train", "realnvp", "--data", "moons", "--out", tmp_path / "worse", *few)
    result = call("compare", run, tmp_path / "worse", "--data", "moons")
    assert f"{run} is the best" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[2:5]] == ["model", str(run), str(tmp_path / "worse")]
    assert json.loads(call("compare", run, tmp_path / "worse", "--json").stdout)["rows"] == 2000
    fails("compare", run, says="two or more models")


def test_the_list_fits_a_terminal_of_80_columns():
    assert max(map(len, call("list").stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [("zoo tra", "train"), ("zoo show ddpm.d", "ddpm.digits"), ("zoo train realnvp --data moo", "moons")],
)
def test_a_shell_completes_commands_models_and_data_sets(words, expected):
    assert "_ZOO_COMPLETE" in call("completion", "bash").stdout
    count = len(words.split()) - 1
    given = {**ENVIRONMENT, "_ZOO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run([sys.executable, "-m", "zoo"], env=given, capture_output=True, text=True, check=False)
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_ctrl_c_saves_the_run_and_resume_finishes_it(tmp_path):
    run = tmp_path / "run"
    args = ["train", "realnvp", "--data", "moons", "--out", str(run), *SMALL, "--epochs", "60"]
    command = [sys.executable, "-m", "zoo", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as job:
        for line in job.stderr:
            if line.startswith("epoch"):
                break
        time.sleep(0.2)
        job.send_signal(signal.SIGINT)
        _, said = job.communicate(timeout=120)
    assert job.returncode == 130
    assert f"Go on: zoo train --resume {run}" in said
    assert "Traceback" not in said
    assert "go on: zoo train --resume" in call("show", run).stdout
    before = json.loads((run / "training.json").read_text())["position"]["step"]
    result = process("train", "--resume", run)
    assert result.returncode == 0, result.stderr
    after = json.loads((run / "training.json").read_text())["position"]
    assert after["done"]
    assert 0 < before < after["step"]


# a job started in the background by a shell ignores Ctrl-C, and so would its children
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("zoo", run_name="__main__", alter_sys=True)
"""


def interrupted(words, folder, *numbers):
    """The exit code, the stderr and the seconds of a command that gets signals when it has begun to write."""
    command = [sys.executable, "-c", INTERRUPTIBLE, *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as job:
        deadline = time.monotonic() + 60
        while not list(folder.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        for number in numbers:
            time.sleep(0.3)
            job.send_signal(number)
        _, said = job.communicate(timeout=120)
    return job.returncode, said, time.monotonic() - began


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_writing_leaves_nothing(artifact_folder, tmp_path, number, code):
    words = ["sample", artifact_folder, "-n", "1000000000", "--out", tmp_path / "x.parquet"]
    returned, said, _ = interrupted(words, tmp_path, number)
    assert returned == code
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]])
def test_a_signal_stops_onnxruntime_in_the_middle_of_a_chunk(tmp_path, numbers):
    words = ["sample", "ddpm.digits", "--class", "all", "-n", "50000", "--chunk", "50000", "--out", tmp_path / "x.npz"]
    returned, said, seconds = interrupted(words, tmp_path, *numbers)
    assert returned in (128 + numbers[0], 130, -signal.SIGINT)  # the second ended what was ending
    assert "Traceback" not in said
    assert "terminate" not in said
    assert seconds < 10
    assert list(tmp_path.iterdir()) == []
