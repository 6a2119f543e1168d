"""Weights in float16 and int8: the size of the files that run, and what rounding has changed: a figure of the test
split, and the largest difference of each method on random inputs as the manifest states it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import zoo
from benchmarks.timing import Row, pairs_of
from zoo.artifact import WEIGHTS, Artifact
from zoo.errors import ExportError
from zoo.evaluation import Report
from zoo.spec import PRECISIONS

HEADLINES = (
    "bits_per_dim", "nats_per_character", "nats", "accuracy", "labelled_as_asked", "energy_auroc", "c2st_accuracy",
)  # fmt: skip


def rows(names: Sequence[str] = ()) -> Iterator[Row]:
    for name in names or zoo.list_models("*.*"):
        source = zoo.load(name)
        data = zoo.load_dataset(source.meta["card"]["data"])
        with tempfile.TemporaryDirectory() as folder:
            found: dict[str, tuple[Artifact, Report]] = {}
            refused = ""
            for weights in PRECISIONS:
                try:
                    zoo.export(source, Path(folder) / weights, weights=weights)
                except ExportError:
                    refused = f"; {weights}: refused, source and artifact of the rounded weights differ too much"
                    continue
                artifact = zoo.open(Path(folder) / weights, device="cpu")
                found[weights] = artifact, zoo.evaluate(artifact, data)
            exact, before = found.pop("float32")
            headline = next(key for key in HEADLINES if key in before)
            for weights, (artifact, after) in found.items():
                changed = [f"{m} {d['random']:.1g}" for m, d in artifact.manifest.precision.difference.items()]
                note = f"{headline} {after[headline]}, was {before[headline]}; {', '.join(changed)}{refused}"
                sizes = size(artifact), size(exact)
                yield pairs_of(f"{name} {weights}", after.rows, "float32", *sizes, unit="KiB", note=note)


def size(artifact: Artifact) -> np.ndarray:
    """KiB of graphs and weights, without manifest and examples."""
    files = artifact.manifest.files
    count = sum(entry.bytes for name, entry in files.items() if name == WEIGHTS or name.endswith(".onnx"))
    return np.array([count / 1024])
