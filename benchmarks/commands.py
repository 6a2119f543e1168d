"""What a hand at the shell waits for: cold processes. The first samples are compared, and the rows of a million with
those that one process makes; `import numpy` and -n 10000 are yardsticks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pyarrow import parquet

import zoo
from benchmarks.peers import thread_counts
from benchmarks.timing import Row, pairs_of, same, side_by_side

ZOO = Path(sys.executable).parent / "zoo"
COLD = "import sys, zoo; sys.stdout.buffer.write(zoo.load({name!r}).sample(1, seed=0{label}).tobytes())"
PLUGIN = """
from zoo import hookimpl
from zoo.spec import ModelSpec, PresetSpec
SAME = dict(family="flow", framework="torch", methods=("sample", "log_prob"), density="exact", summary="A flow")
@hookimpl
def zoo_architectures():
    yield ModelSpec(name="stranger{i}", target="nowhere:Net", **SAME)
@hookimpl
def zoo_presets():
    for k in range(10):
        yield PresetSpec(name=f"stranger{i}.p{{k}}", architecture="stranger{i}", checkpoint="/nowhere", **SAME)
"""
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
FEW, HALF, MANY = 10_000, 500_000, 1_000_000


def run(*command: object, **env: str) -> bytes:
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, env={**os.environ, **env}).stdout


def rows() -> Iterator[Row]:
    for name, label in (("realnvp.moons", None), ("ddpm.digits", 3), ("vae.digits", None)):
        yield first_sample(name, label)
    yield listing()
    yield from million()


def first_sample(name: str, label: int | None) -> Row:
    with tempfile.TemporaryDirectory() as out:
        chosen = [] if label is None else ["--class", label]
        folder = zoo.open(name, device="cpu").folder
        ours = partial(run, ZOO, "sample", folder, "-n", 1, "--seed", 0, *chosen, "--out", f"{out}/x.npz", "--force")
        code = COLD.format(name=name, label="" if label is None else f", label={label}")
        theirs = {n: partial(run, sys.executable, "-c", code, OMP_NUM_THREADS=str(n)) for n in thread_counts()}
        ours()
        x = np.load(f"{out}/x.npz")["x"]
        same(x, np.frombuffer(theirs[1](), x.dtype).reshape(x.shape), name)
        return side_by_side(f"zoo sample {name} -n 1", 1, "load the checkpoint, sample", ours, theirs, reach=0.25)


def listing() -> Row:
    with tempfile.TemporaryDirectory() as site:
        for i in range(100):
            info = Path(site) / f"stranger{i}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger{i}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[genzoo]\nmain = stranger{i}\n")
            (Path(site) / f"stranger{i}.py").write_text(PLUGIN.format(i=i))
        assert run(ZOO, "list", "--json", PYTHONPATH=site).count(b"stranger") >= 1000
        ours, numpy = partial(run, ZOO, "list", PYTHONPATH=site), partial(run, sys.executable, "-c", "import numpy")
        return side_by_side("zoo list, 1000 presets", 1, "python -c 'import numpy'", ours, {0: numpy}, reach=2.5)


def million(few: int = FEW, half: int = HALF, many: int = MANY, times: int = 7) -> Iterator[Row]:
    """Rows of a flow of the plane to Parquet: memory, time for each row, and rate against the model in one process."""
    model = zoo.open("realnvp.moons", device="cpu")
    with tempfile.TemporaryDirectory() as out:
        file = f"{out}/x.parquet"

        def draw(count: int) -> tuple[float, float]:
            """Seconds, and MiB at the peak."""
            begin = time.perf_counter()
            command = (ZOO, "sample", "realnvp.moons", "-n", count, "--seed", 0, "--out", file, "--force")
            peak = int(run(sys.executable, "-c", PEAK, *command)) / 1024
            return time.perf_counter() - begin, peak

        def stream() -> float:
            begin = time.perf_counter()
            for _ in model.stream("sample", count=many, seed=0):
                pass
            return time.perf_counter() - begin

        draw(few), draw(many), stream()
        written = np.stack([column.to_numpy() for column in parquet.read_table(file).columns], 1)
        same(written, model.sample(many, seed=0), "a million rows")
        found = np.array([(*draw(few), *draw(half)[:1], *draw(many), stream()) for _ in range(times)])
        short, short_peak, middle, long, long_peak, inside = found.T
        what = f"zoo sample -n {many}"
        yield pairs_of(f"{what}, memory", many, f"-n {few}", long_peak, short_peak, unit="MiB", reach=1.3)
        note = "without the start of the process"
        sides = (long - short) / (many - few) * 1e9, (middle - short) / (half - few) * 1e9
        yield pairs_of(f"{what}, each row", many, f"-n {half}", *sides, unit="ns", note=note)
        sides = (long - short) / (1 - few / many) * 1e3, inside * 1e3
        yield pairs_of(f"{what}, time", many, "in one process", *sides, unit="ms", reach=1 / 0.9, note=note)
