"""Does an artifact give what its source gives? Cases to run, and the comparison.

A case is run once by the source. The artifact must give the same rows at several batch sizes, and the last rows alone.
How many cases there are, and of how many rows and steps, depends on what they cost (`zoo.budget`). The cases and the
source's outputs travel in the artifact (`examples.safetensors`), so anyone can repeat the check without a framework.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zoo.artifact.manifest import Compared, Steps
from zoo.budget import BATCHES, COUNT, Cost, Run, batched_rows, loop_length
from zoo.eager import EagerModel
from zoo.errors import ExportError
from zoo.examples import input_examples
from zoo.model import Array, Model
from zoo.signature import Option, Signature, Tensor, Window
from zoo.spaces import KINDS

TOLERANCE = 1e-4
# At the boundary and in the tail tolerance follows the source: how far it moves when its inputs, and its noise, change
# in the last bit.
# An artifact rounds otherwise in each of many operations, so it may move some times as far; but never to `MOST` times
# the tolerance.
FOLLOWED, MOST = 16, 10
HALVINGS = 6  # of an input so far out that its output has no digits left to compare
# Differences of floats are relative to the value, or to these where it is smaller: a probability of 1e-9 and a
# log-density of 1e-9 nats mean no more than zero. Elsewhere, to the root mean square of the row.
SCALES = {"predict": 1.0, "log_prob": 1.0}
# A category is drawn by comparing a uniform with a distribution function. Where they agree to the last bits, source and
# artifact draw differently, and what follows in that row with them: so many rows of a method may, no more.
TIES = 1  # of 7 rows or more
TIMED = 4  # steps of a loop
SLOW, VERY_SLOW = 1.0, 10.0  # seconds of a call that is not timed with more rows, or not again
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
Progress = Callable[[str, float, float], None]  # what is done, how much of it, and of how much (0: nobody knows)


def silent(what: str, done: float = 0, total: float = 0) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True)
class Case:
    """One call of a method on a few rows, and what the source gave. `seed` and `index` are int64, one for each row.
    Of a loop that is too long, `window` are the steps that are taken. `tolerance` is that of an output, where it is not
    `TOLERANCE`."""

    method: str
    kind: str
    seed: Array
    index: Array
    inputs: Mapping[str, Array]
    options: Mapping[str, Array]
    outputs: Mapping[str, Array]
    window: Window | None = None
    tolerance: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(self.index)

    def steps(self, signature: Signature) -> Steps | None:
        """Those of a loop that are taken; None where there is no loop."""
        length = signature.length
        if length is None:
            return None
        whole = int(self.options[length]) if isinstance(length, str) else length
        return Steps(self.window.first, self.window.steps, whole) if self.window else Steps(0, whole, whole)

    def first(self, rows: int) -> Case:
        """The first rows of this case."""
        parts = {name: a[:rows] for name, a in self.inputs.items()}, {n: a[:rows] for n, a in self.outputs.items()}
        return replace(self, seed=self.seed[:rows], index=self.index[:rows], inputs=parts[0], outputs=parts[1])

    def view(self, model: Model) -> Model:
        """A model whose loop takes the steps of this case."""
        return model.windowed(self.method, self.window) if self.window else model

    def run(self, model: Model, low: int = 0, high: int | None = None) -> dict[str, Array]:
        """The outputs for some of the rows alone. `model` takes the steps of this case, as `view` gives it."""
        high = self.rows if high is None else high
        inputs = {name: a[low:high] for name, a in self.inputs.items()}
        rows = {"seed": self.seed[low:high], "index": self.index[low:high], "chunk": high - low}
        options = model.signature(self.method).options
        given = {name: options[name].given(v) for name, v in self.options.items()}
        return model.run(self.method, inputs, **rows, **given)


def make_cases(
    source: Model, plans: Mapping[str, Sequence[Run]] | None = None, progress: Progress = silent
) -> Iterator[Case]:
    """The cases of a plan, for each method of `source`, with its outputs: without one, whole loops on random, boundary
    and tail inputs. Random inputs come with the default options, the others with different ones."""
    for method in source.signatures:
        runs = plans[method] if plans else [Run(kind, COUNT) for kind in KINDS]
        for number, run in enumerate(runs):
            progress(f"running {method} of the source", number, len(runs))
            yield make_case(source, method, run)


def make_case(source: Model, method: str, run: Run) -> Case:
    empty = empty_case(source, method, run)
    view = empty.view(source)
    case = replace(empty, outputs=empty.run(view))
    whole = run.window is None or run.window.first == 0
    if run.kind == "random":
        for name, value in case.outputs.items():
            if whole and not finite_rows(value).all():  # an initial state may make no sense in later steps
                raise ExportError(
                    f"{source.name}: {method} itself gives NaN in {name} on {run.kind} inputs; nothing to compare."
                )
        return case
    moved = movement(case, source, view)
    for _ in range(HALVINGS):
        wild = np.max(list(moved.values()), axis=0, initial=0.0) > MOST * TOLERANCE
        floats = [name for name, a in case.inputs.items() if a.dtype.kind == "f"]
        if not wild.any() or not floats:
            break
        gentler = {name: nearer(case.inputs[name], wild, source.signature(method).inputs[name]) for name in floats}
        case = replace(case, inputs={**case.inputs, **gentler})
        case = replace(case, outputs=case.run(view))
        moved = movement(case, source, view)
    most = {name: float(rows.max(initial=0.0)) for name, rows in moved.items()}
    tolerance = {name: min(m, MOST * TOLERANCE) for name, m in most.items() if m > TOLERANCE}
    return replace(case, tolerance=tolerance)


def movement(case: Case, source: Model, view: Model) -> dict[str, Array]:
    """How far each row of the float outputs may move, (N,): `FOLLOWED` times as far as it does in the source when its
    inputs, and its noise, change in the last bit."""
    declared = source.signature(case.method).inputs
    inputs = {n: np.clip(nudged(a), *declared[n].bounds) if a.dtype.kind == "f" else a for n, a in case.inputs.items()}
    near = replace(case, inputs=inputs).run(view.with_noise(nudged) if isinstance(view, EagerModel) else view)
    found = {}
    for name, value in case.outputs.items():
        if value.dtype.kind == "f":
            rows = finite_rows(value) & finite_rows(near[name])
            errors = row_differences(value, near[name], SCALES.get(case.method))
            found[name] = FOLLOWED * np.where(rows, errors, 0.0)
    return found


def nearer(array: Array, rows: Array, tensor: Tensor) -> Array:
    """An input with some of its rows halved, within its bounds."""
    halves = np.where(rows.reshape(-1, *[1] * (array.ndim - 1)), array / 2, array)
    return np.asarray(np.clip(halves, *tensor.bounds).astype(array.dtype))


def empty_case(source: Model, method: str, run: Run) -> Case:
    """A case without outputs."""
    signature, options = source.signature(method), {}
    for name, option in signature.options.items():
        value = another(option, run.kind)
        if name == signature.length and run.steps is not None:
            value = min(value, run.steps)
        options[name] = np.asarray(value, dtype=option.dtype)
    inputs = make_inputs(source, signature, run.kind, run.rows, options)
    seed, index = (np.array(numbers[: run.rows], dtype=np.int64) for numbers in CALLS[run.kind])
    return Case(method, run.kind, seed, index, inputs, options, {}, run.window)


def nudged(array: Array) -> Array:
    """Floats changed in the last bit, up or down."""
    up = np.random.default_rng(0).random(array.shape) < 0.5
    near: Array = np.nextafter(array, np.where(up, np.inf, -np.inf).astype(array.dtype))
    return near


def time_passes(model: Model, method: str) -> Cost:
    """What a call and each of its rows cost, in a loop in one step, of which a few are timed. A first call, which opens
    and prepares much, counts only where it is very slow. `ExportError` for an output of another dtype than declared."""
    signature, window, steps = model.signature(method), None, 1
    if signature.length is not None:
        steps = min(TIMED, loop_length(signature))
        window = Window(0, steps)
    view = empty_case(model, method, Run("random", 1, window)).view(model)

    def seconds(rows: int) -> float:
        case = empty_case(model, method, Run("random", rows, window))
        begin = time.perf_counter()
        outputs = case.run(view)
        spent = time.perf_counter() - begin
        for name, value in outputs.items():
            if value.dtype != (declared := signature.outputs[name].dtype):
                raise ExportError(f"{model.name}: {method} gives {name} as {value.dtype}; it declares {declared}.")
        return spent

    one = seconds(1)
    if one < VERY_SLOW:
        one = seconds(1)
    if one > SLOW:
        return Cost(0.0, one / steps)
    row = max(0.0, seconds(COUNT) - one) / (COUNT - 1)
    return Cost(max(0.0, one - row) / steps, row / steps)


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
    return float(row_differences(expected, got, scale).max())


def row_differences(expected: Array, got: Array, scale: float | None = None) -> Array:
    """The largest difference of floats in each row, (N,)."""
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
    return np.asarray(np.nan_to_num(error, nan=np.inf).reshape(len(a), -1).max(1))


def rows_that_differ(expected: Array, got: Array) -> Array:
    return np.flatnonzero((expected != got).reshape(len(expected), -1).any(1))


def only_rounding(expected: Array, got: Array) -> bool:
    """Whether levels of an image (uint8) differ as rounding does: where a float lies on the border between two
    levels, its last bit decides. One level up or down, in one value or one in a thousand."""
    if expected.dtype != np.uint8 or expected.shape != got.shape:
        return False
    gap = np.abs(expected.astype(np.int64) - got)
    return bool(gap.max() <= 1 and (gap > 0).sum() <= max(1, gap.size // 1000))


def check(
    artifact: Model,
    cases: Sequence[Case],
    seconds: float = math.inf,
    progress: Progress = silent,
) -> dict[str, Compared]:
    """What was compared of each method, and how large the differences are. `ExportError` names what is beyond
    tolerance, or a method of which there is nothing to compare. A kind of which the source gives nothing but NaN is
    left out.

    Where it would take longer than `seconds` for a method there are fewer rows, then fewer cases, but never none.
    """
    report = {}
    for method, signature in artifact.signatures.items():
        mine = [case for case in cases if case.method == method]
        if mine and seconds < math.inf:
            mine = affordable(mine, signature, time_passes(artifact, method), seconds)
        report[method] = Comparison(artifact, method).run(mine, progress)
        artifact.release()
    return report


def affordable(cases: Sequence[Case], signature: Signature, cost: Cost, seconds: float) -> list[Case]:
    """As many rows of the cases as fit into the time; at least one of the shortest."""

    def taken(case: Case) -> float:
        return steps_of(case, signature) * cost.of(batched_rows(case.rows), len(BATCHES[case.rows]))

    for rows in BATCHES:
        fewer = [case.first(min(case.rows, rows)) for case in cases]
        if sum(map(taken, fewer)) <= seconds:
            return fewer
    return [min(fewer, key=taken)]


def steps_of(case: Case, signature: Signature) -> int:
    """How often a case goes through the network."""
    steps = case.steps(signature)
    return steps.count if steps else 1


class Comparison:
    """Of one method of an artifact with cases of its source."""

    def __init__(self, artifact: Model, method: str) -> None:
        self.artifact, self.method, self.signature = artifact, method, artifact.signature(method)
        self.differences: dict[str, float] = {}
        self.ties = 0
        self.drawn: set[tuple[int, int]] = set()  # cases and their rows that were drawn otherwise

    def run(self, cases: Sequence[Case], progress: Progress = silent) -> Compared:
        begin = time.perf_counter()
        what, total = f"comparing {self.method} with the source", self.work(cases)
        done = 0
        self.ties = TIES if sum(case.rows for case in cases) >= COUNT else 0
        views: dict[Window | None, Model] = {}
        for number, case in enumerate(cases):
            if case.window not in views:
                for view in views.values():  # one at a time: each holds the weights
                    view.release()
                views = {case.window: case.view(self.artifact)}
            for low, high in BATCHES[case.rows]:
                progress(what, done, total)
                self.compare(number, case, low, high, case.run(views[case.window], low, high))
                done += (high - low) * steps_of(case, self.signature)
        if not self.differences:
            raise ExportError(f"{self.artifact.name}: there is nothing to compare {self.method} with. Export it again.")
        steps = dict.fromkeys(case.steps(self.signature) for case in cases)
        return Compared(
            difference=self.differences,
            tolerance={c.kind: max(c.tolerance.values()) for c in cases if c.tolerance},
            rows=max(case.rows for case in cases),
            batches=sorted({high - low for case in cases for low, high in BATCHES[case.rows]}),
            steps=[s for s in steps if s is not None],
            seconds=float(f"{time.perf_counter() - begin:.3g}"),
        )

    def work(self, cases: Sequence[Case]) -> int:
        """Rows and steps of all calls."""
        return sum(batched_rows(case.rows) * steps_of(case, self.signature) for case in cases)

    def compare(self, number: int, case: Case, low: int, high: int, got: Mapping[str, Array]) -> None:
        """Rows of a case with what the artifact gave for them."""
        for name, whole in case.outputs.items():
            expected, found = whole[low:high], got[name]
            if found.shape == expected.shape:
                compared = finite_rows(expected)
                expected, found = expected[compared], found[compared]
            if not len(expected):
                continue
            error = difference(expected, found, SCALES.get(self.method))
            self.differences[case.kind] = max(self.differences.get(case.kind, 0.0), error)
            if expected.dtype.kind == "f":
                tolerance = case.tolerance.get(name, TOLERANCE)
                good, what = error <= tolerance, f"relative difference {error:.3g}, tolerance {tolerance:.2g}"
            else:
                good, what = error == 0, f"{error:.2%} of the values differ"
                good = good or only_rounding(expected, found)
                if not good and error <= 1 and self.signature.random:
                    self.drawn |= {(number, low + int(r)) for r in rows_that_differ(expected, found)}
                    good = len(self.drawn) <= self.ties
            if not good:
                where = f"at batch {high}: {what}."
                if low:
                    where = f"in rows {low} to {high - 1} alone: {what}. Do rows depend on those before them?"
                differs = f"{self.artifact.name}: {self.method} differs from its source in {name}"
                raise ExportError(f"{differs} on {case.kind} inputs{self.place(case)} {where}")

    def place(self, case: Case) -> str:
        steps = case.steps(self.signature)
        return f", steps {steps}" if case.window and steps else ""


def pack(cases: Sequence[Case]) -> bytes:
    """Cases as safetensors: `number/method/kind/group/name`."""
    from safetensors.numpy import save

    arrays: dict[str, Array] = {}
    for number, case in enumerate(cases):
        window = case.window
        groups: dict[str, Mapping[str, Any]] = {
            "rows": {"seed": case.seed, "index": case.index},
            "window": {"first": window.first, "steps": window.steps} if window else {},
            "tolerance": case.tolerance,
            "inputs": case.inputs,
            "options": case.options,
            "outputs": case.outputs,
        }
        prefix = f"{number:03}/{case.method}/{case.kind}"
        for group, entries in groups.items():
            arrays |= {f"{prefix}/{group}/{name}": np.asarray(a, order="C") for name, a in entries.items()}
    return save(arrays)


def unpack(data: bytes) -> list[Case]:
    from safetensors.numpy import load

    found: dict[tuple[str, str, str], dict[str, dict[str, Array]]] = {}
    for key, array in sorted(load(data).items()):
        number, method, kind, group, name = key.split("/")
        found.setdefault((number, method, kind), {}).setdefault(group, {})[name] = array
    cases = []
    for (_, method, kind), groups in found.items():
        rows, window = groups["rows"], groups.get("window")
        inputs, options, outputs = (groups.get(group, {}) for group in ("inputs", "options", "outputs"))
        tolerance = {name: float(a) for name, a in groups.get("tolerance", {}).items()}
        steps = Window(int(window["first"]), int(window["steps"])) if window else None
        cases.append(Case(method, kind, rows["seed"], rows["index"], inputs, options, outputs, steps, tolerance))
    return cases
