"""On a GPU, everything on the device, in full float32 (no TF32). One-shot methods, bound, against PyTorch eager and
torch.compile (mode="reduce-overhead"). Loops as one ONNX `Loop`, against the eager loop, and against the same steps as
CUDA graphs that Python launches, one or several steps at a time. Notes: operations, and bytes that have to move at
least (weights, inputs, outputs), as shares of what a matrix product and a copy reach on this GPU. Weights that stay in
its cache move faster than a copy. Outputs are compared for the same seed; of reduce-overhead, which draws its noise
inside of what is compiled, where a method has none."""

from __future__ import annotations

import copy
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import zoo
from benchmarks.driven import Driven, Parts
from benchmarks.peers import DRAW, inputs_of, torch_run
from benchmarks.timing import Row, agree, side_by_side
from zoo.artifact import Artifact
from zoo.artifact.binding import Bound
from zoo.eager import EagerModel
from zoo.signature import Call, Loop, resolve

BATCHES = (1, 64, 4096)
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
    row = side_by_side(what, batch, "eager", ours, {0: torch_run(model, method, batch, keep=True)}, reach=1.0)
    shares = rates.shares(artifact, model, method, bound, row)
    yield replace(row, note=shares if bound.captured else f"not captured, {shares}")
    torch.compiler.reset()
    try:
        theirs = torch_run(drawing(model, method, batch), method, batch, wrap=REDUCED, keep=True)
        made = theirs()
    except Exception as error:  # torch has many kinds, and the other rows are worth having
        print(f"{what}: torch.compile failed: {error}")
    else:
        if not model.signature(method).random:
            agree(bound(0), {n: t.cpu() for n, t in made.items()}, f"{what}, reduce-overhead")
        yield side_by_side(what, batch, "reduce-overhead", ours, {0: theirs}, reach=1.0)


def ours_of(artifact: Artifact, method: str, batch: int) -> tuple[Bound, Callable[[], object]]:
    """A bound method, and a run of it that takes a new seed each time, as whoever samples does."""
    bound, seeds = artifact.bind(method, batch, **inputs_of(artifact, method, batch)), itertools.count()
    return bound, lambda: bound(next(seeds))


def drawing(model: EagerModel, method: str, batch: int) -> EagerModel:
    """The model with a method that draws its noise itself, so that it is compiled with it."""
    definition, device = model.methods[method], model.network.device
    assert isinstance(definition, Call)
    values = {name: o.number for name, o in definition.options.items()}

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
        row = side_by_side(what, batch, "eager loop", ours, {0: torch_run(model, method, batch, keep=True)})
        yield replace(row, note=rates.shares(artifact, model, method, bound, row))
    if loop.until is not None:  # the host would have to ask after each step
        return
    for several, peer in ((1, "captured step"), (SEVERAL, "captured steps")):
        with tempfile.TemporaryDirectory() as folder:
            parts = Parts(model, method, loop, Path(folder), several=several)
            if several > 1 and parts.several == 1:  # the number of steps has no such divisor
                continue
            peer = peer if several == 1 else f"{parts.several} {peer}"
            for batch in batches:
                bound, ours = ours_of(artifact, method, batch)
                driven = Driven(parts, artifact, batch)
                agree(driven(0), bound(0), f"{what}, {peer}")
                seeds = itertools.count()
                yield side_by_side(what, batch, peer, ours, {0: lambda run=driven, s=seeds: run(next(s))})


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
        seconds = row.ours / 1e3
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
