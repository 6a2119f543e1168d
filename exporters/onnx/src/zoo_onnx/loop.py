"""A `Loop` as ONNX: its initialization, one `Loop` node with a step as its body, and its end.

The noise of small steps is drawn for many steps at once, with an outer loop over blocks of steps: in a small model the
cost of noise is its number of nodes.

Two constants select the steps, by default all. A check of a long loop opens the file with other constants, so that a
few steps at the start, middle and end can be compared (`zoo.signature.Window`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from zoo.artifact import FIRST_STEP, MOST_STEPS
from zoo.signature import Loop, Option, Tensor, named
from zoo_onnx.graph import DTYPES, Scope, known
from zoo_onnx.multiplications import multiplications_per_row
from zoo_onnx.passes.loop_invariants import hoist
from zoo_onnx.tracing.trace import Argument

if TYPE_CHECKING:
    from zoo_onnx.compose import Composer

INDEX = Tensor("int64", ())
ALL = 2**63 - 1  # steps
WINDOWED = 1_000_000  # multiplications per row and step; in smaller steps the addition to the step number would show
BLOCK = 256  # random numbers per row to draw at once; they stay in the cache
Values = Sequence[ir.Value]
Step = Callable[[Scope, ir.Value, Values], list[ir.Value]]  # body, iteration, state -> state


class LoopBuilder:
    """Adds a loop to the graph of a `Composer`, which holds its input values."""

    def __init__(self, composer: Composer, loop: Loop) -> None:
        self.composer, self.loop, self.main = composer, loop, composer.main
        self.values = dict(composer.values)
        self.size = block_size(loop)
        # the inputs of a step other than its number and the state
        self.taken: dict[str, Argument] = {**loop.inputs, **loop.invariants, **loop.noise, **loop.options}

    def build(self) -> list[ir.Value]:
        """The outputs of the loop."""
        state = self.initial()
        if self.size == self.loop.length:
            last = self.block(self.main, None, self.length, state)
        elif self.size == 1:
            last = self.repeat(self.main, self.length, state, self.step_with_its_noise)
        else:
            last = self.blocks(state)
        return self.finish(last)

    @cached_property
    def length(self) -> ir.Value:
        """The number of steps to run."""
        length = self.loop.length
        fixed = isinstance(length, int)
        most = known(self.main.graph, MOST_STEPS, np.asarray(length if fixed else ALL, dtype=np.int64))
        return most if fixed else self.main.op("Min", self.values[str(length)], most)

    @cached_property
    def first(self) -> ir.Value | None:
        """The first step to run, if the cost of the addition is negligible."""
        work, _ = multiplications_per_row(self.step)
        large = work is None or work >= WINDOWED
        return known(self.main.graph, FIRST_STEP, np.asarray(0, dtype=np.int64)) if large else None

    def moved(self, body: Scope, i: ir.Value) -> ir.Value:
        """The number of a step, from that of an iteration."""
        return i if self.first is None else body.op("Add", i, self.first)

    def initial(self) -> list[ir.Value]:
        """The initial state. Whatever is constant over steps is added to the values."""
        loop = self.loop
        arguments: dict[str, Argument] = {"index": INDEX, **loop.inputs, **loop.init_noise, **loop.options}
        results = {**loop.state, **loop.invariants}

        def init(*tensors: Any) -> tuple[Any, ...]:
            return tuple(named(loop.init(**dict(zip(arguments, tensors, strict=True))), results).values())

        values = {**self.values, **self.composer.draw(self.main, loop.init_noise)}
        made = self.main.splice(
            self.composer.trace(init, arguments, "init"), [values[name] for name in arguments], "init"
        )
        self.values |= dict(zip(loop.invariants, made[len(loop.state) :], strict=True))
        return made[: len(loop.state)]

    @cached_property
    def step(self) -> ir.Model:
        """The traced step; a graph is spliced into one body."""
        loop, states = self.loop, list(self.loop.state)
        arguments: dict[str, Argument] = {"i": Option(0), **{f"state {s}": loop.state[s] for s in states}, **self.taken}

        def step(i: Any, *tensors: Any) -> tuple[Any, ...]:
            before = dict(zip(states, tensors[: len(states)], strict=True))
            after = loop.step(i, before, **dict(zip(self.taken, tensors[len(states) :], strict=True)))
            return tuple(named(after, loop.state).values())

        return self.composer.trace(step, arguments, "step")

    def one(self, body: Scope, i: ir.Value, state: Values, fresh: Mapping[str, ir.Value]) -> list[ir.Value]:
        """A step with this noise."""
        given = {**self.values, **fresh}
        return body.splice(self.step, [i, *state, *(given[name] for name in self.taken)], "step")

    def step_with_its_noise(self, body: Scope, i: ir.Value, state: Values) -> list[ir.Value]:
        i = self.moved(body, i)
        return self.one(body, i, state, self.composer.draw(body, self.loop.noise, step=i))

    def blocks(self, state: Values) -> list[ir.Value]:
        """All steps, one block at a time; the last block may be shorter."""
        size = self.main.constant(self.size, "int64")

        def block(body: Scope, number: ir.Value, state: Values) -> list[ir.Value]:
            taken = body.op("Mul", number, size)
            count = body.op("Min", body.op("Sub", self.length, taken), size)
            return self.block(body, self.moved(body, taken), count, state)

        rounded_up = self.main.op("Add", self.length, self.main.constant(self.size - 1, "int64"))
        return self.repeat(self.main, self.main.op("Div", rounded_up, size), state, block, "block")

    def block(self, scope: Scope, first: ir.Value | None, count: ir.Value, state: Values) -> list[ir.Value]:
        """The steps from `first` on (None: from 0), with their noise drawn at once."""
        start = self.main.constant(0, "int64") if first is None else first
        noises = self.composer.draw(scope, self.loop.noise, step=start, block=self.size)

        def step(body: Scope, j: ir.Value, state: Values) -> list[ir.Value]:
            if first is None:
                j = self.moved(body, j)
            fresh = {name: body.op("Gather", value, j, axis=1) for name, value in noises.items()}
            return self.one(body, j if first is None else body.op("Add", first, j), state, fresh)

        return self.repeat(scope, count, state, step)

    def repeat(self, scope: Scope, count: ir.Value, state: Values, step: Step, part: str = "step") -> list[ir.Value]:
        """A `Loop` node: the state after `count` steps, or when `until` ends it."""
        loop, body = self.loop, Scope(scope, part)
        i = body.input(body.name("i"), "int64", [])
        body.input(body.name("more"), "bool", [])
        before = [body.input(body.name(s), t.dtype, ["batch", *t.shape]) for s, t in loop.state.items()]
        after = step(body, i, before)
        self.condition(body, after)
        for (name, tensor), value in zip(loop.state.items(), after, strict=True):
            body.output(value, body.name(name), tensor.dtype, ["batch", *tensor.shape])
        hoist(body.graph, scope)
        # without a condition ONNX's reference evaluator runs no step
        inputs, attributes = [count, self.main.constant(True, "bool"), *state], {"body": body.graph}
        node = ir.node("Loop", inputs, attributes, num_outputs=len(state), name=scope.name(f"{part}s"))
        for (name, tensor), value in zip(loop.state.items(), node.outputs, strict=True):
            value.name, value.type = scope.name(name), ir.TensorType(DTYPES[tensor.dtype])
        scope.graph.append(node)
        return list(node.outputs)

    def condition(self, body: Scope, state: Values) -> None:
        """Whether to continue, as an output of the body."""
        loop = self.loop
        if loop.until is None:  # a constant is on the host, where Loop reads it; passing `more` on would copy it twice
            body.declare(body.op("Constant", value=ir.tensor(np.asarray(True))), body.name("more"), "bool", [])
            return
        until = loop.until

        def stop(*tensors: Any) -> Any:
            return until(dict(zip(loop.state, tensors, strict=True)))

        (done,) = body.splice(self.composer.trace(stop, dict(loop.state), "until"), state, "until")
        body.output(body.op("Not", done), body.name("more"), "bool", [])

    def finish(self, state: Values) -> list[ir.Value]:
        loop = self.loop

        def finish(*tensors: Any) -> tuple[Any, ...]:
            return tuple(named(loop.finish(dict(zip(loop.state, tensors, strict=True))), loop.outputs).values())

        return self.main.splice(self.composer.trace(finish, dict(loop.state), "finish"), state, "finish")


def block_size(loop: Loop) -> int:
    """For how many steps to draw noise at once: all, a block, or one."""
    numbers = sum(math.prod(d for d in n.shape if isinstance(d, int)) for n in loop.noise.values())
    if not numbers or any(isinstance(d, str) for n in loop.noise.values() for d in n.shape):
        return 1
    most = max(1, BLOCK // numbers)
    if isinstance(loop.length, int) and loop.length <= most:
        return loop.length
    return 1 if loop.until else most  # an early end would have to end the loop over blocks, too
