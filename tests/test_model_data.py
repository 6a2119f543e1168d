"""Data for a trained model: its classes and splits are found as in its training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

import zoo
from zoo.cli import main
from zoo.data import load_dataset
from zoo.data.model_data import load_for
from zoo.errors import InputError, ZooWarning
from zoo.evaluation.compare import compare
from zoo.model import Model
from zoo.signature import Signature, Tensor
from zoo.spaces import Image, Labels, Real

PARTS = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
OWN = {"id": [f"r{i}" for i in range(30)], "v": np.arange(30.0), "u": -np.arange(30.0), "part": PARTS}
OWN["team"] = ["a", "b", "c"] * 10
OWN["kind"] = ["low", "high"] * 15


class Gauss(Model):
    """A standard normal distribution of as many columns as its space has, with a card."""

    density, classes, device = "exact", None, "cpu"

    def __init__(self, name="gauss", space=None, **card):
        self.name, self.space, self.meta = name, space or Real(2, ("u", "v")), {"card": card}
        self.network = type("Network", (), {"device": "cpu", "framework": "toy"})
        outputs = {"log_prob": Tensor("float32")}
        self.signatures = {"log_prob": Signature({"x": self.space.tensor}, outputs, {}, False)}

    def _execute(self, method, inputs, seed, index, options):
        x = inputs["x"].astype(np.float64)
        return {"log_prob": (-0.5 * (x**2 + np.log(2 * np.pi)).sum(axis=1)).astype(np.float32)}


MODEL = Gauss(data="own.csv", label="kind", reading={"split": "part", "types": "id=drop"})


@pytest.fixture(params=["a.parquet", "a.csv", "frame"])
def own(request, tmp_path):
    table = pa.table(OWN)
    if request.param == "frame":
        return table
    path = tmp_path / request.param
    if request.param == "a.parquet":
        pq.write_table(table, path)
    else:
        pa.csv.write_csv(table, path)
    return path


def test_columns_are_what_they_were_in_training(own):
    data = load_for(MODEL, own)
    assert data.space == MODEL.space
    assert data.test[:, 1].tolist() == [24, 25, 26, 27, 28, 29]
    assert data.classes == Labels(("high", "low"))
    assert zoo.evaluate(MODEL, own).rows == 6
    assert compare([MODEL, Gauss("other")], own).rows == 6


def test_other_columns_may_be_said(own):
    data = load_for(MODEL, own, label="team")
    assert data.classes == Labels(("a", "b", "c"))
    assert len(data.test) == 6
    assert load_for(Gauss(), own).classes is None
    assert zoo.evaluate(Gauss(), own, split_column="part").rows == 6
    with pytest.raises(InputError, match="no column 'w'; expected the columns u, w"):
        load_for(Gauss(space=Real(2, ("u", "w"))), own)


def test_without_the_columns_of_the_training_nothing_is_asked_of_them(tmp_path):
    x = np.arange(60.0).reshape(30, 2)
    np.savez(tmp_path / "a.npz", x=x, kind=np.arange(30) % 2)
    assert load_for(MODEL, x).classes is None
    assert load_for(MODEL, tmp_path / "a.npz").classes == Labels(("0", "1"))
    assert load_for(MODEL, pa.table({"v": x[:, 0], "u": x[:, 1]})).train.shape == (21, 2)
    data = load_dataset(x)
    assert load_for(MODEL, data) is data


def test_images_are_brought_to_the_size_in_the_same_way(tmp_path):
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 255, (8, 4 + i, 3), dtype=np.uint8)
        Pillow.fromarray(noise).save(tmp_path / f"{i}.png")
    model = Gauss(space=Image(8, 8, 3), reading={"size": "8:stretch"})
    with pytest.warns(ZooWarning, match="of other proportions stretched"):
        assert load_for(model, tmp_path).train.shape[1:] == (8, 8, 3)


def test_a_model_that_does_not_know_its_data():
    with pytest.raises(InputError, match="it is not known on what gauss was trained"):
        load_for(Gauss())


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    pa.csv.write_csv(pa.table(OWN), "own.csv")

    def call(*words, model=MODEL, code=0):
        monkeypatch.setattr(
            "zoo.cli.row_commands.load_or_open", lambda name, **more: Gauss(name, model.space, **model.meta["card"])
        )
        result = CliRunner().invoke(main, [*words])
        assert result.exit_code == code, result.output
        return result.output

    return call


@pytest.mark.parametrize("data", [(), ("--data", "own.csv")])
def test_commands_read_other_data_as_those_of_the_training(call, data):
    assert "6 rows of own.csv, test" in call("evaluate", "m", *data)
    assert "6 rows of own.csv, test" in call("compare", "m", "n", *data)
    plain = Gauss(data="own.csv")
    assert "6 rows of own.csv, test" in call("evaluate", "m", *data, "--split-column", "part", model=plain)
    assert "6 rows of own.csv, test" in call("compare", "m", "n", *data, "--split-column", "part", model=plain)


def test_few_rows_are_not_evaluated_but_scored(call):
    pa.csv.write_csv(pa.table(OWN).slice(20), "few.csv")
    said = call("evaluate", "m", "--data", "few.csv", code=2)
    assert "few.csv has 0 training rows; expected at least 10. zoo score and zoo predict take rows without" in said
    assert "mean of 10 rows" in call("score", "m", "--data", "few.csv")


def test_scores_leave_out_the_column_of_the_classes(call):
    pa.csv.write_csv(pa.table({"a": np.arange(5.0), "kind": [*"xyxyx"], "b": np.arange(5.0)}), "few.csv")
    said = call("score", "m", "--data", "few.csv", model=Gauss(space=Real(2), label="kind"))
    assert "mean of 5 rows" in said
