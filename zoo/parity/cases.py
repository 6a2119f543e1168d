"""Cases: calls of the methods of a model with their outputs, to be reproduced by its artifact.

The number of cases, and of their rows and steps, depends on their cost (`zoo.parity.budget`). The cases and the
source's outputs are part of the artifact (`examples.safetensors`), so anyone can repeat the check without a framework.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zoo.artifact.manifest import Steps
from zoo.eager import EagerModel
from zoo.errors import ExportError
from zoo.model import Array, Model
from zoo.parity.budget import COUNT, Run
from zoo.parity.differences import SCALES, TOLERANCE, finite_rows, row_differences
from zoo.parity.inputs import input_examples
from zoo.signature import Option, Signature, Tensor, Window
from zoo.spaces import KINDS

# At the boundary and in the tail the tolerance follows the sensitivity of the source: how far its outputs move if its
# inputs and noise change in the last bit.
# An artifact rounds differently in each of many operations, so it may move several times as far, but never by `MOST`
# times the tolerance.
FOLLOWED, MOST = 16, 10
HALVINGS = 6  # of an input so extreme that its output has no digits left to compare
# kind -> seeds and indices of its rows. At the boundary and in the tail rows have different ones: far apart, and with
# more digits than float64
CALLS: dict[str, tuple[list[int], list[int]]] = {
    "random": ([0] * COUNT, list(range(COUNT))),
    "boundary": (
        [1, 2**31 - 1, -1, 2**53 + 1, -(2**63), 2**63 - 1, 2**63 - 1],
        [0, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 0, 2**63 - 1],
    ),
    "tail": ([-1, -1, 5, 5, 6, 6, -(2**40)], [2**40, 2**40 + 1, 0, 2**58, 2**58, 2**62, 3]),
}
Progress = Callable[[str, float, float], None]  # the task, how much is done, and of how much (0: unknown)


def silent(what: str, done: float = 0, total: float = 0) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True)
class Case:
    """One call of a method on a few rows, with the outputs of the source. `seed` and `index` are int64, one per row.
    `window` are the steps to run of a loop that is too long. `tolerance` is that of an output if it is not
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
        """The steps to run of a loop; None without a loop."""
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
        """A model whose loop runs the steps of this case."""
        return model.windowed(self.method, self.window) if self.window else model

    def run(self, model: Model, low: int = 0, high: int | None = None) -> dict[str, Array]:
        """The outputs for some of the rows alone. `model` runs the steps of this case, as from `view`."""
        high = self.rows if high is None else high
        inputs = {name: a[low:high] for name, a in self.inputs.items()}
        rows = {"seed": self.seed[low:high], "index": self.index[low:high], "chunk": high - low}
        options = model.signature(self.method).options
        given = {name: options[name].given(v) for name, v in self.options.items()}
        return model.run(self.method, inputs, **rows, **given)


def make_cases(
    source: Model, plans: Mapping[str, Sequence[Run]] | None = None, progress: Progress = silent
) -> Iterator[Case]:
    """The cases of a plan, for each method of `source`, with its outputs. Without a plan: whole loops on random,
    boundary and tail inputs. Random inputs come with the default options, the others with different ones."""
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
            if whole and not finite_rows(value).all():  # an initial state may be invalid in later steps
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
    """How far each row of the float outputs may move, (N,): `FOLLOWED` times as far as in the source if its inputs and
    noise change in the last bit."""
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


def make_inputs(
    model: Model, signature: Signature, kind: str, count: int, options: Mapping[str, Any] | None = None
) -> dict[str, Array]:
    """Inputs for a method, `count` rows: "random", at the "boundary" of their range, or in its "tail". `options`
    override defaults."""
    values = {name: o.number for name, o in signature.options.items()} | dict(options or {})
    return input_examples(signature.inputs, model.space, model.classes, kind, count, values)


def another(option: Option, kind: str) -> float:
    """A value of an option: its default for random inputs, otherwise a larger or smaller one, within its bounds."""
    if option.choices:
        return option.number if kind == "random" else (option.number + 1) % len(option.choices)
    step = 2 if option.dtype == "int64" else 0.3 * abs(option.number) or 0.3
    low = -math.inf if option.low is None else option.low
    high = math.inf if option.high is None else option.high
    steps = {"random": (0.0,), "boundary": (step, -step, 1, -1), "tail": (-step, step, -1, 1)}[kind]
    return next((option.number + s for s in steps if low <= option.number + s <= high), option.number)


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
        # no more than an export allows: a large one, of whoever wrote the file, would compare nothing
        tolerance = {name: min(MOST * TOLERANCE, float(a)) for name, a in groups.get("tolerance", {}).items()}
        steps = Window(int(window["first"]), int(window["steps"])) if window else None
        cases.append(Case(method, kind, rows["seed"], rows["index"], inputs, options, outputs, steps, tolerance))
    return cases
