"""Tables as a sample space: kinds of columns, their codes, what is inferred from a file, and the messages about it."""

from __future__ import annotations

import datetime
import re
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import zoo
from zoo import columns as c
from zoo import writers
from zoo.data import load_dataset, tables
from zoo.data.readers import read_rows
from zoo.errors import InputError, ZooWarning
from zoo.spaces import Real, from_json

DAY = datetime.date(2026, 11, 28)
SPACE = zoo.Table(
    [
        c.Category(name="city", values=("Basel", "Bern", "Zug"), missing=True),
        c.Category(name="size", values=("small", "large"), ordered=True),
        c.Category(name="zip", values=(3000, 6300)),
        c.Boolean(name="member", missing=True),
        c.Boolean(name="paid", words=("no", "yes")),
        c.Integer(name="age", low=0, high=120, missing=True),
        c.Integer(name="account", low=0, high=2**53),
        c.Decimal(name="price", low=-100, high=10**6, places=2),
        c.Date(name="day", low=0, high=30_000, missing=True),
        c.Datetime(name="at", low=0, high=2**61, unit="us"),
        c.Real(name="weight", edges=(0.0, 1.0, 4.0, 100.0), atoms=(7.5,), missing=True),
    ]
)
ROWS = pa.table(
    {
        "city": ["Zug", None, "Basel"],
        "size": ["large", "small", "small"],
        "zip": [6300, 3000, 3000],
        "member": [True, None, False],
        "paid": ["yes", "no", "no"],
        "age": [None, 0, 120],
        "account": [2**53, 2**53 - 1, 0],
        "price": [0.1, -1.0, 9999.99],
        "day": pa.array([DAY, None, datetime.date(1970, 1, 1)], pa.date32()),
        "at": pa.array([datetime.datetime(2026, 11, 28, 12, 0, 0, 5)] * 3, pa.timestamp("us")),
        "weight": [7.5, None, 99.0],
    }
)


@pytest.fixture
def csv(tmp_path):
    """A CSV file with these columns, each of as many values."""

    def write(**columns):
        path = tmp_path / "a.csv"
        names, rows = list(columns), zip(*columns.values(), strict=True)
        path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return write


