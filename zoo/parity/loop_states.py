"""Whether a loop's functions give the states that it declares: eagerly they need not, and a graph of them fails where
nobody looks for the cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoo.eager import EagerModel
from zoo.errors import PluginError
from zoo.parity.cases import make_inputs
from zoo.signature import Function, Loop, Tensor, Window, resolve

ROWS = 2
WIDE = {"float64": "float32", "float16": "float32", "bfloat16": "float32", "int32": "int64"}  # as graphs have them


def check_loop_states(model: EagerModel) -> None:
    """`PluginError` for a loop whose `init`, or a first step, gives another state or invariant than is declared."""
    for method, loop in model.methods.items():
        if not isinstance(loop, Loop):
            continue
        options = {name: option.number for name, option in loop.options.items()}
        where = f"of {method} of {model.name}"
        init = _watched(loop.init, f"init {where}", {**loop.state, **loop.invariants}, options)
        step = _watched(loop.step, f"step {where}", loop.state, options)
        twin = model.with_methods({**model.methods, method: replace(loop, init=init, step=step)})
        inputs = make_inputs(model, model.signature(method), "random", ROWS)
        twin.windowed(method, Window(0, 1)).run(method, inputs, count=None if inputs else ROWS, seed=0)


def _watched(function: Function, what: str, declared: Mapping[str, Tensor], options: Mapping[str, Any]) -> Function:
    """A function of a loop that raises where it gives something other than is declared."""
    expected = {name: (t.dtype, (ROWS, *resolve(t.shape, options))) for name, t in declared.items()}

    def call(*places: Any, **names: Any) -> Any:
        found = function(*places, **names)
        _require(what, expected, found)
        return found

    return call


def _require(what: str, declared: Mapping[str, tuple[str, tuple[int, ...]]], found: Any) -> None:
    if not isinstance(found, Mapping) or set(found) != set(declared):
        given = ", ".join(found) if isinstance(found, Mapping) else type(found).__name__
        raise PluginError(f"{what} gives {given}; expected a dict of {', '.join(declared)}, as its loop declares.")
    for name, (dtype, shape) in declared.items():
        got, size = str(found[name].dtype).removeprefix("torch."), tuple(found[name].shape)
        if (WIDE.get(got, got), size) != (dtype, shape):
            raise PluginError(
                f"{what} gives {name} as {got} {size} for {ROWS} rows; its loop declares {dtype} {shape[1:]} for each. "
                "Declare the state as it is, or bring it to what is declared."
            )
