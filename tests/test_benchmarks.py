"""The benchmarks run, and detect if the two sides compute different things. Measured values are not checked."""

from __future__ import annotations

import importlib
import json
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import zoo
import zoo.timing

torch = pytest.importorskip("torch")
pytest.importorskip("zoo_onnx")

TINY = zoo.Image(4, 4, 1, levels=2)
NEEDS = {"flows": ("zuko", "nflows"), "jax_loops": ("jax",), "gaussian_diffusion": ("denoising_diffusion_pytorch",)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One pair of runs, and nothing compiled."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.setattr(torch, "compile", lambda function, **how: function)
    monkeypatch.setattr("zoo.timing.SLICE", 0.0)
    once = partial(zoo.timing.alternate, figures=1)
    for module in (zoo.timing, importlib.import_module("benchmarks.autoregressive")):
        monkeypatch.setattr(module, "alternate", once)


def altered(function, batch=None):
    """The function with another result, where it gets this batch size, or always."""

    def wrong(*args, **more):
        found = function(*args, **more)
        if batch is not None and batch not in args:
            return found
        if callable(found):
            return altered(found)
        return {name: np.asarray(value) + np.asarray(value).dtype.type(2) for name, value in found.items()}

    return wrong


def oneshot(module):
    return module.rows(["realnvp.moons", "mlp.digits"], [1])


def loops(module):
    return module.compared("ebm.moons", {1: 1.0}, driven=True)


def gaussian_diffusion(module):
    return module.gaussian_diffusion("ddim_sample", [1, 2], timesteps=4, sampling_timesteps=2)


def autoregressive(module):
    return module.compared("made", TINY, {"hidden": 8}, module.made, module.made_sums, [1, 2])


def flows(module):
    flow = importlib.import_module("zuko").flows.MAF(2, transforms=1, hidden_features=[8])
    return module.of_zuko("zuko MAF", 2, flow, [1, 2])


def jax_loops(module):
    return module.rows([1])


def noise_share(module):
    return module.rows(["maf.moons", "ebm.moons"], [1])


def bound(module):
    return module.rows([1])


def gpu(module):
    return module.rows("cpu", ["realnvp.moons", "ebm.moons"], [1])


def first_sample(module):
    return [module.first_sample("realnvp.moons", None)]


def lengths(module):
    return module.lengths("made", TINY, zoo.Image(4, 8, 1, levels=2), {"hidden": 8}, [1])


def million(module):
    return module.million(10, 500, 1000, 1)


def solvers(module):
    return module.rows([2], many=4, count=8)


def floors(module):
    return module.rows(["realnvp.moons"], [1])


def training(module):
    steps = [module.step("realnvp", "moons"), module.step("cnn", "digits")]
    return [*steps, module.saved(0.1, 1, 8), *module.files(8)]


def precision(module):
    return module.rows(["mlp.digits"])


# a benchmark, its module, and which function of it to alter
COMPARED = [
    (oneshot, "oneshot", "artifact_run"),
    (loops, "loops", "artifact_run"),
    (jax_loops, "jax_loops", "artifact_run"),
    (noise_share, "noise_share", "drawn"),
    (bound, "bound", "artifact_run"),
    (gpu, "gpu", "torch_run"),
]
EXPORTING = [(gaussian_diffusion, "loops"), (autoregressive, "autoregressive"), (flows, "flows")]
ALONE = [
    (lengths, "autoregressive"), (first_sample, "commands"), (million, "commands"), (solvers, "solvers"),
    (precision, "precision"), (floors, "floors"), (training, "training"),
]  # fmt: skip


def load(benchmark, name):
    for package in NEEDS.get(benchmark.__name__, ()):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: see bench in the Makefile")
    return importlib.import_module(f"benchmarks.{name}")


def check(rows):
    assert rows
    assert len({(row.what, row.batch, row.peer) for row in rows}) == len(rows)
    assert all(np.isfinite([row.ratio, row.ours, row.theirs]).all() for row in rows)


@pytest.mark.parametrize(("benchmark", "name"), [(b, n) for b, n, _ in COMPARED] + ALONE)
@pytest.mark.filterwarnings("default")  # of the peers
def test_it_gives_rows(benchmark, name):
    check(list(benchmark(load(benchmark, name))))


@pytest.mark.parametrize(("benchmark", "name", "function"), COMPARED)
@pytest.mark.filterwarnings("default")
def test_another_result_is_noticed(benchmark, name, function, monkeypatch):
    module = load(benchmark, name)
    monkeypatch.setattr(module, function, altered(getattr(module, function)))
    with pytest.raises(AssertionError, match="two sides"):
        list(benchmark(module))


@pytest.mark.parametrize(("benchmark", "name"), EXPORTING)
@pytest.mark.filterwarnings("default")
def test_it_gives_rows_until_there_is_another_result(benchmark, name, monkeypatch):
    module, rows = load(benchmark, name), []
    monkeypatch.setattr(module, "artifact_run", altered(module.artifact_run, batch=2))
    with pytest.raises(AssertionError, match="two sides"):
        list(map(rows.append, benchmark(module)))
    check(rows)


def test_another_sample_of_the_cold_process_is_noticed(monkeypatch):
    module = load(first_sample, "commands")
    monkeypatch.setattr(module, "COLD", module.COLD.replace("seed=0", "seed=1"))
    with pytest.raises(AssertionError, match="two sides"):
        first_sample(module)


def test_another_loss_is_noticed(monkeypatch):
    module = load(training, "training")
    monkeypatch.setattr(module, "loss_of", lambda *given, real=module.loss_of: 1.1 * real(*given))
    with pytest.raises(AssertionError, match="two sides"):
        module.step("realnvp", "moons")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (np.float32([1, 2]), np.float32([1, 2.01])),
        (np.float32([1, np.nan]), np.float32([1, 2])),
        (np.zeros(1000, np.uint8), np.append(np.zeros(999, np.uint8), np.uint8(2))),  # rare, but no tie
        (np.zeros(100, np.uint8), np.repeat(np.uint8([0, 1]), 50)),  # one level, but often
        (np.zeros(3), np.zeros((3, 1))),
    ],
)
def test_what_is_not_the_same(ours, theirs):
    same = importlib.import_module("benchmarks.timing").same
    with pytest.raises(AssertionError):
        same(ours, theirs, "")


