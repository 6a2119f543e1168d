"""Generators of tables on one split, measured alike: samples as many as there are held-out rows, and a first row in a
process that has just been started.

    python -m benchmarks.tables adult diamonds
    python -m benchmarks.tables adult --peer tvae=/path/of/its/environment/bin/python

`table` is trained by the recipe of its preset. Peers have their defaults, at most 30 CPU minutes and 16 GiB
(`benchmarks/table_peers.py` says what they need). `independent` draws each column by itself, and `real` are as many
training rows: the floor and the ceiling. Writes results/tables.json and results/tables.md, and keeps what is there of
others.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from zoo import noise, writers
from zoo.columns import Decimal, Integer, Table
from zoo.data import Dataset
from zoo.data.tables import open_table
from zoo.evaluation.memorization import nearer_to_training
from zoo.evaluation.table_vectors import columns_of, vectors_of_table
from zoo.evaluation.tables import auc, column_shape, column_to_predict, pair_trends, prediction_auc
from zoo.system.files import atomic_write

RESULTS = Path(__file__).parent / "results" / "tables.json"
MAKE = Path(__file__).parents[1] / "plugins" / "pretrained" / "make.py"
SECONDS, MEMORY = 30 * 60, 16 * 2**30  # of a peer, at most
TARGETS = {"adult": "income", "diamonds": "cut"}
FIGURES = {
    "auc": "two-sample AUC", "shapes": "column shapes", "pairs": "pair trends", "trained": "AUC when trained on it",
    "nearer": "nearer to training rows", "train_cpu_seconds": "training, CPU s", "rows_per_second": "rows a second",
    "megabytes": "MB", "first_row_seconds": "first row, s",
}  # fmt: skip
Found = dict[str, float]


def figures_of(data: Dataset, made: np.ndarray, target: str) -> Found:
    """What samples are worth, held against the test rows."""
    space = data.space
    assert isinstance(space, Table)
    test = data.split("test")[0]
    ours, held_out = (columns_of(space, codes) for codes in (made, test))
    count = min(len(made), len(test))
    vectors = vectors_of_table(space, data.train)
    place = space.names.index(target)
    assert column_to_predict(space, held_out) is not None
    return {
        "auc": auc(space, ours[:count], held_out[:count]).value,
        "shapes": float(np.mean([column_shape(c, ours[:, n], held_out[:, n]) for n, c in enumerate(space.columns)])),
        "pairs": pair_trends(space, ours, held_out),
        "trained": prediction_auc(space, place, ours, held_out).value,
        "nearer": nearer_to_training(vectors(made), vectors(data.train), vectors(test)).value,
    }


def independent(data: Dataset, count: int) -> np.ndarray:
    """Each column of other training rows."""
    out = np.empty((count, data.space.size), np.int64)
    assert isinstance(data.space, Table)
    for place, column in data.space.places():
        rows = noise.permutation(len(data.train), seed=0, stream=f"benchmarks/{column.name}")[:count]
        out[:, place : place + len(column.levels)] = data.train[rows, place : place + len(column.levels)]
    return out


def ours(name: str, data: Dataset, count: int, folder: Path) -> tuple[np.ndarray, Found]:
    """`table`, trained by its preset's recipe, exported, and drawn from the artifact."""
    spec = importlib.util.spec_from_file_location("make", MAKE)
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(MAKE.parent))
    spec.loader.exec_module(make)
    began = time.process_time()
    model = zoo.train("table", name, folder / "run", **make.RECIPES[f"table.{name}"])
    cost = {"train_cpu_seconds": time.process_time() - began}
    zoo.export(model, folder / "artifact")
    artifact = zoo.open(folder / "artifact")
    artifact.sample(1, seed=0)
    began = time.perf_counter()
    made = artifact.run("sample", count=count, seed=1)["x"]
    cost["rows_per_second"] = count / (time.perf_counter() - began)
    cost["megabytes"] = (folder / "artifact" / "sample.onnx").stat().st_size / 1e6
    began = time.perf_counter()
    code = f"import zoo; zoo.open({str(folder / 'artifact')!r}).sample(1, seed=0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    cost["first_row_seconds"] = time.perf_counter() - began
    return made, cost


def peer(name: str, python: str, data: Dataset, count: int, folder: Path) -> tuple[np.ndarray, Found]:
    """Rows of a peer as codes."""
    assert isinstance(data.space, Table)
    source, target = folder / "train.csv", folder / f"{name}.csv"
    writers.write(source, [data.train], data.space, force=True)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    script = Path(__file__).with_name("table_peers.py")
    command = [python, str(script), name, str(source), str(target), str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=limited)
    said = json.loads(done.stdout.splitlines()[-1])
    return codes_of(data.space, target), {
        "train_cpu_seconds": said["train_cpu_seconds"], "rows_per_second": count / said["sample_seconds"],
    }  # fmt: skip


def codes_of(space: Table, path: Path) -> np.ndarray:
    """Rows of a CSV file as codes. Numbers are rounded to the decimals of their columns, and those beyond the range
    become its ends: peers make both."""
    import pyarrow as pa

    table = pa.Table.from_batches(open_table(path).values())
    for column in space.columns:
        if isinstance(column, Integer | Decimal):
            places = column.places if isinstance(column, Decimal) else 0
            values = np.array([float(cell or "nan") for cell in table[column.name].to_pylist()])
            whole = np.clip(np.rint(np.nan_to_num(values) * 10.0**places), column.low, column.high)
            numbers = whole / 10.0**places if places else whole.astype(np.int64)
            filled = pa.array(numbers, mask=np.isnan(values))
            table = table.set_column(table.column_names.index(column.name), column.name, filled)
    return space.check(table)


def measured(name: str, peers: Mapping[str, str]) -> Iterator[tuple[str, Found]]:
    data, target = zoo.load_dataset(name), TARGETS[name]
    count = len(data.split("test")[0])
    with tempfile.TemporaryDirectory() as folder:
        real = figures_of(data, data.train[:count], target)
        yield "real", {key: value for key, value in real.items() if key != "nearer"}  # they are training rows
        yield "independent", figures_of(data, independent(data, count), target)
        for who, python in peers.items():
            made, cost = peer(who, python, data, count, Path(folder))
            yield who, figures_of(data, made, target) | cost
        made, cost = ours(name, data, count, Path(folder))
        yield "table", figures_of(data, made, target) | cost


def report(found: Mapping[str, Mapping[str, Found]]) -> str:
    """The results as Markdown."""
    lines = ["# Tables", "", "Made by `python -m benchmarks.tables`; what the figures are: docs/tables.md.", ""]
    for name, results in found.items():
        lines += [f"## {name}", "", "| | " + " | ".join(FIGURES.values()) + " |", "|---" * (len(FIGURES) + 1) + "|"]
        for who, values in results.items():
            shown = [f"{values[key]:.4g}" if key in values else "" for key in FIGURES]
            lines.append(f"| {who} | " + " | ".join(shown) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables")
    parser.add_argument("names", nargs="+", choices=list(TARGETS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    given = parser.parse_args()
    peers = dict(item.split("=", 1) for item in given.peer)
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in given.names:
        for who, values in measured(name, peers):
            found.setdefault(name, {})[who] = values
            print(name, who, {key: float(f"{value:.4g}") for key, value in values.items()}, flush=True)
            with atomic_write(RESULTS, force=True) as file:
                file.write(f"{json.dumps(found, indent=1)}\n".encode())
            RESULTS.with_suffix(".md").write_text(report(found))


if __name__ == "__main__":
    main()
