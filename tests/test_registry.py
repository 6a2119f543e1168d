"""The registry of plugins' offers. Faulty plugins are in test_plugins_installed.py."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest
from click.testing import CliRunner

import zoo
from benchmarks.broken.honest import Gaussian, subject_of
from zoo import registry
from zoo.cli import main
from zoo.errors import ExportError, InputError, MissingDependency, PluginError, UnknownName
from zoo.plugins import checking, loading
from zoo.spec import ModelSpec, PresetSpec
from zoo.testing import CHECKS, NotApplicable

GOOD = """
from zoo import hookimpl
from zoo.spec import ModelSpec
@hookimpl
def zoo_architectures():
    yield ModelSpec(
        name="{name}", target="nowhere:Net", family="flow", framework="torch", methods=("sample",), summary=""
    )
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with one plugin module, as pip would lay it out."""
    monkeypatch.syspath_prepend(tmp_path)
    loading.load_plugins.cache_clear()

    def write(distribution, code, entry="main"):
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genzoo]\n{entry} = {module}\n")

    yield write
    loading.load_plugins.cache_clear()
    for name in [n for n in sys.modules if n.startswith("stranger")]:
        del sys.modules[name]


def test_an_argument_added_to_a_hook_reaches_who_declares_it_and_harms_nobody(install, monkeypatch):
    old, new = GOOD.format(name="net"), GOOD.format(name="net{3 * levels}").replace("name=", "name=f")
    install("stranger-old", old)
    install("stranger-new", new.replace("zoo_architectures()", "zoo_architectures(levels)"))
    install("stranger-any", GOOD.format(name="any").replace("zoo_architectures()", "zoo_architectures(**more)"))
    either = GOOD.format(name="net{levels}").replace("name=", "name=f")
    install("stranger-either", either.replace("zoo_architectures()", "zoo_architectures(levels=1)"))
    assert zoo.list_models("net*") == ["net", "net1"]
    (problem,) = registry.problems()
    assert (problem.plugin, "needs a newer genzoo" in problem.message) == ("stranger-new", True)
    loading.load_plugins.cache_clear()
    monkeypatch.setitem(loading.ARGUMENTS, "zoo_architectures", {"levels": 4, "colors": 3})
    assert zoo.list_models("net*") == ["net", "net4", "net12"]
    assert "any" in zoo.list_models()
    assert registry.problems() == []


def test_an_exporter_may_declare_fewer_arguments_than_there_are(install, tmp_path):
    code = """
    from zoo import hookimpl
    from zoo.spec import ExporterSpec
    @hookimpl
    def zoo_exporters():
        yield ExporterSpec(name="names", target="stranger_exporter:export", summary="the name of a model")
    def export(model, folder):
        folder.mkdir()
        (folder / "name.txt").write_text(model.name)
        return folder
    """
    install("stranger-exporter", code)
    model = zoo.create("realnvp", zoo.Real(2))
    assert (zoo.export(model, tmp_path / "out", to="names") / "name.txt").read_text() == "realnvp"


BROKEN = """
from dataclasses import dataclass
from zoo import hookimpl
from zoo.numpy_network import NumpyNetwork
from zoo.spaces import Real
from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec
@hookimpl
def zoo_datasets():
    yield DatasetSpec(name="lacking", target="stranger_broken:lacking", summary="")
    yield DatasetSpec(name="misspelt", target="stranger_broken:lackin", summary="")
@hookimpl
def zoo_exporters():
    yield ExporterSpec(name="lacks", target="stranger_broken:lacks", summary="")
    yield ExporterSpec(name="asks", target="stranger_broken:asks", summary="")
@hookimpl
def zoo_architectures():
    yield ModelSpec(
        name="fails", target="stranger_broken:Fails", family="flow", framework="numpy", methods=("sample",), summary=""
    )
def lacking():
    return {}["rows"]
def lacks(model, folder):
    open(folder / "weights")
def asks(model, folder, quantum):
    pass
@dataclass
class Config:
    pass
class Fails(NumpyNetwork):
    Config, spaces = Config, (Real,)
    def __init__(self, space, config, classes=None):
        self.size = config.size
