"""Data in any form: in Python, in several files, with given splits, images of any format and size."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

import zoo
from zoo.data import load_dataset
from zoo.data.images import ImageFiles
from zoo.data.readers import read_rows
from zoo.errors import InputError, ZooWarning
from zoo.spaces import Discrete, Image, Labels, Real, Text

X = np.arange(60.0).reshape(30, 2)
Y = np.arange(30) % 3 + 1


def picture(path, size=(4, 3), mode="RGB", color=0, **more):
    """An image of noise, so that no two are equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
    seed = int.from_bytes(hashlib.sha256(str(path).encode()).digest()[:4], "little")
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Pillow.fromarray(noise, mode).save(path, **more)
    return path


def everything(data):
    return np.concatenate([data.train, data.validation, data.test])


# ---- what is in Python


class Tensor:
    """As much of a tensor of torch as is looked at."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    cpu = detach

    def __array__(self, dtype=None, copy=None):
        return self.array


class Frame:
    """As much of a frame as is looked at: pandas, polars, duckdb and others have this."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested=None):
        return self.table.__arrow_c_stream__(requested)


@pytest.mark.parametrize(
    ("data", "space", "classes"),
    [
        (X, Real(2), None),
        ((X, Y), Real(2), Labels(("1", "2", "3"))),
        ((X, Y.astype(str)), Real(2), Labels(("1", "2", "3"))),
        (Y[:, None], Discrete(1, 4), None),
        (Tensor(X), Real(2), None),
        (SimpleNamespace(tensors=(Tensor(X), Tensor(Y))), Real(2), Labels(("1", "2", "3"))),
        (np.zeros((30, 4, 5, 3), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None], Image(4, 5, 3), None),
        (pa.table({"a": X[:, 0], "b": X[:, 1]}), Real(2, ("a", "b")), None),
        (Frame(pa.table({"a": X[:, 0], "b": X[:, 1]})), Real(2, ("a", "b")), None),
        ((pa.table({"a": X[:, 0]}), [f"c{i}" for i in Y]), Real(1, ("a",)), Labels(("c1", "c2", "c3"))),
        ((X, np.array([f"c{i}" for i in Y], object)), Real(2), Labels(("c1", "c2", "c3"))),
        ((X, Y[:, None].astype(object)), Real(2), Labels(("1", "2", "3"))),
        ((X, pa.array(Y)), Real(2), Labels(("1", "2", "3"))),
        ([f"{i:02}" for i in range(30)], Text(2, "0123456789"), None),
    ],
)
def test_data_in_python_is_taken_as_it_is(data, space, classes):
    found = load_dataset(data)
    assert found.space == space
    assert found.classes == classes
    assert len(everything(found)) == 30


def test_an_array_is_split_as_a_file_of_it(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    assert load_dataset((X, Y)).digest == load_dataset(tmp_path / "a.npz").digest


def test_a_frame_has_classes_by_name():
    data = load_dataset(pa.table({"a": X[:, 0], "k": [f"class {i}" for i in Y]}), label="k")
    assert data.classes == Labels(("class 1", "class 2", "class 3"))
    assert data.space == Real(1, ("a",))


@pytest.mark.parametrize("data", [object(), {"a": 1}, None, np.array([object()]), (X, Y, Y)])
def test_what_is_no_data_is_refused(data):
    with pytest.raises(InputError):
        load_dataset(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((X, Y[1:]), "data has 30 observations and 29 classes; expected as many"),
        ((X, Y + 0.5), r"data: the classes are real numbers, such as 1\.5; expected \(N,\) integers or strings"),
        ((X, [*Y[:-1], None]), "data, row 30, column 'y' is missing"),
        ((X, np.array([*Y[:-1], "a"], object)), r"data: the class holds int\d* and str; expected integers or strings"),
        ((pa.table({"k": Y, "x": Y}), Y), "both y and the column 'k' are given as the class"),
    ],
)
def test_classes_that_are_none_are_refused(data, said):
    with pytest.raises(InputError, match=said):
        load_dataset(data, label="k" if "both" in said else None)


def test_splits_of_tables_have_their_classes():
    tables = [(pa.table({"a": X[low:high, 0]}), Y[low:high]) for low, high in ((0, 20), (20, 24), (24, 30))]
    data = load_dataset(dict(zip(("train", "validation", "test"), tables, strict=True)))
    assert [int(data.classes.names[i]) for i in data.labels["test"]] == Y[24:].tolist()


