"""What an architecture brings of its own: fits that follow no gradient, schedules, metrics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo import registry
from zoo.cli import main
from zoo.errors import InputError, PluginError, ZooError
from zoo.network import Objective, Recipe
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Tensor
from zoo.spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class NoConfig:
    pass


def classes_in_closed_form(**changes):
    """A normal of unit covariance for each class, as the attributes and functions of a numpy network."""

    def __init__(self, space, config, classes=None):
        NumpyNetwork.__init__(self, space, config, classes)
        self.means = np.zeros((len(classes), space.size), "float32")

    def adapt(self, x, label):
        self.means[...] = [x[label == k].mean(0) for k in range(len(self.means))]

    def log_prob(self, x, label):
        return -0.5 * ((x - self.means[label]) ** 2 + np.log(2 * np.pi)).sum(1)

    def methods(self):
        given = {"x": self.space.tensor, "label": Tensor("int64")}
        return {"log_prob": Call(self.log_prob, given, {"log_prob": Tensor("float32")})}

    def objectives(self):
        given = {"x": self.space.tensor, "label": Tensor("int64")}
        return {"nll": Objective(Call(lambda x, label: -self.log_prob(x, label), given, {"loss": Tensor("float32")}))}

    mine = {"__init__": __init__, "adapt": adapt, "log_prob": log_prob, "methods": methods, "objectives": objectives}
    mine |= {"Config": NoConfig, "spaces": (zoo.Real,), "density": "exact", "needs_classes": True}
    return type("Own", (NumpyNetwork,), mine | changes)


@pytest.fixture
def as_plugin(monkeypatch):
    """Has classes found as architectures of their names."""
    spec = {"family": "mixture", "framework": "numpy", "methods": ("log_prob",), "density": "exact", "summary": ""}
    registered = {}

    def register(cls):
        registered[cls.__name__] = cls
        return cls.__name__

    def find(name, plugin=None):
        return ModelSpec(name="own", target=f"own:{name}", **spec)

    monkeypatch.setattr(registry, "model", find)
    monkeypatch.setattr(registry, "architecture", find)
    monkeypatch.setattr(registry, "recorded", lambda name, plugin: find("Own"))
    monkeypatch.setattr(registry, "network_class", lambda spec: registered[spec.target.partition(":")[2]])
    return register


def test_a_closed_form_for_each_class(as_plugin, tmp_path):
    model = zoo.train(as_plugin(classes_in_closed_form()), "moons", tmp_path / "run")
    data = zoo.load_dataset("moons")
    x, label = data.split("train")
    np.testing.assert_allclose(model.network.means, [x[label == k].mean(0) for k in (0, 1)], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "settings", "says"),
    [
        ({"adapt": lambda self, x, labels: None}, {}, "adapt of Own takes 'labels' of each row.*Did you mean 'label'?"),
        ({"adapt": lambda self, x: setattr(self, "scale", x.std(0))}, {}, "adapt of Own makes scale, which __init__"),
        ({"adapt": lambda self, x: setattr(self, "means", x)}, {}, r"means is \(7000, 2\), was \(2, 2\)"),
        ({"update": lambda self, *step: setattr(self, "counts", np.ones(2))}, {}, "update of Own makes counts, which"),
        ({"update": lambda self, *step: self.means.fill(np.nan)}, {}, "Own follows no gradient: look for columns"),
        ({}, {"learning_rate": 0.1}, "learning_rate would change nothing: Own is trained with epochs, batch_size"),
        ({"update": lambda self, *step: None}, {"ema": 0.9, "clip": 1}, "ema and clip would change nothing"),
        ({"full_batch": True}, {"batch_size": 32}, "batch_size would change nothing: Own is trained with epochs"),
    ],
)
def test_what_an_own_fit_does_wrong_and_what_it_does_not_use_is_said(as_plugin, tmp_path, changes, settings, says):
    with pytest.raises(ZooError, match=says):
        zoo.train(as_plugin(classes_in_closed_form(**changes)), "moons", tmp_path / "run", **settings)


def test_a_function_that_takes_other_names_than_are_declared_is_named(as_plugin, tmp_path):
    def methods(self):
        given = {"x": self.space.tensor, "labels": Tensor("int64")}
        return {"log_prob": Call(self.log_prob, given, {"log_prob": Tensor("float32")})}

    name = as_plugin(classes_in_closed_form(methods=methods))
    says = r"log_prob of own calls .*log_prob \(.*test_own_training.py, line \d+\) with x, labels.* argument: 'label'"
    with pytest.raises(PluginError, match=says):
        zoo.train(name, "moons", tmp_path / "run")


def test_full_batches_and_an_own_schedule(as_plugin, tmp_path):
    seen = []

    def update(self, objective, inputs, noise, learning_rate):
        seen.append((len(inputs["x"]), learning_rate))

    own = {"update": update, "full_batch": True, "schedules": {"halves": lambda done: 0.5 if done >= 0.5 else 1.0}}
    name = as_plugin(classes_in_closed_form(**own))
    zoo.train(name, "moons", tmp_path / "run", epochs=4, schedule="halves", learning_rate=0.2)
    assert seen == [(7000, 0.2), (7000, 0.2), (7000, 0.1), (7000, 0.1)]
    assert zoo.Run(tmp_path / "run").record.recipe.batch_size == 7000
    with pytest.raises(InputError, match=r"expected one of cosine, constant, halves\. Did you mean 'halves'"):
        zoo.train(name, "moons", tmp_path / "other", schedule="halve")


@pytest.mark.parametrize("base", ["zoo_torch.network:TorchNetwork", "zoo_keras.network:KerasNetwork"])
def test_updates_in_a_framework(base, tmp_path, as_plugin):
    """A running mean, which is averaged into the weights that are kept."""
    module, _, attribute = base.partition(":")
    torch, Base = pytest.importorskip("torch"), getattr(pytest.importorskip(module), attribute)

    class Own(Base):
        Config, spaces, density = NoConfig, (zoo.Real,), "exact"
        recipe = Recipe(epochs=20, batch_size=1000, learning_rate=0.2, schedule="constant")

        def __init__(self, space, config, classes=None):
            super().__init__(space, config, classes)
            if attribute == "TorchNetwork":
                self.register_buffer("mean", torch.zeros(space.size))
            else:
                self.mean = self.add_weight(space.shape, "zeros", name="mean", trainable=False)

        def value(self):
            return getattr(self.mean, "value", self.mean)

        def update(self, objective, inputs, noise, learning_rate):
            value = self.value()
            value += learning_rate * (inputs["x"].mean(0) - value)

        def log_prob(self, x):
            return -0.5 * ((x - self.value()) ** 2).sum(1)

        def methods(self):
            return {"log_prob": Call(self.log_prob, {"x": self.space.tensor}, {"log_prob": Tensor("float32")})}

        def objectives(self):
            loss = Call(lambda x: -self.log_prob(x), {"x": self.space.tensor}, {"loss": Tensor("float32")})
            return {"nll": Objective(loss)}

    model = zoo.train(as_plugin(Own), "moons", tmp_path / "run", unconditional=True)
    x, _ = zoo.load_dataset("moons").split("train")
    assert np.abs(model.network.arrays()["mean"] - x.mean(0)).max() < 0.05
    with pytest.raises(InputError, match="betas would change nothing"):
        zoo.train(as_plugin(Own), "moons", tmp_path / "other", betas=(0.5, 0.9))
    with pytest.raises(InputError, match="trains on one device"):
        zoo.train(as_plugin(Own), "moons", tmp_path / "other", devices=2)


def distance(self, x, label):
    """distance of an observation from the mean of its class"""
    return np.sqrt(((x - self.means[label]) ** 2).sum(1))


def metrics_of(inputs=("x", "label"), name="distance", shape=()):
    tensors = {"x": zoo.Real(2).tensor, "label": Tensor("int64"), "shift": Tensor("float32")}

    def metrics(self):
        mine = distance.__get__(self) if shape == () else lambda x, label: x
        return {name: Call(mine, {n: tensors[n] for n in inputs}, {"value": Tensor("float32", shape)})}

    return metrics


def test_own_metrics_are_evaluated(as_plugin, tmp_path, monkeypatch):
    zoo.train(as_plugin(classes_in_closed_form(metrics=metrics_of())), "moons", tmp_path / "run")
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run")])
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("distance ")]
    assert line.endswith("distance of an observation from the mean of its class")
    model, data = zoo.load(tmp_path / "run"), zoo.load_dataset("moons")
    x, label = data.split("test")
    expected = distance(model.network, x, label).mean()
    assert zoo.evaluate(model, "moons")["distance"].value == pytest.approx(expected, rel=1e-5)
    for wrong, says in ((metrics_of(name="nats"), "nats of .* is one of genzoo's"), (metrics_of(shape=(2,)), "shape")):
        monkeypatch.setattr(type(model.network), "metrics", wrong)
        with pytest.raises(PluginError, match=says):
            zoo.evaluate(model, "moons")
    monkeypatch.setattr(type(model.network), "metrics", metrics_of(("x", "shift")))
    assert "distance needs shift of each row, and moons has none." in zoo.evaluate(model, "moons").remarks
