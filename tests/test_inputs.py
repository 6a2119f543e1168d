"""Inputs of a model other than the class: from data sets and files, through training, to the artifact."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo import registry
from zoo.cli import main
from zoo.data import load_dataset, split_rows
from zoo.errors import InputError, ZooWarning
from zoo.plugins import loading
from zoo.spaces import Image, Labels, Real
from zoo.testing import network_checks

torch = pytest.importorskip("torch")
PLUGIN = """
from zoo import hookimpl
from zoo.spec import ModelSpec

def spec(name, target):
    return ModelSpec(
        name=name, target=f"shifted:{target}", family="flow", framework="torch",
        methods=("sample", "log_prob"), density="exact", summary="a line of a shift",
    )

@hookimpl
def zoo_architectures():
    yield spec("shifted", "Shifted")
    yield spec("perhaps-shifted", "PerhapsShifted")
    yield spec("labeled-shifted", "LabeledShifted")
    yield spec("placed", "Placed")
"""
CODE = '''
import math
from dataclasses import dataclass

import torch
from torch import nn

from zoo.network import Objective, Recipe
from zoo.signature import Call, Noise, Tensor
from zoo.spaces import Real
from zoo_torch.network import TorchNetwork

@dataclass(frozen=True)
class Config:
    pass

class Shifted(TorchNetwork):
    """x = slope * shift + offset + mean of the class + exp(log_scale) * noise."""

    Config, spaces, density = Config, (Real,), "exact"
    recipe = Recipe(epochs=40, batch_size=50, learning_rate=0.1)

    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.slope, self.offset, self.log_scale = (nn.Parameter(torch.zeros(space.size)) for _ in range(3))
        if classes:
            self.means = nn.Parameter(torch.zeros(len(classes), space.size))

    def center(self, shift, label):
        center = self.slope * shift[:, None] + self.offset
        return center if label is None else center + self.means.index_select(0, label)

    def encode(self, x, shift, label=None):
        return (x - self.center(shift, label)) / self.log_scale.exp()

    def log_prob(self, x, shift, label=None):
        z = self.encode(x, shift, label)
        return (-0.5 * z**2 - self.log_scale - 0.5 * math.log(2 * math.pi)).sum(1)

    def sample(self, shift, z, label=None):
        return self.center(shift, label) + self.log_scale.exp() * z

    def loss(self, x, shift, label=None):
        return -self.log_prob(x, shift, label)

    @property
    def told(self):
        label = {"label": Tensor("int64")} if self.classes else {}
        return {"shift": Tensor("float32", low=-10, high=10), **label}

    def methods(self):
        x, told = {"x": self.space.tensor}, self.told
        return {
            "sample": Call(self.sample, told, x, noise={"z": Noise("normal", self.space.shape)}),
            "log_prob": Call(self.log_prob, {**x, **told}, {"log_prob": Tensor("float32")}),
        }

    def objectives(self):
        return {"nll": Objective(Call(self.loss, {"x": self.space.tensor, **self.told}, {"loss": Tensor("float32")}))}

class PerhapsShifted(Shifted):
    """Its loss has a default, for data that say nothing of a shift."""

    def loss(self, x, shift=None, label=None):
        return -self.log_prob(x, torch.zeros(len(x)) if shift is None else shift, label)

class LabeledShifted(Shifted):
    needs_classes = True

class Placed(Shifted):
    """x = a point of the city + exp(log_scale) * noise."""

    def __init__(self, space, config, classes=None):
        super().__init__(space, config)
        self.points = nn.Parameter(torch.zeros(4, space.size))

    def log_prob(self, x, city):
        z = (x - self.points.index_select(0, city)) / self.log_scale.exp()
        return (-0.5 * z**2 - self.log_scale - 0.5 * math.log(2 * math.pi)).sum(1)

    def sample(self, city, z):
        return self.points.index_select(0, city) + self.log_scale.exp() * z

    def loss(self, x, city):
        return -self.log_prob(x, city)

    @property
    def told(self):
        return {"city": Tensor("int64", low=0, high=3)}
'''
ROWS = 400


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory):
    """A distribution with three architectures, as pip would lay it out."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "shifted.py").write_text(CODE)
    (folder / "shifted_hooks.py").write_text(PLUGIN)
    info = folder / "shifted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shifted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[genzoo]\nmain = shifted_hooks\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        loading.load_plugins.cache_clear()
        yield
    loading.load_plugins.cache_clear()