def test_arrays_are_not_copied():
    x = X.astype(np.float32)
    data = load_dataset(x)
    assert np.shares_memory(data.splits["train"].sources["x"].source, x)


def test_a_memory_map_is_not_read_into_memory(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    data = load_dataset(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert isinstance(data.splits["train"].sources["x"].source, np.memmap)
    assert data.digest == load_dataset(X.astype(np.float32)).digest


def test_frames_go_to_methods_by_the_names_of_their_columns():
    space = Real(2, ("a", "b"))
    frame = Frame(pa.table({"c": Y, "b": X[:, 1], "a": X[:, 0]}))
    np.testing.assert_array_equal(space.check(frame), X)
    with pytest.raises(InputError, match="x has no column 'b'"):
        space.check(Frame(pa.table({"a": [1.0]})))


def test_training_takes_arrays(tmp_path):
    pytest.importorskip("zoo_torch")
    rng = np.random.default_rng(0)
    model = zoo.train("realnvp", rng.normal(size=(200, 2)), tmp_path / "run", epochs=1, config={"hidden": 8})
    assert model.meta["card"]["data"] == "ndarray"
    assert np.isfinite(model.log_prob(X[:3])).all()
    assert zoo.evaluate(model, rng.normal(size=(100, 2))).rows == 20


PANDAS = {"a": range(30), "b": np.linspace(0, 1, 30)}


def test_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(PANDAS, index=range(5, 35))
    assert load_dataset(frame).space == Real(2, ("a", "b"))
    assert load_dataset((frame, (frame.a % 2).astype(str))).classes == Labels(("0", "1"))
    np.testing.assert_array_equal(Real(1).check(frame.b)[:, 0], np.float32(PANDAS["b"]))
    frame.iloc[[1, 0, *range(2, 30)]].to_parquet(tmp_path / "a.parquet")
    with pytest.warns(ZooWarning, match="left out the column '__index_level_0__', the row numbers of pandas"):
        assert load_dataset(tmp_path / "a.parquet").space == Real(2, ("a", "b"))


def test_the_index_of_a_frame_is_a_column_where_it_has_a_name(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(PANDAS, index=pandas.Index(np.linspace(1, 2, 30), name="weight"))
    frame.to_parquet(tmp_path / "a.parquet")
    for data in (frame, tmp_path / "a.parquet"):
        assert load_dataset(data).space == Real(3, ("a", "b", "weight"))
    frame.index = [f"k{i}" for i in range(30)]
    frame.to_parquet(tmp_path / "a.parquet")
    for data in (frame, tmp_path / "a.parquet"):
        with pytest.warns(ZooWarning, match=r"left out .* the index of pandas \(.*string\), which has no name"):
            assert load_dataset(data).space == Real(2, ("a", "b"))


def test_all_columns_of_a_frame_that_cannot_be_read_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([["x", 1, 1j, 2, 3], [3, 1, 2, 2, 3]], columns=["m", 1, "c", "1", "d"])
    with pytest.raises(InputError) as said:
        load_dataset(frame)
    assert str(said.value).splitlines() == [
        "data has 3 problems:",
        "  column '1' is there 2 times",
        "  column 'm' holds int and str; make it one kind: frame['m'].astype(str)",
        "  column 'c' holds complex128; make it one kind: frame['c'].astype(str)",
    ]


def test_all_names_that_are_there_twice_are_said():
    table = pa.table([[1.0], [2.0], [3.0], [4.0], [5.0]], names=["a", "a", "b", "b", "c"])
    with pytest.raises(InputError, match=r"(?s)data has 2 problems:.*column 'a' is there 2 times.*column 'b'"):
        load_dataset(table)


@pytest.mark.parametrize(("kind", "said"), [(pa.int64(), "the row numbers"), (pa.date32(), r"the index of .*date32")])
def test_what_an_index_without_a_name_is(tmp_path, kind, said):
    about = b'{"index_columns": ["__index_level_0__"], "columns": []}'
    index = pa.array(np.arange(30, dtype=np.int32)).cast(kind)
    table = pa.table({"a": X[:, 0], "__index_level_0__": index}).replace_schema_metadata({b"pandas": about})
    with pytest.warns(ZooWarning, match=f"left out the column '__index_level_0__', {said}"):
        assert load_dataset(table).space == Real(1, ("a",))


def test_the_row_numbers_of_pandas_are_left_out(tmp_path):
    about = b'{"index_columns": ["__index_level_0__"], "columns": []}'
    table = pa.table({"a": X[:, 0], "__index_level_0__": np.arange(30)}).replace_schema_metadata({b"pandas": about})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.warns(ZooWarning, match="left out the column '__index_level_0__'"):
        assert load_dataset(tmp_path / "a.parquet").space == Real(1, ("a",))


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({k: list(v) for k, v in PANDAS.items()})
    assert load_dataset(frame).space == Real(2, ("a", "b"))
    assert load_dataset(frame["b"]).space == Real(1)
    assert load_dataset((frame, (frame["a"] % 2).cast(polars.String))).classes == Labels(("0", "1"))


def test_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    images = [str(picture(tmp_path / f"{i}.png")) for i in range(20)]
    data = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 10}, features=features)
    found = load_dataset(data)
    assert found.space == Image(3, 4, 3)
    assert found.classes == Labels(("cat", "dog"))
    parts = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": X[:20, 0]})})
    parts["test"] = datasets.Dataset.from_dict({"a": X[20:, 0]})
    with pytest.warns(ZooWarning, match="no validation rows of its own"):
        assert load_dataset(parts).test[:, 0].tolist() == X[20:, 0].tolist()


@pytest.mark.filterwarnings(
    "ignore:.*rows of its own:zoo.errors.ZooWarning", "ignore:.*training rows too:zoo.errors.ZooWarning"
)
def test_splits_of_hugging_face_have_their_classes_and_images():
    datasets = pytest.importorskip("datasets")
    label = datasets.ClassLabel(names=["cat", "dog"])
    images = [Pillow.new("RGB", (4, 3), (i, 0, 0)) for i in range(20)]
    columns = {"image": (datasets.Image(), images), "text": (datasets.Value("string"), [f"a {i}" for i in range(20)])}
    columns["a"] = (datasets.Value("float32"), X[:20, 0])
    for name, (feature, values) in columns.items():
        given = {"features": datasets.Features({name: feature, "label": label})}
        whole = datasets.Dataset.from_dict({name: values, "label": [0, 1] * 10}, **given)
        found = load_dataset(
            datasets.DatasetDict({"train": whole.select(range(15)), "test": whole.select(range(15, 20))})
        )
        assert found.space.size == load_dataset(whole).space.size
        assert found.classes == Labels(("cat", "dog"))
        assert found.labels["test"].tolist() == [1, 0, 1, 0, 1]
        assert found.splits["test"].take("x", slice(None)).shape[0] == 5
    unknown = datasets.Dataset.from_dict(
        {"text": ["a"] * 20, "label": [-1, 1] * 10},
        **{"features": datasets.Features({"text": datasets.Value("string"), "label": label})},
    )
    with pytest.raises(InputError, match=r"column 'label' has rows without a class \(-1\)"):
        load_dataset(unknown)


@pytest.mark.filterwarnings("ignore:.*training rows too:zoo.errors.ZooWarning")
def test_images_of_hugging_face_are_called_by_their_rows():
    datasets = pytest.importorskip("datasets")
    images = [Pillow.new("RGB", (4, 3 + (i == 7))) for i in range(20)]
    data = datasets.Dataset.from_dict({"image": images}, features=datasets.Features({"image": datasets.Image()}))
    with pytest.raises(InputError, match="image 8 of data is 4x4 pixels; expected 4x3, as image 1 of data is"):
        load_dataset(data)
    with pytest.warns(ZooWarning, match="data: 20 of 20 images resized to 2x2"):
        assert load_dataset(data, size=2).space.shape == (2, 2, 3)


def test_a_subset_of_tensors():
    torch = pytest.importorskip("torch")
    whole = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(np.arange(len(X)) % 2))
    data = load_dataset(torch.utils.data.Subset(whole, range(5, 25)))
    assert sum(len(split) for split in data.splits.values()) == 20
    assert set(data.test[:, 0]) <= set(np.float32(X[5:25, 0]))
    assert data.classes == Labels(("0", "1"))