"""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "train made --data lacking --out run",
            "plugin stranger-broken: KeyError: 'rows' ({file}, line 21). Update it",
        ),
        ("train made --data misspelt --out run", "has no lackin. Did you mean 'lacking' or 'lacks'?"),
        ("export realnvp.moons --to lacks --out out", "plugin stranger-broken: FileNotFoundError: "),
        ("export realnvp.moons --to asks --out out", "the exporter asks of stranger-broken asks for the argument 'qu"),
        ("train fails --data moons --out run", "fails with the settings {{}} cannot be made: plugin stranger-broken: "),
        ("train fails --data moons --out run", "no attribute 'size' ({file}, line 32)"),
    ],
)
def test_what_a_plugin_raises_while_it_is_used_is_said_of_it(install, tmp_path, monkeypatch, command, says):
    install("stranger-broken", BROKEN)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 2
    assert says.format(file=tmp_path / "stranger_broken.py") in result.stderr
    assert "Traceback" not in result.stderr
    shown = CliRunner().invoke(main, ["--debug", *command.split()])
    assert "Traceback" in shown.stderr


def test_what_a_hook_raises_is_for_its_author_to_fix(install, tmp_path):
    """Who has installed a plugin by `pip install -e` works on it; --debug shows the traceback."""
    install("stranger-hook", GOOD.format(name="net") + "    {}['more']\n")
    (tmp_path / "stranger_hook-1.0.dist-info" / "direct_url.json").write_text('{"dir_info": {"editable": true}}')
    said = f"zoo_architectures failed: KeyError: 'more' ({tmp_path / 'stranger_hook.py'}, line 9). Fix it, leave it out"
    result = CliRunner().invoke(main, ["list"])
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    loading.load_plugins.cache_clear()
    assert "Traceback" in CliRunner().invoke(main, ["--debug", "list"]).stderr


OFFERS = """
from dataclasses import dataclass
from zoo import hookimpl
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Noise
from zoo.spaces import Real
from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec
def net(name, target, **more):
    given = {"family": "flow", "framework": "numpy", "methods": ("sample",), "summary": "", **more}
    return ModelSpec(name=name, target=f"stranger_offers:{target}", **given)
@hookimpl
def zoo_architectures():
    yield net("good", "Good")
    yield net("gone", "Goo")
    yield net("function", "export")
    yield net("other-framework", "Good", framework="torch")
    yield net("other-methods", "Good", methods=("sample", "decode"))
    yield net("raises", "Raises")
    yield net("bare", "Bare")
@hookimpl
def zoo_presets():
    about = {"family": "flow", "framework": "torch", "methods": ("sample", "log_prob", "encode", "decode")}
    about |= {"density": "exact", "architecture": "realnvp", "checkpoint": RUN}
    yield PresetSpec(name="realnvp.good", **about)
    yield PresetSpec(name="realnvp.other-family", **{**about, "family": "vae"})
    yield PresetSpec(name="realnvp.other-framework", **{**about, "framework": "keras"})
    yield PresetSpec(name="good.other-architecture", **{**about, "architecture": "good", "framework": "numpy"})
    yield PresetSpec(name="nobody.unknown-architecture", **{**about, "architecture": "nobody"})
    yield PresetSpec(name="realnvp.other-methods", **{**about, "methods": ("sample",)})
    yield PresetSpec(name="realnvp.no-folder", **{**about, "checkpoint": RUN + "-none"})
@hookimpl
def zoo_datasets():
    yield DatasetSpec(name="no-data", target="stranger_offers:rings", summary="")
    yield DatasetSpec(name="no-function", target="stranger_offers:RUN", summary="")
@hookimpl
def zoo_exporters():
    yield ExporterSpec(name="good", target="stranger_offers:export", summary="")
    yield ExporterSpec(name="one-argument", target="stranger_offers:short", summary="")
    yield ExporterSpec(name="unknown-argument", target="stranger_offers:asks", summary="")
def export(model, folder, *, force): ...
def short(model): ...
def asks(model, folder, quantum): ...
@dataclass
class Config:
    pass
class Bare(NumpyNetwork):
    pass
class Good(NumpyNetwork):
    Config, spaces = Config, (Real,)
    def methods(self):
        return {"sample": Call(lambda z: z, outputs={"x": self.space.tensor}, noise={"z": Noise("normal", (2,))})}
class Raises(Good):
    def methods(self):
        return {}["sample"]
