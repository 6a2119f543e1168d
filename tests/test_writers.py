"""Files appear whole or not at all, hold the same numbers, and report errors early."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from zoo import writers
from zoo.columns import Category, Table
from zoo.data import tables
from zoo.data.readers import read_latents, read_rows
from zoo.errors import InputError, ZooError, ZooWarning
from zoo.pictures import MAX_IMAGES
from zoo.spaces import Discrete, Image, Real, Space, Text
from zoo.system import files

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOATS = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=FINITE)
TABLES = (".csv", ".tsv", ".parquet")
SPACES = [Real(3, ("a", "b, c", 'd "e"')), Discrete(4, 7), Image(2, 3, 3), Image(2, 2, 1, levels=4), Text(5, "ab ,\"'")]


def nothing_but(folder: Path, *names: str) -> bool:
    return sorted(p.name for p in folder.iterdir()) == sorted(names)


# ---- whole or not at all


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    code = f"""
import resource, numpy as np, zoo.writers, zoo.spaces, zoo.errors
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for suffix in ("npz", "npy", "csv", "parquet"):
    try:
        zoo.writers.write({str(tmp_path)!r} + "/x." + suffix, [np.random.rand(5000, 2)], zoo.spaces.Real(2))
    except zoo.errors.OutputError as error:
        assert "cannot write" in str(error), error
    else:
        raise SystemExit(suffix)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert nothing_but(tmp_path)


@pytest.mark.parametrize("suffix", writers.SUFFIXES)
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_among_the_chunks_leaves_nothing(tmp_path: Path, suffix: str, failure: type[BaseException]) -> None:
    space: Space = Text(3, "abc") if suffix == ".txt" else Real(2)

    def chunks() -> Iterator[np.ndarray]:
        yield space.examples("random", 4)
        raise failure

    with pytest.raises(failure):
        writers.write(tmp_path / f"x{suffix}", chunks(), space)
    assert nothing_but(tmp_path)


# ---- outputs that cannot be


def test_outputs_are_checked_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.csv").touch()
    (tmp_path / "folder.csv").mkdir()

    def problem(name: str, space: Space | None = None, **more: object) -> str:
        with pytest.raises(ZooError) as caught:
            writers.check_output(tmp_path / name, space, **more)
        return str(caught.value)

    assert "exists; use --force" in problem("old.csv")
    assert writers.check_output(tmp_path / "old.csv", force=True)
    assert "is a folder" in problem("folder.csv", force=True)
    assert "is not a folder" in problem("old.csv/x.csv")
    assert "Did you mean '.parquet'" in problem("x.parket")
    assert "no suffix" in problem("x")
    assert "expected .csv, .tsv, .parquet, .npz, .npy, .png, .txt" in problem("x.xls")
    assert ".png files cannot hold real vectors of 3 columns; expected .csv" in problem("x.png", Real(3))
    assert ".txt files cannot hold named columns" in problem("x.txt")
    assert "line breaks" in problem("x.txt", Text(3, "a\n"))
    assert f"at most {MAX_IMAGES} rows; got 1025" in problem("x.png", Image(2, 2), count=1025)
    assert "device" in problem("/dev/null", force=True)
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    assert "no permission" in problem("x.csv")
    monkeypatch.undo()
    assert writers.check_output(tmp_path / "made" / "on" / "the" / "way.csv")
    assert nothing_but(tmp_path, "old.csv", "folder.csv")


def test_a_missing_pyarrow_is_said_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        writers.check_output(tmp_path / "x.csv")


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to write"):
        writers.write(tmp_path / "x.csv", iter(()), Real(2))


# ---- what is written is what is read


@pytest.mark.parametrize(("space", "suffix"), [(s, f) for s in SPACES for f in writers.formats(s) if f != ".png"])
def test_every_space_comes_back_from_every_format(tmp_path: Path, space: Space, suffix: str) -> None:
    chunks = [space.examples(kind, count) for kind, count in (("random", 5), ("boundary", 3), ("tail", 1))]
    assert writers.write(tmp_path / f"x{suffix}", iter(chunks), space) == 9
    back = read_rows(tmp_path / f"x{suffix}", space)
    np.testing.assert_array_equal(back, np.concatenate(chunks))
    assert back.dtype == space.dtype


