"""What a hand at the shell waits for: cold processes."""

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

import zoo
from benchmarks.timing import Row, pairs_of, side_by_side

ZOO = Path(sys.executable).parent / "zoo"
COLD = "import zoo; zoo.load({name!r}).sample(1, seed=0{label})"
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
FEW, MANY = 10_000, 1_000_000


def run(*command: object, **env: str) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, **env}).stdout


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
        theirs = partial(run, sys.executable, "-c", code)
        return side_by_side(f"zoo sample {name} -n 1", 1, "load the checkpoint, sample", ours, theirs, reach=0.25)


def listing() -> Row:
    with tempfile.TemporaryDirectory() as site:
        for i in range(100):
            info = Path(site) / f"stranger{i}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stranger{i}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[genzoo]\nmain = stranger{i}\n")
            (Path(site) / f"stranger{i}.py").write_text(PLUGIN.format(i=i))
        assert run(ZOO, "list", "--json", PYTHONPATH=site).count("stranger") >= 1000
        ours, theirs = partial(run, ZOO, "list", PYTHONPATH=site), partial(run, sys.executable, "-c", "import numpy")
        return side_by_side("zoo list, 1000 presets", 1, "python -c 'import numpy'", ours, theirs, reach=2.5)


def million() -> Iterator[Row]:
    """Rows of a flow of the plane to Parquet: memory, and rate against the model in one process."""
    model = zoo.open("realnvp.moons", device="cpu")
    with tempfile.TemporaryDirectory() as out:

        def draw(count: int) -> tuple[float, float]:
            """Seconds, and MiB at the peak."""
            begin = time.perf_counter()
            command = (ZOO, "sample", "realnvp.moons", "-n", count, "--seed", 0, "--out", f"{out}/x.parquet", "--force")
            peak = int(run(sys.executable, "-c", PEAK, *command)) / 1024
            return time.perf_counter() - begin, peak

        def stream() -> float:
            begin = time.perf_counter()
            for _ in model.stream("sample", count=MANY, seed=0):
                pass
            return time.perf_counter() - begin

        draw(FEW), stream()
        found = np.array([(*draw(FEW), *draw(MANY), stream()) for _ in range(7)])
        few, few_peak, many, many_peak, inside = found.T
        note = "peak memory, MiB in place of ms"
        peaks = many_peak / 1e3, few_peak / 1e3  # a row is in thousandths
        yield pairs_of("zoo sample -n 1000000, memory", MANY, "-n 10000", *peaks, reach=1.3, note=note)
        work = (many - few) / (1 - FEW / MANY)  # without the start of the process
        note = "times in ms without the start of the process"
        yield pairs_of("zoo sample -n 1000000, time", MANY, "in one process", work, inside, reach=1 / 0.9, note=note)