def test_a_tie_is_the_same():
    same = importlib.import_module("benchmarks.timing").same
    same(np.zeros(1000, np.uint8), np.append(np.zeros(999, np.uint8), np.uint8(1)), "")


def test_a_peer_has_as_many_threads_as_suit_it():
    timing = importlib.import_module("benchmarks.timing")
    slow, fast = (lambda seconds=seconds: time.sleep(seconds) for seconds in (0.01, 0.001))
    row = timing.side_by_side("", 1, "", fast, {1: fast, 2: slow})
    assert row.peer_threads == 1
    assert row.theirs < 5
    assert timing.side_by_side("", 1, "", fast, {1: slow, 2: fast}).peer_threads == 2


def test_the_report_marks_what_is_of_another_run(tmp_path, monkeypatch):
    main, timing = (importlib.import_module(f"benchmarks.{name}") for name in ("__main__", "timing"))
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    row = timing.pairs_of("realnvp.moons sample", 1, "eager PyTorch", np.ones(7), np.full(7, 2.0), unit="ms", reach=1.0)
    here = {"date": "2026-01-01 10:00", "commit": "aaaaaaa"}
    main.save(tmp_path / "oneshot.json", here, [row])
    main.save(tmp_path / "loops.json", {**here, "date": "2026-01-02 10:00"}, [row])
    text = main.report(main.all_results())
    assert "Not of one run" not in text
    assert "| 0.500 | 0.500 | 0.500 | 0.35 |" in text  # the mean of all, of batch 1, and the largest
    assert "Artifacts: realnvp.moons" in text
    main.save(tmp_path / "loops.json", {**here, "date": "2026-01-02 10:00", "commit": "bbbbbbb"}, [row])
    before, after = main.report(main.all_results()).split("## loops")
    assert "which have: commit bbbbbbb" in before
    assert "Not of one run" not in after


def test_a_run_goes_on_only_with_its_own_commit(tmp_path, monkeypatch):
    main, timing = (importlib.import_module(f"benchmarks.{name}") for name in ("__main__", "timing"))
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    monkeypatch.setattr(timing, "known", {})
    row = timing.pairs_of("mlp.digits predict, input bound", 1, "run", np.ones(7), np.ones(7), unit="ms")
    main.save(tmp_path / "bound.part.json", {**main.machine(), "commit": "another"}, [row])
    with pytest.raises(SystemExit, match="another commit"):
        main.run("bound", resume=True)
    main.save(tmp_path / "bound.part.json", main.machine(), [row])
    main.run("bound", resume=True)
    assert len(json.loads((tmp_path / "bound.json").read_text())["rows"]) == 18
    assert not (tmp_path / "bound.part.json").exists()


def test_what_a_benchmark_needs_is_said(monkeypatch):
    main = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr(main, "find_spec", lambda package: None if package == "zuko" else package)
    assert main.missing("flows") == "zuko, which `make bench ONLY=flows` installs"
    assert main.missing("loops") == main.missing("bound") == ""


def test_rows_of_other_generators_of_tables_are_within_the_columns(tmp_path):
    from benchmarks import tables
    from zoo.columns import Category, Decimal, Integer

    space = zoo.Table(
        [
            Integer(name="n", low=5, high=9, missing=True),
            Decimal(name="price", low=-50, high=1000, places=2),
            Category(name="c", values=("a", "b")),
        ]
    )
    (tmp_path / "made.csv").write_text("c,price,n\na,1.23456,3\nb,-7,8.6\na,99,12\nb,0,\n")
    rows = space.decode(tables.codes_of(space, tmp_path / "made.csv")).to_pylist()
    assert rows == [
        {"n": 5, "price": 1.23, "c": "a"}, {"n": 9, "price": -0.5, "c": "b"}, {"n": 9, "price": 10.0, "c": "a"},
        {"n": None, "price": 0.0, "c": "b"},
    ]  # fmt: skip


def test_the_report_on_tables_has_a_row_for_each_generator():
    from benchmarks import tables

    text = tables.report({"adult": {"real": {"auc": 0.5}, "table": {"auc": 0.51, "megabytes": 6.4}}})
    assert [line.split("|")[1].strip() for line in text.splitlines()[4:] if line.startswith("| ")] == [
        "",
        "real",
        "table",
    ]
