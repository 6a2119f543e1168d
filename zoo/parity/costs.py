"""Measures the cost of a call of a method."""

from __future__ import annotations

import time

from zoo.errors import ExportError
from zoo.model import Model
from zoo.parity.budget import COUNT, Cost, Run, loop_length
from zoo.parity.cases import empty_case
from zoo.signature import Window

TIMED = 4  # steps of a loop
SLOW, VERY_SLOW = 1.0, 10.0  # seconds of a call that is not timed with more rows, or not again


def time_passes(model: Model, method: str) -> Cost:
    """The seconds of a call and of each of its rows, per step of a loop, of which a few are timed. A first call, which
    includes setup, counts only if it is very slow. `ExportError` if an output does not have its declared dtype."""
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
