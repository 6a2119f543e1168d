"""Does an artifact give what its source gives? Cases to run, and the comparison.

A case is run once by the source. The artifact must give the same rows at batch sizes 1, 2 and 7. The cases and the
source's outputs travel in the artifact (`examples.safetensors`), so anyone can repeat the check without a framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import ExportError
from zoo.model import Array, Model
from zoo.noise import draw
from zoo.signature import Noise
from zoo.spaces import KINDS, real_examples

BATCHES = (1, 2, 7)
TOLERANCE = 1e-4
SCALES = {"predict": 1.0}  # probabilities: far from the data they are so small that only the absolute error means much
SEEDS = {"random": (0, 0), "boundary": (2**31 - 1, 2**31 - 3), "tail": (-1, 2**40)}  # kind -> seed, start


@dataclass(frozen=True)
class Case:
    """One call of a method on seven rows, and what the source gave."""

    method: str
    kind: str
    seed: int
    start: int
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    @property
    def name(self) -> str:
        return f"{self.method}/{self.kind}"


def make_cases(source: Model) -> Iterator[Case]:
    """Random, boundary and tail inputs for every method of `source`, with its outputs."""
    count = max(BATCHES)
    for method, signature in source.signatures.items():
        for kind in KINDS:
            seed, start = SEEDS[kind]
            inputs = {}
            for name, tensor in signature.inputs.items():
                if name == "x":
                    inputs[name] = source.space.examples(kind, count)
                elif name == "label":
                    assert source.classes is not None
                    u = draw(Noise("uniform"), np.arange(count), seed=0, stream=f"examples/{kind}")
                    inputs[name] = np.floor(u * len(source.classes)).astype(np.int64)
                else:
                    inputs[name] = real_examples(tuple(int(d) for d in tensor.shape), kind, count, 0)
            outputs = run_case(source, method, inputs, seed, start, count)
            for name, value in outputs.items():
                if value.dtype.kind == "f" and np.isnan(value).any():
                    raise ExportError(
                        f"{source.name}: {method} itself gives NaN in {name} on {kind} inputs; nothing to compare."
                    )
            yield Case(method, kind, seed, start, inputs, outputs)


def run_case(
    model: Model, method: str, inputs: Mapping[str, Array], seed: int, start: int, count: int, chunk: int | None = None
) -> dict[str, Array]:
    rows = None if inputs else count
    return model.run(method, inputs, count=rows, seed=seed, start=start, chunk=chunk)


def difference(expected: Array, got: Array, scale: float = 0.0) -> float:
    """Largest difference: the number of unequal values for integers; for floats relative to the value, to the root
    mean square of all values or to `scale`, whichever is largest."""
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return float((expected != got).sum())
    a, b = expected.astype(np.float64), got.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    finite = a[np.isfinite(a)]
    floor = max(scale, np.sqrt(np.mean(finite**2)) if finite.size else 0.0, 1e-30)
    error = np.abs(a - b)[~same] / np.maximum(np.abs(a[~same]), floor)
    return float(np.nan_to_num(error, nan=np.inf).max())


def check(artifact: Model, cases: list[Case]) -> dict[str, dict[str, float]]:
    """Largest difference for each method and kind; `ExportError` names what is beyond tolerance."""
    report: dict[str, dict[str, float]] = {}
    for case in cases:
        worst = 0.0
        for batch in BATCHES:
            got = run_case(
                artifact, case.method, {k: a[:batch] for k, a in case.inputs.items()}, case.seed, case.start, batch
            )
            for name, expected in case.outputs.items():
                error = difference(expected[:batch], got[name], SCALES.get(case.method, 0.0))
                worst = max(worst, error)
                if not error <= (TOLERANCE if expected.dtype.kind == "f" else 0):
                    what = f"{error:.0f} of {got[name].size} values differ"
                    if expected.dtype.kind == "f":
                        what = f"relative difference {error:.3g}, tolerance {TOLERANCE:g}"
                    raise ExportError(
                        f"{artifact.name}: {case.method} differs from its source in {name} on {case.kind} inputs at "
                        f"batch {batch}: {what}."
                    )
        report.setdefault(case.method, {})[case.kind] = worst
    return report


def pack(cases: list[Case]) -> bytes:
    """Cases as safetensors."""
    from safetensors.numpy import save

    arrays: dict[str, Any] = {}
    for case in cases:
        arrays |= {f"{case.name}/inputs/{k}": np.ascontiguousarray(v) for k, v in case.inputs.items()}
        arrays |= {f"{case.name}/outputs/{k}": np.ascontiguousarray(v) for k, v in case.outputs.items()}
    return save(arrays)


def unpack(data: bytes) -> list[Case]:
    from safetensors.numpy import load

    parts: dict[tuple[str, str], dict[str, dict[str, Array]]] = {}
    for key, array in sorted(load(data).items()):
        method, kind, group, name = key.split("/")
        parts.setdefault((method, kind), {"inputs": {}, "outputs": {}})[group][name] = array
    return [Case(m, k, *SEEDS[k], inputs=p["inputs"], outputs=p["outputs"]) for (m, k), p in parts.items()]
