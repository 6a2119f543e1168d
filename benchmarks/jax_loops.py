"""The same 50 denoising steps in JAX, under `jit` with `lax.fori_loop`, in the layout that Flax has too (weights of
shape (in, out), channels last), compiled for one thread and for all. Outputs are compared for the same noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from torch import nn
from zoo_torch import wrap

import zoo
from benchmarks.peers import artifact_run, noises_of, thread_counts
from benchmarks.timing import Row, same, side_by_side
from zoo import noise

STEPS = 50
MLP_SIZE, WIDTH, CHANNELS = 64, 256, 32


def rows(batches: Sequence[int] = (1, 16, 64, 512)) -> Iterator[Row]:
    torch.manual_seed(0)
    mlp = nn.Sequential(
        nn.Linear(MLP_SIZE, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, MLP_SIZE)
    )
    convolutions = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1), nn.SiLU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.SiLU(),
        nn.Conv2d(CHANNELS, 1, 3, padding=1),
    )  # fmt: skip
    yield from compared("MLP denoiser, 50 steps", mlp, (MLP_SIZE,), jax_mlp, batches)
    yield from compared("3-convolution denoiser, 50 steps", convolutions, (1, 16, 16), jax_convolutions, batches)


def compared(what: str, net: nn.Module, shape: tuple[int, ...], apply, batches: Sequence[int]) -> Iterator[Row]:
    size = int(np.prod(shape))
    model = wrap(
        init=lambda z: z.reshape(-1, *shape), step=lambda i, y: y - 0.02 * net(y), finish=lambda y: y.flatten(1),
        noise=zoo.Normal(size), length=STEPS, space=zoo.Real(size), name="denoiser",
    )  # fmt: skip
    order = (1, 0) if len(shape) == 1 else (2, 3, 1, 0)
    arrays = [p.detach().numpy() for p in net.parameters()]
    weights = [jnp.asarray(np.ascontiguousarray(a.transpose(order)) if a.ndim > 1 else a) for a in arrays]

    def denoise(weights, y):
        return lax.fori_loop(0, STEPS, lambda i, y: y - 0.02 * apply(weights, y), y).reshape(len(y), -1)

    last = (*shape[1:], shape[0])  # one channel, so nothing moves

    def sample(weights, key, batch):
        return denoise(weights, jax.random.normal(key, (batch, *last)))

    key = jax.random.key(0)
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(model, f"{folder}/denoiser")
        artifact = zoo.open(f"{folder}/denoiser", device="cpu")
        for batch in batches:
            ours = artifact_run(artifact, "sample", batch)
            ((stream, declared),) = noises_of(model.methods["sample"]).items()
            z = noise.draw(declared, np.arange(batch), seed=0, stream=f"sample/{stream}").reshape(batch, *last)
            theirs = {}
            for threads in thread_counts():
                how = {"compiler_options": {"xla_cpu_multi_thread_eigen": threads > 1}}
                same(ours()["x"], np.asarray(jax.jit(denoise, **how)(weights, z)), what)
                compiled = jax.jit(sample, static_argnums=2, **how)
                theirs[threads] = lambda f=compiled, b=batch: np.asarray(f(weights, key, b))
            yield side_by_side(what, batch, "jax.jit", ours, theirs, reach=1.5 if batch == 1 else 1.0)


def jax_mlp(weights, y):
    for k in range(0, len(weights), 2):
        y = y @ weights[k] + weights[k + 1]
        y = jax.nn.silu(y) if k < len(weights) - 2 else y
    return y


def jax_convolutions(weights, y):
    for k in range(0, len(weights), 2):
        y = lax.conv_general_dilated(y, weights[k], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        y = y + weights[k + 1]
        y = jax.nn.silu(y) if k < len(weights) - 2 else y
    return y
