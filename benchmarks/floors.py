"""Where the time of a method goes, by onnxruntime's profile: the shares of matrix products and convolutions, of noise,
of elementwise functions and sums, and of what only moves numbers. The peer is a floor: the products alone, at the rate
that a large matrix product reaches. All on one core."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from zoo_onnx.graph import Scope

import zoo
from benchmarks.peers import inputs_of
from benchmarks.timing import Row, pairs_of
from zoo.artifact import Artifact
from zoo.timing import alternate

BATCHES = (64, 1024)
RUNS = 10  # with the profile
PRODUCTS = ("Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
MOVES = (
    "Transpose", "Reshape", "Concat", "Split", "Slice", "Gather", "GatherElements", "ScatterElements", "Squeeze",
    "Unsqueeze", "Expand", "Identity", "Pad", "Cast", "ReorderInput", "ReorderOutput", "Shape", "Range",
)  # fmt: skip


def rows(names: tuple[str, ...] = (), batches: tuple[int, ...] = BATCHES) -> Iterator[Row]:
    most = rate()
    for name in names or zoo.list_models("*.*"):
        artifact = zoo.open(name, device="cpu")
        for method in artifact.signatures:
            work = artifact.manifest.methods[method].work
            if work is None:
                continue
            for batch in batches:
                times, steps, shares = profiled(artifact, method, batch)
                floor = work * batch * steps / most * 1e3
                note = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
                yield pairs_of(
                    f"{name} {method}", batch, "products alone", times, np.full(len(times), floor), unit="ms", note=note
                )


def profiled(artifact: Artifact, method: str, batch: int) -> tuple[np.ndarray, int, dict[str, float]]:
    """Milliseconds of some calls without the profile, the steps of its loop, and the shares by kind with it."""
    signature, inputs = artifact.signature(method), inputs_of(artifact, method, batch)
    file = artifact.manifest.methods[method].file
    rows = {"seed": np.zeros(batch, np.int64), "index": np.arange(batch)}
    feed = {name: inputs.get(name, rows.get(name)) for name in signature.row_inputs}
    feed |= {name: np.asarray(option.number, option.dtype) for name, option in signature.options.items()}
    plain, watched = (session(artifact.folder / file, profile) for profile in (False, True))
    times = 1e3 * alternate([lambda: plain.run(None, feed)])[:, 0]
    for _ in range(RUNS):
        watched.run(None, feed)
    written = Path(watched.end_profiling())
    events = [e for e in json.loads(written.read_text()) if e["name"].endswith("_kernel_time")]
    written.unlink()
    spent: Counter[str] = Counter()
    for event in events:
        if event["args"]["op_name"] != "Loop":  # which contains the others
            spent[kind(event["args"]["op_name"], event["name"])] += event["dur"]
    products = Counter(e["name"] for e in events if kind(e["args"]["op_name"], e["name"]) == "products")
    steps = max(products.values()) // RUNS
    return times, steps, {k: v / spent.total() for k, v in spent.most_common()}


def session(model: Path | bytes, profile: bool = False) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level, options.enable_profiling = 1, 3, profile
    options.profile_file_prefix = str(Path(tempfile.gettempdir(), "genzoo"))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def kind(operator: str, name: str) -> str:
    if name.startswith("noise/"):
        return "noise"
    return "products" if operator in PRODUCTS else "moves" if operator in MOVES else "elementwise"


def rate(size: int = 1024) -> float:
    """Multiplications a second of a large matrix product."""
    scope = Scope()
    a = scope.input("a", "float32", [size, size])
    scope.output(scope.op("MatMul", a, a), "b", "float32", [size, size])
    model, array = session(ir.to_proto(scope.model()).SerializeToString()), np.ones((size, size), np.float32)
    return size**3 / float(np.median(alternate([lambda: model.run(None, {"a": array})])))
