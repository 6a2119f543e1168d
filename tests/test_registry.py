"""Plugins: each is loaded by itself, a bad one is named and the rest goes on."""

from __future__ import annotations

import sys
import textwrap

import pytest

import zoo
from zoo import plugins, registry
from zoo.errors import InputError, MissingDependency, PluginError, UnknownName
from zoo.spec import ModelSpec, PresetSpec

GOOD = """
from zoo import hookimpl
from zoo.spec import ModelSpec
@hookimpl
def zoo_architectures():
    yield ModelSpec("{name}", "nowhere:Net", family="flow", framework="torch", methods=("sample",), summary="")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with one plugin module, as pip would lay it out."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins.load_plugins, "cache_clear", plugins.load_plugins.cache_clear)
    plugins.load_plugins.cache_clear()

    def write(distribution, code, entry="main"):
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genzoo]\n{entry} = {module}\n")

    yield write
    plugins.load_plugins.cache_clear()
    for name in [n for n in sys.modules if n.startswith("stranger")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import not_installed_anywhere", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("from zoo import hookimpl\n@hookimpl\ndef zoo_architectures():\n    raise ValueError('oops')", "oops"),
        ("from zoo import hookimpl\n@hookimpl\ndef zoo_architectures():\n    yield 3", "expected a ModelSpec"),
        ("from zoo import hookimpl\n@hookimpl\ndef zoo_architecture():\n    yield 3", "no such hook"),
        ("from zoo import hookimpl\n@hookimpl\ndef zoo_architectures(wrong):\n    yield 3", "cannot be registered"),
        (GOOD.format(name="Bad Name"), "lower case"),
    ],
)
def test_a_bad_plugin_is_named_and_the_rest_goes_on(install, code, said):
    install("stranger-bad", code)
    install("stranger-good", GOOD.format(name="stranger"), entry="main")
    names = zoo.list_models()
    assert "stranger" in names
    assert "realnvp" in names
    (problem,) = registry.problems()
    assert problem.plugin == "stranger-bad"
    assert said in problem.message


def test_a_name_that_two_plugins_claim_names_both(install):
    install("stranger-one", GOOD.format(name="twice"))
    install("stranger-two", GOOD.format(name="twice"))
    with pytest.raises(PluginError, match=r"stranger-one and stranger-two.*stranger-one/twice"):
        registry.architecture("twice")
    assert registry.architecture("stranger-two/twice").name == "twice"
    assert zoo.list_models("twice").count("twice") == 2
    assert "also claimed by stranger-one" in str(registry.problems()[0])


def test_a_missing_framework_says_what_to_install(install):
    code = GOOD.format(name="exotic").replace('summary=""', 'summary="", requires={"exotica": "pip install exotica"}')
    install("stranger-exotic", code)
    with pytest.raises(MissingDependency, match="pip install exotica"):
        zoo.create("exotic", zoo.Real(2))


def test_plugins_can_be_left_out(install, monkeypatch):
    install("stranger-good", GOOD.format(name="stranger"))
    monkeypatch.setenv("ZOO_WITHOUT", "stranger-good")
    assert "stranger" not in zoo.list_models()
    plugins.load_plugins.cache_clear()
    monkeypatch.setenv("ZOO_AUTOLOAD", "0")
    assert zoo.list_models() == []


def test_unknown_names_suggest_known_ones():
    with pytest.raises(UnknownName, match="Did you mean 'realnvp'"):
        zoo.create("realnpv", zoo.Real(2))
    with pytest.raises(UnknownName, match="Did you mean"):
        zoo.load("realnvp.moon")
    with pytest.raises(InputError, match="Did you mean 'flow'"):
        zoo.list_models(family="flows")
    with pytest.raises(UnknownName, match="'onnx'"):
        zoo.export("realnvp.moons", "out", to="onxx")


def test_listing_filters_and_sorts_naturally(install):
    install("stranger-ten", GOOD.format(name="net10"))
    install("stranger-nine", GOOD.format(name="net9"))
    assert zoo.list_models("net*") == ["net9", "net10"]
    assert zoo.list_models("et1") == ["net10"]
    assert "realnvp" in zoo.list_models(method="log_prob", family="flow", framework="torch")
    assert zoo.list_models("net*", method="sample", framework="torch") == ["net9", "net10"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Upper"},
        {"target": "no_colon"},
        {"family": "flows"},
        {"methods": ("smaple",)},
        {"methods": ("log_prob",)},  # without a density kind
    ],
)
def test_specs_refuse_what_the_taxonomy_does_not_know(wrong):
    good = {"name": "a", "target": "m:A", "family": "flow", "framework": "torch", "methods": ("sample",), "summary": ""}
    ModelSpec(**good)
    with pytest.raises(PluginError):
        ModelSpec(**{**good, **wrong})


def test_a_preset_has_weights():
    with pytest.raises(PluginError, match="neither"):
        PresetSpec(name="a.b", architecture="a", family="flow", framework="torch", methods=("sample",))
