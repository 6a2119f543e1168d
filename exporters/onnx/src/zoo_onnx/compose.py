"""A method as one ONNX model: noise from `seed`, `start` and `count`, the traced pieces, one `Loop` if it iterates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes
from torch import nn

from zoo.signature import Call, Loop, Method, Noise, Option, Signature, Tensor, named
from zoo_onnx import noise
from zoo_onnx.graph import DTYPES, Scope, hoist
from zoo_onnx.trace import Argument, trace

INDEX = Tensor("int64", ())
BLOCK = 256  # random numbers of an example that are drawn at once in a loop
Values = Sequence[ir.Value]
Step = Callable[[Scope, ir.Value, Values], list[ir.Value]]


def compose(network: nn.Module, method: str, definition: Method, name: str = "") -> ir.Model:
    """The ONNX model of a method. Inputs: `seed` and `start` (int64) if it is random, `count` if it takes no
    observations, its own inputs, and its options, which have defaults. Errors call the model `name`."""
    return _Composer(network, method, definition, name or type(network).__name__).model()


class _Composer:
    def __init__(self, network: nn.Module, method: str, definition: Method, name: str) -> None:
        self.network, self.method, self.definition, self.name = network, method, definition, name
        self.signature = Signature.of(definition)
        self.defaults = {name: o.default for name, o in definition.options.items()}
        self.main = Scope()
        self.values: dict[str, ir.Value] = {}
        self.options: dict[str, ir.Value] = {}  # as they are given

    def model(self) -> ir.Model:
        main, signature = self.main, self.signature
        if signature.random:
            self.values["seed"] = main.input("seed", "int64", [])
            self.values["start"] = main.input("start", "int64", [])
        if not signature.inputs:
            self.values["count"] = main.input("count", "int64", [])
        for name, tensor in signature.inputs.items():
            self.values[name] = main.input(name, tensor.dtype, ["batch", *tensor.shape])
        for name, option in signature.options.items():
            value = main.input(name, option.dtype, [])
            value.const_value = ir.tensor(np.asarray(option.default, dtype=option.dtype), name=name)
            main.graph.register_initializer(value)  # an input with a value is one that may be left out
            self.values[name] = self.options[name] = value
        for name in sorted({d for n in noises_of(self.definition) for d in n.shape if isinstance(d, str)}):
            self.values[name] = noise.on_device(main, self.options[name])
        self.values["index"] = self._index()
        if signature.random:
            with main.named("noise"):
                self.key = noise.seed_key(main, self.values["seed"])
        outputs = self._loop(self.definition) if isinstance(self.definition, Loop) else self._call(self.definition)
        for (name, tensor), value in zip(signature.outputs.items(), outputs, strict=True):
            main.output(value, name, tensor.dtype, ["batch", *tensor.shape])
        model = main.model()
        passes.RemoveUnusedNodesPass()(model)
        return model

    def _index(self) -> ir.Value:
        """The numbers of the examples, (N,) int64."""
        main, one = self.main, self.main.constant(1, "int64")
        if self.signature.inputs:
            first = self.values[next(iter(self.signature.inputs))]
            count = main.op("Squeeze", main.op("Shape", first, start=0, end=1), main.constant([0], "int64"))
        else:
            count = self.values["count"]
        # from zero: a kernel reads the bounds of a Range on the host, and `start` belongs on the device
        numbers = main.op("Range", main.constant(0, "int64"), count, one)
        return main.op("Add", numbers, self.values["start"]) if "start" in self.values else numbers

    def _draw(self, scope: Scope, noises: Mapping[str, Noise], **when: Any) -> dict[str, ir.Value]:
        if not noises:
            return {}
        index, key, options = self.values["index"], self.key, self.options
        with scope.named("noise"):
            return {
                name: noise.draw(scope, n, index, key, f"{self.method}/{name}", options=options, **when)
                for name, n in noises.items()
            }

    def _trace(self, function: Any, arguments: Mapping[str, Argument], part: str) -> ir.Model:
        what = f"{self.name}: {self.method}{part}"
        return trace(self.network, function, arguments, what, self.defaults)

    def _call(self, call: Call) -> list[ir.Value]:
        arguments: dict[str, Argument] = {**call.inputs, **call.noise, **call.options}

        def function(*tensors: Any) -> tuple[Any, ...]:
            return tuple(named(call.function(**dict(zip(arguments, tensors, strict=True))), call.outputs).values())

        values = {**self.values, **self._draw(self.main, call.noise)}
        return self.main.splice(self._trace(function, arguments, ""), [values[name] for name in arguments])

    def _loop(self, loop: Loop) -> list[ir.Value]:
        main, states = self.main, list(loop.state)

        # before the loop: the first state, and what stays the same in every step
        first: dict[str, Argument] = {"index": INDEX, **loop.inputs, **loop.init_noise, **loop.options}

        def init(*tensors: Any) -> tuple[Any, ...]:
            made = loop.init(**dict(zip(first, tensors, strict=True)))
            return tuple(named(made, {**loop.state, **loop.invariants}).values())

        values = {**self.values, **self._draw(main, loop.init_noise)}
        made = main.splice(self._trace(init, first, " (init)"), [values[name] for name in first])
        initial, constant = made[: len(states)], dict(zip(loop.invariants, made[len(states) :], strict=True))

        # the loop
        length = main.constant(loop.length, "int64") if isinstance(loop.length, int) else self.values[loop.length]
        rest: dict[str, Argument] = {**loop.inputs, **loop.invariants, **loop.noise, **loop.options}
        arguments: dict[str, Argument] = {"i": Option(0), **{f"state {s}": loop.state[s] for s in states}, **rest}

        def step(i: Any, *tensors: Any) -> tuple[Any, ...]:
            before = dict(zip(states, tensors[: len(states)], strict=True))
            after = loop.step(i, before, **dict(zip(rest, tensors[len(states) :], strict=True)))
            return tuple(named(after, loop.state).values())

        traced = self._trace(step, arguments, " (step)")

        def one(body: Scope, i: ir.Value, state: Values, fresh: Mapping[str, ir.Value]) -> list[ir.Value]:
            given = {**self.values, **constant, **fresh}
            return body.splice(traced, [i, *state, *(given[name] for name in rest)])

        def several(scope: Scope, first: ir.Value | None, count: ir.Value, initial: Values) -> list[ir.Value]:
            """Steps from `first` on, whose noise is drawn at once."""
            start = main.constant(0, "int64") if first is None else first
            noises = self._draw(scope, loop.noise, step=start, steps=length, block=block)

            def inner(body: Scope, j: ir.Value, state: Values) -> list[ir.Value]:
                fresh = {name: body.op("Gather", value, j, axis=1) for name, value in noises.items()}
                return one(body, j if first is None else body.op("Add", first, j), state, fresh)

            return self._repeat(scope, count, initial, inner)

        def several_of_many(body: Scope, number: ir.Value, state: Values) -> list[ir.Value]:
            size = main.constant(block, "int64")
            first = body.op("Mul", number, size)
            return several(body, first, body.op("Min", body.op("Sub", length, first), size), state)

        def with_own_noise(body: Scope, i: ir.Value, state: Values) -> list[ir.Value]:
            return one(body, i, state, self._draw(body, loop.noise, step=i, steps=length))

        block = block_size(loop)
        if block == loop.length:
            last = several(main, None, length, initial)
        elif block == 1:
            last = self._repeat(main, length, initial, with_own_noise)
        else:
            rounded_up = main.op("Add", length, main.constant(block - 1, "int64"))
            blocks = main.op("Div", rounded_up, main.constant(block, "int64"))
            last = self._repeat(main, blocks, initial, several_of_many)

        def finish(*tensors: Any) -> tuple[Any, ...]:
            return tuple(named(loop.finish(dict(zip(states, tensors, strict=True))), loop.outputs).values())

        return main.splice(self._trace(finish, dict(loop.state), " (finish)"), last)

    def _repeat(self, scope: Scope, count: ir.Value, initial: Values, step: Step) -> list[ir.Value]:
        """A `Loop` node: the state after `count` steps, or when `until` ends it."""
        loop = self.definition
        assert isinstance(loop, Loop)
        body = Scope(scope)
        i = body.input(body.name("i"), "int64", [])
        body.input(body.name("more"), "bool", [])
        state = [body.input(body.name(s), t.dtype, ["batch", *t.shape]) for s, t in loop.state.items()]
        after = step(body, i, state)
        if loop.until is not None:
            until = loop.until

            def stop(*tensors: Any) -> Any:
                return until(dict(zip(loop.state, tensors, strict=True)))

            (done,) = body.splice(self._trace(stop, dict(loop.state), " (until)"), after)
            body.output(body.op("Not", done), body.name("more"), "bool", [])
        else:  # a constant is on the host, where Loop reads it; `more` handed on would go to the device and back
            body.declare(body.op("Constant", value=ir.tensor(np.asarray(True))), body.name("more"), "bool", [])
        for (s, t), value in zip(loop.state.items(), after, strict=True):
            body.output(value, body.name(s), t.dtype, ["batch", *t.shape])
        hoist(body.graph, scope)
        node = ir.node(
            "Loop", [count, None, *initial], {"body": body.graph}, num_outputs=len(state), name=scope.name("loop")
        )
        for (s, t), value in zip(loop.state.items(), node.outputs, strict=True):
            value.name, value.type = scope.name(s), ir.TensorType(DTYPES[t.dtype])
        scope.graph.append(node)
        return list(node.outputs)


def noises_of(method: Method) -> list[Noise]:
    return [*(method.init_noise if isinstance(method, Loop) else {}).values(), *method.noise.values()]


def block_size(loop: Loop) -> int:
    """How many steps' noise to draw at once: all of it, or that of a block, or a step's. In a small model, what noise
    costs is the number of its nodes; drawn for many steps, they are few. The numbers of a block stay in the cache."""
    numbers = sum(math.prod(d for d in n.shape if isinstance(d, int)) for n in loop.noise.values())
    if not numbers or any(isinstance(d, str) for n in loop.noise.values() for d in n.shape):
        return 1
    most = max(1, BLOCK // numbers)
    if isinstance(loop.length, int) and loop.length <= most:
        return loop.length
    return 1 if loop.until else most  # what ends early would have to end the loop over blocks too
