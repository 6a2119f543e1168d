"""Data sets by name, from files and from folders; and the messages about invalid files."""

from __future__ import annotations

import gc
import gzip
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from zoo.data import Dataset, builtin, load_dataset, readers, split_rows, tables
from zoo.data.readers import read_labels, read_latents, read_rows
from zoo.errors import CorruptFile, InputError, MissingDependency, PluginError, UnknownName, ZooError, ZooWarning
from zoo.spaces import Discrete, Image, Labels, Real, Space, Text
from zoo.spec import DatasetSpec

# the made-up data of these tests has equal rows
pytestmark = pytest.mark.filterwarnings("ignore:.*rows are training rows too:zoo.errors.ZooWarning")
Make = Callable[[str, str | bytes], Path]
ROWS = "\n".join(f"{i},{i / 4},{'ab'[i % 2]}" for i in range(20)) + "\n"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A file in the test's own folder."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def problem(kind: type[ZooError], call: Callable[..., object], *args: object, **more: object) -> str:
    """The message of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call(*args, **more)
    return str(caught.value)


def save_image(path: Path, size: tuple[int, int] = (4, 3), mode: str = "L", color: object = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.new(mode, size, color).save(path)
    return path


def everything(data: Dataset) -> np.ndarray:
    return np.concatenate([data.train, data.validation, data.test])


# ---- the data set


def test_rows_are_split_the_same_way_always() -> None:
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    y = np.arange(100) % 3
    data = split_rows("rows", Real(2), x, y, classes=Labels(("a", "b", "c")))
    assert [len(data.split(s)[0]) for s in ("train", "validation", "test")] == [70, 10, 20]
    np.testing.assert_array_equal(np.sort(everything(data)[:, 0]), x[:, 0])
    for split in ("train", "validation", "test"):
        rows, labels = data.split(split)
        np.testing.assert_array_equal(labels, rows[:, 0].astype(int) // 2 % 3)
    assert data.test[:3, 0].tolist() == FIRST_TEST_ROWS


FIRST_TEST_ROWS = [46.0, 4.0, 132.0]  # on every machine


def test_a_data_set_must_be_whole() -> None:
    x = np.zeros((10, 2), np.float32)
    assert "9 rows; expected at least 10" in problem(InputError, split_rows, "few", Real(2), x[:9])
    assert "train of data set d has shape" in problem(InputError, Dataset, "d", Real(3), x, x, x)
    assert "both labels and classes" in problem(InputError, Dataset, "d", Real(2), x, x, x, classes=Labels(("a",)))
    data = split_rows("d", Real(2), x)
    assert "expected train, validation, test. Did you mean 'test'" in problem(InputError, data.split, "tests")


def test_the_digest_tells_data_apart() -> None:
    x = np.zeros((10, 2), np.float32)
    y, classes = np.arange(10) % 2, Labels(("a", "b"))
    other = x.copy()
    other[0, 0] = 1
    digests = {
        split_rows("d", Real(2), x).digest,
        split_rows("d", Real(2), other).digest,
        split_rows("d", Real(2, ("a", "b")), x).digest,
        split_rows("d", Real(2), x, y, classes=classes).digest,
        split_rows("d", Real(2), x, y[::-1], classes=classes).digest,
        split_rows("d", Real(2), x, y, classes=Labels(("a", "c"))).digest,
    }
    assert len(digests) == 6
    assert split_rows("e", Real(2), x.copy()).digest == split_rows("d", Real(2), x).digest


# ---- by name


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    theirs, ours = load_digits(), load_dataset("digits")
    assert ours.space == Image(8, 8, 1, levels=17)
    assert ours.classes == Labels(tuple("0123456789"))
    rebuilt = split_rows("digits", ours.space, theirs.images[..., None], theirs.target, classes=ours.classes)
    assert rebuilt.digest == ours.digest


def test_moons_are_those_of_scikit_learn_but_for_the_noise() -> None:
    from sklearn.datasets import make_moons

    data = load_dataset("moons")
    assert data.space == Real(2, ("x", "y"))
    smooth, label = make_moons(10_000, shuffle=False)
    ours = split_rows("smooth", data.space, smooth, label, classes=data.classes)
    assert data.labels is not None
    assert ours.labels is not None
    np.testing.assert_array_equal(data.labels["train"], ours.labels["train"])
    noise = everything(data) - everything(ours)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.005)
    np.testing.assert_allclose(np.cov(noise.T), [[0.01, 0], [0, 0.01]], atol=5e-4)
    assert data.digest == MOONS_DIGEST  # no bit differs on any machine


MOONS_DIGEST = "8d3d6a177a0fb556ecb6f3b395be71e8fd1ce4e7c9772b49c035c3a65e74a5bf"


def test_the_law_of_moons_is_a_density_and_that_of_its_rows() -> None:
    data = load_dataset("moons")
    assert data.law is not None
    axes = np.meshgrid(np.linspace(-2, 3, 251), np.linspace(-1.5, 2, 176))
    grid = np.stack(axes, axis=-1).reshape(-1, 2)
    density = np.exp(data.law.log_prob(grid)) * (5 / 250) * (3.5 / 175)
    assert density.sum() == pytest.approx(1, abs=1e-6)
    rows = everything(data)
    for axis in range(2):  # its moments are those of the rows, to four standard errors
        for power in (1, 2, 3):
            found = rows[:, axis].astype(np.float64) ** power
            assert (density * grid[:, axis] ** power).sum() == pytest.approx(found.mean(), abs=0.04 * found.std())
    assert np.isfinite(data.law.log_prob(np.array([[1e4, -1e4]]))).all()


def test_fresh_moons_follow_the_law_and_are_in_no_split() -> None:
    from scipy.stats import ks_2samp

    data = load_dataset("moons")
    assert data.law is not None
    assert data.labels is not None
    x, y = data.law.sample(5000, seed=3)
    assert y is not None
    assert not set(map(bytes, x)) & set(map(bytes, everything(data)))
    for label in range(2):
        rows = data.train[data.labels["train"] == label]
        for axis in ([1, 0], [0, 1], [0.6, 0.8], [0.8, -0.6]):
            assert ks_2samp(rows @ axis, x[y == label] @ axis).pvalue > 1e-3
    assert (data.law.sample(9, seed=3)[0] != data.law.sample(9, seed=4)[0]).all()


def test_names_are_lower_case_and_each_once() -> None:
    data = load_dataset("names")
    assert isinstance(data.space, Text)
    strings = data.space.decode(everything(data))
    assert len(set(strings)) == len(strings) > 5000
    again = split_rows("names", data.space, data.space.encode(sorted(strings)))
    assert again.digest == data.digest  # the order is that of the alphabet, not of a set
    assert {"mary", "james"} <= set(strings)
    assert set("".join(strings)) == set("abcdefghijklmnopqrstuvwxyz")


def test_names_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin.importlib.util, "find_spec", lambda name: None)
    assert "pip install names" in problem(MissingDependency, load_dataset, "names")


def test_unknown_names_list_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = problem(UnknownName, load_dataset, "digit")
    assert "no such file or folder" in message
    assert "digits, emoji, fashion-mnist, moons, names" in message
    assert "Did you mean 'digits'" in message
    assert "no file or folder 'nowhere.csv'" in problem(InputError, load_dataset, "nowhere.csv")
    assert "brings its own classes" in problem(InputError, load_dataset, "digits", label="y")


def test_a_name_goes_before_a_folder_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "mine"):
        for i in range(10):
            save_image(tmp_path / name / f"{i}.png")
    assert load_dataset("digits").space == Image(8, 8, 1, levels=17)
    for source in ("./digits", "mine", tmp_path / "digits"):
        assert load_dataset(source).space == Image(3, 4)


def test_a_plugin_that_returns_something_else_is_named() -> None:
    spec = DatasetSpec(name="odd", target="builtins:dict", summary="not a data set")
    assert "odd" in problem(PluginError, load_dataset, "odd", find=lambda name: spec)


# ---- Fashion-MNIST


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """A folder with the four files, tiny: two gzipped, two not."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    for part, count in (("train", 20), ("t10k", 4)):
        images = np.arange(count, dtype=np.uint8)[:, None, None] + np.zeros((28, 28), np.uint8)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return folder


