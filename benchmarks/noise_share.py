"""What the seedable noise in the graph costs: the sampler, against the same graph with the same noise given, in as many
threads. Outputs are compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from zoo_onnx.compose import compose
from zoo_onnx.export import traceable

import zoo
from benchmarks.peers import inputs_of, noises_of
from benchmarks.timing import Row, agree, side_by_side
from zoo import noise
from zoo.artifact import CPU
from zoo.signature import Call, Loop, Method, Tensor, resolve

BATCHES = (1, 64, 1024)


def rows(names: Sequence[str] = (), batches: Sequence[int] = BATCHES) -> Iterator[Row]:
    """Reach: the whole sampler takes at most 1 / 0.95 of the time that it takes without making noise."""
    for name in names or zoo.list_models("*.*", method="sample"):
        model, artifact = zoo.load(name), zoo.open(name, device="cpu")
        module, methods = traceable(model)
        outputs = list(model.signature("sample").outputs)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quiet.onnx"
            with model.network.inference():
                ir.save(compose(module, "sample", without_noise(methods["sample"])), path)
            for batch in batches:
                inputs = inputs_of(model, "sample", batch)
                options = {n: np.asarray(o.number, o.dtype) for n, o in artifact.signature("sample").options.items()}
                whole = artifact.sessions.of("sample", batch, options)[0]  # with one thread where rows are run in parts
                quiet = ort.InferenceSession(str(path), whole.get_session_options(), providers=[CPU])
                numbers = {"seed": np.zeros(batch, np.int64), "index": np.arange(batch)}
                seeded, given = ({**inputs, **options, **n} for n in (numbers, drawn(methods["sample"], batch)))
                ours, theirs = partial(whole.run, outputs, seeded), partial(quiet.run, outputs, given)
                agree(*(dict(zip(outputs, run(), strict=True)) for run in (ours, theirs)), f"{name} sample")
                yield side_by_side(f"{name} sample", batch, "noise given", ours, {0: theirs}, reach=1 / 0.95)


def length_of(method: Method) -> int:
    if isinstance(method, Call):
        return 1
    return int(method.length if isinstance(method.length, int) else method.options[method.length].number)


def shapes(method: Method) -> dict[str, tuple[int, ...]]:
    """Of the noise of one example: (steps, *shape) of what is drawn in each step."""
    options, steps = {n: o.number for n, o in method.options.items()}, length_of(method)
    each = set(method.noise) if isinstance(method, Loop) else set()
    found = {n: resolve(d.shape, options) for n, d in noises_of(method).items()}
    return {n: (steps, *shape) if n in each else shape for n, shape in found.items()}


def drawn(method: Method, batch: int) -> dict[str, np.ndarray]:
    """The noise of seed 0, as the sampler draws it."""
    options, index, found = {n: o.number for n, o in method.options.items()}, np.arange(batch), {}
    each = set(method.noise) if isinstance(method, Loop) else set()
    for name, declared in noises_of(method).items():
        draw = partial(noise.draw, declared, index, seed=0, stream=f"sample/{name}", options=options)
        steps = length_of(method)
        found[name] = np.stack([draw(step=i) for i in range(steps)], 1) if name in each else draw()
    return found


def without_noise(method: Method) -> Method:
    """The method with its noise as inputs; a step of a loop takes its own from all steps'."""
    inputs = {**method.inputs, **{name: Tensor("float32", shape) for name, shape in shapes(method).items()}}
    if isinstance(method, Call):
        return replace(method, inputs=inputs, noise={})
    first, later = set(method.init_noise), set(method.noise)

    def init(index, **more):
        return method.init(index, **{k: v for k, v in more.items() if k not in later})

    def step(i, state, **more):
        fresh = {k: more[k].index_select(1, i.reshape(1)).squeeze(1) for k in later}
        return method.step(i, state, **{k: v for k, v in more.items() if k not in first} | fresh)

    return replace(method, inputs=inputs, init_noise={}, noise={}, init=init, step=step)
