"""Sampling loops against the eager loop in PyTorch, and against a step session that Python drives; a model of
denoising-diffusion-pytorch, wrapped, against its own samplers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from zoo_onnx.export import traceable
from zoo_onnx.trace import trace
from zoo_torch import wrap

import zoo
from benchmarks.peers import artifact_run, inputs_of, torch_run
from benchmarks.timing import Row, same, side_by_side
from zoo import noise
from zoo.eager import EagerModel
from zoo.signature import Loop, Option

DIFFUSION = {1: 0.3, 16: 0.5, 64: 0.6}  # batch -> reach against eager
LANGEVIN = {64: 0.5}
SIZE = 16  # of the images of denoising-diffusion-pytorch's model


def rows() -> Iterator[Row]:
    yield from compared("ddpm.digits", DIFFUSION, driven=True)
    yield from compared("ebm.digits", LANGEVIN)
    yield from gaussian_diffusion("ddim_sample", timesteps=1000, sampling_timesteps=50)
    yield from gaussian_diffusion("p_sample_loop", timesteps=100)


def compared(name: str, reach: dict[int, float], *, driven: bool = False) -> Iterator[Row]:
    artifact, model = zoo.open(name, device="cpu"), zoo.load(name)
    for batch, most in reach.items():
        ours = artifact_run(artifact, "sample", batch)
        same(ours()["x"], torch_run(model, "sample", batch, seeded=True)()["x"], name)
        with model.network.inference():
            eager = torch_run(model, "sample", batch)
            yield side_by_side(f"{name} sample", batch, "eager PyTorch loop", ours, eager, reach=most)
        if driven:
            theirs = step_session(model, batch)
            same(ours()["x"], theirs(True), name)
            yield side_by_side(
                f"{name} sample", batch, "step session, Python loop", ours, partial(theirs, False), reach=1.0
            )


def step_session(model: EagerModel, batch: int) -> Callable[[bool], np.ndarray]:
    """The loop as optimum and diffusers run exported models: init, step and finish are ONNX models of their own, and
    Python calls them. The argument: whether the noise is that of seed 0, to compare, or numpy's."""
    definition = model.methods["sample"]
    assert isinstance(definition, Loop)
    module, _ = traceable(model)
    defaults = {n: o.default for n, o in definition.options.items()}
    folder = Path(tempfile.mkdtemp())

    def session(part: str, arguments: dict, function: Callable) -> ort.InferenceSession:
        piece = trace(module, function, arguments, part, defaults)
        ir.save(piece, folder / f"{part}.onnx")
        return ort.InferenceSession(str(folder / f"{part}.onnx"), providers=["CPUExecutionProvider"])

    states, kept = list(definition.state), list(definition.invariants)
    first = {"index": zoo.Tensor("int64"), **definition.inputs, **definition.init_noise, **definition.options}
    rest = {**definition.inputs, **definition.invariants, **definition.noise, **definition.options}
    begin = session(
        "init", first, lambda *a: tuple(definition.init(**dict(zip(first, a, strict=True)))[n] for n in states + kept)
    )
    step = session(
        "step",
        {"i": Option(0), **{f"state_{n}": t for n, t in definition.state.items()}, **rest},
        lambda i, *a: tuple(
            definition.step(i, dict(zip(states, a, strict=False)), **dict(zip(rest, a[len(states) :], strict=True)))[n]
            for n in states
        ),
    )
    end = session("finish", dict(definition.state), lambda *a: definition.finish(dict(zip(states, a, strict=True))))
    options = {n: np.asarray(o.default, o.dtype) for n, o in definition.options.items()}
    length = definition.length if isinstance(definition.length, int) else int(options[definition.length])
    index = np.arange(batch)
    inputs = inputs_of(model, "sample", batch)
    random = np.random.default_rng(0)

    def call(part: ort.InferenceSession, values: list) -> list[np.ndarray]:
        names = [i.name for i in part.get_inputs()]
        return part.run(None, dict(zip(names, values, strict=True)))

    def run(seeded: bool) -> np.ndarray:
        def draw(noises: dict, step: int = 0, steps: int = 1) -> list[np.ndarray]:
            if seeded:
                when = {"step": step, "steps": steps, "options": options}
                return [noise.draw(d, index, seed=0, stream=f"sample/{n}", **when) for n, d in noises.items()]
            return [random.standard_normal((batch, *d.shape), dtype=np.float32) for d in noises.values()]

        values = call(begin, [index, *inputs.values(), *draw(definition.init_noise), *options.values()])
        state, constant = values[: len(states)], values[len(states) :]
        for i in range(length):
            fresh = draw(definition.noise, i, length)
            state = call(step, [np.asarray(i), *state, *inputs.values(), *constant, *fresh, *options.values()])
        return call(end, state)[0]

    return run


def gaussian_diffusion(sampler: str, **given: int) -> Iterator[Row]:
    """A model of denoising-diffusion-pytorch with one of its own samplers, which it chooses by what it is given."""
    torch.manual_seed(0)
    library = denoising_diffusion_pytorch()
    unet = library.Unet(16, dim_mults=(1, 2), channels=1)
    diffusion = library.GaussianDiffusion(unet, image_size=SIZE, **given).eval()
    model = wrap(diffusion, space=zoo.Image(SIZE, SIZE, 1), name="diffusion")
    steps = int(model.signature("sample").options["steps"].default)
    what = f"Unet of denoising-diffusion-pytorch, {steps} steps"
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(model, f"{folder}/diffusion")
        artifact = zoo.open(f"{folder}/diffusion", device="cpu")
        for batch in (1, 16):

            def theirs(batch: int = batch) -> np.ndarray:
                return diffusion.sample(batch).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

            def drawn(stream: str, batch: int = batch, **when: int) -> torch.Tensor:
                declared = zoo.Normal(1, SIZE, SIZE)
                return torch.from_numpy(
                    noise.draw(declared, np.arange(batch), seed=0, stream=f"sample/{stream}", **when)
                )

            ours = artifact_run(artifact, "sample", batch)
            fresh = [drawn("z", step=i, steps=steps) for i in range(steps)]
            with (
                mock.patch.object(torch, "randn", side_effect=[drawn("start")]),
                mock.patch.object(torch, "randn_like", side_effect=fresh),
            ):
                same(ours()["x"], theirs(), what)
            yield side_by_side(what, batch, f"its own {sampler}", ours, theirs)


@cache
def denoising_diffusion_pytorch() -> ModuleType:
    """The library without its progress bar. It imports torchvision, for the images that it trains on alone: here an
    empty module will do."""
    sys.modules["torchvision"] = vision = ModuleType("torchvision")
    vision.transforms = vision.utils = ModuleType("empty")
    try:
        from denoising_diffusion_pytorch import denoising_diffusion_pytorch as library
    finally:
        del sys.modules["torchvision"]
    library.tqdm = lambda steps, **shown: steps
    return library