def test_fashion_keeps_the_official_test_split(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_FASHION_MNIST", str(fashion))
    data = load_dataset("fashion-mnist")
    assert data.space == Image(28, 28)
    assert data.classes is not None
    assert data.classes.names[9] == "Ankle boot"
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 10, 4)
    assert data.test[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert sorted([*data.train[:, 0, 0, 0], *data.validation[:, 0, 0, 0]]) == list(range(20))
    for split in ("train", "validation", "test"):
        x, y = data.split(split)
        np.testing.assert_array_equal(x[:, 0, 0, 0] % 10, y)


FASHION_FILES = Path(os.environ.get(builtin.FASHION_FOLDER, builtin.FASHION_DEBIAN))


@pytest.mark.skipif(not FASHION_FILES.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_no_row_of_fashion_ever_changes() -> None:
    data = builtin.fashion_mnist(FASHION_FILES)
    assert (len(data.train), len(data.validation), len(data.test)) == (55_000, 5_000, 10_000)
    assert data.digest == FASHION_DIGEST


FASHION_DIGEST = "d77a2287f24676996ff77368e781fec9b0d3a9ccf1861e2b2d7dc9a559eb55e4"


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("train-images-idx3-ubyte.gz", lambda b: b[:40], "end-of-stream"),
        ("train-images-idx3-ubyte.gz", lambda b: b[:20] + b"\0\0\0" + b[23:], ""),
        ("train-images-idx3-ubyte.gz", lambda b: gzip.compress(gzip.decompress(b)[:-1]), "15679 bytes of data"),
        ("train-labels-idx1-ubyte", lambda b: b"<html>" + b, "3c 68 74 6d"),
        ("train-labels-idx1-ubyte", lambda b: b"", "nothing"),
        ("train-labels-idx1-ubyte", lambda b: idx(np.zeros(19)), "19 labels"),
        ("t10k-labels-idx1-ubyte", lambda b: b[:-1] + b"\x0a", "the class 10"),
        ("t10k-images-idx3-ubyte.gz", lambda b: idx(np.zeros((4, 8, 8))), "expected 28x28"),
    ],
)
def test_a_damaged_file_is_named(fashion: Path, name: str, damage: Callable[[bytes], bytes], says: str) -> None:
    (fashion / name).write_bytes(damage((fashion / name).read_bytes()))
    message = problem(CorruptFile, builtin.fashion_mnist, fashion)
    assert str(fashion / name) in message
    assert says in message