@given(x=FLOATS)
@in_one_folder
def test_floats_come_back_to_the_bit(tmp_path: Path, x: np.ndarray) -> None:
    for suffix in (*TABLES, ".npz", ".npy"):
        writers.write(tmp_path / f"x{suffix}", [x[:1], x[1:]], Real(3), force=True)
        back = read_rows(tmp_path / f"x{suffix}", Real(3))
        assert back.tobytes() == x.tobytes(), suffix


@given(strings=st.lists(st.text("ab,;\"' \té", max_size=6), min_size=1))
@in_one_folder
def test_strings_come_back(tmp_path: Path, strings: list[str]) -> None:
    space = Text(6, "ab,;\"' \té")
    for suffix in (*TABLES, ".txt"):
        writers.write(tmp_path / f"x{suffix}", [space.encode(strings)], space, force=True)
        assert space.decode(read_rows(tmp_path / f"x{suffix}", space)) == strings, suffix


def test_line_breaks_in_strings_come_back_from_a_long_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, strings = Text(4, "ab\n"), ["a\n\nb", "\nab\n"] * 50
    writers.write(tmp_path / "x.csv", [space.encode(strings)], space)
    monkeypatch.setattr(tables, "BLOCK", 64)
    assert space.decode(read_rows(tmp_path / "x.csv", space)) == strings


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2)])
@pytest.mark.parametrize("suffix", [*TABLES, ".npz", ".npy"])
def test_latents_come_back(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    z = np.random.default_rng(0).normal(size=(5, *shape)).astype(np.float32)
    writers.write(tmp_path / f"z{suffix}", [{"z": z}])
    np.testing.assert_array_equal(read_latents(tmp_path / f"z{suffix}", shape), z)
    with pytest.raises(InputError, match="expected"):
        read_latents(tmp_path / f"z{suffix}", (7,))


def test_columns_have_their_names(tmp_path: Path) -> None:
    chunk = {"y": np.array([[0.25, 0.75]]), "log_prob": np.array([-np.inf]), "label": np.array(["b"])}
    writers.write(tmp_path / "x.csv", [chunk], columns={"y": ("cat", "dog")})
    assert (tmp_path / "x.csv").read_text().splitlines() == ['"cat","dog","log_prob","label"', '0.25,0.75,-inf,"b"']
    writers.write(tmp_path / "x.npz", [chunk, chunk])
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["y"].shape == (2, 2)
        assert list(arrays["label"]) == ["b", "b"]
    with pytest.raises(InputError, match="holds one array"):
        writers.write(tmp_path / "x.npy", [chunk])
    with pytest.raises(InputError, match="two columns 'y'"):
        writers.write(tmp_path / "z.csv", [chunk], columns={"y": ("x", "y"), "label": ("y",)})


def test_small_chunks_make_large_row_groups(tmp_path: Path) -> None:
    import pyarrow.parquet

    x = np.zeros((2000, 2), np.float32)
    writers.write(tmp_path / "x.parquet", np.split(x, 200), Real(2))
    assert pyarrow.parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups == 1


def test_memory_stays_flat_while_chunks_go_by(tmp_path: Path) -> None:
    import tracemalloc

    for suffix in (".npy", ".npz"):
        tracemalloc.start()
        writers.write(tmp_path / f"x{suffix}", (np.full((1000, 100), i, np.float32) for i in range(100)), Real(100))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8e6  # of 40e6 written
        assert np.array_equal(read_rows(tmp_path / f"x{suffix}", Real(100))[::1000, 0], np.arange(100))


# ---- pictures


def test_a_grid_shows_every_pixel(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    space = Image(8, 8, 1, levels=17)
    x = np.zeros((5, 8, 8, 1), np.uint8)
    x[3, 0, 0] = 16
    writers.write(tmp_path / "x.png", [x[:2], x[2:]], space)
    pixels = np.asarray(Pillow.open(tmp_path / "x.png"))
    assert pixels.shape == (2 * 66 + 2, 3 * 66 + 2)  # 5 images in rows of 3, each pixel 8x8
    assert (pixels[68:76, 2:10] == 255).all()
    assert (pixels[76:132, 2:66] == 0).all()
    assert writers.image_grid(np.zeros((3, 2, 2, 3), np.uint8), columns=1).size == (68, 200)


def test_a_picture_has_a_limit(tmp_path: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        yield from [np.zeros((600, 2, 2, 1), np.uint8)] * 2
        raise AssertionError("more were asked for than fit")

    with pytest.raises(InputError, match="at most 1024 rows"):
        writers.write(tmp_path / "x.png", chunks(), Image(2, 2))
    assert nothing_but(tmp_path)


@pytest.mark.parametrize(
    "x", [np.zeros((1, 2)), np.full((3, 2), np.nan), np.array([[0, 0], [1e30, -1e30], [np.inf, 1]])]
)
def test_a_scatter_takes_odd_points(x: np.ndarray) -> None:
    picture = writers.scatter(x, ("naïve", "長い名前"))
    assert picture.mode == "RGB"
    assert min(picture.size) > 400


def test_a_scatter_shows_where_the_points_are() -> None:
    x = np.array([[0.0, 0.0], [1.0, 1.0]])
    pixels = np.asarray(writers.scatter(x)).astype(int)[28:508, 72:552]  # inside the frame
    blue = pixels[..., 2] - pixels[..., 0] > 40
    assert blue[:100, -100:].any()  # high x, high y: top right
    assert blue[-100:, :100].any()
    assert not blue[:100, :100].any()
    assert not blue[-100:, -100:].any()


def test_no_heavy_library_is_imported_with_the_module() -> None:
    code = (
        "import sys, zoo.writers, zoo.data.builtin; print({'pyarrow', 'PIL', 'pooch', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_chunks_of_other_sizes_and_longer_strings_make_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    monkeypatch.setattr(writers, "ROW_GROUP", 240)  # bytes: 10 rows of a float64 and a string of 4
    sizes, words = [3, 25, 1, 1, 7], ["ab", "c", "abcd", "abcd", "abcde"]
    ends = np.cumsum([0, *sizes])
    parts = [
        {"x": np.arange(low, high, dtype=np.float64), "word": np.array([word.ljust(4)] * (high - low))}
        for low, high, word in zip(ends, ends[1:], words, strict=False)
    ]
    writers.write(tmp_path / "x.parquet", parts)
    found = pyarrow.parquet.ParquetFile(tmp_path / "x.parquet")
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [10, 10, 10, 7]
    table = found.read()
    np.testing.assert_array_equal(table["x"], np.arange(37))
    assert table["word"].to_pylist() == [w.ljust(4) for w, n in zip(words, sizes, strict=True) for _ in range(n)]


def test_an_interrupt_as_a_parquet_file_begins_leaves_nothing_and_says_nothing(tmp_path, monkeypatch):
    import pyarrow.parquet

    class Interrupted(pyarrow.parquet.ParquetWriter):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(pyarrow.parquet, "ParquetWriter", Interrupted)
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    with pytest.raises(KeyboardInterrupt):
        writers.write(tmp_path / "x.parquet", [np.zeros((9, 2))], Real(2))
    gc.collect()
    assert not unraisable
    assert not list(tmp_path.iterdir())


def test_categories_that_are_formulas_are_said(tmp_path):
    space = Table(columns=(Category(name="city", values=("=HYPERLINK(1)", "b")),))
    with pytest.warns(ZooWarning, match="=HYPERLINK"):
        writers.write(tmp_path / "x.csv", [np.zeros((3, 1), np.int64)], space)
