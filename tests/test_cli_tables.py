"""The commands that draw rows of a table of which some columns are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner

from zoo.cli import main
from zoo.columns import Category, Integer, Table
from zoo.model import Model
from zoo.signature import GIVEN, KNOWN, Option, Signature, Tensor

SPACE = Table([Category(name="city", values=("Bern", "Zug"), missing=True), Integer(name="n", low=5, high=900)])


class Filling(Model):
    """Draws the cells that are not given from its index alone."""

    name, density, classes, space, device = "filling", "exact", None, SPACE, "cpu"

    def __init__(self, takes_columns):
        self.network = type("Network", (), {"device": "cpu", "framework": "toy"})
        given = {GIVEN: Tensor("int64", (3,), low=0, default=0), KNOWN: Tensor("bool", (2,), default=0)}
        options = {"missing": Option("draw", choices=("draw", "never"))}
        row = {"x": SPACE.tensor}
        terms = {"log_prob": Tensor("float32"), "conditionals": Tensor("float32", (2,))}
        self.signatures = {
            "sample": Signature(given if takes_columns else {}, row, options, True),
            "log_prob": Signature(row, terms, {}, False),
        }

    def _execute(self, method, inputs, seed, index, options):
        if method == "log_prob":
            terms = np.stack([np.zeros(len(index)), -inputs["x"][:, 1]], 1).astype(np.float32)
            return {"log_prob": terms.sum(1), "conditionals": terms}
        drawn = SPACE.examples("random", 99)[index]
        drawn[:, 0] = drawn[:, 0] % 2 if options["missing"] else 2
        if KNOWN not in inputs:
            return {"x": drawn}
        return {"x": np.where(np.repeat(inputs[KNOWN], [1, 2], axis=1), inputs[GIVEN], drawn)}


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.cli.row_commands.BLOCK", 4)
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0, takes_columns=True):
        monkeypatch.setattr("zoo.cli.row_commands.load_or_open", lambda name, **more: Filling(takes_columns))
        result = CliRunner().invoke(main, [*map(str, words)])
        assert result.exit_code == code, result.output
        return result

    return call


def rows_of(text):
    return [line.split(",") for line in text.splitlines()[1:]]


def test_columns_given_for_all_rows(call):
    rows = rows_of(call("sample", "m", "-n", 6, "--seed", 1, "--given", "n=77").stdout)
    assert rows == [["", "77"]] * 6
    free = rows_of(call("sample", "m", "-n", 6, "--seed", 1).stdout)
    assert len({n for _, n in free}) > 1


def test_columns_given_by_a_file(call):
    Path("given.csv").write_text("n,city\n7,Zug\n,Bern\n9,\n")
    rows = rows_of(call("sample", "m", "--seed", 1, "--inputs", "given.csv").stdout)
    assert [city for city, _ in rows] == ["Zug", "Bern", ""]
    assert [rows[0][1], rows[2][1]] == ["7", "9"]
    later = rows_of(call("sample", "m", "--seed", 1, "--inputs", "given.csv", "--start", 1, "-n", 2).stdout)
    assert later == rows[1:]
    fixed = rows_of(call("sample", "m", "--seed", 1, "--inputs", "given.csv", "--given", "n=8").stdout)
    assert fixed == [[city, "8"] for city, _ in rows]


def test_missing_cells_are_filled(call):
    Path("gaps.csv").write_text("id,n,city\na,7,Zug\nb,,Bern\nc,9,\nd,,\ne,10,Bern\nf,,Zug\n")
    result = call("impute", "m", "--data", "gaps.csv", "--keep", "id", "--out", "full.csv")
    assert "filled 5 cells in 4 of 6 rows" in result.stderr
    full = pa.csv.read_csv("full.csv").to_pydict()
    assert full["id"] == [*"abcdef"]
    assert [n for n in full["n"] if n in (7, 9, 10)] == [7, 9, 10]
    assert [full["city"][i] for i in (0, 1, 4, 5)] == ["Zug", "Bern", "Bern", "Zug"]
    assert set(full["city"]) == {"Bern", "Zug"}, "none is missing"
    rest = call("impute", "m", "--data", "gaps.csv", "--keep", "id", "--start", 3).stdout
    assert rows_of(rest) == [list(map(str, row)) for row in zip(*full.values(), strict=True)][3:]


def test_scores_of_columns_go_by_their_names(call):
    Path("rows.csv").write_text("city,n\nZug,6\nBern,700\n")
    printed = call("score", "m", "--data", "rows.csv", "--conditionals").stdout.splitlines()
    assert printed[0] == "log_prob,log_prob city,log_prob n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample", "m", "--given", "town=Zug"], "has a column 'town'; those of the model are city, n"),
        (["sample", "m", "--given", "city=Rome"], "column 'city' is none of the 2 values of 'city': 'Rome'"),
        (["sample", "m", "--given", "n=much"], "column 'n' is not an integer: 'much'"),
        (["sample", "m", "--given", "city=NA"], "--given city=NA is a missing value"),
        (["sample", "m", "--inputs", "gaps.csv"], "gaps.csv has a column 'id'"),
        (["sample", "m", "--inputs", "moons"], "moons is a data set; expected a file"),
        (["impute", "m", "--data", "gaps.csv"], "gaps.csv has a column 'id'"),
        (
            ["impute", "m", "--data", "gaps.csv", "--keep", "id", "--start", "3"],
            "has 2 rows, which are numbered from 0",
        ),
        (["impute", "m", "--data", "bad.csv"], "bad.csv has 2 problems"),
    ],
)
def test_what_is_wrong_is_said(call, words, says):
    Path("gaps.csv").write_text("id,n\na,7\nb,\n")
    Path("bad.csv").write_text("n,city\n7,Rome\n99999,\n")
    assert says in call(*words, code=2).output


def test_models_that_take_no_columns(call):
    Path("gaps.csv").write_text("n\n7\n")
    assert "takes no columns" in call("sample", "m", "--given", "n=7", takes_columns=False, code=2).output
    said = call("impute", "m", "--data", "gaps.csv", takes_columns=False, code=2).output
    assert "Train one that does: zoo train table" in said
