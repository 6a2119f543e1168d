"""`zoo new-plugin`: its output installs like a third-party plugin and passes its own tests."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo import templates
from zoo.cli import main

ROOT = Path(__file__).parents[1]
FRAMEWORKS = tuple(templates.ABOUT)


@pytest.fixture(scope="module")
def environment(make_environment):
    return make_environment()


def new_plugin(*args, code=0):
    result = CliRunner().invoke(main, ["new-plugin", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


def files(folder):
    found = (p for p in folder.rglob("*") if p.is_file() and not {"build", "__pycache__"} & set(p.parts))
    return {str(p.relative_to(folder)): p.read_text() for p in found if ".egg-info" not in str(p)}


def test_the_example_is_what_new_plugin_writes():
    written = templates.render("genzoo-example", "torch")
    assert files(ROOT / "plugins" / "example") == written, (
        "Write it anew: rm -r plugins/example; zoo new-plugin genzoo-example --framework torch --out plugins/example"
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_new_plugin_passes_its_own_tests_at_once(environment, tmp_path, framework):
    """Installed as a stranger's, its tests run in a process of their own. The one in PyTorch is the example."""
    source, name = tmp_path / "source", f"tiny-{framework}"
    if framework == "torch":
        name = "genzoo-example"
        shutil.copytree(ROOT / "plugins" / "example", source, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    else:
        new_plugin(name, "--framework", framework, "--out", source)
    environment.run("pip", "install", "-q", source, cwd=tmp_path)
    shutil.rmtree(source / "src")  # what is tested is what was installed
    said = environment.run("pytest", "-q", "-W", "error", cwd=source)
    assert " passed" in said
    assert not re.search(r"\d failed", said)
    model = name.removeprefix("genzoo-")
    assert f"\n{model} " in environment.run("zoo", "list", cwd=tmp_path)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ["genzoo-config", "Tiny_Flow.2", "genzoo-real", "coupling", "genzoo-network", "x"])
def test_any_name_gives_code_that_holds_together(name, framework):
    written = templates.render(name, framework)
    assert "{{" not in "".join(written.values())
    names = templates.names_of(name)
    (target,) = [p for p in written if p.endswith(f"/{names.module}.py")]
    classes = [node.name for node in ast.parse(written[target]).body if isinstance(node, ast.ClassDef)]
    imported = {
        a.asname or a.name
        for n in ast.walk(ast.parse(written[target]))
        if "Import" in type(n).__name__
        for a in n.names
    }
    assert len(set(classes)) == len(classes)
    assert not set(classes) & imported
    assert f'target="{names.package}.{names.module}:{classes[-1]}"' in written[f"src/{names.package}/__init__.py"]


def test_what_is_written_keeps_the_style_of_this_repository(tmp_path):
    for framework in FRAMEWORKS:
        new_plugin(f"a-rather-longer-name-{framework}", "--framework", framework, "--out", tmp_path / framework)
    for command in (["check", "--ignore", "I001"], ["format", "--check"]):  # which packages are near differs there
        ruff = [sys.executable, "-m", "ruff", *command, "--config", ROOT / "pyproject.toml", tmp_path]
        result = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("-x", "No such option"),
        ("x-", "not the name of a distribution"),
        ("tiny flow", "not the name of a distribution"),
        ("tïny", "not the name of a distribution"),
        ("../tiny", "not the name of a distribution"),
        ("", "not the name of a distribution"),
        ("2fast", "a name like '2fast' in code"),
        ("genzoo-import", "a name like 'import' in code"),
        ("false", "a name like 'False' in code"),
        ("genzoo-2fast", "a name like '2fast' in code"),
        ("realnvp", "'realnvp' is an architecture of genzoo-torch"),
        ("genzoo-vae", "'vae' is an architecture of genzoo-keras"),
        ("genzoo-torch", "a distribution 'genzoo-torch' exists already"),
        ("Genzoo_Keras", "a distribution 'genzoo-keras' exists already"),
        ("numpy", "a distribution 'numpy' exists already"),
        ("json", "a module 'json' exists already"),
        ("zoo", "a module 'zoo' exists already"),
    ],
)
def test_names_that_are_bad_or_taken(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    result = new_plugin(name, "--framework", "torch", code=2)
    assert says in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_the_authors_own(tmp_path):
    said = "An energy-based model of my own"
    new_plugin("mine", "--framework", "torch", "--summary", f"{said}.", "--out", tmp_path / "mine")
    written = files(tmp_path / "mine")
    assert f'description = "{said}, for genzoo."' in written["pyproject.toml"]
    assert f"{said}: the architecture `mine`" in written["README.md"]
    assert f'summary="{said}",\n        paper="",' in written["src/mine/__init__.py"]
    for wrong in ("", "two\nlines", 'a "quoted" word', "x" * 100):
        result = new_plugin("other", "--framework", "torch", "--summary", wrong, "--out", tmp_path / "other", code=2)
        assert "expected one line of at most 80 characters" in result.stderr
    assert not (tmp_path / "other").exists()


def test_the_tests_of_two_plugins_run_in_one_pytest():
    """pytest imports test files by their base names."""
    one, two = (templates.render(name, "numpy") for name in ("one-flow", "other-flow"))
    assert not {p for p in one if p.startswith("tests/")} & {p for p in two if p.startswith("tests/")}


def test_where_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = new_plugin("Tiny_Flow", "--framework", "torch")
    assert (tmp_path / "tiny-flow" / "src" / "tiny_flow" / "tiny_flow.py").exists()
    assert result.stdout.splitlines()[0] == "tiny-flow/pyproject.toml"
    for step in ("pip install -e './tiny-flow[test]'", "pytest tiny-flow", "zoo train tiny-flow --data moons"):
        assert step in result.stderr
    before = files(tmp_path)
    assert (
        "is not empty; give the name of a new folder" in new_plugin("tiny-flow", "--framework", "numpy", code=2).stderr
    )
    assert files(tmp_path) == before
    (tmp_path / "file").touch()
    assert "is a file" in new_plugin("tiny", "--framework", "torch", "--out", "file", code=2).stderr
    assert "'jax' is not one of" in new_plugin("tiny", "--framework", "jax", code=2).stderr
    (tmp_path / "empty").mkdir()
    new_plugin("tiny", "--framework", "torch", "--out", "empty")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "tiny-flow"]
