"""Faulty plugins do no harm: real distributions, built and installed by pip, and commands in separate processes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

START = "from zoo import hookimpl\nfrom zoo.spec import ModelSpec, PresetSpec, DatasetSpec, ExporterSpec\n"
MODEL = 'ModelSpec(name="{}", target="nowhere:Net", family="flow", framework="torch", methods=("sample",), summary="")'
HOOK = START + "@hookimpl\ndef zoo_architectures():\n"
UPDATE = "pip install -U genzoo"


def offers(name: str, more: str = "") -> str:
    spec = MODEL.format(name)
    return f"{HOOK}    yield {spec[:-1]}{more})\n"


# distribution -> its module, what is said of it, and what to do
FAULTS = {
    "bad-dependency": (
        "import not_installed_anywhere",
        ["cannot be loaded: there is no module not_installed_anywhere (", "bad_dependency.py, line 1)."],
        "pip install Not-Installed.Anywhere",
    ),
    "bad-import": (
        "from math import nothing",
        ["cannot be loaded: ImportError: cannot import name 'nothing'", "bad_import.py, line 1)"],
        "pip uninstall bad-import",
    ),
    "bad-module": (
        "import pathlb",
        ["cannot be loaded: there is no module pathlb (", "bad_module.py, line 1). Did you mean 'pathlib'"],
        "should rename it",
    ),
    "bad-undeclared": (
        "import not_installed_anywhere",
        ["cannot be loaded: there is no module not_installed_anywhere"],
        "its author should add what offers it to its dependencies",
    ),
    "bad-name": (
        "from zoo import hookimp",
        ["cannot import name 'hookimp' from 'zoo' (", "bad_name.py, line 1). Did you mean 'hookimpl'"],
        "should rename it. If a newer genzoo has it: pip install -U genzoo",
    ),
    "bad-zoo-module": (
        "import math\nimport zoo.specs",
        ["No module named 'zoo.specs' (", "bad_zoo_module.py, line 2). Did you mean 'spec'"],
        "should rename it. If a newer genzoo has it: pip install -U genzoo",
    ),
    "bad-missing": (
        HOOK + MODEL.format("short").replace(', summary=""', "").join(["    yield ", ""]),
        ["ModelSpec needs 'summary', which is not given (", "bad_missing.py, line 5)"],
        "should add it",
    ),
    "bad-syntax": (
        "def broken(:",
        ["cannot be loaded: SyntaxError", "bad_syntax.py, line 1"],
        "pip install -U bad-syntax",
    ),
    "bad-exit": ("raise SystemExit(0)", ["cannot be loaded: SystemExit: 0"], "zoo --without bad-exit"),
    "bad-hook": (
        f"{offers('half')}    raise ValueError('oops')",
        ["zoo_architectures failed: ValueError: oops (", "bad_hook.py, line 6)."],
        "ZOO_WITHOUT=bad-hook",
    ),
    "bad-spelling": (
        START + "@hookimpl\ndef zoo_architecture():\n    yield",
        ["there is no hook zoo_architecture; it was not asked"],
        "Did you mean 'zoo_architectures'?",
    ),
    "bad-marking": (
        START + "def zoo_datasets():\n    yield",
        ["zoo_datasets is not marked as a hook"],
        "put @zoo.hookimpl above it",
    ),
    "bad-spec": (
        HOOK + f"    yield {MODEL.format('Bad Name')}",
        ["ModelSpec 'Bad Name': a name is lower case letters"],
        "pip install -U bad-spec",
    ),
    "bad-kind": (
        HOOK + "    return 3",
        ["zoo_architectures gave 3; expected it to yield"],
        "should mend zoo_architectures",
    ),
    "bad-torch": (
        "import torch\n" + offers("slow"),
        ["imports torch while it is listed"],
        "import torch only in the module of a target",
    ),
    "bad-twice": (
        offers("double") + f"    yield {MODEL.format('double')}",
        ["zoo_architectures gave 'double' twice"],
        "should rename one",
    ),
    "bad-clash": (
        offers("realnvp"),
        ["its model 'realnvp' is also offered by genzoo-torch"],
        "Say which: genzoo-torch/realnvp or bad-clash/realnvp",
    ),
    "new-import": (
        "from zoo.spec import VideoCodec",
        ["needs a newer genzoo than 0.1.0: cannot import name 'VideoCodec' from 'zoo.spec'"],
        UPDATE,
    ),
    "new-module": ("import zoo.video", ["needs a newer genzoo than 0.1.0: No module named 'zoo.video'"], UPDATE),
    "new-argument": (
        START + "@hookimpl\ndef zoo_architectures(quantum):\n    yield",
        ["needs a newer genzoo", "asks for the argument 'quantum'"],
        UPDATE,
    ),
    "new-field": (
        offers("fast", ", speed=3"),
        ["needs a newer genzoo than 0.1.0: ModelSpec has no field 'speed'"],
        UPDATE,
    ),
    "new-metadata": (
        "import zoo\nzoo.hookimpl.later",
        ["needs genzoo >=99, and this is 0.1.0 (cannot be loaded: AttributeError"],
        UPDATE,
    ),
}
GOOD = {
    "good-one": offers("one"),
    "same-name-a": offers("twice"),
    "same-name-b": offers("twice"),
    "same-entry-a": offers("left"),
    "same-entry-b": offers("right"),
    "chatty": "print('hello')\n" + HOOK + f"    print('hello again')\n    yield {MODEL.format('chatty')}",
    "target-exits": offers("exits").replace("nowhere:Net", "target_exits_net:Net"),
    "target-new": offers("late").replace("nowhere:Net", "target_new_net:Net"),
    "target-needs": offers("exotic", ', requires={"exotica": "pip install exotica"}'),
    "target-none": offers("lost"),
}
TARGETS = {"target-exits": "raise SystemExit(0)", "target-new": "from zoo.network import Teleporter"}
REQUIRES = {"bad-dependency": "Not-Installed.Anywhere>=2", "new-metadata": "genzoo>=99"}
ENTRIES = {"same-entry-a": "same", "same-entry-b": "same"}
VARIABLES = {**os.environ, "OMP_NUM_THREADS": "1"}


def project(folder: Path, name: str, code: str) -> Path:
    """The source of a distribution with one module."""
    module = name.replace("-", "_")
    folder = folder / name
    folder.mkdir()
    modules = {module: code} | ({f"{module}_net": TARGETS[name]} if name in TARGETS else {})
    for file, text in modules.items():
        (folder / f"{file}.py").write_text(text)
    needs = json.dumps([REQUIRES[name]] if name in REQUIRES else [])
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = {needs}\n'
        f'[project.entry-points.genzoo]\n{ENTRIES.get(name, "main")} = "{module}"\n'
        f"[tool.setuptools]\npy-modules = {json.dumps(list(modules))}\n"
    )
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """All the distributions, installed by pip and then taken apart: a folder for each, by its own list of files."""
    root = tmp_path_factory.mktemp("neighbors")
    everything = {name: code for name, (code, *_) in FAULTS.items()} | GOOD
    sources = [project(root, name, code) for name, code in everything.items()]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-compile"]
    subprocess.run([*pip, "--target", root / "all", *sources], check=True, capture_output=True, text=True)
    for name in everything:
        (info,) = (root / "all").glob(f"{name.replace('-', '_')}-1.0.dist-info")
        for path, *_ in csv.reader((info / "RECORD").read_text().splitlines()):
            (root / "apart" / name / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / "all" / path, root / "apart" / name / path)
    return root / "apart"


@pytest.fixture
def zoo(installed, tmp_path):
    """Run `zoo` in a fresh process beside some of the distributions."""

    def run(neighbors, *args, code=0, **variables):
        paths = os.pathsep.join(str(installed / name) for name in neighbors.split())
        result = subprocess.run(
            [sys.executable, "-P", "-m", "zoo", *args],
            env={**VARIABLES, "PYTHONPATH": paths, **variables},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result

    return run


def names(result):
    return {line.split()[0] for line in result.stdout.splitlines()[1:]}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_neighbor_is_named_and_the_rest_works(zoo, fault):
    _, said, remedy = FAULTS[fault]
    neighbors = f"{fault} good-one"
    listed = zoo(neighbors, "list")
    assert {"one", "vae", "realnvp.moons"} <= names(listed)
    assert any(line.split()[0].endswith("realnvp") for line in listed.stdout.splitlines())
    (warning,) = listed.stderr.splitlines()
    assert warning.startswith(f"warning: plugin {fault}: ")
    for words in (*said, remedy):
        assert words in warning
    found = json.loads(zoo(neighbors, "plugins", "--json").stdout)
    (problem,) = found["problems"]
    assert problem["plugin"] == fault
    assert remedy in problem["remedy"]
    assert {"good-one", "genzoo-torch", "genzoo-onnx"} <= {p["name"] for p in found["plugins"]}


@pytest.mark.parametrize("fault", ["bad-exit", "bad-clash"])
def test_a_bad_neighbor_can_be_left_out(zoo, fault):
    for spelling in (fault, fault.replace("-", "_").upper()):  # as PEP 503 has it
        for result in (zoo(fault, "--without", spelling, "list"), zoo(fault, "list", ZOO_WITHOUT=f"x, {spelling}")):
            assert result.stderr == ""
            assert "realnvp" in names(result)


def test_without_autoloading_only_genzoo_itself_is_there(zoo):
    neighbors = "bad-exit good-one"
    result = zoo(neighbors, "plugins", "--json", ZOO_AUTOLOAD="0")
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert [p["name"] for p in found["plugins"]] == ["genzoo"]
    assert found["problems"] == []
    assert "moons" in zoo(neighbors, "data", ZOO_AUTOLOAD="0").stdout


def test_the_table_of_plugins_says_what_to_do(zoo):
    lines = zoo("bad-syntax good-one", "plugins").stdout.splitlines()
    states = {line.split()[0]: line.split()[2] for line in lines[1 : lines.index("")]}
    assert states["bad-syntax"] == "problem"
    assert states["good-one"] == states["genzoo-torch"] == "ok"
    assert lines[lines.index("") + 1].split()[:2] == ["plugin", "problem"]
    assert "SyntaxError" in lines[-1]
    assert "pip uninstall bad-syntax" in lines[-1]


def test_all_bad_neighbors_at_once(zoo):
    result = zoo(" ".join((*FAULTS, *GOOD)), "plugins", "--json")
    found = json.loads(result.stdout)
    assert {p["plugin"] for p in found["problems"]} == {*FAULTS, "same-name-b"}
    offered = {p["name"]: p["architectures"] for p in found["plugins"]}
    assert offered["bad-hook"] == ["half"], "what came before the fault counts"
    assert offered["good-one"] == ["one"]
    assert "realnvp" in offered["genzoo-torch"]


def test_two_distributions_with_one_entry_point_name(zoo):
    result = zoo("same-entry-a same-entry-b", "list")
    assert result.stderr == ""
    assert {"left", "right"} <= names(result)


def test_two_plugins_with_one_model_name(zoo):
    neighbors = "same-name-a same-name-b"
    result = zoo(neighbors, "list")
    assert {"same-name-a/twice", "same-name-b/twice", "realnvp"} <= names(result)
    assert "plugin same-name-b: its model 'twice' is also offered by same-name-a." in result.stderr
    refused = zoo(neighbors, "show", "twice", code=2)
    assert "claimed by same-name-a and same-name-b; say which: same-name-a/twice" in refused.stderr
    assert "same-name-b" in zoo(neighbors, "show", "same-name-b/twice").stdout
    assert "twice" in names(zoo(neighbors, "--without", "same-name-b", "list"))


def test_one_module_in_two_distributions(installed, zoo, tmp_path):
    shutil.copytree(installed / "good-one", tmp_path / "copy")
    (info,) = (tmp_path / "copy").glob("*.dist-info")
    info = info.rename(info.with_name("good_two-1.0.dist-info"))
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("Name: good-one", "Name: good-two"))
    result = zoo("good-one", "list", PYTHONPATH=f"{installed / 'good-one'}{os.pathsep}{tmp_path / 'copy'}")
    assert "one" in names(result)
    assert "plugin good-two: its entry point 'main' and 'main' of good-one are one module, good_one" in result.stderr


def test_what_a_plugin_prints_does_not_mix_with_results(zoo):
    result = zoo("chatty", "list", "--json")
    assert "chatty" in {row["name"] for row in json.loads(result.stdout)}
    assert result.stderr == "hello\nhello again\n"


@pytest.mark.parametrize(
    ("neighbor", "model", "said"),
    [
        ("target-exits", "exits", ["exits cannot be imported: SystemExit: 0", "pip uninstall target-exits"]),
        ("target-new", "late", ["late needs a newer genzoo", "'Teleporter'", UPDATE]),
        ("target-needs", "exotic", ["exotic needs exotica", "pip install exotica"]),
        ("target-none", "lost", ["lost cannot be imported: it has no module nowhere", "--force-reinstall target-none"]),
    ],
)
def test_a_target_that_cannot_be_imported(zoo, neighbor, model, said):
    assert zoo(neighbor, "list").stderr == ""
    result = zoo(neighbor, "train", model, "--data", "moons", "--out", "run", code=2)
    for words in said:
        assert words in result.stderr


def test_a_plugin_for_a_newer_core_is_named_before_it_fails(zoo, tmp_path):
    """`zoo plugins` reads what distributions require; `zoo list` does not take that time."""
    info = tmp_path / "early-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: early\nVersion: 1.0\nRequires-Dist: genzoo>=9\n")
    (info / "entry_points.txt").write_text("[genzoo]\nmain = early\n")
    (tmp_path / "early.py").write_text("")
    (problem,) = json.loads(zoo("", "plugins", "--json", PYTHONPATH=str(tmp_path)).stdout)["problems"]
    assert (problem["plugin"], problem["remedy"]) == ("early", "Update it: pip install -U genzoo")
    assert "needs genzoo >=9" in problem["problem"]


def test_a_clash_of_architectures_does_not_hide_a_preset(zoo):
    assert "tractable density" in zoo("bad-clash", "show", "realnvp.moons").stdout


def test_a_run_whose_plugin_is_left_out_is_not_called_missing(zoo, run):
    refused = zoo("", "--without", "genzoo-torch", "sample", str(run), "-n", "1", code=2)
    assert "needs a plugin that is missing or disabled" in refused.stderr