def test_a_word_that_is_missing_is_said_with_its_row():
    with pytest.raises(InputError, match="the input 'kind': data, row 4, column 'kind' is missing"):
        load_dataset(
            pa.table({"a": X[:, 0], "kind": ["x", "y", "x", None] * (len(X) // 4) + ["x"] * (len(X) % 4)}),
            inputs="kind",
        )


# ---- several files, and splits of one's own


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_parts_are_read_as_one(tmp_path, suffix):
    for i in range(3):
        table = pa.table({"a": X[10 * i : 10 * i + 10, 0], "b": X[10 * i : 10 * i + 10, 1]})
        path = tmp_path / f"part-{9 + i}.{suffix}"
        if suffix == "parquet":
            pq.write_table(table, path)
        elif suffix == "arrow":
            pyarrow.feather.write_feather(table, path, compression="uncompressed")
        else:
            pyarrow.csv.write_csv(table, path)
    whole = zoo.data.split_rows("x", Real(2, ("a", "b")), X.astype(np.float32))
    assert load_dataset(tmp_path).digest == whole.digest, "the parts are in natural order"
    assert load_dataset(f"{tmp_path}/part-*.{suffix}").digest == whole.digest
    assert load_dataset(tmp_path / f"*.{suffix}").digest == whole.digest


def test_parts_have_the_same_columns(tmp_path):
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": X[:, 0]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match=r"2.parquet has no column 'b', which .*1.parquet has"):
        load_dataset(tmp_path)


def test_a_column_names_the_splits(tmp_path):
    parts = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
    (tmp_path / "a.csv").write_text("a,part\n" + "".join(f"{i},{p}\n" for i, p in enumerate(parts)))
    data = load_dataset(tmp_path / "a.csv", split="part")
    assert [data.split(s)[0][:, 0].tolist() for s in zoo.data.SPLITS] == [
        [*range(20)],
        [*range(20, 24)],
        [*range(24, 30)],
    ]
    assert data.space == Real(1, ("a",))
    (tmp_path / "b.csv").write_text("a,part\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30)))
    with pytest.raises(InputError, match=r"has 'a', 'b'; expected train, validation and test"):
        load_dataset(tmp_path / "b.csv", split="part")


@pytest.mark.parametrize("suffix", ["csv", "npy", "txt"])
def test_three_files_are_three_splits(tmp_path, suffix):
    for name, low, high in (("train", 10, 30), ("valid", 30, 34), ("test", 34, 40)):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "npy":
            np.save(path, np.arange(low, high))
        else:
            path.write_text("\n".join(["a"] * (suffix == "csv") + [str(i) for i in range(low, high)]))
    data = load_dataset(tmp_path)
    assert [len(data.splits[s]) for s in zoo.data.SPLITS] == [20, 4, 6]
    named = {name: tmp_path / f"{name}.{suffix}" for name in ("train", "valid", "test")}
    assert load_dataset(named).digest == data.digest


def test_arrays_may_have_splits_of_their_own():
    data = load_dataset({"train": (X[:20], Y[:20]), "validation": (X[20:24], Y[20:24]), "test": (X[24:], Y[24:])})
    assert data.test.tolist() == X[24:].tolist()
    assert data.classes == Labels(("1", "2", "3"))


def test_rows_in_two_splits_are_said():
    with pytest.warns(ZooWarning, match="2 of 6 test rows are training rows too"):
        load_dataset({"train": X[:20], "validation": X[20:24], "test": np.concatenate([X[26:], X[:2]])})


def test_whole_numbers_that_float32_merges_are_said(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"{2**24 + i},{i}\n" for i in range(30)))
    with pytest.warns(ZooWarning, match=r"'id' has numbers .* 16777216 and 16777217\. .*--types id=integer"):
        load_dataset(tmp_path / "a.csv")


@pytest.mark.parametrize("values", [1.6e9 + np.arange(30), 1 + np.arange(30) * 1e-9, np.arange(30) * 1e-50])
def test_numbers_of_arrays_that_float32_merges_are_said(tmp_path, values):
    x = np.stack([np.arange(30.0), values], 1)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", x=x)
    said = r"column 2 has numbers that float32 does not tell apart, such as .* subtract what they have in common"
    for source in (x, x.astype(np.longdouble), (x, Y), tmp_path / "a.npy", tmp_path / "a.npz"):
        with pytest.warns(ZooWarning, match=said):
            load_dataset(source)
    with pytest.warns(ZooWarning, match=said):
        read_rows(tmp_path / "a.npy", Real(2))


def test_columns_that_float32_merges_are_counted():
    with pytest.warns(ZooWarning) as said:
        load_dataset(np.tile(1.6e9 + np.arange(30), (9, 1)).T)
    assert "so have 4 more columns" in str(said[5].message)
    assert len(said) == 6


def test_fractions_are_not_advised_to_be_integers():
    values = [*(1.6e9 + np.arange(29)), 0.5]
    with pytest.warns(ZooWarning, match="'a' has numbers .* subtract"):
        load_dataset(pa.table({"a": values, "b": np.arange(30.0)}))


# ---- images


def test_images_of_any_format_are_taken(tmp_path):
    for i in range(12):
        picture(tmp_path / f"{i}.png")
        picture(tmp_path / f"{i}.webp", lossless=True)
        picture(tmp_path / f"{i}.bmp")
        picture(tmp_path / f"{i}.tiff")
    data = load_dataset(tmp_path)
    assert len(everything(data)) == 48


def test_folders_of_splits_are_no_classes(tmp_path):
    for part, count in (("train", 20), ("val", 4), ("test", 6)):
        for i in range(count):
            picture(tmp_path / part / "ab"[i % 2] / f"{i}.png")
    data = load_dataset(tmp_path)
    assert [len(data.splits[s]) for s in zoo.data.SPLITS] == [20, 4, 6]
    assert data.classes == Labels(("a", "b"))
    (tmp_path / "notes.md").touch()
    with pytest.warns(ZooWarning, match="left out notes.md"):
        load_dataset(tmp_path)


def test_deeper_folders_are_said(tmp_path):
    for i in range(12):
        picture(tmp_path / "cats" / f"{i}.png")
    picture(tmp_path / "cats" / "more" / "1.png")
    with pytest.warns(ZooWarning, match=r"left out 1 files .*cats.more.1.png"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(("size", "fit"), [(6, "cut to its middle"), ("6:pad", "padded"), ("6x6:stretch", "stretched")])
def test_images_of_mixed_sizes_are_brought_to_one(tmp_path, size, fit):
    for i in range(6):
        picture(tmp_path / f"{i}.png", (6, 6))
        picture(tmp_path / f"wide {i}.png", (12, 6))
    with pytest.raises(InputError, match="--size"):
        load_dataset(tmp_path)
    with pytest.warns(ZooWarning, match=f"6 of 12 images resized to 6x6, and 6 of other proportions {fit}"):
        data = load_dataset(tmp_path, size=size)
    assert data.space == Image(6, 6, 3)
    with pytest.raises(InputError, match="the size 'huge' is none"):
        load_dataset(tmp_path, size="huge")


def test_16_bits_of_color_are_not_cut(tmp_path):
    """A PNG of 2x2 pixels of 16 bits a channel, which Pillow opens as one of 8."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    deep = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    for i in range(10):
        (tmp_path / f"{i}.png").write_bytes(deep)
    with pytest.raises(InputError, match="16 or more bits a pixel"):
        load_dataset(tmp_path)


def test_many_images_are_decoded_when_their_rows_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    paths = [picture(tmp_path / "images" / f"{i}.png") for i in range(20)]
    few = load_dataset(tmp_path / "images")
    monkeypatch.setattr("zoo.data.images.available", lambda: 0)
    monkeypatch.setattr("zoo.data.images.check_fits", lambda *args: None)
    data = load_dataset(tmp_path / "images")
    decoded = []
    decode = ImageFiles._decode
    monkeypatch.setattr(ImageFiles, "_decode", lambda self, path: decoded.append(path) or decode(self, path))
    assert data.digest == few.digest
    assert decoded == [], "the digest reads the files alone"
    for _ in range(2):  # the second time they are kept
        assert np.array_equal(data.splits["train"][np.array([3, 1])]["x"], few.train[[3, 1]])
    assert len(decoded) == 2
    assert np.array_equal(everything(data), everything(few))
    assert sorted(decoded) == sorted(paths)


# ---- memory

PEAK = """
import sys
import numpy as np
import zoo.data.readers, zoo.data.in_memory
from zoo.data import load_dataset
from zoo.training.batches import Batches
from zoo.network import Recipe
def rss(name):
    return 1024 * next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(name))
x = np.random.default_rng(0).random((int(sys.argv[1]), 20), dtype=np.float32)
base = rss("VmRSS")
data = load_dataset(x)
digest = data.digest
batches = Batches(data, Recipe(epochs=1, batch_size=1000), {})
for step in range(20):
    data.splits["train"].take("x", batches.rows("train", step)[0])
print((rss("VmHWM") - base + x.nbytes) / x.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_data_set_takes_hardly_more_memory_than_its_array():
    done = subprocess.run([sys.executable, "-c", PEAK, "3000000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1.2
