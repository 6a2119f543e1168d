"""A loop as people run exported samplers: its begin, its step and its end are ONNX models of their own, and Python
calls them, the state in buffers that stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from zoo_onnx import noise
from zoo_onnx.export import traceable
from zoo_onnx.graph import Scope
from zoo_onnx.tracing.trace import trace

import zoo.noise
from benchmarks.peers import inputs_of, thread_counts
from benchmarks.timing import Row, agree, side_by_side
from zoo.artifact import CPU, CUDA, Artifact
from zoo.eager import EagerModel
from zoo.signature import Loop, Noise, Option, Tensor, named, resolve

INDEX = Tensor("int64")


class Parts:
    """The begin, the step and the end of a loop as ONNX files; `several` steps in one file, or as many fewer as the
    number of steps asks for. Noise is made inside, or with `outside` an input. The names of what they give begin with
    "new"."""

    def __init__(
        self, model: EagerModel, method: str, loop: Loop, folder: Path, *, several: int = 1, outside: bool = False
    ) -> None:
        self.module, _ = traceable(model)
        self.method, self.loop, self.folder, self.outside = method, loop, folder, outside
        self.defaults = {n: o.number for n, o in loop.options.items()}
        self.length = int(loop.length if isinstance(loop.length, int) else self.defaults[loop.length])
        self.several = next(n for n in range(several, 0, -1) if self.length % n == 0)
        assert not outside or self.several == 1
        self.state = {"i": INDEX, **{f"state {n}": t for n, t in loop.state.items()}}
        for name, graph in (("begin", self.begin()), ("step", self.step()), ("end", self.end())):
            ir.save(graph, folder / f"{name}.onnx")

    def begin(self) -> ir.Model:
        loop = self.loop
        scope, values = self.scope({"seed": INDEX, "index": INDEX, **loop.inputs})
        values |= self.draw(scope, loop.init_noise, values)
        tensors = {**loop.state, **loop.invariants}
        piece = self.trace(loop.init, {"index": INDEX, **loop.inputs, **loop.init_noise, **loop.options}, tensors)
        made = self.splice(scope, piece, values)
        seed = scope.op("Gather", values["seed"], scope.constant(0, "int64"))
        first = scope.op("Mul", seed, scope.constant(0, "int64"))  # from a seed: it is on the device
        return self.finish(scope, [first, *made], {"i": INDEX, **tensors})

    def step(self) -> ir.Model:
        loop, states = self.loop, [n for n in self.state if n != "i"]
        scope, values = self.scope({"seed": INDEX, "index": INDEX, **self.state, **loop.inputs, **loop.invariants})

        def step(i: torch.Tensor, **given: torch.Tensor) -> Any:
            return loop.step(i, {n: given.pop(f"state {n}") for n in loop.state}, **given)

        rest = {**loop.inputs, **loop.invariants, **loop.noise, **loop.options}
        piece = self.trace(step, {**self.state, "i": Option(0), **rest}, loop.state)
        for _ in range(self.several):
            fresh = self.draw(scope, loop.noise, values, step=values["i"])
            after = self.splice(scope, piece.clone(), {**values, **fresh})
            values |= dict(zip(states, after, strict=True))
            values["i"] = scope.op("Add", values["i"], scope.constant(1, "int64"))
        return self.finish(scope, [values[n] for n in self.state], self.state)

    def end(self) -> ir.Model:
        scope, values = self.scope(self.state)

        def finish(**state: torch.Tensor) -> Any:
            return self.loop.finish({n: state[f"state {n}"] for n in self.loop.state})

        piece = self.trace(finish, {n: t for n, t in self.state.items() if n != "i"}, self.loop.outputs)
        return self.finish(scope, self.splice(scope, piece, values), self.loop.outputs)

    def scope(self, tensors: Mapping[str, Tensor]) -> tuple[Scope, dict[str, ir.Value]]:
        """A graph with these inputs, and the options as constants."""
        scope = Scope()
        values = {n: scope.input(n, t.dtype, dims(n, t)) for n, t in tensors.items()}
        return scope, values | {n: scope.constant(o.number, o.dtype) for n, o in self.loop.options.items()}

    def draw(self, scope: Scope, noises: Mapping, values: Mapping[str, ir.Value], **when: Any) -> dict[str, ir.Value]:
        if self.outside:
            return {n: scope.input(n, "float32", dims(n, t)) for n, t in self.numbers(noises).items()}
        keys = noise.row_keys(scope, values["seed"], values["index"])
        return {n: noise.draw(scope, d, keys, f"{self.method}/{n}", **when) for n, d in noises.items()}

    def numbers(self, noises: Mapping[str, Noise]) -> dict[str, Tensor]:
        """Noises as tensors."""
        return {n: Tensor("float32", resolve(d.shape, self.defaults)) for n, d in noises.items()}

    def trace(self, function: Callable, arguments: Mapping, results: Mapping[str, Tensor]) -> ir.Model:
        def positional(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(named(function(**dict(zip(arguments, tensors, strict=True))), results).values())

        piece = trace(self.module, positional, arguments, self.method, self.defaults)
        for value, name in zip(piece.graph.inputs, arguments, strict=True):
            value.name = name
        return piece

    def splice(self, scope: Scope, piece: ir.Model, values: Mapping[str, ir.Value]) -> list[ir.Value]:
        return scope.splice(piece, [values[str(v.name)] for v in piece.graph.inputs])

    def finish(self, scope: Scope, made: Sequence[ir.Value], tensors: Mapping[str, Tensor]) -> ir.Model:
        for value, (n, t) in zip(made, tensors.items(), strict=True):
            scope.output(value, f"new {n}", t.dtype, dims(n, t))
        model = scope.model()
        RemoveUnusedNodesPass()(model)
        return model


def against_step_session(
    what: str, batch: int, parts: Parts, artifact: Artifact, ours: Callable[[], dict[str, np.ndarray]]
) -> Row:
    """On the CPU, with one thread or all. The parts take noise from outside, which is numpy's, as users have it."""
    sessions = {n: Driven(parts, artifact, batch, threads=n) for n in thread_counts()}
    for session in sessions.values():
        agree(ours(), session(0), f"{what}, step session")
    theirs = {n: partial(session, None) for n, session in sessions.items()}
    return side_by_side(what, batch, "step session, Python loop", ours, theirs, reach=1.0)


