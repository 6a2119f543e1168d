"""Sampling loops against the eager loop in PyTorch, and against a step session that Python drives as optimum and
diffusers do, with numpy's noise and bound buffers; a model of denoising-diffusion-pytorch, wrapped, against its own
samplers. Outputs are compared for the same noise."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import torch
from zoo_torch import wrap

import zoo
from benchmarks.driven import Parts, against_step_session
from benchmarks.peers import artifact_run, torch_run
from benchmarks.timing import Row, agree, same, side_by_side
from zoo import noise

DIFFUSION = {1: 0.3, 16: 0.5, 64: 0.6}  # batch -> reach against eager
LANGEVIN = {64: 0.5}
SIZE = 16  # of the images of denoising-diffusion-pytorch's model


def rows() -> Iterator[Row]:
    yield from compared("ddpm.digits", DIFFUSION, driven=True)
    yield from compared("ebm.digits", LANGEVIN)
    yield from gaussian_diffusion("ddim_sample", timesteps=1000, sampling_timesteps=50)
    yield from gaussian_diffusion("p_sample_loop", timesteps=100)


def compared(name: str, reach: dict[int, float], *, driven: bool = False) -> Iterator[Row]:
    artifact, model, what = zoo.open(name, device="cpu"), zoo.load(name), f"{name} sample"
    loop = model.methods["sample"]
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(model, "sample", loop, Path(folder), outside=True) if driven else None
        for batch, most in reach.items():
            ours = artifact_run(artifact, "sample", batch)
            agree(ours(), torch_run(model, "sample", batch, seeded=True)(), what)
            with model.network.inference():
                eager = torch_run(model, "sample", batch)
                yield side_by_side(what, batch, "eager PyTorch loop", ours, eager, reach=most)
            if parts:
                yield against_step_session(what, batch, parts, artifact, ours)


def gaussian_diffusion(sampler: str, batches: Sequence[int] = (1, 16), **given: int) -> Iterator[Row]:
    """A model of denoising-diffusion-pytorch with one of its own samplers, which it chooses by what it is given."""
    torch.manual_seed(0)
    library = denoising_diffusion_pytorch()
    unet = library.Unet(16, dim_mults=(1, 2), channels=1)
    diffusion = library.GaussianDiffusion(unet, image_size=SIZE, **given).eval()
    model = wrap(diffusion, space=zoo.Image(SIZE, SIZE, 1), name="diffusion")
    steps = int(model.signature("sample").options["steps"].number)
    what = f"Unet of denoising-diffusion-pytorch, {steps} steps"
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(model, f"{folder}/diffusion")
        artifact = zoo.open(f"{folder}/diffusion", device="cpu")
        for batch in batches:

            def theirs(batch: int = batch) -> np.ndarray:
                return diffusion.sample(batch).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

            def drawn(stream: str, batch: int = batch, **when: int) -> torch.Tensor:
                declared = zoo.Normal(1, SIZE, SIZE)
                return torch.from_numpy(
                    noise.draw(declared, np.arange(batch), seed=0, stream=f"sample/{stream}", **when)
                )

            ours = artifact_run(artifact, "sample", batch)
            fresh = [drawn("z", step=i) for i in range(steps)]
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
