"""Data larger than the memory limit of a process: training, scoring and sampling."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.evaluate import command as evaluate
from zoo.cli.real_rows import held_out_rows, nearest_training_rows
from zoo.data import Dataset
from zoo.data.sources import numbers_of
from zoo.errors import InputError

ROWS, COLUMNS = 2**19, 160  # 320 MiB as float32
LIMIT = 2**28  # bytes that a process may take beside what its libraries do

WHOLE = """
import resource, sys, warnings
import numpy as np, pyarrow.parquet, torch
import zoo, zoo.cli.score, zoo.data.readers, zoo_torch.architectures.realnvp
warnings.simplefilter("ignore", zoo.errors.ZooWarning)
data, out = sys.argv[1:]
held = pyarrow.allocate_buffer(1)  # Arrow's allocator takes 128 MiB at once
zoo.train("realnvp", np.random.default_rng(0).normal(size=(99, 2)), out + "/small", epochs=1, config={"hidden": 4})
now = 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (now + BYTES, now + BYTES))
model = zoo.train("realnvp", data, out + "/run", epochs=1, batch_size=2**13, config={"hidden": 8, "layers": 2})
assert model.sample(10, seed=0).shape == (10, COLUMNS)
sys.argv[1:] = ["score", out + "/run", "--data", data, "--out", out + "/scores.parquet"]
try:
    zoo.cli.main()
except SystemExit as done:
    assert not done.code, done.code
scores = pyarrow.parquet.read_table(out + "/scores.parquet").column("log_prob").to_numpy()
print(len(scores), np.isfinite(scores).all())
""".replace("BYTES", str(LIMIT)).replace("COLUMNS", str(COLUMNS))


@pytest.fixture
def large(tmp_path):
    """A folder of parts in Parquet."""
    folder, rng = tmp_path / "parts", np.random.default_rng(0)
    folder.mkdir()
    for part in range(8):
        x = rng.integers(0, 200, (ROWS // 8, COLUMNS)).astype(np.float32)
        pq.write_table(pa.table({f"c{i}": x[:, i] for i in range(COLUMNS)}), folder / f"{part}.parquet")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no limit of a process's own memory")
def test_data_larger_than_memory_is_trained_on_scored_and_sampled_from(large, tmp_path):
    pytest.importorskip("zoo_torch")
    environment = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", WHOLE, str(large), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == [str(ROWS), "True"]


class Guarded:
    """Rows of two numbers, of which nobody may ask for many at a time."""

    def __init__(self, count=10**6, most=2**18):
        self.count, self.most = count, most

    def __len__(self):
        return self.count

    def __getitem__(self, rows):
        numbers = numbers_of(rows, len(self))
        assert len(numbers) <= self.most, "memory would not hold so many rows"
        return np.stack([np.sin(numbers), np.cos(3 * numbers)], axis=1).astype(np.float32)


def test_evaluation_and_real_rows_read_no_split_as_a_whole(monkeypatch):
    pytest.importorskip("sklearn")
    data = Dataset("guarded", zoo.Real(2), Guarded(), Guarded(), Guarded())
    monkeypatch.setattr("zoo.evaluation.available", lambda: 64 * 200 * 8)  # 200 rows of a split
    monkeypatch.setattr("zoo.data.model_data.load_for", lambda *args, **more: data)
    monkeypatch.setattr("zoo.cli.row_commands.find", lambda name: (name, "test"))
    done = CliRunner().invoke(evaluate, ["realnvp.moons", "--data", "guarded"], catch_exceptions=False)
    assert "200 rows of guarded, test" in done.output
    assert "Some rows of each split were taken, evenly spread" in done.output
    near = Guarded()[np.array([987_654])] + 1e-4
    monkeypatch.setattr("zoo.cli.real_rows.FIT_BYTES", 800)
    found = nearest_training_rows(data, near)
    assert np.abs(found - near).max() < 1e-3
    assert held_out_rows(data, 3).shape == (3, 2)


def test_models_are_compared_some_rows_at_a_time(monkeypatch):
    monkeypatch.setattr("zoo.data.sources.BLOCK_BYTES", 8 * 100)
    data = Dataset("guarded", zoo.Real(2), Guarded(2000), Guarded(2000), Guarded(1050, most=100))
    names = ("realnvp.moons", "maf.moons")
    found = zoo.compare([zoo.open(name, device="cpu") for name in names], data)
    x = Guarded(most=1050)[:1050]
    for name in names:
        figure = -zoo.open(name, device="cpu").log_prob(x).mean(dtype="float64")
        assert found.figures["nats"][zoo.open(name).name].value == pytest.approx(figure, rel=1e-6)
    assert found.rows == 1050


def test_noise_of_a_comparison_does_not_depend_on_how_many_rows_are_taken_at_a_time(monkeypatch):
    models, data = [zoo.open(name, device="cpu") for name in ("vae.digits", "made.digits")], zoo.load_dataset("digits")
    whole = zoo.compare(models, data)
    monkeypatch.setattr("zoo.data.sources.BLOCK_BYTES", 64 * 50)
    for name, figure in zoo.compare(models, data).figures["bits_per_dim"].items():
        assert figure.value == pytest.approx(whole.figures["bits_per_dim"][name].value, rel=1e-6)


def test_tables_of_distances_are_computed_in_parts():
    pytest.importorskip("sklearn")
    from zoo.evaluation.coverage import spread
    from zoo.evaluation.vectors import nearest

    x = np.random.default_rng(0).normal(size=(4000, 2))  # 64 MB for a table of all distances
    nearest(x[:1], x[:1])  # imports
    tracemalloc.start()
    try:
        apart, (distance, row) = spread(x[:2000], x[2000:]), nearest(x, x[::2])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 40e6
    assert apart.value == pytest.approx(1, abs=0.05)
    assert np.array_equal(row[::2], np.arange(2000))
    assert distance[::2].max() < 1e-6


def test_arrays_for_which_there_are_no_addresses_are_said(monkeypatch, tmp_path):
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "uint8", (2**25, 1))
    monkeypatch.setattr("zoo.data.readers.available", lambda: 2**20)
    monkeypatch.setattr("zoo.system.memory._limit", lambda: iter([2**20]))
    with pytest.raises(InputError, match=r"x.npy takes 0.0 GiB of address space.*ulimit -v unlimited"):
        zoo.load_dataset(tmp_path / "x.npy")