def test_a_missing_file_is_named(fashion: Path) -> None:
    (fashion / "t10k-labels-idx1-ubyte").unlink()
    assert "has no t10k-labels-idx1-ubyte" in problem(InputError, builtin.fashion_mnist, fashion)


@pytest.fixture
def served(fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder as the web site that fashion_mnist downloads from."""
    checksums = {}
    for name in builtin.FASHION_MD5:
        if (fashion / name).exists():
            (fashion / f"{name}.gz").write_bytes(gzip.compress((fashion / name).read_bytes()))
        checksums[name] = hashlib.md5((fashion / f"{name}.gz").read_bytes()).hexdigest()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(fashion)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(builtin, "FASHION_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(builtin, "FASHION_MD5", checksums)
    monkeypatch.setattr(builtin, "FASHION_DEBIAN", str(tmp_path / "none"))
    monkeypatch.delenv("ZOO_FASHION_MNIST", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield fashion
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(sys.platform != "linux", reason="the cache is moved by XDG_CACHE_HOME")
def test_the_download_is_kept_and_checked(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = builtin.fashion_mnist()
    for file in served.iterdir():
        file.unlink()  # the web site is gone
    assert builtin.fashion_mnist().digest == first.digest


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pooch leaves a 404 response open
@pytest.mark.skipif(sys.platform != "linux", reason="the cache is moved by XDG_CACHE_HOME")
def test_a_download_that_fails_says_what_to_do(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.FASHION_MD5, "t10k-labels-idx1-ubyte", "0" * 32)
    assert "damaged" in problem(CorruptFile, builtin.fashion_mnist)
    assert not list((tmp_path / "cache").rglob("t10k-labels*"))
    (served / "t10k-labels-idx1-ubyte.gz").unlink()
    for url in (builtin.FASHION_URL, "http://127.0.0.1:1/"):
        monkeypatch.setattr(builtin, "FASHION_URL", url)
        message = problem(ZooError, builtin.fashion_mnist)
        assert "cannot download" in message
        assert "apt-get install dataset-fashion-mnist" in message
    gc.collect()  # or what is left open shows in another test


# ---- tables


def test_csv_has_columns_and_a_class(make: Make) -> None:
    data = load_dataset(make("points.csv", "x,y,kind\n" + ROWS), label="kind")
    assert data.space == Real(2, ("x", "y"))
    assert data.classes == Labels(("a", "b"))
    for split in ("train", "validation", "test"):
        x, y = data.split(split)
        np.testing.assert_array_equal(x[:, 1], x[:, 0] / 4)
        np.testing.assert_array_equal(x[:, 0] % 2, y)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "1,2\n"),
        ("a.csv", "1.5,-2e3\r\n"),
        ("a.csv", "\ufeff1,2\n"),
        ("a.csv", "1;2\n"),
        ("a.tsv", "1\t2\n"),
        ("a.CSV", " +1 , 2\n"),
    ],
)
def test_csv_without_a_header_has_no_names(make: Make, name: str, text: str) -> None:
    path = make(name, text + text.lstrip("\ufeff") * 11)
    data = load_dataset(path)
    assert data.space == Real(2)
    assert len(everything(data)) == 12
    assert "no header" in problem(InputError, load_dataset, path, label="kind")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("x,y\n", "a header and no rows"),
        ("x,y\n1,2\n1,2,3\n", "line 3 has 3 columns; the first line has 2"),
        ("x,y\n1,2\n\n1\n", "line 4 has 1 columns"),
        ("x,y\n1,2\n3,four\n", "line 3, column 'y' is 'four'"),
        ("1,2\n3,four\n", "line 2, column 2 is 'four'"),
        ("x,y\n1,2\n3,\n", "line 3, column 'y' is empty"),
        ("x,y\n1,2\n3,NA\n", "line 3, column 'y' is 'NA'"),
        ("x,y\n1,nan\n", "line 2, column 'y' has the value nan"),
        ("x,y\n1,2\n-inf,2\n", "line 3, column 'x' has the value -inf"),
        ("x,y\n1e40,2\n", "line 2, column 'x' has the value 1e40"),
        ("x,y\n1_0,2\n", "line 2, column 'x' is '1_0'"),
        ('x,"y\nz"\n1,2\n\n1,two\n', "line 5, column 'y\\nz' is 'two'"),
        ('x,y\n1,2\n"a\nb",2\n', "line 3, column 'x' is 'a\\nb'"),
        (",x\n0,1\n", "column 1 of the header has no name"),
        ("x,x\n0,1\n", "two columns 'x'"),
        ("5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n", "neither header nor data"),
        (b"x,y\n1,2\n\xff,2\n", "line 3 is not UTF-8"),
        (b"x\xff,y\n1,2\n", "line 1 is not UTF-8"),
        (b"PK\x03\x04\0\0\0\0", "a.csv"),
        ('x,y\n1,"2\n3,4\n', "a.csv"),
    ],
)
def test_a_fault_in_csv_is_shown_by_line_and_column(make: Make, text: str | bytes, says: str) -> None:
    """Of a model of real numbers; one of tables takes words and gaps (tests/test_tables.py)."""
    path = make("a.csv", text)
    message = problem(InputError, load_dataset, path, spaces=(Real,))
    assert says in message
    assert str(path) in message


def test_all_faults_of_a_table_of_numbers_are_said_together(make: Make, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = [f"{i},{i},a" for i in range(20)]
    lines[2], lines[3], lines[4], lines[5] = "2,,a", "x,3,a", "4,4", "5,5,"
    lines[10:18] = ["inf,1,a"] * 8
    said = problem(InputError, load_dataset, make("a.csv", "\n".join(["u,v,w", *lines])), spaces=(Real,), label="w")
    assert said.splitlines()[1:] == [
        "  line 4, column 'v' is empty; expected a finite float32 number.",
        "  line 5, column 'u' is 'x'; expected a finite float32 number. If it is the class, say so: --label u; or "
        "leave it out: --types u=drop.",
        "  line 6 has 2 columns; the first line has 3.",
        "  line 7, column 'w' is empty; expected a word.",
        *(f"  line {number}, column 'u' has the value inf." for number in range(12, 16)),
        "  column 'u': 4 more",
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"u": [1.0, None, *[2.0] * 70_000, np.inf], "v": [np.nan] * 70_003}), path)
    said = problem(InputError, load_dataset, path, spaces=(Real,))
    for words in ("row 2, column 'u'", "row 70003, column 'u'", "row 5, column 'v'", "column 'v': 69,998 more"):
        assert words in said


def test_a_column_of_words_may_be_the_class(make: Make) -> None:
    path = make("a.csv", "x,y,kind\n" + ROWS)
    assert "say so: --label kind" in problem(InputError, load_dataset, path, spaces=(Real,))
    assert "columns are x, y, kind. Did you mean 'kind'" in problem(InputError, load_dataset, path, label="kin")
    assert "line 22, column 'kind' is empty" in problem(
        InputError, load_dataset, make("b.csv", "x,y,kind\n" + ROWS + "1,2,\n"), label="kind"
    )
    many = "x,id\n" + "".join(f"1,{i}\n" for i in range(1001))
    assert "1001 different values" in problem(InputError, load_dataset, make("c.csv", many), label="id")


def test_classes_that_are_numbers_are_in_their_order(make: Make) -> None:
    path = make("a.csv", "x,k\n" + "".join(f"{i},{10 - i % 3}\n" for i in range(12)))
    data = load_dataset(path, label="k")
    assert data.classes == Labels(("8", "9", "10"))
    x, y = data.split("train")
    np.testing.assert_array_equal(y, 2 - x[:, 0] % 3)


def test_parquet_has_columns_and_a_class(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    columns = {"x": np.arange(12.0), "n": np.arange(12), "kind": ["a", "b"] * 6, "float": [0.0, 1.0] * 6}
    pq.write_table(pa.table(columns), path)
    data = load_dataset(path.rename(tmp_path / "b.parquet"), label="kind")
    assert data.space == Real(3, ("x", "n", "float"))
    assert load_dataset(tmp_path / "b.parquet", label="kind").digest == data.digest
    assert "column 'kind' holds string; expected numbers. If it is the class" in problem(
        InputError, load_dataset, tmp_path / "b.parquet", spaces=(Real,)
    )
    del columns["kind"]
    pq.write_table(pa.table(columns), path)
    assert load_dataset(path, label="float").classes == Labels(("0", "1"))
    pq.write_table(pa.table({"x": [1.0, None], "y": [1, 2]}), path)
    assert "row 2, column 'x' is missing" in problem(InputError, load_dataset, path, spaces=(Real,))
    pq.write_table(pa.table({"x": [1, 2], "y": [None, 1]}), path)
    assert "row 1, column 'y' is missing" in problem(InputError, load_dataset, path, spaces=(Real,))
    pq.write_table(pa.table({"x": [1, 2], "y": [None, "a"]}), path)
    assert "row 1, column 'y' is missing" in problem(InputError, load_dataset, path, label="y")
    pq.write_table(pa.table({"x": np.zeros(0)}), path)
    assert "0 rows" in problem(InputError, load_dataset, path)
    path.write_bytes(b"PAR1 not really PAR1")
    assert str(path) in problem(CorruptFile, load_dataset, path)


# ---- NPZ and NPY


@pytest.mark.parametrize(
    ("x", "space"),
    [
        (np.zeros((10, 3)), Real(3)),
        (np.zeros(10, np.float32), Real(1)),
        (np.full((10, 3), 6), Discrete(3, 7)),
        (np.zeros((10, 3), bool), Discrete(3, 2)),
        (np.full((10, 3, 4), 17, np.uint8), Image(3, 4)),
        (np.full((10, 3, 4), 16, np.uint8), Image(3, 4, 1, levels=17)),
        (np.full((10, 3, 4, 3), 1, np.uint8), Image(3, 4, 3, levels=2)),
    ],
)
def test_an_array_tells_its_space(tmp_path: Path, x: np.ndarray, space: Space) -> None:
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", data=x, y=np.arange(10) % 2)
    assert load_dataset(tmp_path / "a.npy").space == space
    data = load_dataset(tmp_path / "a.npz")
    assert data.space == space
    assert data.classes == Labels(("0", "1"))
    np.testing.assert_array_equal(everything(data), x.reshape(10, *space.shape))


@pytest.mark.parametrize(
    ("arrays", "label", "says"),
    [
        ({"x": np.array([{}])}, None, "Python objects"),
        ({"x": np.zeros((10, 2)), "y": np.zeros(9, int)}, None, "10 observations and 9 classes"),
        ({"x": np.zeros((10, 2)), "y": np.zeros((10, 2), int)}, None, "expected (N,) integers or strings"),
        ({"x": np.zeros((10, 2)), "y": np.zeros(10)}, None, "expected (N,) integers or strings"),
        ({"x": np.zeros((10, 2))}, "kind", "no array 'kind'; its arrays are x"),
        ({"a": np.zeros(10), "b": np.zeros(10)}, None, "holds the arrays a, b; expected the observations as 'x'"),
        ({"x": np.zeros((10, 3, 8, 8), np.uint8)}, None, "channels last"),
        ({"x": np.zeros((10, 8, 8))}, None, "uint8 images"),
        ({"x": np.full((10, 2), -1)}, None, "has the integer -1"),
        ({"x": np.array(["a"] * 10)}, None, "expected numbers"),
        ({"x": np.zeros((0, 2))}, None, "at least one row"),
        ({"x": np.diag([0.0] * 5 + [np.nan] + [0.0] * 6)}, None, "a.npz has nan at row 5"),
        ({"x": np.zeros((9, 2))}, None, "9 rows"),
    ],
)
def test_an_array_that_is_no_data_set(
    tmp_path: Path, arrays: dict[str, np.ndarray], label: str | None, says: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    message = problem(InputError, load_dataset, tmp_path / "a.npz", label=label)
    assert says in message
    assert "a.npz" in message


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_a_damaged_array_file_raises_no_other_error(tmp_path: Path, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from([".npz", ".npy"]))
    path = tmp_path / f"a{suffix}"
    (np.savez if suffix == ".npz" else np.save)(path, np.arange(40.0).reshape(20, 2))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:place])
    else:
        path.write_bytes(whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :])
    with suppress(InputError, CorruptFile):
        load_dataset(path)  # a bit of .npy data may change unseen


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.parquet"])
def test_a_foreign_file_is_named(make: Make, name: str) -> None:
    for content in ("hello, world", b"PK\x03\x04", b"\x80\x04."):
        assert name in problem(ZooError, load_dataset, make(name, content))
    assert "is empty" in problem(InputError, load_dataset, make(name, ""))


# ---- images


def test_a_folder_of_images_with_classes(tmp_path: Path) -> None:
    for i in range(12):
        save_image(tmp_path / "cats" / f"{i}.png", color=i)
        save_image(tmp_path / "dogs" / f"{i}.jpeg", color=100)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.warns(ZooWarning, match=r"left out 1 files that are no images of a class: notes.txt"):
        data = load_dataset(tmp_path)
    assert data.space == Image(3, 4)
    assert data.classes == Labels(("cats", "dogs"))
    x, y = data.split("train")
    np.testing.assert_array_equal(x[:, 0, 0, 0] == 100, y == 1)
    (tmp_path / "notes.txt").unlink()
    assert "sub-folders are the classes" in problem(InputError, load_dataset, tmp_path, label="x")
    np.testing.assert_array_equal(read_labels(tmp_path, Labels(("dogs", "cats"))), [1] * 12 + [0] * 12)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, [255]),
        ("L", 7, [7]),
        ("LA", (0, 0), [255]),
        ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 255), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), [255, 255, 255]),
        ("P", 0, [0, 0, 0]),
    ],
)
def test_images_of_all_modes(tmp_path: Path, mode: str, color: object, expected: list[int]) -> None:
    for i in range(10):
        save_image(tmp_path / f"{i}.png", mode=mode, color=color)
    with pytest.warns(ZooWarning, match="10 of 10 images may be transparent") if "A" in mode else nullcontext():
        data = load_dataset(tmp_path)
    assert data.space == Image(3, 4, len(expected))
    assert data.train[0, 0, 0].tolist() == expected


def test_a_photo_is_turned_the_way_it_was_taken(tmp_path: Path) -> None:
    picture = Pillow.new("L", (4, 3))
    exif = picture.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_rows(tmp_path / "a.jpg", Image(4, 3)).shape == (1, 4, 3, 1)


def test_one_color_image_makes_all_color(tmp_path: Path) -> None:
    for i in range(10):
        save_image(tmp_path / f"{i}.png", mode="RGB" if i == 5 else "L")
    assert load_dataset(tmp_path).space == Image(3, 4, 3)


def test_a_bad_image_is_named(tmp_path: Path) -> None:
    assert "it holds nothing" in problem(InputError, load_dataset, tmp_path)
    for i in range(10):
        save_image(tmp_path / f"{i}.png")
    odd = save_image(tmp_path / "5.png", size=(5, 3))
    message = problem(InputError, load_dataset, tmp_path)
    assert f"{odd} is 5x3 pixels; expected 4x3, as {tmp_path / '0.png'} is" in message
    odd.write_bytes((tmp_path / "4.png").read_bytes()[:50])
    assert f"{odd} is not a readable image" in problem(CorruptFile, load_dataset, tmp_path)
    odd.write_text("hello")
    assert f"{odd} is not a readable image: cannot identify" in problem(CorruptFile, load_dataset, tmp_path)
    save_image(odd, mode="I;16", color=1000)
    assert f"{odd} has 16 or more bits" in problem(InputError, load_dataset, tmp_path)
    other = odd.with_name("second" + odd.name)
    save_image(other, mode="I;16", color=1000)
    assert f"{odd}, {other} have 16 or more bits" in problem(InputError, load_dataset, tmp_path)
    odd.unlink()
    save_image(tmp_path / "cats" / "1.png")
    assert "images of its own (0.png) and in folders (cats)" in problem(InputError, load_dataset, tmp_path)


# ---- text


def test_text_is_a_string_a_line(make: Make) -> None:
    with pytest.warns(ZooWarning, match="left out 2 blank lines"):
        data = load_dataset(make("a.txt", "\ufeffabc\r\n\n  \n" + "b é\n" * 11))
    assert data.space == Text(3, " abcé")
    assert sorted(data.space.decode(everything(data)))[:2] == ["abc", "b é"]
    assert "is empty" in problem(InputError, load_dataset, make("c.txt", "\n \n"))
    assert "line 2 is not UTF-8" in problem(InputError, load_dataset, make("d.txt", b"a\nb\xff"))
    assert "zero byte" in problem(InputError, load_dataset, make("e.txt", b"a\0b"))
    assert "no classes" in problem(InputError, load_dataset, make("f.txt", "a"), label="x")


# ---- rows for a model that is there already


def test_rows_are_chosen_by_the_names_of_the_model(make: Make) -> None:
    path = make("a.csv", "id,y,kind,x\n7,2,a,1\n8,4,b,3\n")
    space = Real(2, ("x", "y"))
    np.testing.assert_array_equal(read_rows(path, space), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(read_rows(make("b.csv", "1,2\n3,4\n"), space), [[1, 2], [3, 4]])
    message = problem(InputError, read_rows, make("c.csv", "x,yy\n1,2\n"), space)
    assert "no column 'y'; expected the columns x, y; it has x, yy. Did you mean 'yy'" in message
    np.testing.assert_array_equal(read_rows(make("d.csv", "a,k,b\n1,u,2\n"), Real(2), label="k"), [[1, 2]])
    assert "has 3 columns; expected 2" in problem(InputError, read_rows, make("e.csv", "1,2,3\n"), Real(2))
    np.testing.assert_array_equal(read_labels(path, Labels(("b", "a")), "kind"), [1, 0])
    assert "unknown class 'b'" in problem(InputError, read_labels, path, Labels(("a",)), "kind")
    assert "--label" in problem(InputError, read_labels, path, Labels(("a",)))


def test_images_come_as_files_arrays_or_columns(tmp_path: Path, make: Make) -> None:
    space = Image(3, 4)
    image = save_image(tmp_path / "images" / "0.png", mode="RGB", color=(9, 9, 9))
    np.testing.assert_array_equal(read_rows(image, space), np.full((1, 3, 4, 1), 9))
    np.testing.assert_array_equal(read_rows(image.parent, Image(3, 4, 3)), np.full((1, 3, 4, 3), 9))
    white = save_image(tmp_path / "white.png", color=255)
    np.testing.assert_array_equal(read_rows(white, Image(3, 4, 1, levels=17)), np.full((1, 3, 4, 1), 16))
    assert "is 4x3 pixels; expected 3x3" in problem(InputError, read_rows, image, Image(3, 3))
    np.save(tmp_path / "a.npy", np.full((5, 3, 4), 8.0))
    np.testing.assert_array_equal(read_rows(tmp_path / "a.npy", space), np.full((5, 3, 4, 1), 8))
    table = make("a.csv", ",".join(map(str, range(12))) + "\n")
    np.testing.assert_array_equal(read_rows(table, space).ravel(), np.arange(12))
    assert "expected 9 for images of 3x3x1" in problem(InputError, read_rows, table, Image(3, 3))
    assert "the value 11" in problem(InputError, read_rows, table, Image(3, 4, 1, levels=11))
    assert "has fractions" in problem(InputError, read_rows, make("b.csv", ",".join(["0.5"] * 12)), space)


def test_rows_of_the_wrong_kind_are_refused(make: Make, tmp_path: Path) -> None:
    text = make("a.txt", "abc\n\nabd\n")
    assert "cannot hold real vectors" in problem(InputError, read_rows, text, Real(2))
    assert "line 3 has 'd'; the alphabet is 'abc'" in problem(InputError, read_rows, text, Text(3, "abc"))
    assert "line 1 has 3 characters; expected at most 2" in problem(InputError, read_rows, text, Text(2, "abcd"))
    np.testing.assert_array_equal(read_rows(text, Text(3, "abcd"))[1], [0, 0, 0])  # a score for each line
    assert "Did you mean '.parquet'" in problem(InputError, read_rows, make("a.parqet", "x"), Real(2))
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    assert "a.npy has shape (3, 4); expected (N, 2)" in problem(InputError, read_rows, tmp_path / "a.npy", Real(2))
    assert "there is no file" in problem(InputError, read_rows, tmp_path / "b.npy", Real(2))
    assert "cannot hold latents" in problem(InputError, read_latents, text, (2,))


def test_naming_data_sets_imports_no_numpy() -> None:
    code = "import sys, zoo.data.plugin; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# ---- more than memory holds


def test_headers_of_tables_take_linear_time(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(60_000)]
    path = tmp_path / "wide.csv"
    path.write_text(f"{','.join(names)}\n{','.join('1' for _ in names)}\n")
    began = time.process_time()
    table = tables.open_table(path)
    readers._choose(table, names[::-1], (), needed=True, what="them")
    assert time.process_time() - began < 5  # 33 s and more where each name is looked for among all


def large(folder: Path) -> dict[str, Path]:
    """Data of which each takes 256 MiB, and files that are something else."""
    import pyarrow.feather
    import pyarrow.parquet

    rows = 2**22
    x = np.arange(rows * 16, dtype=np.float32).reshape(rows, 16) % 4096
    np.save(folder / "x.npy", x)
    np.savez_compressed(folder / "x.npz", x=x)
    pyarrow.parquet.write_table(pyarrow.table({str(i): x[:, i] for i in range(16)}), folder / "x.parquet")
    pyarrow.feather.write_feather(
        pyarrow.table({str(i): x[:, i] for i in range(16)}), folder / "x.arrow", compression="uncompressed"
    )
    (folder / "pictures").mkdir()
    for i in range(64):
        Pillow.new("L", (2048, 2048), i).save(folder / "pictures" / f"{i}.png")
    for name in ("holes.csv", "holes.txt"):
        (folder / name).write_text("1,2\n3,4\n")
        os.truncate(folder / name, 2**40)
    return {p.name: p for p in folder.iterdir() if p.name != "cache"}


LIMITED = """
import resource, sys
import numpy as np
import pyarrow.csv, pyarrow.feather, pyarrow.parquet, PIL.Image
import zoo.errors
from zoo.data import load_dataset
now = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + 2**27 + 2**26, now + 2**27 + 2**26))  # 192 MiB more
try:
    train = load_dataset(sys.argv[1]).splits["train"]
    print(len(train), train[np.arange(min(1000, len(train) // 10))[::-1]]["x"].mean())
except zoo.errors.InputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no limit of a process's own memory")
@pytest.mark.filterwarnings("default")
def test_what_does_not_fit_in_memory_is_read_from_the_disk(tmp_path: Path) -> None:
    # Arrow's own allocators take much at once, which counts though it is not used
    env = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "ARROW_DEFAULT_MEMORY_POOL": "system"}
    said = {}
    for name, path in large(tmp_path).items():
        command = [sys.executable, "-W", "ignore", "-c", LIMITED, path]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout
    rows = 2**22 - 2**22 // 10 - 2**22 // 5
    assert {said[f"x.{kind}"] for kind in ("npy", "npz", "parquet", "arrow")} == {said["x.npy"]}
    assert said["x.npy"].startswith(f"{rows} ")
    assert said["pictures"].startswith("46 ")
    assert "line 3 has more than 4,194,304 characters" in said["holes.csv"]
    assert "GiB of memory" in said["holes.txt"]
    assert not list((tmp_path / "cache").iterdir()), "what is kept on disk goes with the process"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    assert "is a pipe or a device" in problem(InputError, load_dataset, tmp_path / "x.csv")


def test_an_array_that_is_not_all_there_is_no_shortage_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 2)))
    path.write_bytes(path.read_bytes().replace(b"(4, 2), }            ", b"(4, 2000000000000), }"))
    assert "is truncated" in problem(CorruptFile, load_dataset, path)


def test_a_ragged_row_that_is_no_utf8_is_said_once(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"x,y\n1,2\n3,\xff,5\n6,7\n")
    command = [sys.executable, "-m", "zoo", "score", "realnvp.moons", "--data", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "line 3 is not UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr
