"""What the seedable noise in the graph costs: the sampler, against the same sampler with its noise given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from zoo_onnx.compose import compose
from zoo_onnx.export import traceable

import zoo
from benchmarks.peers import inputs_of
from benchmarks.timing import Row, side_by_side
from zoo import noise
from zoo.signature import Call, Loop, Tensor

BATCHES = (1, 64, 1024)


def rows() -> Iterator[Row]:
    """Reach: the whole sampler takes at most 1 / 0.95 of the time that it takes without making noise."""
    for name in zoo.list_models("*.*", method="sample"):
        model, artifact = zoo.load(name), zoo.open(name, device="cpu")
        module, methods = traceable(model)
        quiet = without_noise(methods["sample"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quiet.onnx"
            with model.network.inference():
                ir.save(compose(module, "sample", quiet), path)
            whole, without = (
                ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
                for file in (artifact.folder / "sample.onnx", path)
            )
            for batch in BATCHES:
                inputs = inputs_of(model, "sample", batch)
                seeded = {**inputs, "seed": np.asarray(0), "start": np.asarray(0)}
                if not inputs:
                    seeded["count"] = np.asarray(batch)
                drawn = {
                    key: noise.draw(declared, np.arange(batch), seed=0, stream=key)
                    for key, declared in given(methods["sample"]).items()
                }
                ours, theirs = partial(whole.run, None, seeded), partial(without.run, None, {**inputs, **drawn})
                yield side_by_side(f"{name} sample", batch, "noise given", ours, theirs, reach=1 / 0.95)


def given(method: Call | Loop) -> dict:
    return {**(method.init_noise if isinstance(method, Loop) else {}), **method.noise}


def without_noise(method: Call | Loop) -> Call | Loop:
    """The method with its noise as inputs. Every step of a loop gets the same: this is for timing."""
    inputs = {**method.inputs, **{name: Tensor("float32", n.shape) for name, n in given(method).items()}}
    if isinstance(method, Call):
        return replace(method, inputs=inputs, noise={})
    first, later = set(method.init_noise), set(method.noise)

    def init(index, **more):
        return method.init(index, **{k: v for k, v in more.items() if k not in later})

    def step(i, state, **more):
        return method.step(i, state, **{k: v for k, v in more.items() if k not in first})

    return replace(method, inputs=inputs, init_noise={}, noise={}, init=init, step=step)