def inferred(path, **more):
    """The columns of a file by name, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        space = load_dataset(path, spaces=(zoo.Table,), **more).space
    return {column.name: column for column in space.columns}, "\n".join(str(w.message) for w in said)


def problems(path, **more):
    with pytest.raises(InputError) as caught:
        load_dataset(path, spaces=(zoo.Table,), **more)
    return str(caught.value)


# ---- the space


def test_values_come_back_as_they_went_in():
    codes = SPACE.check(ROWS)
    assert codes.dtype == np.int64
    back = SPACE.decode(codes)
    assert back.drop(["weight"]).equals(ROWS.drop(["weight"]))
    assert back["weight"].to_pylist()[:2] == [7.5, None]
    assert back["weight"].to_pylist()[2] == pytest.approx(99, abs=96 / c.FINE / 2)
    assert np.array_equal(SPACE.check(back), codes), "what is decoded has the same codes"


def test_every_code_that_is_allowed_has_values_of_its_own():
    for kind in ("random", "boundary", "tail"):
        codes = SPACE.examples(kind, 200)
        assert np.array_equal(SPACE.check(SPACE.decode(SPACE.check(codes))), codes)


def test_codes_that_stand_for_nothing_are_refused():
    codes = SPACE.check(ROWS)
    codes[0, 0] = 4
    with pytest.raises(InputError, match="code 0 is 4, which stands for no value"):
        SPACE.check(codes)
    missing = SPACE.check(ROWS)
    place = next(place for place, column in SPACE.places() if column.name == "day")
    missing[1, place + 1] = 1  # a second digit of a date that is missing
    with pytest.raises(InputError, match="stands for no value"):
        SPACE.check(missing)


def test_a_space_is_the_same_from_json():
    assert from_json(SPACE.to_json()) == SPACE


@pytest.mark.parametrize("high", [0, 1, 255, 256, 10**5, 2**31, 2**53])
def test_whole_numbers_are_exact(high):
    column = c.Integer(name="n", low=-3, high=high)
    values = pa.array(sorted({-3, -2, 0, high // 2, high - 1, high} - {-4}))
    assert column.decode(column.encode(values)).equals(values)
    assert max(column.levels) <= c.DIGIT


def test_decimals_come_back_as_they_are_written(csv, tmp_path):
    written = [f"{i / 100:.2f}" for i in range(-50, 2000, 7)]
    path = csv(price=written, n=range(len(written)))
    found, _ = inferred(path)
    assert found["price"] == c.Decimal(name="price", low=-50, high=1994, places=2)
    with pytest.warns(ZooWarning, match="price \\(decimal\\)"):
        data = load_dataset(path, spaces=(zoo.Table,), types={"n": "drop"})
    back = data.space.decode(np.concatenate([rows.observations[:] for rows in data.splits.values()]))
    assert {f"{v:.2f}" for v in back["price"].to_pylist()} == set(written)
    assert set(back["price"].to_pylist()) == set(map(float, written)), "the nearest floats"
    for value, words in ((0.125, "is not a number of 2 decimals"), (99.0, "is beyond -0.50 to 19.94")):
        with pytest.raises(InputError, match=words):
            data.space.check({"price": [1.5, value]})
    with pytest.raises(InputError, match=r"is beyond -0\.50 to 19\.94"):
        data.space.check({"price": [1e300]})
    assert inferred(path, types="price=real")[0]["price"].kind == "real"


@pytest.mark.parametrize("values", [[i / 3 for i in range(90)], [0.5, 1e12, *range(88)], [1e-9, *range(89)]])
def test_numbers_of_many_decimals_or_a_wide_range_stay_real(csv, values):
    path = csv(x=values, y=["a", "b"] * 45)
    assert inferred(path)[0]["x"].kind == "real"
    assert "has too many decimals, or too large numbers" in problems(path, types="x=decimal")


def test_columns_are_found_by_name_and_all_problems_are_said_at_once():
    shuffled = ROWS.select(ROWS.column_names[::-1])
    assert np.array_equal(SPACE.check(shuffled), SPACE.check(ROWS))
    wrong = ROWS.set_column(0, "city", pa.array(["Zug", "Rome", None])).set_column(5, "age", pa.array([1, 2, 500]))
    with pytest.raises(InputError) as caught:
        SPACE.check(wrong)
    for words in ("has 2 problems", "column 'city' is none of the 3 values", "'Rome' (row 2)", "'500' (row 3)"):
        assert words in str(caught.value)
    with pytest.raises(InputError, match="has no columns 'size', 'zip'"):
        SPACE.check(ROWS.drop(["size", "zip"]))
    with pytest.raises(InputError, match="column 'account' is missing"):
        SPACE.check(ROWS.set_column(6, "account", pa.nulls(3, pa.int64())))


def test_rows_may_be_dicts():
    codes = SPACE.check(ROWS)
    assert np.array_equal(SPACE.check(ROWS.to_pylist()), codes)
    assert np.array_equal(SPACE.check(ROWS.to_pydict() | {"age": pa.array([None, 0, 120])}), codes)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_hold_values(tmp_path, suffix):
    path, codes = tmp_path / f"x.{suffix}", SPACE.check(ROWS)
    writers.write(path, [codes], SPACE)
    assert np.array_equal(read_rows(path, SPACE), codes)
    with pytest.raises(InputError, match="npz files cannot hold"):
        writers.write(tmp_path / "x.npz", [codes], SPACE)


def test_the_density_of_real_numbers_is_one_of_data_units():
    widths = SPACE.log_widths()
    place = next(place for place, column in SPACE.places() if column.name == "weight")
    np.testing.assert_allclose(np.exp(widths[place, :3]) * c.FINE, [1, 3, 96])
    assert (widths[place, 3:] == 0).all()
    assert np.delete(widths, place, 0).max() == 0


# ---- what is found of a file


def test_kinds_are_found_and_said(csv):
    n = 60
    path = csv(
        count=[i % 50 for i in range(n)],
        price=[i + 0.25 for i in range(n)],
        share=[i / 7 for i in range(n)],
        word=["a", "b", "NA"] * 20,
        yes=["yes", "No", "no", "no"] * 15,
        day=[f"2026-01-{i % 28 + 1:02}" for i in range(n)],
        german=[f"{i % 28 + 1:02}.01.2026" for i in range(n)],
        at=[f"2026-01-01 10:{i:02}:00" for i in range(n)],
        zip=[f"0{i % 5}000" for i in range(n)],
        large=[2**53 - i for i in range(n)],
        one=["x"] * n,
        none=[""] * n,
    )
    found, said = inferred(path)
    kinds = {name: column.kind for name, column in found.items()}
    assert kinds == {
        "count": "integer", "price": "decimal", "share": "real", "word": "category", "yes": "boolean",
        "day": "date", "german": "date", "at": "datetime", "zip": "category", "large": "integer", "one": "category",
        "none": "category",
    }  # fmt: skip
    assert found["word"].missing
    assert not found["price"].missing
    assert found["yes"].words == ("no", "yes")
    assert (found["large"].low, found["large"].high) == (2**53 - n + 1, 2**53)
    for words in (
        "count (integer), price (decimal), share (real), word (category, perhaps missing)",
        "'one' has one value alone",
        "'none' has no value at all",
        "'zip' has numbers that begin with a zero",
    ):
        assert words in said


def test_values_of_a_file_are_kept(csv):
    path = csv(
        day=[f"{i % 28 + 1:02}.02.2026" for i in range(30)], paid=["Yes", *["no", "yes"] * 15][:30], n=['"1,234"'] * 30
    )
    with pytest.warns(ZooWarning, match="commas between thousands in 30 values"):
        data = load_dataset(path)
    rows = data.space.decode(data.train).to_pydict()
    assert set(rows["paid"]) == {"no", "yes"}
    assert set(rows["n"]) == {1234}
    assert {day.month for day in rows["day"]} == {2}


def test_all_problems_of_a_file_are_said_at_once(csv):
    n = 1100
    path = csv(
        mixed=[*range(n - 1), "many"],
        when=["2026-01-01", "01.02.2026"] * (n // 2),
        name=[f"n{i}" for i in range(n)],
        fine=["a", "b"] * (n // 2),
    )
    said = problems(path)
    for words in (
        "has 3 problems",
        "column 'mixed' has 1 words ('many') among 1,099 numbers",
        "column 'when' has dates in several formats",
        "column 'name' has more than 1,000 different values in 1,100 rows: an identifier or free text",
        "--types name=drop",
    ):
        assert words in said


def test_problems_of_header_rows_values_and_types_are_said_together(csv):
    columns = {"a": [*range(19), "inf"], "b": ["2026-01-01", "01.02.2026"] * 10, "c": range(20), "d": range(20)}
    path = csv(**columns)
    lines = path.read_text().replace("a,b,c,d", "a,b,c,c").splitlines()
    lines[4], lines[8] = lines[4] + ",more", "less"
    path.write_text("\n".join(lines))
    said = problems(path, types="e=drop").splitlines()
    for words in (
        "has 6 problems",
        "no column 'e'; its columns are",
        "line 1: the header has two columns 'c'; give each its own name",
        "line 5 has 5 columns; the first line has 4",
        "line 9 has 1 columns; the first line has 4",
        "column 'a' has 1 infinite values",
        "column 'b' has dates in several formats",
    ):
        assert words in said.pop(0)
    path.write_text("a,,a\n1,2,3\n")
    assert "has 2 problems" in problems(path)
    with pytest.raises(InputError, match=r"(?s)two columns 'a'.*column 2 of the header has no name"):
        read_rows(path, Real(3))
    assert "has 2 problems" in problems(path, label="a")


def test_problems_of_several_files_are_said_by_file(csv, tmp_path):
    for name in ("1.csv", "2.csv"):
        csv(a=range(20), b=["x", "y"] * 10).rename(tmp_path / name)
    (tmp_path / "2.csv").write_text((tmp_path / "2.csv").read_text() + "1,2,3\n" * 9)
    said = problems(tmp_path)
    assert f"{tmp_path / '2.csv'}, line 22 has 3 columns; the first line has 2" in said
    assert f"{tmp_path / '2.csv'}, 4 more lines have more or fewer columns than the first" in said


def test_a_column_may_be_called_inf(csv):
    found, _ = inferred(csv(inf=[i / 7 for i in range(20)], nan=range(20), x=range(20)))
    assert list(found) == ["inf", "nan", "x"]


def test_all_columns_that_are_no_numbers_are_said(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"] * 20, "b": range(20), "c": [DAY] * 20}), path)
    with pytest.raises(InputError, match=r"column 'a' holds string, column 'c' holds date32\[day\]; expected numbers"):
        load_dataset(path, spaces=(Real,))


def test_columns_that_follow_from_others_are_said(csv):
    rng = np.random.default_rng(0)
    n = 300
    days = [DAY + datetime.timedelta(int(i)) for i in rng.integers(0, 1000, n)]
    age, size = rng.integers(18, 80, n), rng.choice([*"SML"], n)
    weight = [*np.round(rng.normal(size=n - 10), 4), *[""] * 10]
    path = csv(
        age=age,
        twice=2 * age,
        born=2026 - age,
        size=size,
        long=[{"S": "small", "M": "medium", "L": "large"}[s] for s in size],
        weight=weight,
        pounds=[w if w == "" else w * 2.25 for w in weight],
        day=days,
        german=[d.strftime("%d.%m.%Y") for d in days],
        year=[d.year for d in days],
        other=rng.integers(18, 80, n),
        rare=[1, *[0] * (n - 1)],
    )
    _, said = inferred(path)
    found = dict(re.findall(r"'(\w+)' follows from '(\w+)'; it may be left out: --types \1=drop", said))
    expected = {"twice": "age", "born": "age", "long": "size", "pounds": "weight", "german": "day", "year": "day"}
    assert found == expected


def test_what_looks_like_an_identifier_is_said(csv):
    ids = np.random.default_rng(0).permutation(10**12 + 7 * np.arange(100))
    _, said = inferred(csv(id=ids, row=range(100), x=[i % 7 for i in range(100)]))
    assert "column 'id' has no value twice: an identifier? Leave it out: --types id=drop" in said
    assert "column 'row' looks like the numbers of the rows; leave it out: --types row=drop" in said
    assert said.count("=drop") == 2


def test_numbers_and_dates_among_words_are_said(csv):
    found, said = inferred(csv(a=["x", "3", "2020-01-01"] * 10, b=["12", "abc", "x"] * 10, c=["u", "v", "w"] * 10))
    assert {column.kind for column in found.values()} == {"category"}
    assert "column 'a' has 10 numbers and 10 dates among its words, which are taken for words" in said
    assert "column 'b' has 10 numbers among its words" in said
    assert "column 'c'" not in said


def test_dates_are_written_as_is_said(csv):
    path = csv(
        a=["20260131", "20260228"] * 10, b=["2026-01-31", "2026-02-28"] * 10, c=["31.01.2026", "2026-02-28"] * 10
    )
    found, _ = inferred(path, types="a=date:%Y%m%d,b=date:%Y-%m-%d,c=category")
    assert [found[name].kind for name in "ab"] == ["date", "date"]
    assert found["a"].low == found["b"].low
    assert "has dates in several formats (%Y-%m-%d, %d.%m.%Y)" in problems(path)


def test_types_override_what_is_found(csv):
    path = csv(a=[i % 3 for i in range(20)], size=["S", "L"] * 10, id=[f"n{i}" for i in range(20)])
    types = "a=category,id=drop,size=ordered:S:M:L"
    found, said = inferred(path, types=types)
    assert found["a"].values == (0, 1, 2)
    assert found["size"].values == ("S", "M", "L")
    assert found["size"].ordered
    assert "left out id" in said
    assert inferred(path, types=dict(part.split("=") for part in types.split(",")))[0] == found
    assert "has values that are not integers ('S', 'L')" in problems(path, types="size=integer")
    assert "no column 'idd'" in problems(path, types="idd=drop")
    said = problems(path, types="a=categry,idd=drop,size=integr,id")
    for words in (
        "has 4 problems",
        "Did you mean 'category'",
        "no column 'idd'",
        "Did you mean 'integer'",
        "the type '' of column 'id' is not known",
    ):
        assert words in said


def test_numbers_besides_what_is_left_out_are_real_vectors(csv, tmp_path):
    path = csv(id=[f"n{i}" for i in range(20)], u=[i / 7 for i in range(20)], v=range(20))
    for types in ("id=drop", {"id": "drop", "u": "real"}):
        assert load_dataset(path, types=types).space == Real(2, ("u", "v"))
    assert load_dataset(path, types="id=drop", spaces=(Real,)).train.shape == (14, 2)
    (tmp_path / "b.csv").write_text("".join(f"{i},{i / 7}\n" for i in range(20)))
    assert load_dataset(tmp_path / "b.csv", types="column 1=drop").space == Real(1)
    frame = pa.table({"a": np.arange(20.0), "b": np.arange(20.0)})
    assert load_dataset(frame, types={"a": "drop"}).space == Real(1, ("b",))
    with pytest.raises(InputError, match="no column besides 'id', 'u', 'v'"):
        load_dataset(path, types="id=drop,u=drop,v=drop", spaces=(Real,))
    with pytest.raises(InputError, match=r"no column 'idd'; its columns are id, u, v\. Did you mean 'id'"):
        load_dataset(path, types="idd=drop", spaces=(Real,))


def test_day_and_month_may_be_told_apart(csv):
    path = csv(when=[f"{i % 9 + 1:02}/{i % 12 + 1:02}/2026" for i in range(36)])
    found, said = inferred(path)
    assert found["when"].format == "%d/%m/%Y"
    assert "may be %d/%m/%Y or %m/%d/%Y; the first is taken" in said
    assert inferred(path, types={"when": "date:%m/%d/%Y"})[0]["when"].format == "%m/%d/%Y"


def test_parquet_says_the_kinds_itself(tmp_path):
    path = tmp_path / "a.parquet"
    n = 40
    table = pa.table(
        {
            "whole": pa.array([1.0, None, 3.0, 4.0] * 10),
            "flag": pa.array([True, False] * 20),
            "day": pa.array([DAY] * n, pa.date32()),
            "at": pa.array([datetime.datetime(2026, 1, 1, 0, 0, i) for i in range(n)], pa.timestamp("ns", "UTC")),
            "grade": pa.DictionaryArray.from_arrays([0, 1] * 20, ["low", "high"], ordered=True),
            "real": np.linspace(0, 1, n),
        }
    )
    pq.write_table(table, path)
    found, _ = inferred(path)
    assert [column.kind for column in found.values()] == [
        "integer", "boolean", "date", "datetime", "ordered category", "real",
    ]  # fmt: skip
    assert found["grade"].values == ("low", "high")
    codes = read_rows(path, zoo.Table(tuple(found.values())))
    back = zoo.Table(tuple(found.values())).decode(codes)
    assert back["at"].equals(table["at"])
    assert back["whole"].to_pylist() == table["whole"].to_pylist()


def test_infinities_and_lists_are_problems(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [np.inf, *range(19)], "y": [[1, 2]] * 20}), path)
    said = problems(path)
    assert "column 'x' has 1 infinite values" in said
    assert "column 'y' holds list<" in said


def test_whole_numbers_of_more_than_64_bits(csv, tmp_path):
    large = [2**63 + 1000 * i for i in range(20)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": pa.array(large, pa.uint64()), "z": ["a", "b"] * 10}), path)
    for given in (path, csv(n=large, z=["a", "b"] * 10)):
        assert "column 'n' has 20 integers of more than 18 digits: leave it out" in problems(given)
        assert "column 'n' has 20 integers of more than 18 digits" in problems(given, types="n=integer")
        assert inferred(given, types="n=category")[0]["n"].values == tuple(map(str, large))
        assert inferred(given, types="n=real")[0]["n"].kind == "real"
        with pytest.raises(InputError, match=r"'n' (exceeds 64-bit integers|is not an integer): '92"):
            read_rows(given, zoo.Table([c.Integer(name="n", low=0, high=5)]))


def test_twelve_rows_and_ten_thousand_columns(csv, tmp_path):
    found, _ = inferred(csv(x=[i / 7 for i in range(12)], y=["a", "b"] * 6))
    assert [column.kind for column in found.values()] == ["real", "category"]
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{i}": [j % 3 for j in range(12)] for i in range(10_000)}), path)
    found, said = inferred(path)
    assert len(found) == 10_000
    assert "(10000 in all)" in said


def test_a_value_that_many_rows_share_is_one_of_its_own(tmp_path):
    path = tmp_path / "a.parquet"
    x = np.where(np.arange(1000) % 2, 0.0, np.random.default_rng(0).lognormal(0, 2, 1000))
    pq.write_table(pa.table({"x": x}), path)
    found, _ = inferred(path)
    assert found["x"].atoms == (0.0,)
    column = found["x"]
    back = np.asarray(column.decode(column.encode(pa.array(x))))
    assert (back[1::2] == 0).all()
    np.testing.assert_allclose(back[::2], x[::2], rtol=0.5, atol=0.01)
    assert (column.encode(pa.array([1.5 * x.max()])) >= 0).all(), "a new value may be beyond those seen"


def test_a_table_of_numbers_stays_real_vectors(csv):
    path = csv(x=[i / 7 for i in range(30)], y=range(30))
    assert load_dataset(path).space == Real(2, ("x", "y"))
    assert isinstance(inferred(path)[0]["x"], c.Real)
    with pytest.warns(ZooWarning, match="is read as a table"):
        assert isinstance(load_dataset(path, types={"y": "integer"}).space, zoo.Table)


def test_a_model_reads_rows_with_its_own_columns(csv):
    path = csv(x=["a", "b", "c"] * 10)
    with pytest.warns(ZooWarning):
        whole = load_dataset(path)
    part = load_dataset(csv(x=["c", "b"] * 10), space=whole.space)
    assert part.space == whole.space
    assert set(part.space.decode(part.train)["x"].to_pylist()) == {"b", "c"}


# ---- a model of a table


def test_adult_trains_exports_samples_and_scores(tmp_path):
    """Every part works on rows of values, from the file to the scores of what was sampled."""
    pytest.importorskip("zoo_torch")
    pytest.importorskip("zoo_onnx")
    n = 300
    rng = np.random.default_rng(0)
    age = rng.integers(17, 90, n)
    table = pa.table(
        {
            "age": age,
            "work": np.where(age > 60, "retired", rng.choice(["private", "state"], n)),
            "hours": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40, 5, n)),
        }
    )
    pq.write_table(table, tmp_path / "people.parquet")
    with pytest.warns(ZooWarning, match="is read as a table"):
        model = zoo.train("made", tmp_path / "people.parquet", tmp_path / "run", epochs=3, config={"hidden": 16})
    rows = model.sample(50, seed=1)
    assert rows.schema.names == ["age", "work", "hours"]
    assert set(rows["work"].to_pylist()) <= {"private", "retired", "state"}
    zoo.export(model, tmp_path / "artifact", check="quick")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    assert artifact.sample(50, seed=1).equals(rows)
    np.testing.assert_allclose(artifact.log_prob(rows), model.log_prob(rows), rtol=1e-4)
    assert np.isfinite(model.log_prob(table)).all()
    with pytest.raises(InputError, match="'work' is none of the 3 values"):
        artifact.log_prob(rows.set_column(1, "work", pa.array(["other"] * 50)))


# ---- what does not fit


@pytest.fixture
def parquet(tmp_path):
    """A short file of 80 MB of zeros."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({name: np.zeros(10**7, np.float32) for name in "ab"}), path, use_dictionary=False)
    return path


