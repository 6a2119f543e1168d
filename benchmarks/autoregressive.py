"""Sampling pixel by pixel: the artifact's loop carries running sums in its state, a plain one starts anew each step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

import zoo
from benchmarks.peers import artifact_run
from benchmarks.timing import Row, same, side_by_side
from zoo import noise
from zoo.signature import Noise
from zoo.testing.subject import disturbed

SPACE = zoo.Image(28, 28, 1, levels=2)  # 784 dimensions


def rows() -> Iterator[Row]:
    model = zoo.create("made", SPACE, config={"hidden": 500})
    disturbed(model.network)
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(model, f"{folder}/made")
        artifact = zoo.open(f"{folder}/made", device="cpu")
        for batch in (1, 32):
            ours = artifact_run(artifact, "sample", batch)
            same(ours()["x"], uncached(model, batch, seeded=True), "made")
            yield side_by_side(
                "made sample, 784 steps",
                batch,
                "uncached PyTorch loop",
                ours,
                lambda b=batch: uncached(model, b),
                reach=0.1,
            )
            same(ours()["x"], cached(model, batch, seeded=True), "made")
            kept = partial(cached, model, batch)
            yield side_by_side("made sample, 784 steps", batch, "cached PyTorch loop", ours, kept)


def uncached(model, batch: int, seeded: bool = False) -> np.ndarray:
    """All conditionals from the whole image, for each pixel once more: what people write first."""
    net, d = model.network, SPACE.size
    with torch.no_grad():
        inner, outer = net.weights()
        x = torch.zeros(batch, d, dtype=torch.int64)
        for i in range(d):
            seen = torch.nn.functional.embedding(x, net.features).flatten(1)
            hidden = torch.relu(seen @ inner.flatten(0, 1) + net.inner_bias)
            logits = (hidden @ outer[i]) @ net.curves + net.marginals[i]
            u = uniforms(batch, i, seeded)
            cdf = torch.softmax(logits, 1).cumsum(1)
            x[:, i] = (cdf < u[:, None]).sum(1).clamp(max=SPACE.levels - 1)
    return x.reshape(-1, *SPACE.shape).to(torch.uint8).numpy()


def cached(model, batch: int, seeded: bool = False) -> np.ndarray:
    """With running sums of the hidden units, as the artifact has them."""
    net, d = model.network, SPACE.size
    with torch.no_grad():
        inner, outer = net.weights()
        seen, x = net.inner_bias.repeat(batch, 1), torch.zeros(batch, d, dtype=torch.int64)
        for i in range(d):
            logits = (torch.relu(seen) @ outer[i]) @ net.curves + net.marginals[i]
            level = (torch.softmax(logits, 1).cumsum(1) < uniforms(batch, i, seeded)[:, None]).sum(1)
            x[:, i] = level.clamp_(max=SPACE.levels - 1)
            seen += net.features[x[:, i]] @ inner[i]
    return x.reshape(-1, *SPACE.shape).to(torch.uint8).numpy()


def uniforms(batch: int, step: int, seeded: bool) -> torch.Tensor:
    if not seeded:
        return torch.rand(batch)
    when = {"step": step, "steps": SPACE.size}
    return torch.from_numpy(noise.draw(Noise("uniform"), np.arange(batch), seed=0, stream="sample/u", **when))
