"""docs/hooks.md matches the code: every hook, argument and field, and no others."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args

import pytest

import zoo
from zoo import registry, spec
from zoo.network import Network, Objective, Recipe
from zoo.numpy_network import NumpyNetwork
from zoo.plugins import hookspecs
from zoo.plugins.loading import ARGUMENTS, HOOKS
from zoo.signature import METHODS, Noise, Option, Tensor
from zoo.spec import DatasetSpec, ExporterSpec

PAGE = (Path(__file__).parents[1] / "docs" / "hooks.md").read_text()
HEADING = re.compile(r"^(#{2,3}) `([^`]+)`\n(.*?)(?=^#{2,3} |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {name: text for _, name, text in HEADING.findall(PAGE)}


def rows(text):
    """First column -> second column of the tables of a text."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|", text, re.MULTILINE))


def test_every_hook_has_a_section_with_its_arguments():
    declared = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.GROUP}_spec")}
    assert declared == set(HOOKS) == set(ARGUMENTS)
    calls = {}
    for hook, kind in HOOKS.items():
        given = list(inspect.signature(getattr(hookspecs, hook)).parameters)
        assert given == list(ARGUMENTS[hook]), "the loader gives the arguments that the hookspecs declare"
        calls[f"{hook}({', '.join(given)})"] = f"`{kind.__name__}`"
    assert [name for name in SECTIONS if name.startswith("zoo_")] == list(calls)
    assert rows(PAGE.partition("\n## ")[0]) == calls
    for call in calls:
        assert ("Arguments: none." in SECTIONS[call]) == call.endswith("()")


@pytest.mark.parametrize("kind", HOOKS.values())
def test_every_field_of_a_spec_is_explained(kind):
    table = rows(SECTIONS[kind.__name__].partition("\nThe function")[0])
    assert list(table) == [f.name for f in fields(kind)]
    for f in fields(kind):
        optional = f.default is not MISSING or f.default_factory is not MISSING
        says = "efault: " in table[f.name] or "as in `ModelSpec`" in table[f.name]
        assert says or not optional, f"say the default of {f.name}"
        assert optional or "efault: " not in table[f.name]


@pytest.mark.parametrize("kind", [Recipe, Objective, Tensor, Noise, Option], ids=lambda kind: kind.__name__)
def test_every_field_of_what_a_class_declares_is_explained(kind):
    table = rows(SECTIONS[kind.__name__])
    assert list(table) == [f.name for f in fields(kind)]
    for f in fields(kind):
        assert ("efault: " in table[f.name]) == (f.default is not MISSING), f"say the default of {f.name}"
        if kind is Recipe:
            assert table[f.name].endswith(f"Default: {f.default}")


# what the base class of a framework does, not an architecture
OF_FRAMEWORKS = {
    *("framework", "parallel", "space", "classes", "config", "kept", "create", "tracing", "device", "configure"),
    *("arrays", "load_arrays", "check_arrays", "check_shapes", "tensor", "numpy", "inference", "learner"),
    *("gradients", "jacobian", "random_state", "describe", "updates_itself"),
}


def test_every_attribute_and_function_of_a_class_is_explained():
    table = rows(SECTIONS["Network"].partition("**Sample spaces.**")[0])
    calls = {name.partition("(")[0]: name for name in table if "(" in name}
    names = {name for name in (*vars(Network), *Network.__annotations__) if not name.startswith("_")}
    assert {*table, *calls} - set(calls.values()) == names - OF_FRAMEWORKS
    for name, call in calls.items():
        function = inspect.getattr_static(Network, name)
        assert call == f"{name}({', '.join(inspect.signature(getattr(function, '__func__', function)).parameters)})"
    assert "`NumpyNetwork.reset(self, random)`" in PAGE
    assert list(inspect.signature(NumpyNetwork.reset).parameters) == ["self", "random"]


def test_every_sample_space_is_explained():
    table = "".join(re.findall(r"^\| (`.*?`) \|", SECTIONS["Network"].partition("**Sample spaces.**")[2], re.MULTILINE))
    assert {f"`{name}`" for name in ("Real", "Discrete", "Image", "Text", "Tokens", "Table")} == {
        f"`{name}`" for name in re.findall(r"`(\w+)`", table)
    }
    image = zoo.Image(6, 5, 3)
    assert (image.shape, image.dtype, image.levels) == ((6, 5, 3), "uint8", 256)


def test_what_fields_may_be_is_listed():
    section = rows(SECTIONS["ModelSpec"])
    for field, values in (("family", spec.FAMILIES), ("methods", METHODS), ("density", get_args(spec.Density))):
        named = set(re.findall(r"`([a-z_]+)`", section[field]))
        assert named - {"log_prob"} == set(values) - {"log_prob"}


def test_the_arguments_of_an_exporter_are_those_that_it_gets(monkeypatch, tmp_path):
    seen = {}

    def export(*positional, **named):
        seen.update(zip(("model", "folder"), positional, strict=True))
        seen.update(named)

    model = zoo.create("realnvp", zoo.Real(2))
    fake = ExporterSpec(name="fake", target="fake:export", summary="")
    monkeypatch.setattr(registry, "exporter", lambda name: fake)
    monkeypatch.setattr(registry, "import_target", lambda *given: export)
    zoo.export(model, tmp_path / "out", to="fake")
    assert set(rows(SECTIONS["ExporterSpec"].partition("The function is called")[2])) == set(seen)
    assert "called without arguments" in rows(SECTIONS[DatasetSpec.__name__])["target"]
