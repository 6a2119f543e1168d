"""Malicious names, files and streams: the command line reports them in a sentence, and obeys none."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load, save

from zoo import checkpoint
from zoo.cli import main, output, progress, streams

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def process(*args):
    """A fresh process with the command."""
    command = [sys.executable, "-m", "zoo", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def fails(*args, says):
    """The command ends with exit code 2 and one error that has these words."""
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == 2, f"{args}: {result.stderr}\n{result.exception!r}"
    assert says in result.stderr
    assert "Traceback" not in result.stderr


# ---- names from other people's files, and streams that are not there


@pytest.fixture
def hostile(artifact_folder, tmp_path):
    """An artifact whose columns have names that a terminal or a spreadsheet would obey."""
    folder = tmp_path / "hostile"
    shutil.copytree(artifact_folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["space"]["names"] = ['=HYPERLINK("http://x")', "\x1b]0;owned\x07\x9b31m\u202e"]
    manifest["name"] = "\x1b[31mred"
    owned = "\x1b]0;owned\x07"
    manifest["card"]["test"] = {"figures": {owned: 1.0}, "remarks": [owned], "histogram": {owned: 0.5}}
    for compared in manifest["parity"].values():
        compared["difference"][owned] = 0.0
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_names_do_not_reach_the_terminal_as_commands(hostile, tmp_path):
    done = [
        process("show", hostile),
        process("show", hostile, "--json"),
        process("sample", hostile, "-n", "2", "--out", tmp_path / "x.npz"),
        process("sample", hostile, "-n", "2", "--set", "\x1b[31m=1"),
    ]
    for result in done:
        assert not {"\x1b", "\x9b", "\x07", "\u202e"} & {*result.stdout, *result.stderr}
    assert r"\x1b[31mred" in done[0].stdout
    assert json.loads(done[1].stdout)["name"] == "\x1b[31mred"


@pytest.mark.parametrize("on_terminal", [True, False])
def test_whatever_is_printed_is_no_command(monkeypatch, capsys, on_terminal):
    monkeypatch.setattr("sys.stdout.isatty", lambda: on_terminal)
    name = "\x1b]0;owned\x07[/x]"
    output.table([name, "b"], [[name, 1]])
    output.facts([(name, name)])
    output.text(name)
    output.note(name)
    streams.say(name)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count(r"\x1b]0;owned\x07[/x]") == 7
    assert "\x1b]" not in printed.out + printed.err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_names_in_progress_are_no_commands(monkeypatch, stream):
    monkeypatch.setattr("zoo.cli.progress.LONG", 0.05)
    monkeypatch.setattr("sys.stderr", shown := stream())
    with progress.stages("exporting \x1b]0;owned\x07") as show:
        show("tracing [/x]", 1, 2)
        time.sleep(0.3)
    assert "\x1b]" not in shown.getvalue()
    assert r"exporting \x1b]0;owned\x07: tracing [/x]" in shown.getvalue()


def test_names_that_are_formulas_are_warned_of(hostile, tmp_path):
    for out, warned in (("x.csv", True), ("x.tsv", True), ("x.parquet", False)):
        said = process("sample", hostile, "-n", "2", "--out", tmp_path / out).stderr
        assert ("warning: " in said and "=HYPERLINK" in said and "takes for formulas" in said) == warned
    assert (tmp_path / "x.csv").read_text().startswith('"=HYPERLINK(""http://x"")"')


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(("redirect", "why"), [("> /dev/full", "No space left"), (">&-", "it is closed")])
@pytest.mark.parametrize(
    "words", [["list"], ["sample", "realnvp.moons", "-n", "2"], ["show", "realnvp.moons", "--json"]]
)
def test_a_standard_output_that_takes_nothing_is_said(redirect, why, words):
    command = f"{shlex.quote(sys.executable)} -m zoo {shlex.join(words)} {redirect}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert result.returncode == 2, result.stderr
    assert "error: cannot write to the standard output" in result.stderr
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_files_are_whole_where_standard_streams_are_closed(tmp_path):
    words = shlex.join(["sample", "realnvp.moons", "-n", "100", "--seed", "1", "--out", str(tmp_path / "x.csv")])
    command = f"{shlex.quote(sys.executable)} -m zoo {words} >&- 2>&- <&-"
    assert subprocess.run(command, shell=True, env=ENVIRONMENT, check=False).returncode == 0
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 101


def test_examples_that_somebody_changed_are_a_sentence(artifact_folder, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(artifact_folder, folder)
    whole = (folder / "examples.safetensors").read_bytes()
    cases = {
        "nothing to compare": save({}),
        "holds no cases": save({"sample": np.zeros(3)}),
        "expected nothing, of 7 rows": save(
            {f"000/sample/random/{name}": np.zeros(7, np.int64) for name in ("inputs/q", "rows/seed", "rows/index")}
        ),
        "holds no cases to": whole[:-8],
        "has 0 rows": save({name: array[:0] for name, array in load(whole).items()}),
        "has 5 rows": save({name: array[:5] for name, array in load(whole).items()}),
        "indices of ['float32 (7,)'": save(
            {name: a.astype(np.float32) if name.endswith("/index") else a for name, a in load(whole).items()}
        ),
        "takes steps that it does not have": save(
            load(whole) | {f"006/encode/random/window/{name}": np.array(1) for name in ("first", "steps")}
        ),
    }
    for says, data in cases.items():
        (folder / "examples.safetensors").write_bytes(data)
        manifest = json.loads((folder / "manifest.json").read_text())
        digest = hashlib.sha256(data).hexdigest()
        manifest["files"]["examples.safetensors"] = {"sha256": digest, "bytes": len(data)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        fails("verify", folder, says=says)


@pytest.mark.parametrize(
    "text", ['{"schema": 2, "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "\0", "[1]", '{"schema": 2}']
)
def test_json_of_any_kind_is_a_sentence(artifact_folder, tmp_path, text):
    folder = tmp_path / "changed"
    shutil.copytree(artifact_folder, folder)
    (folder / "manifest.json").write_text(text)
    for words in (["show", folder], ["verify", folder], ["sample", folder]):
        fails(*words, says="manifest.json")
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")
    fails("show", folder, says="not a regular file")


@pytest.mark.parametrize(
    ("place", "value"),
    [("reading", "x"), ("reading", {"nope": 1}), ("reading", {"types": {"x": 5}}), ("label", ["a"]), ("data", 5)],
)
def test_a_card_that_says_no_data_is_a_sentence(artifact_folder, run, tmp_path, place, value):
    shutil.copytree(artifact_folder, tmp_path / "artifact")
    changed(tmp_path / "artifact" / "manifest.json", f"card/{place}", value)
    fails("evaluate", tmp_path / "artifact", says=f"`$.{place}")
    shutil.copytree(run, tmp_path / "run")
    changed(tmp_path / "run" / "recipe.json", place, value)
    fails("train", "--resume", tmp_path / "run", says=f"`$.{place}" if place != "reading" else "altered or damaged")


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("parity/sample/difference", {"random": "x"}, "Expected `float`"),
        ("methods/sample/signature/length", "steps", "the steps 'steps'"),
        ("methods/sample/signature/outputs/x/shape", [0], "the shape (0,) of x"),
        ("methods/sample/signature/outputs", {}, "does not give x"),
        ("methods/dream", None, "Expected `object`"),
        ("space/width", 2**40, "manifest.json is altered"),
        ("space/type", [], "unknown sample space"),
        ("config/deep", json.loads("[" * 600 + "]" * 600), "nested deeper than"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_a_sentence(artifact_folder, tmp_path, place, value, says):
    folder = tmp_path / "changed"
    shutil.copytree(artifact_folder, folder)
    changed(folder / "manifest.json", place, value)
    fails("show", folder, says=says)
    fails("sample", folder, says=says)


@pytest.mark.parametrize(
    ("file", "place", "value", "says"),
    [
        ("model", "density", {}, "density"),
        ("model", "weights", None, "Expected `object`"),
        ("model", "weights/file", "../x", "outside its folder"),
        ("recipe", "recipe/epochs", -1, "epochs"),
        ("recipe", "precision", "none", "cannot be made"),
        ("recipe", "config", {"layers": -3}, "cannot be made"),
        ("training", "position/step", -1, "altered or damaged"),
        ("training", "position/sums", {"other": 1.0}, "altered or damaged"),
        ("training", "position/best_epoch", 4, "it has 3 epochs, and epoch 4 as the best"),
        ("training", "position/history", [{"epoch": 1}] * 3, "altered or damaged"),
        ("training", "position/history", [{"validation": {"value": "low"}}], "altered or damaged"),
    ],
)
def test_a_run_that_makes_no_sense_is_a_sentence(run, tmp_path, file, place, value, says):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    changed(folder / "training.json", "position/done", False)
    changed(folder / f"{file}.json", place, value)
    words = ["train", "--resume", folder] if file != "model" else ["sample", folder]
    fails(*(words if place != "density" else ["show", folder]), says=says)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("validation/nll", "real"),
        ("validation/nll", {"value": 1.0, "error": [], "rows": 3}),
        ("test", {"figures": 3}),
        ("test", {"figures": {"nll": {"value": 10**400, "error": None, "rows": 1}}}),
    ],
)
def test_figures_that_are_none_are_a_sentence(run, tmp_path, place, value):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    changed(folder / "model.json", f"card/{place}", value)
    fails("show", folder, says="figure")


def test_a_card_says_nothing_that_is_known_without_it(run, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    for name in ("weights", "methods", "precision", "requires"):
        changed(folder / "model.json", f"card/{name}", 3)
    changed(folder / "model.json", "card/test", {"figures": {}, "remarks": 3})
    result = CliRunner().invoke(main, ["show", str(folder)])
    assert result.exit_code == 0, result.exception
    assert "log_prob" in result.stdout


@pytest.mark.parametrize(("part", "value"), [("count", -1), ("window", 0), ("rows", [{"step": 1.0}] * 511)])
def test_a_curve_that_no_training_leaves_is_a_sentence(run, tmp_path, part, value):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    beginning = {"done": False, "step": 0, "best_epoch": 0}
    for place, new in {**beginning, f"curve/{part}": value}.items():
        changed(folder / "training.json", f"position/{place}", new)
    fails("train", "--resume", folder, says="training.json is altered or damaged")


@pytest.mark.parametrize("entry", ["now/optimizer.nll.0.exp_avg", "now/optimizer.nll.0.step", "best/nothing"])
def test_a_state_of_an_optimizer_that_is_not_all_there_is_a_sentence(run, tmp_path, entry):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    meta, arrays = checkpoint.load(folder, "training")
    meta["position"] |= {"done": False, "step": 0, "best_epoch": 0}
    if entry in arrays:
        del arrays[entry]
    else:
        arrays["now/network.more"] = np.zeros(3)
    checkpoint.save(folder, "training", meta, arrays)
    fails("train", "--resume", folder, says="is not a state of this training")


@pytest.mark.parametrize("steps", [-1.0, -1e38, np.nan, 0.5, True])
def test_a_number_of_steps_that_no_optimizer_can_take_is_a_sentence(run, tmp_path, steps):
    folder = tmp_path / "changed"
    shutil.copytree(run, folder)
    meta, arrays = checkpoint.load(folder, "training")
    meta["position"] |= {"done": False, "step": 0, "best_epoch": 0}
    arrays["now/optimizer.nll.0.step"] = np.array(steps)
    checkpoint.save(folder, "training", meta, arrays)
    fails("train", "--resume", folder, says="is not a state of this training")


def test_settings_that_no_training_could_have_are_refused(tmp_path, monkeypatch):
    words = ["train", "realnvp", "--data", "moons", "--out", tmp_path / "run", "--set"]
    fails(*words, "layers=2147483648", says="layers=2147483648 is too large")
    monkeypatch.setattr("zoo.api.available", lambda: 2**26)
    fails(*words, "layers=1000", "--set", "hidden=1024", says="needs more than the 0.1 GiB of memory")
    assert not (tmp_path / "run").exists()


def changed(path, place, value):
    """A JSON file with one value replaced."""
    root = json.loads(path.read_text())
    *way, last = place.split("/")
    inside = root
    for key in way:
        inside = inside[key]
    inside[last] = value
    path.write_text(json.dumps(root))
