"""Does an artifact give what its source gives? Cases to run, and the comparison.

A case is run once by the source. The artifact must give the same rows at batch sizes 1, 2 and 7, and the last rows
alone. The cases and the source's outputs travel in the artifact (`examples.safetensors`), so anyone can repeat the
check without a framework.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.errors import ExportError
from zoo.examples import input_examples
from zoo.model import Array, Model
from zoo.signature import Option, Signature
from zoo.spaces import KINDS

COUNT = 7  # rows of a case
ROWS = ((0, 1), (0, 2), (0, COUNT), (4, COUNT))  # compared in calls of their own; the last shows whether they mix
TOLERANCE = 1e-4
# Differences of floats are relative to the value, or to these where it is smaller: a probability of 1e-9 and a
# log-density of 1e-9 nats mean no more than zero. Elsewhere, to the root mean square of the row.
SCALES = {"predict": 1.0, "log_prob": 1.0}
# A category is drawn by comparing a uniform with a distribution function. Where they agree to the last bits, source and
# artifact draw differently, and what follows in that row with them: so many of a method's 21 rows may, no more.
TIES = 1
# kind -> seeds and indices of its rows. At the boundary and in the tail rows have different ones: far apart, and with
# more digits than a float64 has
CALLS: dict[str, tuple[list[int], list[int]]] = {
    "random": ([0] * COUNT, list(range(COUNT))),
    "boundary": (
        [1, 2**31 - 1, -1, 2**53 + 1, -(2**63), 2**63 - 1, 2**63 - 1],
        [0, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 0, 2**63 - 1],
    ),
    "tail": ([-1, -1, 5, 5, 6, 6, -(2**40)], [2**40, 2**40 + 1, 0, 2**58, 2**58, 2**62, 3]),
}


@dataclass(frozen=True)
class Case:
    """One call of a method on seven rows, and what the source gave. `seed` and `index` are int64, one for each row."""

    method: str
    kind: str
    seed: Array
    index: Array
    inputs: Mapping[str, Array]
    options: Mapping[str, Array]
    outputs: Mapping[str, Array]

    def run(self, model: Model, low: int = 0, high: int = COUNT) -> dict[str, Array]:
        """The outputs of a model for some of the rows alone."""
        inputs = {name: a[low:high] for name, a in self.inputs.items()}
        rows = {"seed": self.seed[low:high], "index": self.index[low:high], "chunk": high - low}
        options = model.signature(self.method).options
        given = {name: options[name].given(v) for name, v in self.options.items()}
        return model.run(self.method, inputs, **rows, **given)


def make_cases(source: Model) -> Iterator[Case]:
    """Random, boundary and tail inputs for every method of `source`, with its outputs. Random inputs come with the
    default options, the others with different ones."""
    for method, signature in source.signatures.items():
        for kind in KINDS:
            options = {name: np.asarray(another(o, kind), dtype=o.dtype) for name, o in signature.options.items()}
            inputs = make_inputs(source, signature, kind, COUNT, options)
            seed, index = (np.array(numbers, dtype=np.int64) for numbers in CALLS[kind])
            empty = Case(method, kind, seed, index, inputs, options, {})
            case = replace(empty, outputs=empty.run(source))
            for name, value in case.outputs.items():
                if kind == "random" and not finite_rows(value).all():
                    raise ExportError(
                        f"{source.name}: {method} itself gives NaN in {name} on {kind} inputs; nothing to compare."
                    )
            yield case


def finite_rows(value: Array) -> Array:
    """Rows without NaN. Far out, where a source may give NaN itself, there is nothing to compare in the others."""
    if value.dtype.kind != "f":
        return np.ones(len(value), dtype=bool)
    return np.asarray(~np.isnan(value).reshape(len(value), -1).any(axis=1))


def make_inputs(
    model: Model, signature: Signature, kind: str, count: int, options: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """Inputs for a method, `count` rows: "random", at the "boundary" of what they may be, or in its "tail". `options`
    are those that differ from their defaults."""
    values = {name: o.number for name, o in signature.options.items()} | dict(options or {})
    return input_examples(signature.inputs, model.space, model.classes, kind, count, values)


def another(option: Option, kind: str) -> float:
    """A value of an option: its default for random inputs, elsewhere a larger or a smaller one, within its bounds."""
    if option.choices:
        return option.number if kind == "random" else (option.number + 1) % len(option.choices)
    step = 2 if option.dtype == "int64" else 0.3 * abs(option.number) or 0.3
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    steps = {"random": (0.0,), "boundary": (step, -step, 1, -1), "tail": (-step, step, -1, 1)}[kind]
    return next((option.number + s for s in steps if low <= option.number + s <= high), option.number)


def difference(expected: Array, got: Array, scale: float | None = None) -> float:
    """Largest difference: the share of unequal values for integers; for floats relative to the value, or to
    `scale` where that is larger (by default the root mean square of the row)."""
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return float("inf")
    if expected.dtype.kind != "f":
        return float((expected != got).mean())
    a, b = expected.astype(np.float64), got.astype(np.float64)
    if scale is None:
        with np.errstate(invalid="ignore"):
            square = np.where(np.isfinite(a), a, 0) ** 2
        floor = np.sqrt(square.reshape(len(a), -1).mean(1)).reshape(-1, *[1] * (a.ndim - 1))
    else:
        floor = np.full_like(a, scale)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(same, 0, np.abs(a - b) / np.maximum(np.maximum(np.abs(a), floor), 1e-30))
    return float(np.nan_to_num(error, nan=np.inf).max())


def rows_that_differ(expected: Array, got: Array) -> Array:
    return np.flatnonzero((expected != got).reshape(len(expected), -1).any(1))


def only_rounding(expected: Array, got: Array) -> bool:
    """Whether levels of an image (uint8) differ as rounding does: where a float lies on the border between two
    levels, its last bit decides. One level up or down, in one value or one in a thousand."""
    if expected.dtype != np.uint8 or expected.shape != got.shape:
        return False
    gap = np.abs(expected.astype(np.int64) - got)
    return bool(gap.max() <= 1 and (gap > 0).sum() <= max(1, gap.size // 1000))


def check(artifact: Model, cases: list[Case]) -> dict[str, dict[str, float]]:
    """Largest difference for each method and kind; `ExportError` names what is beyond tolerance. A kind of which the
    source gives nothing but NaN is left out."""
    report: dict[str, dict[str, float]] = {}
    drawn: dict[str, set[tuple[str, int]]] = {}  # rows of a random method that were drawn otherwise
    for case in cases:
        worst: float | None = None
        for low, high in ROWS:
            got = case.run(artifact, low, high)
            for name, whole in case.outputs.items():
                expected, found = whole[low:high], got[name]
                if found.shape == expected.shape:
                    compared = finite_rows(expected)
                    expected, found = expected[compared], found[compared]
                if not len(expected):
                    continue
                error = difference(expected, found, SCALES.get(case.method))
                worst = max(worst or 0.0, error)
                if expected.dtype.kind == "f":
                    good, what = error <= TOLERANCE, f"relative difference {error:.3g}, tolerance {TOLERANCE:g}"
                else:
                    good, what = error == 0, f"{error:.2%} of the values differ"
                    good = good or only_rounding(expected, found)
                    if not good and error <= 1 and artifact.signature(case.method).random:
                        rows = drawn.setdefault(case.method, set())
                        rows |= {(case.kind, low + int(r)) for r in rows_that_differ(expected, found)}
                        good = len(rows) <= TIES
                if not good:
                    where = f"at batch {high}: {what}."
                    if low:
                        where = f"in rows {low} to {high - 1} alone: {what}. Do rows depend on those before them?"
                    differs = f"{artifact.name}: {case.method} differs from its source in {name}"
                    raise ExportError(f"{differs} on {case.kind} inputs {where}")
        kinds = report.setdefault(case.method, {})
        if worst is not None:
            kinds[case.kind] = worst
    return report


GROUPS = ("inputs", "options", "outputs")


def pack(cases: list[Case]) -> bytes:
    """Cases as safetensors: `method/kind/group/name`."""
    from safetensors.numpy import save

    arrays: dict[str, Array] = {}
    for case in cases:
        prefix = f"{case.method}/{case.kind}"
        arrays |= {f"{prefix}/rows/seed": case.seed, f"{prefix}/rows/index": case.index}
        for group in GROUPS:
            entries: Mapping[str, Array] = getattr(case, group)
            arrays |= {f"{prefix}/{group}/{name}": np.asarray(a, order="C") for name, a in entries.items()}
    return save(arrays)


def unpack(data: bytes) -> list[Case]:
    from safetensors.numpy import load

    found: dict[tuple[str, str], dict[str, dict[str, Array]]] = {}
    for key, array in sorted(load(data).items()):
        method, kind, group, name = key.split("/")
        found.setdefault((method, kind), {g: {} for g in ("rows", *GROUPS)})[group][name] = array
    return [
        Case(method, kind, parts["rows"]["seed"], parts["rows"]["index"], *(parts[group] for group in GROUPS))
        for (method, kind), parts in found.items()
    ]