def rows():
    """x = (2 shift + 1, -shift) and a little noise."""
    random = np.random.default_rng(0)
    shift = random.uniform(-1, 1, ROWS).astype(np.float32)
    x = np.stack([2 * shift + 1, -shift], 1) + random.normal(0, 0.1, (ROWS, 2))
    return x.astype(np.float32), shift


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    x, shift = rows()
    lines = ["a,shift,b", *(f"{a},{s},{b}" for (a, b), s in zip(x.tolist(), shift.tolist(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(table, tmp_path_factory):
    """A run of the command line on the table."""
    path = tmp_path_factory.mktemp("runs") / "shifted"
    said = call("train", "shifted", "--data", table, "--inputs", "shift", "--out", path)
    assert (path / "samples.png").exists()
    assert f"zoo sample {path} -n 64 --seed 7 --input shift=" in said
    return path


@pytest.fixture(scope="module")
def artifact(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("artifacts") / "shifted"
    zoo.export(run, path, check="quick")
    return path


def call(*words, code=0):
    """What a command prints."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output if code or words[0] == "train" else result.stdout


def centers(shift):
    return np.stack([2 * shift + 1, -shift], -1)


# ---- data ----------------------------------------------------------------------------------------------------------


def test_a_table_gives_columns_by_name_and_they_are_no_observations(table):
    data = load_dataset(table, inputs="shift")
    assert data.space.names == ("a", "b")
    x, shift = rows()
    for split in data.splits.values():
        batch = split[np.arange(3)]
        assert batch["shift"].shape == (3,)
        assert all(
            np.isclose(x, row).all(1)[np.isclose(shift, s)].all()
            for row, s in zip(batch["x"], batch["shift"], strict=True)
        )
    assert load_dataset(table).space.names == ("a", "shift", "b")


def same(data):
    """The rows go with their inputs."""
    for split in data.splits.values():
        batch = split[:]
        np.testing.assert_allclose(batch["x"], centers(batch["shift"]), atol=0.6)
        assert list(split[:5]) == ["x", "shift"]


def test_inputs_come_from_files_frames_and_arrays(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    x, shift = rows()
    np.savez(tmp_path / "rows.npz", x=x, shift=shift, other=shift)
    frame = pa.table({"a": x[:, 0], "shift": shift, "b": x[:, 1]})
    pq.write_table(frame, tmp_path / "rows.parquet")
    same(load_dataset(tmp_path / "rows.npz", inputs=["shift"]))
    same(load_dataset(tmp_path / "rows.parquet", inputs="shift"))
    same(load_dataset(frame, inputs="shift"))
    same(load_dataset(x, inputs={"shift": shift}))
    same(load_dataset({"x": x, "shift": shift}))
    parts = {"train": slice(0, 200), "validation": slice(200, 300), "test": slice(300, None)}
    split = {name: x[part] for name, part in parts.items()}
    data = load_dataset(split, inputs={"shift": {name: shift[part] for name, part in parts.items()}})
    same(data)
    assert np.array_equal(data.splits["test"].take("shift"), shift[300:])
    same(data.at_most(100 * x[0].nbytes))
    same(data.fitted(Real(2)))


def test_a_table_of_kinds_has_inputs_too(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("city,shift,age\n" + "".join(f"{'Basel' if i % 2 else 'Bern'},{i / 4},{i}\n" for i in range(40)))
    with pytest.warns(ZooWarning, match=r"read as a table: city \(category\), age \(integer\)") as said:
        data = load_dataset(path, inputs="shift")
    assert "left out" not in str(said[0].message)
    assert data.space.names == ("city", "age")
    again = load_dataset(path, inputs="shift", space=data.space)
    for split in (*data.splits.values(), *again.splits.values()):
        ages = data.space.decode(split.take("x"))["age"].to_numpy()
        assert np.array_equal(split.take("shift"), (ages / 4).astype("float32"))


@pytest.mark.filterwarnings("ignore::zoo.errors.ZooWarning")  # that lines are cut
def test_the_pieces_of_a_line_have_its_inputs():
    lines = [chr(ord("a") + i) * (i + 1) for i in range(26)]
    data = load_dataset(lines, inputs={"place": np.arange(26)}, length=10)
    assert sum(len(split) for split in data.splits.values()) > 26
    for split in data.splits.values():
        letters = [text[0] for text in data.space.decode(split.take("x"))]
        assert [ord(letter) - ord("a") for letter in letters] == split.take("place").tolist()


def test_arrays_on_disk_stay_there(tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (5000, 3))
    x[:] = np.arange(15000).reshape(-1, 3)
    told = np.load(tmp_path / "x.npy", mmap_mode="r")[:, 0]
    data = load_dataset(x, inputs={"first": told})
    assert not data.splits["train"].in_memory
    batch = data.splits["train"][np.array([5, 3, 1])]
    assert np.array_equal(batch["first"], batch["x"][:, 0])


def test_several_columns_are_an_input_of_several_numbers(tmp_path):
    (tmp_path / "rows.csv").write_text("a,wind0,wind1\n" + "".join(f"{i},{i},{-i}\n" for i in range(20)))
    batch = load_dataset(tmp_path / "rows.csv", inputs="wind").splits["train"][:]
    assert np.array_equal(batch["wind"], np.concatenate([batch["x"], -batch["x"]], 1))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("shift", "no columns by name"),
        ({"shift": np.zeros(3)}, "400 observations and 3 rows of shift"),
        ({"label": np.zeros(ROWS)}, "input 'label', which means something else"),
        ({"shift": np.array([{}] * ROWS)}, "holds struct<>; expected names or integers"),
        ({"shift": [f"word {i}" for i in range(1001)]}, "400 observations and 1001 rows of shift"),
    ],
)
def test_arrays_that_are_no_inputs(inputs, message):
    with pytest.raises(InputError, match=message):
        load_dataset(rows()[0], inputs=inputs)


def test_inputs_of_files_are_names(table):
    with pytest.raises(InputError, match=r"no column 'shfit'.*Did you mean 'shift'"):
        load_dataset(table, inputs="shfit")
    with pytest.raises(InputError, match="names of its columns or arrays; got arrays"):
        load_dataset(table, inputs={"shift": rows()[1]})
    with pytest.raises(InputError, match="digits has no input 'shift'; it has none"):
        load_dataset("digits", inputs="shift")


def test_a_column_of_numbers_with_a_few_words_is_no_category(tmp_path):
    (tmp_path / "rows.csv").write_text("a,hair\n" + "".join(f"{i},{'?' if i == 7 else i}\n" for i in range(20)))
    with pytest.raises(InputError, match=r"(?s)the input 'hair'.*line 9.*is '\?'.*words in most of its rows"):
        load_dataset(tmp_path / "rows.csv", inputs="hair")


def test_what_a_run_does_not_take_may_change():
    x, shift = rows()
    data = split_rows("rows", Real(2), x, inputs={"shift": shift, "other": shift})
    assert data.keeping([]).digest == split_rows("rows", Real(2), x).digest
    assert data.keeping(["shift"]).digest == split_rows("rows", Real(2), x, inputs={"shift": shift}).digest
    assert len({data.keeping(names).digest for names in ([], ["shift"], ["other"], ["shift", "other"])}) == 4


# ---- training ------------------------------------------------------------------------------------------------------


def test_a_model_learns_what_it_is_told(run):
    model = zoo.load(run)
    np.testing.assert_allclose(model.network.slope.detach(), [2, -1], atol=0.05)
    drawn = model.sample(500, seed=1, shift=0.5)
    np.testing.assert_allclose(drawn.mean(0), [2, -0.5], atol=0.05)


def test_a_training_goes_on_with_its_inputs(run, table, tmp_path):
    twin = tmp_path / "twin"
    shutil.copytree(run, twin)
    zoo.resume(twin, epochs=41)
    with pytest.raises(InputError, match="arrays have no columns by name"):
        zoo.resume(twin, epochs=42, data=rows()[0])
    x, shift = rows()
    with pytest.warns(ZooWarning, match="shifted learns nothing of the input 'other'"):
        zoo.train("shifted", x, tmp_path / "arrays", inputs={"shift": shift, "other": shift}, epochs=1)
    zoo.resume(tmp_path / "arrays", data=x, inputs={"shift": shift, "other": -shift}, epochs=2)
    with pytest.raises(InputError, match="has changed"):
        zoo.resume(tmp_path / "arrays", data=x, inputs={"shift": -shift}, epochs=3)


def test_data_without_what_a_loss_needs_are_refused_before_training(table, tmp_path):
    said = call("train", "shifted", "--data", table, "--out", tmp_path / "run", code=2)
    assert "the nll loss needs 'shift' of each row, and rows.csv has none: it has no inputs" in said
    assert "--inputs shift" in said
    assert not (tmp_path / "run").exists()
    x, shift = rows()
    with pytest.raises(InputError, match=r"its inputs are shfit.*Did you mean 'shfit'"):
        zoo.train("shifted", x, tmp_path / "run", inputs={"shfit": shift})


def test_values_that_a_loss_does_not_allow_are_refused_before_training(tmp_path):
    x, shift = rows()
    shift[7] = 11
    with pytest.raises(
        InputError, match=r"the input 'shift' of .* has 11.0 in row .*; expected numbers from -10 to 10"
    ):
        zoo.train("shifted", x, tmp_path / "run", inputs={"shift": shift})


@pytest.mark.parametrize("told", [True, False])
def test_a_loss_with_a_default_gets_what_the_data_have(told, tmp_path):
    x, shift = rows()
    model = zoo.train("perhaps-shifted", x, tmp_path / "run", inputs={"shift": shift} if told else None)
    slope = model.network.slope.detach().numpy()
    np.testing.assert_allclose(slope, [2, -1] if told else [0, 0], atol=0.05)


def test_labeled_data_without_their_classes(tmp_path):
    x, shift = rows()
    labels = (np.arange(ROWS) % 2).astype(np.int64)
    data = split_rows("rows", Real(2), x, labels, classes=Labels(("a", "b")), inputs={"shift": shift})
    given = {"epochs": 1, "config": {}}
    assert "label" in zoo.train("shifted", data, tmp_path / "with", **given).signatures["sample"].inputs
    model = zoo.train("shifted", data, tmp_path / "without", unconditional=True, **given)
    assert "label" not in model.signatures["sample"].inputs
    zoo.resume(tmp_path / "without", data=data, epochs=2)
    with pytest.raises(InputError, match="needs the classes of its data"):
        zoo.train("labeled-shifted", data, tmp_path / "labeled", unconditional=True)


@pytest.mark.parametrize("name", ["shifted", "perhaps-shifted"])
def test_the_suite_trains_a_loss_that_is_told_more(name):
    cls = registry.network_class(registry.architecture(name))
    (case,) = (case for case in network_checks(cls, Real(2)) if str(case) == "every_objective_trains")
    case()


# ---- the command line, on runs and artifacts -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["run", "artifact"])
def test_samples_of_what_they_are_told(kind, table, tmp_path, request):
    model, out = request.getfixturevalue(kind), tmp_path / "x.npz"
    call("sample", model, "-n", 200, "--seed", 3, "--input", "shift=0.5", "--out", out)
    np.testing.assert_allclose(np.load(out)["x"].mean(0), [2, -0.5], atol=0.05)
    call("sample", model, "--seed", 3, "--inputs", table, "--out", out, "--force")
    whole = np.load(out)["x"]
    np.testing.assert_allclose(whole, centers(rows()[1]), atol=0.6)
    call("sample", model, "--seed", 3, "--inputs", table, "--start", 100, "-n", 50, "--out", out, "--force")
    np.testing.assert_allclose(np.load(out)["x"], whole[100:150], atol=1e-5)


@pytest.mark.parametrize("kind", ["run", "artifact"])
@pytest.mark.parametrize("as_given", [np.asarray, np.ndarray.tolist, torch.from_numpy])
def test_numbers_that_float32_does_not_tell_apart_are_said(kind, as_given, request):
    model = {"run": zoo.load, "artifact": zoo.open}[kind](request.getfixturevalue(kind))
    x, shift = np.array([[0, 2.0**24], [1, 2**24 + 1]]), np.array([1.0, 1 + 1e-12])
    said = "x: column 2 has numbers that float32 does not tell apart, such as 16777216 and 16777217"
    with pytest.warns(ZooWarning, match=said):
        model.log_prob(as_given(x), shift=0.5)
    with pytest.warns(ZooWarning, match="shift has numbers that float32 does not tell apart, such as 1 and 1.0000000"):
        model.log_prob(x.astype("float32"), shift=as_given(shift))
    model.log_prob(as_given(np.linspace(-1, 1, 6).reshape(3, 2)), shift=as_given(np.arange(3)))


def test_inputs_that_float32_does_not_tell_apart_are_said_before_training(tmp_path):
    x, shift = rows()
    with pytest.warns(ZooWarning, match="input 'shift' of ndarray has numbers that float32 does not tell apart"):
        zoo.train("shifted", x, tmp_path / "run", inputs={"shift": 1 + 1e-12 * shift.astype(float)}, epochs=1)


def test_scores_of_what_the_data_say(artifact, table, tmp_path):
    x, shift = rows()
    model = zoo.open(artifact)
    for words, told in (((), shift), (("--input", "shift=0"), 0.0)):
        out = tmp_path / "scores.npz"
        call("score", artifact, "--data", table, *words, "--out", out, "--force")
        np.testing.assert_allclose(np.load(out)["log_prob"], model.log_prob(x, shift=told), rtol=1e-3)


def test_classes_and_inputs_together(tmp_path):
    x, shift = rows()
    data, model, out = tmp_path / "rows.csv", tmp_path / "run", tmp_path / "x.csv"
    lines = [f"{a},{s},{'up' if i % 2 else 'down'}" for i, (a, s) in enumerate(zip(x[:, 0], shift, strict=True))]
    data.write_text("\n".join(["a,shift,kind", *lines]) + "\n")
    said = call(
        "train", "shifted", "--data", data, "--label", "kind", "--inputs", "shift", "--out", model, "--epochs", 9
    )
    assert "--class all --input shift=" in said
    for words in (["--class", "all", "--input", "shift=1"], ["--class", "up", "--inputs", data, "-n", 16]):
        call("sample", model, "--seed", 1, *words, "--out", out, "--force")
        assert len(out.read_text().splitlines()) == 17
    call("score", model, "--data", data, "--label", "kind", "--out", out, "--force")
    assert len(out.read_text().splitlines()) == ROWS + 1
    unconditional = tmp_path / "alike"
    words = ("--label", "kind", "--inputs", "shift", "--unconditional", "--epochs", 1)
    said = call("train", "shifted", "--data", data, *words, "--out", unconditional)
    assert "--class" not in said
    call("sample", unconditional, "--input", "shift=1", "--seed", 1, "--out", out, "--force")


def test_evaluation_tells_it_what_the_held_out_rows_say(run, artifact, table):
    figures = json.loads(call("evaluate", run, "--json"))["figures"]
    assert figures["nats"]["value"] < -1
    assert figures["c2st_accuracy"]["value"] < 0.65
    both = json.loads(call("compare", run, artifact, "--data", table, "--json"))["figures"]["nats"]
    assert [figure["value"] for figure in both.values()] == pytest.approx(2 * [figures["nats"]["value"]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "needs shift: --input shift=VALUE, or --inputs FILE"),
        (("--input", "shfit=1"), "no input 'shfit'.*it takes shift.*Did you mean 'shift'"),
        (("--input", "shift=red"), "--input shift=red; expected a number"),
        (("--input", "shift=1,2"), "--input shift=1,2; expected a number"),
        (("--input", "shift=11"), "shift has 11.0 in row 0; expected numbers from -10 to 10"),
        (("--inputs", "TABLE", "-n", "500"), "500 samples need as many rows of shift; --inputs has 400"),
        (("--inputs", "TABLE", "--start", "400"), "--start is 400; shift of .* has 400 rows"),
        (("--input", "shift=1", "--inputs", "TABLE"), "has no inputs for each row; omit --inputs"),
    ],
)
def test_what_samples_cannot_be_told(artifact, table, words, message):
    said = call("sample", artifact, "--seed", 1, *(table if w == "TABLE" else w for w in words), code=2)

    assert re.search(message, " ".join(said.split())), said


# ---- inputs that are words ------------------------------------------------------------------------------------------

CITIES = {"Basel": (0, 3), "Bern": (3, 0), "Chur": (-3, 0)}
CATEGORY = pytest.mark.filterwarnings("ignore:.*is a category:zoo.errors.ZooWarning")


def cities(count=300):
    """Points (N, 2) near those of their cities (N,)."""
    random = np.random.default_rng(0)
    words = random.choice(list(CITIES), count)
    return (np.array([CITIES[word] for word in words]) + random.normal(0, 0.1, (count, 2))).astype(np.float32), words


def write_cities(path, x, words):
    lines = [f"{a},{word},{b}" for (a, b), word in zip(x.tolist(), words, strict=True)]
    path.write_text("\n".join(["a,city,b", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def told_cities(tmp_path_factory):
    """A file of cities, a run on it, and its artifact."""
    folder = tmp_path_factory.mktemp("cities")
    data = write_cities(folder / "rows.csv", *cities())
    said = call("train", "placed", "--data", data, "--inputs", "city", "--out", folder / "run", "--epochs", 60)
    assert "the input 'city' is a category: Basel, Bern, Chur" in said
    assert re.search(r"zoo sample \S+ -n 64 --seed 7 --input city=(Basel|Bern|Chur) ", said)
    zoo.export(folder / "run", folder / "artifact", check="quick")
    return folder


def by_name(data):
    """The codes of cities are those of the rows, and in the order of their names."""
    assert data.categories["city"].names == ("Basel", "Bern", "Chur")
    for split in data.splits.values():
        batch = split[:]
        points = np.array([CITIES[data.categories["city"].names[code]] for code in batch["city"]])
        np.testing.assert_allclose(batch["x"], points, atol=0.6)
    return True


@CATEGORY
def test_words_come_from_files_frames_and_arrays(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    x, words = cities()
    frame = pa.table({"a": x[:, 0], "city": words, "b": x[:, 1]})
    pq.write_table(frame, tmp_path / "rows.parquet")
    np.savez(tmp_path / "rows.npz", x=x, city=words)
    (tmp_path / "parts").mkdir()
    for part, rows in {"train": slice(0, 200), "test": slice(200, None)}.items():
        np.savez(tmp_path / "parts" / f"{part}.npz", x=x[rows], city=[f"{word:9}".strip() for word in words[rows]])
    assert by_name(load_dataset(write_cities(tmp_path / "rows.csv", x, words), inputs="city"))
    assert by_name(load_dataset(tmp_path / "rows.parquet", inputs="city"))
    assert by_name(load_dataset(tmp_path / "rows.npz", inputs="city"))
    assert by_name(load_dataset(frame, inputs="city"))
    assert by_name(load_dataset(x, inputs={"city": words.astype(object)}))
    assert by_name(load_dataset({"x": x, "city": words.tolist()}))
    data = split_rows("cities", Real(2), x, inputs={"city": words})
    assert by_name(data)
    assert by_name(data.at_most(100 * x[0].nbytes))
    assert by_name(data.keeping(["city"]))
    assert data.digest != split_rows("cities", Real(2), x, inputs={"city": np.char.upper(words)}).digest
    with pytest.warns(ZooWarning, match="no validation rows"):
        assert by_name(load_dataset(tmp_path / "parts", inputs="city"))


def test_a_model_is_told_words(told_cities, tmp_path):
    run, artifact = zoo.load(told_cities / "run"), zoo.open(told_cities / "artifact")
    x, words = cities(8)
    for model in (run, artifact):
        for word, point in CITIES.items():
            np.testing.assert_allclose(model.sample(50, seed=1, city=word).mean(0), point, atol=0.2)
        assert model.log_prob(x, city=words).min() > -10
        assert model.log_prob(x, city=np.where(words == "Bern", "Chur", "Bern")).max() < -100
        assert np.array_equal(model.log_prob(x, city=words), model.log_prob(x, city=words.tolist()))
        with pytest.raises(InputError, match=r"unknown category 'Brn'; the 3 categories are Basel, Bern, Chur\. Did"):
            model.sample(1, seed=1, city="Brn")
        with pytest.raises(InputError, match="unknown category 3; the 3 categories are"):
            model.sample(1, seed=1, city=3)
    assert zoo.show(told_cities / "run")["categories"] == zoo.show(told_cities / "artifact")["categories"]
    described = json.loads(call("inspect", told_cities / "artifact" / "sample.onnx", "--json"))["description"]
    assert described["categories"] == {"city": ["Basel", "Bern", "Chur"]}
    assert described["inputs"]["city"]["meaning"] == "city of each row: 0 is Basel, 1 is Bern, 2 is Chur"
    assert described["inputs"]["city"]["high"] == 2


@pytest.mark.parametrize("kind", ["run", "artifact"])
def test_commands_find_words_by_name(kind, told_cities, tmp_path):
    model, out = told_cities / kind, tmp_path / "x.npz"
    x, words = cities()
    some = write_cities(tmp_path / "some.csv", x[words != "Basel"], words[words != "Basel"])  # other codes of their own
    call("score", model, "--data", some, "--out", out)
    assert np.load(out)["log_prob"].min() > -10
    call("sample", model, "--seed", 1, "--inputs", some, "--out", out, "--force")
    np.testing.assert_allclose(np.load(out)["x"], x[words != "Basel"], atol=1)
    call("sample", model, "--seed", 1, "--input", "city=Chur", "--out", out, "--force")
    np.testing.assert_allclose(np.load(out)["x"].mean(0), CITIES["Chur"], atol=0.2)
    assert "unknown category 'Paris'; the 3 categories are" in call("sample", model, "--input", "city=Paris", code=2)
    figures = json.loads(call("evaluate", model, "--data", some, "--json"))["figures"]
    assert figures["nats"]["value"] < 0
    strange = write_cities(tmp_path / "strange.csv", x, ["Paris", *words[1:]])
    said = " ".join(call("score", model, "--data", strange, "--out", out, "--force", code=2).split())
    assert "the input 'city'" in said
    assert "unknown category 'Paris'; the 3 categories are Basel, Bern, Chur" in said


def test_a_training_goes_on_and_begins_with_words(told_cities, tmp_path):
    run, x, words = tmp_path / "run", *cities()
    shutil.copytree(told_cities / "run", run)
    zoo.resume(run, epochs=61)
    some = {"x": x[words != "Basel"], "city": words[words != "Basel"]}
    tuned = zoo.train("placed", some, tmp_path / "tuned", start=run, epochs=1, learning_rate=1e-6)
    assert tuned.categories["city"].names == ("Basel", "Bern", "Chur")
    np.testing.assert_allclose(tuned.sample(50, seed=1, city="Chur").mean(0), CITIES["Chur"], atol=0.2)
    zoo.resume(tmp_path / "tuned", data=some, epochs=2)


@CATEGORY
def test_words_where_a_model_takes_others(told_cities, tmp_path):
    x, words = cities()
    model, data = zoo.load(told_cities / "run"), split_rows("cities", Real(2), x, inputs={"city": words})
    many = np.array([f"city {i % 5}" for i in range(300)])
    with pytest.raises(InputError, match=r"has 5 different words, such as 'city 0'; expected integers from 0 to 3"):
        zoo.train("placed", x, tmp_path / "run", inputs={"city": many})
    with pytest.raises(InputError, match=r"has 3 different words, such as 'Basel'; expected numbers from -10 to 10"):
        zoo.train("shifted", x, tmp_path / "run", inputs={"shift": words})
    with pytest.raises(InputError, match=r"'city' of cities: unknown category 'city 0'; the 3 categories are"):
        zoo.evaluate(model, split_rows("cities", Real(2), x, inputs={"city": many}))
    numbered = zoo.train("placed", x, tmp_path / "run", inputs={"city": np.arange(300) % 3}, epochs=1)
    with pytest.raises(InputError, match=r"holds words, such as 'Basel'; the model takes numbers"):
        zoo.evaluate(numbered, data)
    said = call("score", tmp_path / "run", "--data", told_cities / "rows.csv", "--out", tmp_path / "x.csv", code=2)
    assert "holds words; run takes numbers" in " ".join(said.split())


# ---- categories that built-in architectures are told ---------------------------------------------------------------


@pytest.fixture(scope="module")
def bars():
    """Images of 4x4 with one bar, whose place is an input; the class is its direction."""
    rng = np.random.default_rng(0)
    place, y = rng.integers(0, 4, 400), rng.integers(0, 2, 400)
    x = np.zeros((400, 4, 4, 1), np.uint8)
    for image, p, direction in zip(x, place, y, strict=True):
        (image if direction else image.swapaxes(0, 1))[p] = 255
    classes = Labels(("across", "down"))
    return split_rows("bars", Image(4, 4, 1), x, y, classes=classes, inputs={"place": place, "spare": 1 - y})


@pytest.mark.parametrize(
    ("architecture", "config", "recipe"),
    [
        ("ddpm", {"channels": 16, "sizes": 1}, {"epochs": 15, "learning_rate": 1e-2}),
        ("vae", {"conditional": True, "latent": 2, "filters": (16,)}, {"epochs": 8, "learning_rate": 1e-2}),
    ],
)
def test_images_are_as_they_were_told(architecture, config, recipe, bars, tmp_path):
    more = {"config": config, "batch_size": 16, "ema": 0.0, **recipe}
    model = zoo.train(architecture, bars, tmp_path / "run", inputs="place", **more)
    assert model.network.config.inputs == ("place:4",)
    assert [*model.signature("sample").conditions] == ["place"]
    place = np.arange(40) % 4
    x = model.sample(40, seed=1, place=place, label="down")[..., 0].mean(2)
    assert (x.argmax(1) == place).mean() > 0.9
    with pytest.raises(InputError, match="expected integers from 0 to 3"):
        model.sample(1, seed=1, place=4, label="down")


def test_built_in_architectures_are_told_words(bars, tmp_path):
    places = np.array(["first", "second", "third", "last"])[bars.splits["train"].take("place")]
    with pytest.warns(ZooWarning, match="'place' is a category: first, last, second, third"):
        data = split_rows("bars", bars.space, bars.train, inputs={"place": places})
    more = {"config": {"channels": 8, "sizes": 1}, "epochs": 3, "batch_size": 16, "learning_rate": 1e-2}
    model = zoo.train("ddpm", data, tmp_path / "run", inputs="place", **more)
    assert model.network.config.inputs == ("place:4",)
    a, b, c = (model.sample(1, seed=1, place=place) for place in ("last", 1, "third"))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_gan_is_told_in_both_networks(bars, tmp_path):
    config = {"filters": (4,), "latent": 3, "conditional": True}
    model = zoo.train("wgan", bars, tmp_path / "run", inputs=["place"], config=config, epochs=1)
    x, z = bars.test[:2], np.zeros((2, 3))
    for method, given in (("predict", {"x": x}), ("decode", {"z": z})):
        a, b, c = (model.run(method, given, place=p, label=y) for p, y in ((0, 0), (3, 0), (0, 1)))
        name = next(iter(a))
        assert not np.array_equal(a[name], b[name])
        assert not np.array_equal(a[name], c[name])


def test_inputs_that_are_no_categories(bars, tmp_path):
    x = bars.train[:40]
    for values in (np.linspace(0, 1, 40), np.full(40, -1), np.zeros((40, 2), dtype=int)):
        data = split_rows("some", Image(4, 4, 1), x, inputs={"shift": values})
        with pytest.raises(InputError, match="'shift' of some is no category; expected a word, or an integer from 0"):
            zoo.train("ddpm", data, tmp_path / "run", inputs="shift")
    for inputs, says in (
        (("place",), "has 'place'; expected a name and a number of values from 2"),
        (("place:1",), "expected a name and a number of values from 2"),
        (("place:4", "place:4"), "has 'place' twice"),
        (("label:4",), "has 'label' and it means something else"),
    ):
        with pytest.raises(InputError, match=says):
            zoo.create("ddpm", bars.space, config={"inputs": inputs})
    data = split_rows("some", Image(4, 4, 1), x, inputs={"place": np.full(40, 3)})
    with pytest.raises(InputError, match="expected integers from 0 to 1"):
        zoo.train("ddpm", data, tmp_path / "run", config={"inputs": "place:2"})
    assert not (tmp_path / "run").exists()


def test_inputs_of_which_a_model_learns_nothing(bars, tmp_path):
    with pytest.warns(ZooWarning, match="dcgan learns nothing of the input 'place'"):
        zoo.train("dcgan", bars, tmp_path / "run", inputs="place", epochs=1, config={"channels": 2})
