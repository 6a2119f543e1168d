"""On a GPU, everything on the device, in full float32 (no TF32). One-shot methods, bound, against PyTorch eager and
torch.compile (mode="reduce-overhead"). Loops as one ONNX `Loop`, against the eager loop, and against the same steps as
CUDA graphs that Python launches, one or several steps at a time. Notes: operations, and bytes that have to move at
least (weights, inputs, outputs), as shares of what a matrix product and a copy reach on this GPU. Weights that stay in
its cache move faster than a copy.

`python -m benchmarks.gpu 'maf.*' 'vae.*'` runs a part, and keeps the other rows of results/gpu.json.
"""

from __future__ import annotations

import copy
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from zoo_onnx import noise
from zoo_onnx.export import traceable
from zoo_onnx.graph import Scope
from zoo_onnx.trace import trace

import zoo
from benchmarks.peers import DRAW, inputs_of, torch_run
from benchmarks.timing import Row, same, side_by_side
from zoo.artifact import CPU, CUDA, Artifact
from zoo.binding import Bound
from zoo.eager import EagerModel
from zoo.signature import Call, Loop, Option, Tensor, named, resolve

BATCHES = (1, 64, 4096)
INDEX = Tensor("int64")
SEVERAL = 5  # steps of a loop in one CUDA graph
REDUCED = partial(torch.compile, mode="reduce-overhead", dynamic=False)


def rows(device: str = "cuda", names: Sequence[str] = (), batches: Sequence[int] = BATCHES) -> Iterator[Row]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    rates = measured(device)
    for name in names or zoo.list_models("*.*"):
        artifact, model = zoo.open(name, device=device), zoo.load(name, device=device)
        with model.network.inference():
            for method, definition in model.methods.items():
                if isinstance(definition, Loop):
                    yield from loops(artifact, model, method, definition, batches, rates)
                else:
                    for batch in batches:
                        yield from one_shot(artifact, model, method, batch, rates)


def one_shot(artifact: Artifact, model: EagerModel, method: str, batch: int, rates: Rates) -> Iterator[Row]:
    what = f"{artifact.name} {method}"
    bound, ours = ours_of(artifact, method, batch)
    agree(bound(0), torch_run(model, method, batch, seeded=True)(), what)
    row = side_by_side(what, batch, "eager", ours, torch_run(model, method, batch, keep=True), reach=1.0)
    shares = rates.shares(artifact, model, method, bound, row)
    yield replace(row, note=shares if bound.captured else f"not captured, {shares}")
    torch.compiler.reset()
    try:
        theirs = torch_run(drawing(model, method, batch), method, batch, wrap=REDUCED, keep=True)
        theirs()
    except Exception as error:  # torch has many kinds, and the other rows are worth having
        print(f"{what}: torch.compile failed: {error}")
    else:
        yield side_by_side(what, batch, "reduce-overhead", ours, theirs, reach=1.0)


def ours_of(artifact: Artifact, method: str, batch: int) -> tuple[Bound, Callable[[], object]]:
    """A bound method, and a run of it that takes a new seed each time, as whoever samples does."""
    bound, seeds = artifact.bind(method, batch, **inputs_of(artifact, method, batch)), itertools.count()
    return bound, lambda: bound(next(seeds))


def drawing(model: EagerModel, method: str, batch: int) -> EagerModel:
    """The model with a method that draws its noise itself, so that it is compiled with it."""
    definition, device = model.methods[method], model.network.device
    assert isinstance(definition, Call)
    values = {name: o.default for name, o in definition.options.items()}

    def function(**given: Any) -> Any:
        noises = {n: DRAW[d.kind](batch, *resolve(d.shape, values), device=device) for n, d in definition.noise.items()}
        return definition.function(**given, **noises)

    drawn = copy.copy(model)
    drawn.methods = {**model.methods, method: replace(definition, function=function, noise={})}
    return drawn


def loops(
    artifact: Artifact, model: EagerModel, method: str, loop: Loop, batches: Sequence[int], rates: Rates
) -> Iterator[Row]:
    what = f"{artifact.name} {method}"
    for batch in batches:
        bound, ours = ours_of(artifact, method, batch)
        agree(bound(0), torch_run(model, method, batch, seeded=True)(), what)
        row = side_by_side(what, batch, "eager loop", ours, torch_run(model, method, batch, keep=True))
        yield replace(row, note=rates.shares(artifact, model, method, bound, row))
    if loop.until is not None:  # the host would have to ask after each step
        return
    for several, peer in ((1, "captured step"), (SEVERAL, "captured steps")):
        with tempfile.TemporaryDirectory() as folder:
            parts = Parts(model, method, loop, several, Path(folder))
            if several > 1 and parts.several == 1:  # the number of steps has no such divisor
                continue
            peer = peer if several == 1 else f"{parts.several} {peer}"
            for batch in batches:
                bound, ours = ours_of(artifact, method, batch)
                driven = Driven(parts, artifact, batch)
                agree(driven(0), {n: v.numpy() for n, v in bound(0).items()}, f"{what}, {peer}")
                seeds = itertools.count()
                yield side_by_side(what, batch, peer, ours, lambda run=driven, s=seeds: run(next(s)))