def test_rows_of_a_file_that_cannot_be_mapped_are_refused_before_any_is_read(parquet, monkeypatch):
    monkeypatch.setattr("zoo.data.spool.available", lambda: 2**26)
    monkeypatch.setattr("zoo.system.memory._limit", lambda: iter([2**26]))
    monkeypatch.setattr(tables.ParquetTable, "selected", None)
    with pytest.raises(InputError, match=r"x\.parquet takes 0\.1 GiB of address space, and .* leaves 0\.1 GiB"):
        tables.open_table(parquet).read([0, 1])


def test_rows_that_lie_on_the_disk_are_those_of_the_file(parquet, monkeypatch):
    monkeypatch.setattr("zoo.data.spool.available", lambda: 2**26)
    x, _ = tables.open_table(parquet).read([0, 1])
    assert isinstance(x, np.memmap)
    assert x.shape == (10**7, 2)
    assert not x[-1000:].any()


def test_a_page_that_does_not_fit_into_memory_is_refused_before_it_is_read(parquet, monkeypatch):
    for place in ("zoo.data.tables.available", "zoo.system.memory.available"):
        monkeypatch.setattr(place, lambda: 2**21)
    monkeypatch.setattr("zoo.system.memory.SMALL", 0)
    with pytest.raises(InputError, match=r"a part of .*x\.parquet needs .* Write it again with smaller row groups"):
        next(tables.open_table(parquet).values())


def test_a_shortage_while_a_file_is_read_is_one_of_reading(parquet, monkeypatch):
    class Short:
        def __init__(self, *arguments, **settings):
            raise pa.ArrowMemoryError("malloc of size 4000000000 failed")

    monkeypatch.setattr(pq, "ParquetFile", Short)
    with pytest.raises(InputError, match=r"not enough memory to read .*x\.parquet \(malloc"):
        tables.open_table(parquet)
