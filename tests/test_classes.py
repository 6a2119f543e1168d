"""Classes are identified by name everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.cli.row_commands import label_of, read_inputs, with_classes
from zoo.data import load_dataset, split_rows
from zoo.data.frozen_random import split_order
from zoo.data.readers import read_labels
from zoo.errors import InputError, ZooWarning
from zoo.evaluation.compare import compare
from zoo.model import Model
from zoo.signature import Signature, Tensor
from zoo.spaces import Labels, Real

ONE, LABEL = Tensor("float32"), {"label": Tensor("int64")}


class Places(Model):
    """Scores a row with the place of its class."""

    name, space, density = "places", Real(1), "exact"

    def __init__(self, *names: str) -> None:
        self.classes = Labels(names)
        self.signatures = {"log_prob": Signature({"x": self.space.tensor, **LABEL}, {"log_prob": ONE}, {}, False)}

    def _execute(self, method, inputs, seed, index, options):
        return {"log_prob": inputs["label"].astype(np.float32)}


def places(model, label):
    return model.log_prob(np.zeros((3, 1)), label=label).tolist()


def test_integers_are_names_where_the_classes_are_whole_numbers():
    model = Places("1", "2", "10")
    for label in (1, "1", np.int64(1)):
        assert places(model, label) == [0, 0, 0]
    assert places(model, [10, 1, 2]) == places(model, ["10", "1", "2"]) == [2, 0, 1]
    for label in (0, "0", 3, [1, 2, 3], "one", -1):
        with pytest.raises(InputError, match=r"unknown class .*; the 3 classes are 1, 2, 10"):
            places(model, label)


def test_integers_are_places_where_no_class_is_a_number():
    model = Places("cat", "dog")
    assert places(model, 1) == places(model, "dog") == places(model, "1") == [1, 1, 1]
    with pytest.raises(InputError, match="unknown class 2; the 2 classes are cat, dog"):
        places(model, 2)


def test_one_class_among_words_that_is_a_number_makes_integers_names():
    model = Places("1", "2", "other")
    assert places(model, [2, 1, 1]) == [1, 0, 0]
    assert places(model, "other") == [2, 2, 2]
    with pytest.raises(InputError, match="unknown class 0"):
        places(model, 0)


def test_true_and_false_are_names():
    assert places(Places("False", "True"), True) == [1, 1, 1]


@pytest.mark.parametrize("label", [True, 1, "1", 7, "cat"])
def test_a_method_that_takes_no_class_refuses_any(label):
    model = Places("1", "2", "10")
    model.signatures = {"log_prob": Signature({"x": model.space.tensor}, {"log_prob": ONE}, {}, False)}
    with pytest.raises(InputError, match="takes no class"):
        places(model, label)


def test_classes_that_an_architecture_does_not_learn_are_said(tmp_path):
    pytest.importorskip("zoo_torch")
    path = tmp_path / "a.csv"
    path.write_text("u,v,kind\n" + "".join(f"{i / 7},{i % 5},{'ab'[i % 2]}\n" for i in range(30)))
    with pytest.warns(ZooWarning, match="ebm learns nothing of classes: the column 'kind' is left out of its rows"):
        zoo.train("ebm", path, tmp_path / "run", label="kind", epochs=1, config={"hidden": 8})


def test_inputs_by_position_are_those_of_a_graph():
    model = Places("1", "2", "10")
    assert model.run("log_prob", {"x": np.zeros((3, 1)), "label": 2})["log_prob"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("names", [("1", "2", "10"), ("cat", "dog", "owl"), ("1", "2", "other"), ("0", "1", "2")])
def test_what_a_label_is_called_leads_back_to_it(names):
    classes, labels = Labels(names), np.array([2, 0, 1, 1])
    assert classes.check(classes.named(classes.called(labels))).tolist() == labels.tolist()


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_file_with_some_of_the_classes_is_scored_by_their_names(tmp_path, suffix):
    path, y = tmp_path / f"some.{suffix}", np.array([3, 2, 3])
    if suffix == "npz":
        np.savez(path, x=np.zeros((3, 1)), y=y)
    else:
        path.write_text("x,label\n" + "".join(f"0,{c}\n" for c in y))
    classes = Labels(("1", "2", "3"))
    assert read_labels(path, classes, "label" if suffix == "csv" else None).tolist() == [2, 1, 2]
    inputs = read_inputs(Places(*classes.names), "log_prob", str(path), None, None)
    assert inputs["label"].tolist() == [2, 1, 2]
    with pytest.raises(InputError, match="unknown class 3; the 2 classes are 1, 2"):
        read_labels(path, Labels(("1", "2")), "label" if suffix == "csv" else None)


@pytest.mark.parametrize("names", [("1", "2", "10"), ("cat", "dog", "owl"), ("1", "2", "other")])
def test_models_are_compared_on_rows_with_their_own_classes(names):
    y = np.arange(60) % 3
    data = split_rows("rows", Real(1), np.linspace(0, 1, 60, dtype=np.float32)[:, None], y, classes=Labels(names))
    one, two = Places(*names), Places(*names)
    two.name = "others"
    found = compare([one, two], data)
    expected = -data.split("test")[1].mean()  # a row's log-probability is the place of its class
    assert [figure.value for figure in found.figures["nats"].values()] == [expected, expected]
    assert zoo.evaluate(one, data)["nats"].value == expected


@pytest.mark.parametrize(
    ("names", "chosen"), [(("1", "2", "10"), "2"), (("cat", "dog"), "dog"), (("1", "other"), "other")]
)
def test_a_class_of_the_command_line_is_the_one_of_that_name(names, chosen):
    model = Places(*names)
    assert model.log_prob(np.zeros((3, 1)), **label_of(model, "log_prob", chosen)).tolist() == [1, 1, 1]


def test_a_data_set_with_some_of_the_classes_takes_the_labels_of_the_model(tmp_path):
    np.savez(tmp_path / "some.npz", x=np.arange(20.0)[:, None], y=np.repeat([2, 3], 10))
    data = load_dataset(tmp_path / "some.npz").fitted(Real(1), Labels(("1", "2", "3")))
    x, y = data.split("train")
    assert y.tolist() == np.where(x[:, 0] < 10, 1, 2).tolist()


def test_training_and_asking_use_one_name(tmp_path):
    """An NPZ with classes 1, 2, 3: what is asked for as 1 is what was called 1."""
    pytest.importorskip("zoo_keras")
    x = np.repeat([[-9.0], [0.0], [9.0]], 30, axis=0) + np.linspace(-1, 1, 90)[:, None]
    np.savez(tmp_path / "three.npz", x=x, y=np.repeat([1, 2, 3], 30))
    model = zoo.train("mlp", tmp_path / "three.npz", tmp_path / "run", epochs=30, learning_rate=0.01)
    assert model.classes == Labels(("1", "2", "3"))
    named = [model.classes.names[i] for i in model.predict(np.array([[-9.0], [0.0], [9.0]])).argmax(1)]
    assert named == ["1", "2", "3"]


def test_classes_are_in_natural_order(tmp_path):
    words = ["class 10", "class 9", "-2", "b", "10", "9"] * 5
    (tmp_path / "a.csv").write_text("x,k\n" + "".join(f"{i},{w}\n" for i, w in enumerate(words)))
    assert load_dataset(tmp_path / "a.csv", label="k").classes.names == ("-2", "9", "10", "b", "class 9", "class 10")


def test_a_class_without_training_rows_is_said(tmp_path):
    data = load_dataset("moons")
    x = data.train[:12]
    y = np.zeros(12, dtype=np.int64)
    y[split_order(12)[-1]] = 1  # a row of the test split
    with pytest.warns(ZooWarning, match="no training row has the class 'rare'"):
        zoo.data.split_rows("few", data.space, x, y, classes=Labels(("common", "rare")))


def test_an_npz_of_samples_has_classes_as_they_are_called(tmp_path):
    (out,) = with_classes([{"x": np.zeros((3, 1))}], np.array([0, 1, 2]), Labels(("1", "2", "10")), tmp_path / "x.npz")
    assert out["label"].tolist() == [1, 2, 10]