def agree(ours: Mapping[str, ort.OrtValue], theirs: Mapping[str, np.ndarray], what: str) -> None:
    for name, value in theirs.items():
        same(ours[name].numpy(), value, f"{what} {name}")


class Parts:
    """The begin, the step and the end of a loop as ONNX files, the noise inside; `several` steps in one file, or as
    many fewer as the number of steps asks for. The names of what they give begin with "new"."""

    def __init__(self, model: EagerModel, method: str, loop: Loop, several: int, folder: Path) -> None:
        self.module, _ = traceable(model)
        self.method, self.loop, self.folder = method, loop, folder
        self.defaults = {n: o.default for n, o in loop.options.items()}
        self.length = int(loop.length if isinstance(loop.length, int) else self.defaults[loop.length])
        self.several = next(n for n in range(several, 0, -1) if self.length % n == 0)
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
        first = scope.op(
            "Mul", values["seed"], scope.constant(0, "int64")
        )  # from the seed, so that it is on the device
        return self.finish(scope, [first, *made], {"i": INDEX, **tensors})

    def step(self) -> ir.Model:
        loop, states = self.loop, [n for n in self.state if n != "i"]
        scope, values = self.scope({"seed": INDEX, "index": INDEX, **self.state, **loop.inputs, **loop.invariants})

        def step(i: torch.Tensor, **given: torch.Tensor) -> Any:
            return loop.step(i, {n: given.pop(f"state {n}") for n in loop.state}, **given)

        rest = {**loop.inputs, **loop.invariants, **loop.noise, **loop.options}
        piece = self.trace(step, {**self.state, "i": Option(0), **rest}, loop.state)
        for _ in range(self.several):
            fresh = self.draw(scope, loop.noise, values, step=values["i"], steps=scope.constant(self.length, "int64"))
            after = self.splice(scope, piece.clone(), {**values, **fresh})
            values |= dict(zip(states, after, strict=True))
            values["i"] = scope.op("Add", values["i"], scope.constant(1, "int64"))
        return self.finish(scope, [values[n] for n in self.state], self.state)

    def end(self) -> ir.Model:
        scope, values = self.scope(self.state)
        function = lambda **state: self.loop.finish({n: state[f"state {n}"] for n in self.loop.state})  # noqa: E731
        piece = self.trace(function, {n: t for n, t in self.state.items() if n != "i"}, self.loop.outputs)
        return self.finish(scope, self.splice(scope, piece, values), self.loop.outputs)

    def scope(self, tensors: Mapping[str, Tensor]) -> tuple[Scope, dict[str, ir.Value]]:
        """A graph with these inputs, and the options as constants."""
        scope = Scope()
        values = {n: scope.input(n, t.dtype, dims(n, t)) for n, t in tensors.items()}
        return scope, values | {n: scope.constant(o.default, o.dtype) for n, o in self.loop.options.items()}

    def draw(self, scope: Scope, noises: Mapping, values: Mapping[str, ir.Value], **when: Any) -> dict[str, ir.Value]:
        key = noise.seed_key(scope, values["seed"])
        stream = f"{self.method}/{{}}".format
        return {n: noise.draw(scope, d, values["index"], key, stream(n), **when) for n, d in noises.items()}

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


def dims(name: str, tensor: Tensor) -> list[int | str]:
    return [] if name in ("i", "seed") else ["batch", *tensor.shape]