def dims(name: str, tensor: Tensor) -> list[int | str]:
    return [] if name == "i" else ["batch", *tensor.shape]


class Driven:
    """A loop that Python drives, each part a CUDA graph on CUDA. The state goes to and fro between two sets of buffers,
    for each of which the step is captured once. `threads` are the CPU's, 0: all."""

    def __init__(self, parts: Parts, artifact: Artifact, batch: int, *, threads: int = 0) -> None:
        self.parts, self.device, self.batch, self.threads = parts, artifact.device, batch, threads
        self.turns = parts.length // parts.several
        self.random = np.random.default_rng(0)
        loop = parts.loop
        one, other = ({n: self.buffer(n, t) for n, t in parts.state.items()} for _ in range(2))
        noises = parts.numbers({**loop.init_noise, **loop.noise} if parts.outside else {})
        self.noises = {n: self.buffer(n, t) for n, t in noises.items()}
        inputs = {n: self.value(a) for n, a in inputs_of(artifact, parts.method, batch).items()} | self.noises
        inputs |= {"seed": self.value(np.zeros(batch, np.int64)), "index": self.value(np.arange(batch))}
        kept = {n: self.buffer(n, t) for n, t in loop.invariants.items()}
        self.seed = inputs["seed"]
        self.outputs = {n: self.buffer(n, t) for n, t in loop.outputs.items()}
        first = {n.removeprefix("state "): value for n, value in one.items()}
        self.begin = self.part("begin", (inputs, {**first, **kept}))
        self.step = self.part("step", ({**inputs, **kept, **one}, other), ({**inputs, **kept, **other}, one))
        self.end = self.part("end", (one if self.turns % 2 == 0 else other, self.outputs))

    def __call__(self, seed: int | None) -> dict[str, ort.OrtValue]:
        """A sample. Without a seed, which is for noise from outside, numpy draws it as a user would."""
        if seed is not None:
            self.seed.update_inplace(np.full(self.batch, seed))
        self.draw(self.parts.loop.init_noise, seed)
        self.begin(0)
        for turn in range(self.turns):
            self.draw(self.parts.loop.noise, seed, step=turn)
            self.step(turn % 2, wait=turn == self.turns - 1)  # the end is on another stream
        self.end(0)
        return self.outputs

    def draw(self, noises: Mapping[str, Noise], seed: int | None, **when: int) -> None:
        for name in noises if self.parts.outside else ():
            shape, kind = (self.batch, *self.parts.numbers(noises)[name].shape), noises[name].kind
            if seed is not None:
                stream, options = f"{self.parts.method}/{name}", self.parts.defaults
                array = zoo.noise.draw(
                    noises[name], np.arange(self.batch), seed=seed, stream=stream, options=options, **when
                )
            elif kind == "normal":
                array = self.random.standard_normal(shape, dtype=np.float32)
            else:
                array = self.random.random(shape, dtype=np.float32)
            self.noises[name].update_inplace(array)

    def value(self, array: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self.device)

    def buffer(self, name: str, tensor: Tensor) -> ort.OrtValue:
        return self.value(np.zeros([self.batch if d == "batch" else d for d in dims(name, tensor)], tensor.dtype))

    def part(self, name: str, *buffers: tuple[Mapping, Mapping]) -> Callable[..., None]:
        """A session, and its run with one of the pairs of inputs and outputs."""
        settings = ort.SessionOptions()
        settings.log_severity_level, settings.intra_op_num_threads = 3, self.threads
        providers: list[Any] = [CPU]
        if self.device == "cuda":
            providers = [(CUDA, {"use_tf32": "0", "enable_cuda_graph": "1"}), CPU]
        path = str(self.parts.folder / f"{name}.onnx")
        session = ort.InferenceSession(path, settings, providers=providers, enable_fallback=0)
        bindings = []
        for inputs, outputs in buffers:
            binding = session.io_binding()
            for value in session.get_inputs():
                binding.bind_ortvalue_input(value.name, inputs[value.name])
            for key, value in outputs.items():
                binding.bind_ortvalue_output(f"new {key}", value)
            bindings.append(binding)
        choices = {(n, wait): run_options(n, wait) for n in range(len(buffers)) for wait in (False, True)}

        def run(number: int, wait: bool = True) -> None:
            session.run_with_iobinding(bindings[number], choices[number, wait])

        return run


def run_options(number: int, wait: bool) -> ort.RunOptions:
    """Of the CUDA graph with this number."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(number + 1))
    options.add_run_config_entry("disable_synchronize_execution_providers", str(int(not wait)))
    return options
