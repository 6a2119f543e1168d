"""Commands that run a method over rows: several files, a start row, additional columns of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from zoo.cli import main
from zoo.columns import Category, Integer, Table
from zoo.model import Model
from zoo.signature import Signature, Tensor
from zoo.spaces import Real

ONE = Tensor("float32")


class Indexed(Model):
    """Scores a row with its index, so that a test sees which it had, plus its first number."""

    name, density, classes = "indexed", "exact", None
    device = "cpu"

    def __init__(self, space=None):
        self.space = space or Real(1, ("a",))
        self.network = type("Network", (), {"device": "cpu", "framework": "toy"})
        self.signatures = {
            "log_prob": Signature({"x": self.space.tensor}, {"log_prob": ONE}, {}, False),
            "sample": Signature({}, {"x": self.space.tensor}, {}, True),
        }

    def _execute(self, method, inputs, seed, index, options):
        if method == "sample":
            return {"x": self.space.examples("random", int(index[-1]) + 1)[index]}
        return {"log_prob": (index + inputs["x"][:, 0] / 1000).astype(np.float32)}


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.cli.row_commands.BLOCK", 4)
    monkeypatch.chdir(tmp_path)

    def call(*words, space=None, code=0):
        monkeypatch.setattr("zoo.cli.row_commands.load_or_open", lambda name, **more: Indexed(space))
        result = CliRunner().invoke(main, [*map(str, words)])
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def parts(tmp_path):
    """Three files of five rows each, with identifiers."""
    (tmp_path / "parts").mkdir()
    for i in range(3):
        numbers = np.arange(5 * i, 5 * i + 5)
        columns = {"id": [f"r{n}" for n in numbers], "a": numbers * 1.0}
        pq.write_table(pa.table(columns), tmp_path / "parts" / f"{8 + i}.parquet")
    return tmp_path / "parts"


@pytest.mark.parametrize("data", ["parts", "parts/*.parquet"])
def test_rows_of_several_files_are_numbered_on(call, parts, data):
    call("score", "m", "--data", data, "--out", "s.parquet")
    scores = pq.read_table("s.parquet")["log_prob"].to_numpy()
    np.testing.assert_allclose(scores, np.arange(15) * 1.001)


def test_a_job_goes_on_where_it_stopped(call, parts):
    call("score", "m", "--data", "parts", "--out", "all.csv")
    call("score", "m", "--data", "parts", "--start", 6, "--out", "rest.csv")
    whole, rest = (Path(name).read_text().splitlines() for name in ("all.csv", "rest.csv"))
    assert rest[1:] == whole[7:]
    assert "which are numbered from 0" in call("score", "m", "--data", "parts", "--start", 15, code=2).output


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_columns_of_the_data_stay_beside(call, parts, suffix):
    call("score", "m", "--data", "parts", "--keep", "id", "--keep", "a", "--start", 3, "--out", f"s.{suffix}")
    if suffix == "npz":
        found = dict(np.load("s.npz"))
    else:
        table = pq.read_table("s.parquet") if suffix == "parquet" else pa.csv.read_csv("s.csv")
        assert table.column_names == ["id", "a", "log_prob"]
        found = table.to_pydict()
    assert [*found["id"]] == [f"r{n}" for n in range(3, 15)]
    np.testing.assert_allclose(found["log_prob"], np.arange(3, 15) * 1.001)
    assert "no column 'idd'" in call("score", "m", "--data", "parts", "--keep", "idd", code=2).output


def test_only_tables_have_columns_to_keep(call, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 1)))
    assert "is not a table" in call("score", "m", "--data", "x.npy", "--keep", "id", code=2).output


def test_samples_of_a_table_are_values(call):
    space = Table([Category(name="city", values=("Bern", "Zug"), missing=True), Integer(name="n", low=5, high=9)])
    printed = call("sample", "m", "-n", 50, "--seed", 1, space=space).stdout.splitlines()
    assert printed[0] == "city,n"
    cities, numbers = zip(*(line.split(",") for line in printed[1:]), strict=True)
    assert set(cities) == {"Bern", "Zug", ""}
    assert {int(n) for n in numbers} <= {5, 6, 7, 8, 9}
    call("sample", "m", "-n", 50, "--seed", 1, "--out", "s.csv", space=space)
    again = call("score", "m", "--data", "s.csv", space=space).stdout
    assert len(again.splitlines()) == 51
