"""Paths through latent spaces, grids over them, and real rows next to samples: arrays, pictures, commands."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pictures

import zoo
from zoo import latents
from zoo.cli import main
from zoo.cli.real_rows import held_out_rows, nearest_training_rows
from zoo.data import load_dataset
from zoo.errors import InputError, UnknownMethod
from zoo.model import Model
from zoo.pictures import panels, picture
from zoo.signature import Option, Signature, Tensor
from zoo.spaces import Image, Labels, Real

DECODERS = ("vae.digits", "realnvp.digits", "maf.digits", "dcgan.digits", "nsf.moons")


class Plain(Model):
    """Its observations are its latents, but for the class, which is added, and a scale."""

    name, density = "plain", None

    def __init__(self, width=3, conditional=False):
        self.space = Real(width)
        self.classes = Labels(("ant", "bee")) if conditional else None
        x, z = {"x": self.space.tensor}, {"z": Tensor("float32", (width,))}
        label = {"label": Tensor("int64")} if conditional else {}
        self.signatures = {
            "decode": Signature({**z, **label}, x, {"scale": Option(1.0)}, False),
            "encode": Signature({**x, **label}, z, {}, False),
        }

    def _execute(self, method, inputs, seed, index, options):
        label = inputs["label"][:, None] if "label" in inputs else 0
        if method == "encode":
            return {"z": inputs["x"] - label}
        return {"x": (inputs["z"] * options["scale"] + label).astype(np.float32)}


def call(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, f"{args}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
    assert "Traceback" not in result.stderr
    return result


def size(path):
    with Pictures.open(path) as image:
        return image.size


# ---- from one latent to another -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECODERS)
def test_ways_begin_and_end_at_the_samples_of_the_seeds(name):
    model = zoo.open(name, device="cpu")
    x, samples = zoo.interpolate(model, seeds=[3, 9, 4], steps=5), model.sample(seed=[3, 9, 4])
    assert x.shape == (2, 5, *model.space.shape)
    assert x.dtype == samples.dtype
    np.testing.assert_array_equal(x[:, 0], samples[:-1])
    np.testing.assert_array_equal(x[:, -1], samples[1:])
    assert len(np.unique(x[0], axis=0)) > 2


def test_a_linear_way_is_straight_and_a_spherical_one_an_arc():
    a, b = np.array([[3.0, 0, 0]]), np.array([[0, 5.0, 0]])
    straight = zoo.interpolate(Plain(), z=np.concatenate([a, b]), steps=3)[0]
    np.testing.assert_allclose(straight, [a[0], [1.5, 2.5, 0], b[0]], atol=1e-6)
    arc = zoo.interpolate(Plain(), z=np.concatenate([a, b]), steps=3, path="spherical")[0]
    np.testing.assert_allclose(arc, [a[0], np.array([3, 5, 0]) / 2**0.5, b[0]], atol=1e-6)
    turn = zoo.interpolate(Plain(2), z=[[1, 0], [0, 1]], steps=7, path="spherical")[0]
    np.testing.assert_allclose(np.linalg.norm(turn, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.diff(np.arctan2(turn[:, 1], turn[:, 0])), np.pi / 12, atol=1e-6)
    for z in ([[1, 1], [2, 2]], [[0, 0], [2, 2]]):  # no angle, or none that is known
        found = [zoo.interpolate(Plain(2), z=z, path=path) for path in latents.PATHS]
        np.testing.assert_allclose(*found, atol=1e-6)


def test_ways_between_given_rows_options_and_classes():
    x = np.array([[1, 2, 3], [5, 6, 7]])
    np.testing.assert_allclose(zoo.interpolate(Plain(), x, steps=3)[0, 1], [3, 4, 5])
    np.testing.assert_allclose(zoo.interpolate(Plain(), x, steps=3, scale=2)[0, 1], [6, 8, 10])
    model = Plain(conditional=True)
    np.testing.assert_allclose(zoo.interpolate(model, x, steps=2, label="bee")[0], x)
    np.testing.assert_allclose(zoo.interpolate(model, z=x, steps=2, label=1)[0], x + 1)
    with pytest.raises(InputError, match="needs a class; the 2 classes are ant, bee"):
        zoo.interpolate(model, x)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"seeds": [1]}, "one latent is given; expected at least two"),
        ({"seeds": 7}, "seeds are 7; expected integers, one for each"),
        ({"seeds": [1, 2.5]}, "expected integers"),
        ({}, "nothing given; expected observations x, seeds or latents z"),
        ({"seeds": [1, 2], "z": [[0, 0, 0]]}, "seeds and z given"),
        ({"z": [[0, 0]]}, r"z has shape \(1, 2\); expected \(N, 3\)"),
        ({"seeds": [1, 2], "steps": 1}, "steps is 1; expected at least 2"),
        ({"seeds": [1, 2], "path": "sphericl"}, "expected linear or spherical. Did you mean 'spherical'"),
        ({"z": [[1, 0, 0], [-1, 0, 0]], "path": "spherical"}, "opposite"),
        ({"seeds": [1, 2], "warmth": 3}, "decode of plain has no option 'warmth'"),
    ],
)
def test_ways_that_cannot_be(given, says):
    with pytest.raises(InputError, match=says):
        zoo.interpolate(Plain(), **given)


def test_models_that_have_no_way():
    made = zoo.open("made.digits", device="cpu")
    for function in (zoo.walk, lambda model: zoo.interpolate(model, seeds=[1, 2])):
        with pytest.raises(InputError, match=r"made.digits has no latent space: it has sample, log_prob.*zoo list"):
            function(made)
    with pytest.raises(InputError, match="a direction that cannot turn: use linear"):
        zoo.interpolate(Plain(1), seeds=[1, 2], path="spherical")
    assert zoo.interpolate(Plain(1), seeds=[1, 2]).shape == (1, 8, 1)
    with pytest.raises(InputError, match="one dimension; expected at least two, for a grid"):
        zoo.walk(Plain(1))
    gan = zoo.open("dcgan.digits", device="cpu")
    with pytest.raises(UnknownMethod, match="no method 'encode'"):
        zoo.interpolate(gan, gan.sample(2, seed=0))


# ---- over a grid ----------------------------------------------------------------------------------------------------


def test_a_walk_is_at_quantiles_of_the_prior_and_elsewhere_stays():
    stats = pytest.importorskip("scipy.stats")
    x = zoo.walk(Plain(4), (2, 0), steps=5, at=[7, 8, 9, 10])
    quantiles = stats.norm.ppf((np.arange(5) + 0.5) / 5)
    assert x.shape == (5, 5, 4)
    np.testing.assert_allclose(x[..., 2], np.tile(quantiles[:, None], 5), atol=1e-6)
    np.testing.assert_allclose(x[..., 0], np.tile(quantiles, (5, 1)), atol=1e-6)
    assert (x[..., [1, 3]] == [8, 10]).all()
    assert (zoo.walk(Plain(4), (2, 0))[..., [1, 3]] == 0).all()
    assert (zoo.walk(Plain(4, conditional=True), (2, 0), label=1)[..., [1, 3]] == 1).all()


def test_a_walk_takes_the_coordinates_that_move_observations_most():
    class Uneven(Plain):
        def _execute(self, method, inputs, seed, index, options):
            return {"x": inputs["z"] * np.array([0, 3, 1, 0, 2], dtype=np.float32)}

    assert latents.moving_dims(Uneven(5)) == (1, 4)
    x = zoo.walk(Uneven(5), steps=3)
    assert (np.ptp(x.reshape(9, 5), axis=0) > 0).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("dims", [(0, 0), (0, 3), (-1, 1), (0,), (0, 1, 2), (0, "one"), (0.0, 1.0), 1])
def test_coordinates_that_are_not_there(dims):
    with pytest.raises(InputError, match="expected two different coordinates from 0 to 2"):
        zoo.walk(Plain(), dims)


# ---- along the direction of an attribute ----------------------------------------------------------------------------


def test_an_attribute_is_the_difference_of_the_means():
    x = np.array([[1, 2, 3], [5, 6, 7], [9, 8, 7], [0, 0, 1]], dtype=np.float32)
    has = np.array([True, False, True, False])
    np.testing.assert_allclose(zoo.attribute_vector(Plain(), x, has), [2.5, 2, 1])
    classes = np.array([1, 0, 0, 1])  # each row is encoded with its own
    found = zoo.attribute_vector(Plain(conditional=True), x, has, label=classes)
    np.testing.assert_allclose(found, np.array([2.5, 2, 1]) - (0.5 - 0.5))
    found = zoo.attribute_vector(Plain(conditional=True), x, has, label=np.array([1, 0, 1, 0]))
    np.testing.assert_allclose(found, np.array([2.5, 2, 1]) - 1)


def test_many_rows_count_as_all_of_them(monkeypatch):
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    has = x[:, 0] > 0.5
    expected = x[has].mean(0) - x[~has].mean(0)
    monkeypatch.setattr("zoo.data.sources.BLOCK_BYTES", 7 * x[0].nbytes)
    np.testing.assert_allclose(zoo.attribute_vector(Plain(), x, has), expected, atol=1e-6)
    np.testing.assert_allclose(zoo.attribute_vector(Plain(), x.tolist(), has), expected, atol=1e-6)
    flow, (digits, y) = zoo.open("realnvp.digits", device="cpu"), load_dataset("digits").split("test")
    z = flow.encode(digits, seed=5)  # random, so each row needs its own index
    expected = z[y == 7].mean(0, dtype=np.float64) - z[y != 7].mean(0, dtype=np.float64)
    np.testing.assert_allclose(zoo.attribute_vector(flow, digits, y == 7, seed=5), expected, atol=1e-5)


def test_an_attribute_is_added_at_each_strength():
    moved = zoo.arithmetic(Plain(), [1, 0, 2], z=[[0, 0, 0], [5, 6, 7]], strengths=[-1, 0, 0.5])
    np.testing.assert_allclose(moved[0], [[-1, 0, -2], [0, 0, 0], [0.5, 0, 1]])
    np.testing.assert_allclose(moved[1], moved[0] + [5, 6, 7])
    np.testing.assert_allclose(
        zoo.arithmetic(Plain(), [1, 0, 2], [[5, 6, 7]], strengths=[1], scale=2)[0, 0], [12, 12, 18]
    )
    each = zoo.arithmetic(Plain(conditional=True), [1, 0, 2], z=[[0, 0, 0], [5, 6, 7]], strengths=[0, 1], label=[1, 0])
    np.testing.assert_allclose(each, [[[1, 1, 1], [2, 1, 3]], [[5, 6, 7], [6, 6, 9]]])
    assert zoo.arithmetic(Plain(), [1, 0, 2], seeds=[3, 9]).shape == (2, 5, 3)


@pytest.mark.parametrize("name", ["vae.digits", "realnvp.digits"])
def test_digits_become_sevens(name):
    """By the nearest mean of the pixels of a class: of rows that are no sevens, most are by a strength of 2."""
    model, data = zoo.open(name, device="cpu"), load_dataset("digits")
    (x, y), (test, label) = data.split("train"), data.split("test")
    means = np.stack([x[y == k].mean(0) for k in range(10)])

    def sevens(x):
        return (((x[:, None].astype(float) - means) ** 2).sum((2, 3, 4)).argmin(1) == 7).mean()

    direction = zoo.attribute_vector(model, x, y == 7)
    moved = zoo.arithmetic(model, direction, test[label != 7][:50], strengths=[-1, 0, 1, 2])
    shares = [sevens(moved[:, i]) for i in range(4)]
    assert shares == sorted(shares)
    assert shares[1] < 0.1
    assert shares[3] > 0.5


@pytest.mark.parametrize(
    ("function", "given", "says"),
    [
        (zoo.attribute_vector, ([[1, 2, 3]] * 2, [True]), r"has is an array of bool of shape \(1,\); expected true or"),
        (zoo.attribute_vector, ([[1, 2, 3]] * 2, [1, 0]), "has is an array of int64"),
        (zoo.attribute_vector, ([[1, 2, 3]] * 2, [True, True]), "all of the 2 rows have the attribute; expected some"),
        (zoo.attribute_vector, ([[1, 2, 3]] * 2, [False, False]), "none of the 2 rows have the attribute"),
        (zoo.arithmetic, ([1, 2], [[1, 2, 3]]), r"direction has shape \(2,\); expected finite numbers of shape \(3,\)"),
        (zoo.arithmetic, ([1, 2, np.nan], [[1, 2, 3]]), "expected finite numbers"),
        (zoo.arithmetic, ([1, 2, 3],), "nothing given; expected observations x, seeds or latents z"),
    ],
)
def test_attributes_that_cannot_be(function, given, says):
    with pytest.raises(InputError, match=says):
        function(Plain(), *given)


@pytest.mark.parametrize("strengths", [[], 2, [1, np.inf], ["one"]])
def test_strengths_that_cannot_be(strengths):
    with pytest.raises(InputError, match="expected numbers, such as 0, 1, 2"):
        zoo.arithmetic(Plain(), [1, 2, 3], seeds=[1], strengths=strengths)


# ---- beside samples -------------------------------------------------------------------------------------------------


def test_real_rows_are_of_the_test_split_and_of_the_classes_that_were_asked_for():
    data = load_dataset("digits")
    test = {row.tobytes(): int(y) for row, y in zip(*data.split("test"), strict=True)}
    labels = np.arange(60) % 10
    assert [test[row.tobytes()] for row in held_out_rows(data, 60, labels)] == labels.tolist()
    some = held_out_rows(data, 60)
    assert len({row.tobytes() for row in some} & set(test)) == 60
    assert len(held_out_rows(data, 10**6)) == len(data.test)
    assert len(held_out_rows(data, 500, np.zeros(500, dtype=np.int64))) == 500


def test_the_nearest_training_row_is_nearest():
    pytest.importorskip("sklearn")
    data = load_dataset("digits")
    np.testing.assert_array_equal(nearest_training_rows(data, data.train[5:9]), data.train[5:9])
    near = nearest_training_rows(data, data.test[:20]).astype(float)
    distances = ((data.test[:20, None].astype(float) - data.train[None]) ** 2).sum((2, 3, 4))
    np.testing.assert_array_equal(((near - data.test[:20]) ** 2).sum((1, 2, 3)), distances.min(1))


# ---- the commands ---------------------------------------------------------------------------------------------------


def test_pictures_of_ways_and_walks(tmp_path):
    cell = 66  # a digit, magnified, and the gap
    out = tmp_path / "x.png"
    call("interpolate", "vae.digits", "--seeds", "3,9,27", "--steps", 5, "--out", out)
    assert size(out) == (5 * cell + 2, 2 * cell + 2)
    call("walk", "vae.digits", "--dims", "3,7", "--steps", 4, "--from", 5, "--out", out, "--force")
    assert size(out) == (4 * cell + 2, 4 * cell + 2)
    rows = ["--data", "digits:test", "--rows", "3,17"]
    call("interpolate", "vae.digits", *rows, "--steps", 5, "--out", out, "--force")
    assert size(out)[0] > 7 * cell
    shown = np.asarray(Pictures.open(out).convert("L"))
    first = load_dataset("digits").test[3, :, :, 0] * (255 / 16)
    np.testing.assert_array_equal(shown[30:94:8, 26:90:8], np.rint(first))  # the row itself stands before the way


def test_commands_give_what_the_functions_give(tmp_path):
    model = zoo.open("vae.digits", device="cpu")
    call("interpolate", "vae.digits", "--seeds", "3,9", "--path", "spherical", "--out", tmp_path / "x.npz")
    expected = zoo.interpolate(model, seeds=[3, 9], path="spherical")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], expected[0])
    told = call("walk", "vae.digits", "--set", "observe=draw", "--seed", 4, "--out", tmp_path / "w.npy").stderr
    expected = zoo.walk(model, seed=4, observe="draw")
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), expected.reshape(-1, 8, 8, 1))
    first, second = latents.moving_dims(model, seed=4, observe="draw")
    assert f"--dims {first},{second} (they change observations most)" in told
    told = call("interpolate", "nsf.moons", "--steps", 2, "--out", tmp_path / "a.csv").stderr
    seeds = told.partition("--seeds ")[2].split()[0]
    call("interpolate", "nsf.moons", "--steps", 2, "--seeds", seeds, "--out", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert len(call("walk", "nsf.moons", "--steps", 3).stdout.splitlines()) == 10


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["interpolate", "vae.digits", "--seeds", "3,9", "--data", "digits"], "give one of them"),
        (["interpolate", "vae.digits", "--rows", "3,9"], "--rows needs --data"),
        (["interpolate", "vae.digits", "--data", "digits", "--rows", "3,999"], "there is no row 999 in digits"),
        (["interpolate", "vae.digits", "--seeds", "3"], "expected at least two"),
        (["interpolate", "vae.digits", "--steps", "2000"], "a picture holds at most 1024 rows; got 2000"),
        (["interpolate", "made.digits"], "made.digits has no latent space"),
        (["walk", "ddpm.digits"], "ddpm.digits has no latent space"),
        (["walk", "vae.digits", "--dims", "3,77"], "expected two different coordinates from 0 to 15"),
        (["walk", "vae.digits", "--steps", "40"], "a picture holds at most 1024 rows; got 1600"),
        (["walk", "vae.digits", "--class", "3"], "takes no class"),
        (["arithmetic", "vae.digits"], "Missing option '--attribute'"),
        (["arithmetic", "made.digits", "--attribute", "label=7"], "made.digits has no latent space"),
        (["arithmetic", "dcgan.digits", "--attribute", "label=7"], "dcgan.digits has no method 'encode'"),
        (["arithmetic", "vae.digits", "--attribute", "label=x"], "unknown class 'x'; the 10 classes are 0, 1"),
        (["arithmetic", "vae.digits", "--attribute", "label"], "--attribute label needs a class: label=CLASS"),
        (["arithmetic", "vae.digits", "--attribute", "smile"], "digits has no input 'smile'; it has none"),
        (["arithmetic", "vae.digits", "--attribute", "label=7", "--rows", "999"], "there is no row 999 in digits"),
        (["arithmetic", "vae.digits", "--attribute", "label=7", "--rows", "1", "--seeds", "1"], "give one of them"),
        (["arithmetic", "vae.digits", "--attribute", "label=7", "--strengths", "1,b"], "'1,b' is not numbers"),
        (["arithmetic", "vae.digits", "--attribute", "label=upper", "--data", "moons"], "the model takes images"),
        (["walk", "vae.digits", "--set", "temperature=2"], "decode of vae.digits has no option 'temperature'"),
    ],
)
def test_commands_say_what_is_wrong(tmp_path, args, says):
    result = call(*args, "--out", tmp_path / "x.png", code=2)
    assert says in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [["interpolate", "--seeds", "3,9"], ["walk", "--steps", "3"], ["arithmetic", "--attribute", "label=7"]]
)
def test_no_framework_is_imported(tmp_path, command):
    code = (
        "import sys, zoo.cli; zoo.cli.main(sys.argv[1:], standalone_mode=False); "
        "assert not {'torch', 'keras', 'onnx', 'sklearn'} & set(sys.modules)"
    )
    arguments = [command[0], "vae.digits", *command[1:], "--out", tmp_path / "x.png"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True)


def test_attributes_of_data_sets_and_files(tmp_path):
    model, data = zoo.open("vae.digits", device="cpu"), load_dataset("digits")
    x, y = data.split("test")
    direction = zoo.attribute_vector(model, x, y == 7)
    out = tmp_path / "x.npz"
    call("arithmetic", "vae.digits", "--attribute", "label=7", "--rows", "3,17", "--strengths", "0,1", "--out", out)
    expected = zoo.arithmetic(model, direction, x[[3, 17]], strengths=[0, 1])
    np.testing.assert_array_equal(np.load(out)["x"], expected.reshape(-1, 8, 8, 1))
    np.savez(tmp_path / "rows.npz", x=x, y=y, bright=x.mean((1, 2, 3)) > 5, ink=x.sum((1, 2, 3), dtype=np.int64) // 100)
    of_file = ["arithmetic", "vae.digits", "--data", tmp_path / "rows.npz", "--strengths", "1", "--seeds", "5"]
    call(*of_file, "--attribute", "label=7", "--out", out, "--force")
    expected = zoo.arithmetic(model, direction, seeds=[5], strengths=[1])[0]
    np.testing.assert_array_equal(np.load(out)["x"], expected)
    for attribute, has in (("bright", x.mean((1, 2, 3)) > 5), ("ink=3", x.sum((1, 2, 3)) // 100 == 3)):
        call(*of_file, "--attribute", attribute, "--out", out, "--force")
        expected = zoo.arithmetic(model, zoo.attribute_vector(model, x, has), seeds=[5], strengths=[1])[0]
        np.testing.assert_array_equal(np.load(out)["x"], expected)


def test_pictures_of_attributes(tmp_path):
    """A column for each strength, after one of the rows themselves: of the first four that lack the attribute."""
    out, (x, y) = tmp_path / "x.png", load_dataset("digits").split("test")
    call("arithmetic", "vae.digits", "--attribute", "label=7", "--strengths", "0,1", "--out", out)
    cell, gap = 68, 24
    assert size(out)[0] == 3 * cell + 4 * gap
    shown = np.asarray(Pictures.open(out).convert("L"))[30::66, gap + 2 : gap + 66 : 8][:4]
    np.testing.assert_array_equal(shown, np.rint(x[y != 7][:4, 0, :, 0] * (255 / 16)))


def test_conditional_models_take_a_class(tmp_path, monkeypatch):
    toy = Plain(2, conditional=True)
    monkeypatch.setattr("zoo.cli.row_commands.load_or_open", lambda name, **more: toy)
    monkeypatch.setattr("zoo.cli.row_commands.where", lambda model: "here")
    result = call("walk", "toy", code=2)
    assert "plain needs a class: --class NAME; the 2 classes are ant, bee" in result.stderr
    lines = call("walk", "toy", "--class", "bee", "--steps", 2, "--from", 0).stdout.splitlines()
    values = np.array([line.split(",") for line in lines[1:]], dtype=float)
    np.testing.assert_allclose(values.mean(0), [1, 1], atol=1e-6)
    (tmp_path / "x.csv").write_text("x0,x1\n1,2\n3,4\n")
    result = call("interpolate", "toy", "--data", tmp_path / "x.csv", "--class", "bee", "--steps", 2)
    assert result.stdout.split() == ["x0,x1", "1.0,2.0", "3.0,4.0"]


def test_real_rows_beside_samples(tmp_path):
    pytest.importorskip("sklearn")
    out, data = tmp_path / "x.png", load_dataset("digits")

    def shown(panel):
        """The four digits of a panel, which stand two by two."""
        left, top = 24 + panel * (2 * 66 + 2 + 24) + 2, 28 + 2
        pixels = np.asarray(Pictures.open(out).convert("L"))
        corners = [(top, left), (top, left + 66), (top + 66, left), (top + 66, left + 66)]
        return np.stack([pixels[a : a + 64 : 8, b : b + 64 : 8] for a, b in corners])

    def levels(x):
        return np.rint(x[..., 0] * (255 / 16))

    call("sample", "vae.digits", "-n", 4, "--seed", 7, "--beside", "nearest", "--out", out)
    made = zoo.open("vae.digits", device="cpu").sample(4, seed=7)
    np.testing.assert_array_equal(shown(0), levels(made))
    np.testing.assert_array_equal(shown(1), levels(nearest_training_rows(data, made)))
    call("sample", "ddpm.digits", "-n", 4, "--start", 5, "--class", "all", "--beside", "data", "--out", out, "--force")
    np.testing.assert_array_equal(shown(1), levels(held_out_rows(data, 4, np.arange(5, 9))))
    call("sample", "nsf.moons", "-n", 50, "--beside", "data", "--data", "moons", "--out", out, "--force")
    for more, says in (
        (["--out", tmp_path / "x.npz"], "--beside is for pictures"),
        (["--out", tmp_path / "y.png", "--data", "moons"], "the model takes images"),
    ):
        assert says in call("sample", "vae.digits", "--beside", "data", *more, code=2).stderr
    assert "--data needs --beside" in call("sample", "vae.digits", "--data", "digits", code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_points_stand_in_one_frame():
    shown = panels(Real(2), {"one": np.zeros((1, 2)), "two": np.array([[0.0, 0.0], [4.0, 4.0]])})
    pixels = np.asarray(shown.convert("L"))[60:530, 110:560]  # inside the first frame
    down, across = np.argwhere(pixels < 100).mean(0)
    assert down > 400
    assert across < 50, "the point is the lowest of all, and not in the middle"


def test_images_are_shown_as_many_in_a_row_as_there_are_steps():
    x = np.zeros((6, 8, 8, 1), dtype=np.uint8)
    assert picture(Image(8, 8), x, columns=6).size == (6 * 66 + 2, 68)