"""
WRONG = {
    "gone": "module stranger_offers has no Goo. Did you mean 'Good'?",
    "function": "expected a subclass of a framework's base class",
    "other-framework": "stranger_offers:Good is a class of numpy; the spec says torch",
    "other-methods": "the spec declares the methods ['decode', 'sample'], methods() returns ['sample']",
    "raises": "KeyError: 'sample' (",
    "bare": "has no Config and no spaces",
    "realnvp.other-family": "its family is vae; that of its architecture realnvp is flow",
    "realnvp.other-framework": "its framework is keras; that of its architecture realnvp is torch",
    "good.other-architecture": "its architecture is good; that of its checkpoint is realnvp",
    "nobody.unknown-architecture": "unknown model 'nobody'",
    "realnvp.other-methods": "its methods are ['sample']; those of its checkpoint are ['decode', 'encode', 'log_prob'",
    "realnvp.no-folder": "-none is no folder",
    "no-data": "module stranger_offers has no rings",
    "no-function": "expected a function",
    "one-argument": "takes 1 arguments; expected a model, a folder",
    "unknown-argument": "asks for the argument 'quantum'; it is given weights, options",
}


def test_what_is_offered_is_compared_with_what_is_there(install, run):
    install("stranger-offers", f"RUN = {str(run)!r}\n{OFFERS}")
    (plugin,) = [p for p in loading.load_plugins() if p.name == "stranger-offers"]
    said: dict[str, list[str]] = {}
    for problem in checking.check(plugin):
        name, _, words = problem.message.partition(": ")
        said.setdefault(name, []).append(words)
    for name, expected in WRONG.items():
        assert expected in " ".join(said.pop(name))
    assert said == {}


def test_a_check_of_plugins_that_finds_something_has_the_exit_code_1(install, monkeypatch):
    install("stranger-net", GOOD.format(name="net"))
    monkeypatch.setenv("ZOO_WITHOUT", "genzoo-torch,genzoo-keras,genzoo-pretrained,genzoo-onnx")
    assert CliRunner().invoke(main, ["plugins"]).exit_code == 0
    result = CliRunner().invoke(main, ["plugins", "--check", "--json"])
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert "net cannot be imported: it has no module nowhere" in problem["problem"]
    assert CliRunner().invoke(main, ["--without", "stranger-net", "plugins", "--check"]).exit_code == 0


EXPORTER = """
import json
from pathlib import Path
import zoo
from zoo import hookimpl
from zoo.errors import ExportError
from zoo.spec import ExporterSpec
from zoo.system.files import atomic_folder, listing
HERE = "stranger_refuses"
@hookimpl
def zoo_exporters():
    yield ExporterSpec(
        name="two", target=f"{HERE}:export", summary="models of two columns", marker="two.json",
        refuses=f"{HERE}:refuses", verify=f"{HERE}:verify",
    )
    yield ExporterSpec(name="bare", target=f"{HERE}:export", summary="", marker="bare.json")
def refuses(model):
    return None if model.space.shape == (2,) else "it has another number of columns than two"
def export(model, folder, force):
    with atomic_folder(folder, force, marker="two.json") as work:
        (work / "two.json").write_text(json.dumps({"schema": 1, "versions": {"genzoo": zoo.__version__}, "files": {}}))
def verify(folder, check):
    if check == "full":
        raise ExportError("one column differs.")
    return {"columns": 2}