class Driven:
    """A loop that Python drives, each part a CUDA graph on CUDA. The state goes to and fro between two sets of buffers,
    for each of which the step is captured once."""

    def __init__(self, parts: Parts, artifact: Artifact, batch: int) -> None:
        self.device, self.batch, self.folder = artifact.device, batch, parts.folder
        self.turns = parts.length // parts.several
        loop = parts.loop
        one, other = ({n: self.buffer(n, t) for n, t in parts.state.items()} for _ in range(2))
        inputs = {n: self.value(a) for n, a in inputs_of(artifact, parts.method, batch).items()}
        inputs |= {"seed": self.value(np.asarray(0)), "index": self.value(np.arange(batch))}
        kept = {n: self.buffer(n, t) for n, t in loop.invariants.items()}
        self.seed = inputs["seed"]
        self.outputs = {n: self.buffer(n, t) for n, t in loop.outputs.items()}
        first = {n.removeprefix("state "): value for n, value in one.items()}
        self.begin = self.part("begin", (inputs, {**first, **kept}))
        self.step = self.part("step", ({**inputs, **kept, **one}, other), ({**inputs, **kept, **other}, one))
        self.end = self.part("end", (one if self.turns % 2 == 0 else other, self.outputs))

    def __call__(self, seed: int) -> dict[str, ort.OrtValue]:
        self.seed.update_inplace(np.asarray(seed))
        self.begin(0)
        for turn in range(self.turns):
            self.step(turn % 2, wait=turn == self.turns - 1)  # the end is on another stream
        self.end(0)
        return self.outputs

    def value(self, array: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self.device)

    def buffer(self, name: str, tensor: Tensor) -> ort.OrtValue:
        return self.value(np.zeros([self.batch if d == "batch" else d for d in dims(name, tensor)], tensor.dtype))

    def part(self, name: str, *buffers: tuple[Mapping, Mapping]) -> Callable[..., None]:
        """A session, and its run with one of the pairs of inputs and outputs."""
        providers: list[Any] = [CPU]
        if self.device == "cuda":
            providers = [(CUDA, {"use_tf32": "0", "enable_cuda_graph": "1"}), CPU]
        session = ort.InferenceSession(str(self.folder / f"{name}.onnx"), providers=providers, enable_fallback=0)
        bindings = []
        for inputs, outputs in buffers:
            binding = session.io_binding()
            for value in session.get_inputs():
                binding.bind_ortvalue_input(value.name, inputs[value.name])
            for key, value in outputs.items():
                binding.bind_ortvalue_output(f"new {key}", value)
            bindings.append(binding)

        def run(number: int, wait: bool = True) -> None:
            options = ort.RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(number + 1))
            options.add_run_config_entry("disable_synchronize_execution_providers", str(int(not wait)))
            session.run_with_iobinding(bindings[number], options)

        return run


class Operations(TorchDispatchMode):
    """Counts those of matrix products and convolutions; `FlopCounterMode` itself cannot be used around gradients."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known, kwargs = flop_registry.get(function._overloadpacket), kwargs or {}
        if known is None:
            with self:
                parts = function.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        result = function(*args, **kwargs)
        if known is not None:
            self.count += known(*args, **kwargs, out_val=result)
        return result


class Rates:
    """What this device reaches: operations a second in a float32 matrix product, bytes a second in a copy."""

    def __init__(self, operations: float, bandwidth: float) -> None:
        self.operations, self.bandwidth = operations, bandwidth

    def shares(self, artifact: Artifact, model: EagerModel, method: str, bound: Bound, row: Row) -> str:
        with Operations() as operations:
            torch_run(model, method, row.batch)()
        graph = ir.load(artifact.folder / artifact.manifest.methods[method].file).graph
        values = [v for g in (graph, *graph.subgraphs()) for v in g.initializers.values()]
        moved = sum(v.const_value.nbytes for v in values if v.const_value is not None)
        moved += sum(v.tensor_size_in_bytes() for v in bound.outputs.values())
        moved += sum(a.nbytes for a in inputs_of(artifact, method, row.batch).values())
        seconds = row.ours_ms / 1e3
        return (
            f"{operations.count / seconds / self.operations:.1%} of {self.operations / 1e12:.3g} TFLOP/s, "
            f"{moved / seconds / self.bandwidth:.1%} of {self.bandwidth / 1e9:.4g} GB/s"
        )


def measured(device: str) -> Rates:
    size, length = (8192, 2**28) if device == "cuda" else (1024, 2**24)
    a, b, c = torch.randn(3, size, size, device=device)
    x, y = torch.zeros(2, length, device=device)
    return Rates(
        2 * size**3 / seconds(device, lambda: torch.mm(a, b, out=c)),
        2 * x.nbytes / seconds(device, lambda: y.copy_(x)),
    )


def seconds(device: str, run: Callable[[], object]) -> float:
    """The least of five times of ten runs."""

    def wait() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    run()
    found = []
    for _ in range(5):
        begin = wait()
        for _ in range(10):
            run()
        found.append((wait() - begin) / 10)
    return min(found)


def main() -> None:
    from benchmarks.__main__ import RESULTS, machine, missing, report

    names = [name for pattern in sys.argv[1:] for name in zoo.list_models(pattern) if "." in name]
    if needs := missing("gpu"):
        sys.exit(f"the benchmark gpu needs {needs}.")
    if not names:
        sys.exit("name presets, such as 'maf.*'; all: python -m benchmarks gpu")
    path = RESULTS / "gpu.json"
    found = json.loads(path.read_text())["rows"] if path.exists() else []
    found = [row for row in found if row["what"].split()[0] not in names]
    for row in rows(names=names):
        found.append(asdict(row))
        path.write_text(json.dumps({"machine": machine(), "rows": found}, indent=1) + "\n")
    (RESULTS / "README.md").write_text(report())


if __name__ == "__main__":
    main()
