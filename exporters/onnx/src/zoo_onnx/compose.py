"""A method as one ONNX model: noise from `seed` and `index`, the traced pieces, one `Loop` if it iterates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common as passes
from torch import nn

from zoo.signature import Call, Loop, Method, Noise, Signature, named
from zoo_onnx import noise
from zoo_onnx.graph import Scope
from zoo_onnx.loop import LoopBuilder
from zoo_onnx.tracing.trace import Argument, trace


def compose(network: nn.Module, method: str, definition: Method, name: str = "") -> ir.Model:
    """The ONNX model of a method. Inputs: `seed` and `index` (N,) int64 if it is random, only `index` if it has no
    other input per row, its own inputs (N, ...), and its options, which are scalars. `name` is the model's name in
    errors."""
    return Composer(network, method, definition, name or type(network).__name__).model()


class Composer:
    """The graph of a method under construction. `values` are available to its pieces, by name."""

    def __init__(self, network: nn.Module, method: str, definition: Method, name: str) -> None:
        self.network, self.method, self.definition, self.name = network, method, definition, name
        self.signature = Signature.of(definition)
        self.defaults = {name: o.number for name, o in definition.options.items()}
        self.main = Scope()
        for name in (*self.signature.row_inputs, *self.signature.options, *self.signature.outputs):
            self.main.reserve(name)
        self.values: dict[str, ir.Value] = {}
        self.options: dict[str, ir.Value] = {}  # as passed by the caller

    def model(self) -> ir.Model:
        main, signature = self.main, self.signature
        for name, tensor in signature.row_inputs.items():
            self.values[name] = main.input(name, tensor.dtype, ["batch", *tensor.shape])
        for name, option in signature.options.items():
            self.values[name] = self.options[name] = main.input(name, option.dtype, [])
        for name in sorted({d for n in self.definition.noises.values() for d in n.shape if isinstance(d, str)}):
            self.values[name] = noise.on_device(main, self.options[name])
        if signature.random:
            with main.named("noise"):
                self.keys = noise.row_keys(main, self.values["seed"], self.values["index"])
        if isinstance(self.definition, Loop):
            if "index" not in self.values:
                self.values["index"] = self._places()
            outputs = LoopBuilder(self, self.definition).build()
        else:
            outputs = self._call(self.definition)
        for (name, tensor), value in zip(signature.outputs.items(), outputs, strict=True):
            main.output(value, name, tensor.dtype, ["batch", *tensor.shape])
        model = main.model(self.method)
        passes.RemoveUnusedNodesPass()(model)
        return model

    def _places(self) -> ir.Value:
        """The positions of the rows in the batch, (N,) int64."""
        main = self.main
        first = self.values[next(iter(self.signature.inputs))]
        count = main.op("Squeeze", main.op("Shape", first, start=0, end=1), main.constant([0], "int64"))
        return main.op("Range", main.constant(0, "int64"), count, main.constant(1, "int64"))

    def _call(self, call: Call) -> list[ir.Value]:
        arguments: dict[str, Argument] = {**call.inputs, **call.noise, **call.options}

        def function(*tensors: Any) -> tuple[Any, ...]:
            return tuple(named(call.function(**dict(zip(arguments, tensors, strict=True))), call.outputs).values())

        values = {**self.values, **self.draw(self.main, call.noise)}
        return self.main.splice(self.trace(function, arguments), [values[name] for name in arguments])

    def draw(self, scope: Scope, noises: Mapping[str, Noise], **when: Any) -> dict[str, ir.Value]:
        """The noise of the rows, in the graph of `scope`."""
        with scope.named("noise"):
            return {
                name: noise.draw(scope, n, self.keys, f"{self.method}/{name}", options=self.options, **when)
                for name, n in noises.items()
            }

    def trace(self, function: Any, arguments: Mapping[str, Argument], part: str = "") -> ir.Model:
        """The graph of a function of the network; `part` says which function of the method it is."""
        what = f"{self.name}: {self.method}" + (f" ({part})" if part else "")
        return trace(self.network, function, arguments, what, self.defaults)