"""


def test_an_exporter_says_what_it_cannot_hold_and_verifies_its_own_folders(install, tmp_path, monkeypatch):
    install("stranger-refuses", EXPORTER)
    monkeypatch.chdir(tmp_path)
    zoo.export(zoo.create("realnvp", zoo.Real(2)), "out", to="two")
    with pytest.raises(ExportError, match="two cannot hold realnvp: it has another number of columns than two"):
        zoo.export(zoo.create("realnvp", zoo.Real(3)), "other", to="two")
    assert not (tmp_path / "other").exists()
    assert zoo.verify("out") == {"columns": 2}
    shown = CliRunner().invoke(main, ["verify", "out"])
    assert "columns  2" in shown.stdout
    refused = CliRunner().invoke(main, ["verify", "out", "--check", "full"])
    assert refused.exit_code == 2
    assert "one column differs" in refused.stderr
    assert "trust=False is for artifacts" in CliRunner().invoke(main, ["verify", "out", "--untrusted"]).stderr
    (tmp_path / "out" / "two.json").rename(tmp_path / "out" / "bare.json")
    with pytest.raises(InputError, match="export to bare of stranger-refuses, which has no verification"):
        zoo.verify("out")


def test_an_exporter_of_a_stranger_does_not_fail_the_models_of_others(install, monkeypatch):
    install("stranger-refuses", EXPORTER.replace("return None if", "return None  #"))
    install("stranger-own", EXPORTER.replace("stranger_refuses", "stranger_own"))
    asked = []

    def export(model, out, *, to):
        asked.append(to)
        out.mkdir()

    claim, subject = CHECKS["an_export_gives_the_same_answers"], subject_of(Gaussian, zoo.Real(3))
    monkeypatch.setattr(zoo, "export", export)
    claim(subject)
    assert asked == ["onnx"]
    subject.spec = subject.spec.of("stranger-refuses")
    monkeypatch.setattr(registry, "FIRST_PARTY", {})
    monkeypatch.setattr(zoo, "verify", lambda folder: asked.append(folder.name))
    claim(subject)
    assert asked == ["onnx", "two", "artifact", "bare"]
    subject.spec = subject.spec.of("nobody")
    with pytest.raises(NotApplicable):
        claim(subject)


def test_one_name_twice_in_two_entry_points_of_a_distribution(install, tmp_path):
    install("stranger-twice", GOOD.format(name="dup"))
    (tmp_path / "stranger_more.py").write_text(GOOD.format(name="dup"))
    (tmp_path / "stranger_twice-1.0.dist-info" / "entry_points.txt").write_text(
        "[genzoo]\nmain = stranger_twice\nmore = stranger_more\n"
    )
    loading.load_plugins.cache_clear()
    assert zoo.list_models("dup") == ["dup"]
    (problem,) = registry.problems()
    assert "gave 'dup' twice; the first counts" in problem.message


def test_a_data_set_whose_name_two_plugins_claim(install):
    code = """
    from zoo import hookimpl
    from zoo.data import load_dataset
    from zoo.spec import DatasetSpec
    @hookimpl
    def zoo_datasets():
        yield DatasetSpec(name="moons", target="stranger_moons:moons", summary="other moons")
        yield DatasetSpec(name="suns", target="stranger_moons:moons", summary="suns")
    def moons():
        return load_dataset("digits")
    """
    install("stranger-moons", code)
    rows = json.loads(CliRunner().invoke(main, ["data", "--json"]).stdout)
    names = [row["name"] for row in rows]
    assert {"genzoo/moons", "stranger-moons/moons", "suns", "digits"} <= set(names)
    assert "moons" not in names
    assert [row["summary"] for row in rows if row["name"] == "stranger-moons/moons"] == ["other moons"]
    assert "stranger-moons/moons" in CliRunner().invoke(main, ["data"]).stdout
    assert zoo.load_dataset("stranger-moons/moons").name == "digits"
    assert zoo.load_dataset("genzoo/moons").name == "moons"
    with pytest.raises(PluginError, match="say which: genzoo/moons or stranger-moons/moons"):
        zoo.load_dataset("moons")


def test_a_spec_knows_its_plugin(install):
    install("stranger-net", GOOD.format(name="net"))
    install("stranger-realnvp", GOOD.format(name="realnvp"))
    assert registry.model("net").plugin == "stranger-net"
    specs = registry.find_models("realnvp*")
    assert {s.plugin for s in specs} == {"genzoo-torch", "stranger-realnvp", "genzoo-pretrained"}
    assert registry.recorded("realnvp", "stranger-realnvp").plugin == "stranger-realnvp"
    assert registry.recorded("net", "one-that-is-gone").plugin == "stranger-net"
    (problem,) = registry.problems()
    assert (problem.plugin, "also offered by genzoo-torch" in problem.message) == ("stranger-realnvp", True)


def test_a_target_that_no_plugin_offered():
    spec = ModelSpec(
        name="own", target="nosuchmod:X", family="flow", framework="torch", methods=("sample",), summary=""
    )
    with pytest.raises(MissingDependency, match="own cannot be imported: No module named 'nosuchmod'"):
        registry.network_class(spec)


def test_unknown_names_suggest_known_ones():
    with pytest.raises(UnknownName, match="Did you mean 'realnvp'"):
        zoo.create("realnpv", zoo.Real(2))
    with pytest.raises(UnknownName, match="Did you mean"):
        zoo.load("realnvp.moon")
    with pytest.raises(InputError, match="Did you mean 'flow'"):
        zoo.list_models(family="flows")
    with pytest.raises(UnknownName, match="'onnx'"):
        zoo.export("realnvp.moons", "out", to="onxx")


def test_names_of_the_project_that_are_not_installed_say_what_to_install(monkeypatch):
    for plugin in loading.load_plugins():
        offered = {spec.name for spec in plugin.specs if not isinstance(spec, PresetSpec)}
        assert plugin.name not in registry.FIRST_PARTY or offered == set(registry.FIRST_PARTY[plugin.name])
    monkeypatch.setenv("ZOO_WITHOUT", "genzoo-data,genzoo-torch")
    loading.load_plugins.cache_clear()
    try:
        with pytest.raises(UnknownName, match="part of genzoo-data, which is not installed: pip install genzoo-data"):
            zoo.load_dataset("emoji")
        with pytest.raises(UnknownName, match=r"part of genzoo-torch.*pip install genzoo-torch"):
            zoo.create("glow", zoo.Real(2))
    finally:
        loading.load_plugins.cache_clear()


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
        {"methods": ("Sample it",)},
        {"methods": "sample"},
        {"density": "precise"},
        {"summary": None},
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
