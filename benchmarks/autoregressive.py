"""Drawing one dimension after another. The artifact's loop carries caches: MADE's running sums, the transformer's keys
and values, PixelCNN's last rows. A plain loop goes over the past anew in each step; a better one keeps the same caches;
and the artifact's own step can be a session that Python drives, with numpy's noise and bound buffers. Then what a step
costs: in the last three quarters of a sample against the first quarter, which should be no more, and in a sample of 784
dimensions against one of 64. Outputs are compared for the same noise, those of the first quarter with a whole sample's.
The transformer's loops are of 256 steps: an uncached one of 784 takes minutes for a sample."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from zoo_torch.architectures.pixelcnn import gated

import zoo
from benchmarks.driven import Parts, against_step_session
from benchmarks.peers import artifact_run
from benchmarks.timing import Row, agree, pairs_of, same, side_by_side
from zoo import noise
from zoo.artifact import Artifact
from zoo.eager import EagerModel
from zoo.signature import Noise
from zoo.spaces import Space
from zoo.testing.subject import disturbed
from zoo.timing import alternate

BATCHES = (1, 32)
BINARY = zoo.Image(28, 28, 1, levels=2)  # 784 dimensions
SMALL = zoo.Image(8, 8, 1, levels=2)
Config = Mapping[str, int]
Logits = Callable[[int, torch.Tensor], torch.Tensor]  # (N, K) of dimension i, from levels (N, D) drawn up to it
Peer = Callable[[torch.nn.Module, int], Logits]  # of a network and a batch


def rows() -> Iterator[Row]:
    made_config, pixelcnn_config = {"hidden": 500}, {"channels": 16, "layers": 3}
    yield from compared("made", BINARY, made_config, made, made_sums)
    yield from compared("transformer", zoo.Discrete(256, levels=16), {}, transformer, transformer_keys_values)
    yield from compared("pixelcnn", BINARY, pixelcnn_config, pixelcnn, pixelcnn_rows)
    yield from lengths("made", SMALL, BINARY, made_config)
    yield from lengths("transformer", *(zoo.Discrete(space.size, levels=16) for space in (SMALL, BINARY)), {})
    yield from lengths("pixelcnn", SMALL, BINARY, pixelcnn_config)


def compared(
    name: str, space: Space, config: Config, plain: Peer, kept: Peer, batches: Sequence[int] = BATCHES
) -> Iterator[Row]:
    model = created(name, space, config)
    steps, early = space.size, space.size // 4
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(model, "sample", model.methods["sample"], Path(folder), outside=True)
        whole, quarter = exported(model, f"{folder}/whole"), exported(shortened(model, early), f"{folder}/quarter")
        for batch in batches:
            ours, what = artifact_run(whole, "sample", batch), f"{name} sample, {steps} steps"
            for peer, logits, reach in (("uncached PyTorch loop", plain, 0.1), ("cached PyTorch loop", kept, None)):
                same(ours()["x"], drawn(model, batch, logits, seeded=True), f"{what}, {peer}")
                yield side_by_side(what, batch, peer, ours, partial(drawn, model, batch, logits), reach=reach)
            yield against_step_session(what, batch, parts, whole, ours)
            part = artifact_run(quarter, "sample", batch)
            # the first row: a later one's noise is counted from its number times the steps
            same(*(run()["x"].reshape(batch, steps)[0, :early] for run in (ours, part)), f"{what}, a quarter")
            # by difference, of one loop with one state; the quarter after a whole, which has used the caches too
            times, more = alternate([ours, lambda run=ours, part=part: (run(), part())], figures=25).T * 1e6 / early
            first, what = more - times, f"{name}, a late step of {steps}"
            late = (times - first) / 3
            yield pairs_of(what, batch, "a step of the first quarter", late, first, unit="µs", reach=1.1)


def lengths(name: str, short: Space, long: Space, config: Config, batches: Sequence[int] = BATCHES) -> Iterator[Row]:
    """What a step costs in a long sample and in a short one."""
    with tempfile.TemporaryDirectory() as folder:
        models = [created(name, space, config) for space in (long, short)]
        artifacts = [exported(model, f"{folder}/{model.space.size}") for model in models]
        for batch in batches:
            runs = [artifact_run(artifact, "sample", batch) for artifact in artifacts]
            for run, model in zip(runs, models, strict=True):
                agree(run(), model.run("sample", count=batch, seed=0), f"{name} of {model.space.size}")
            times = alternate(runs).T * 1e6 / [[long.size], [short.size]]
            yield pairs_of(f"{name}, a step of {long.size}", batch, f"a step of {short.size}", *times, unit="µs")


def created(name: str, space: Space, config: Config) -> EagerModel:
    model = zoo.create(name, space, config=config)
    disturbed(model.network)
    return model


def exported(model: EagerModel, folder: str) -> Artifact:
    zoo.export(model, folder)
    return zoo.open(folder, device="cpu")


def shortened(model: EagerModel, length: int) -> EagerModel:
    """A model whose sampler stops after so many steps."""
    other = copy.copy(model)
    other.methods = {**model.methods, "sample": replace(model.methods["sample"], length=length)}
    return other


@torch.no_grad()
def drawn(model: EagerModel, batch: int, peer: Peer, seeded: bool = False) -> np.ndarray:
    """A sample by a Python loop, with torch's noise, or genzoo's of seed 0 to compare outputs."""
    space = model.space
    logits, x = peer(model.network, batch), torch.zeros(batch, space.size, dtype=torch.int64)
    for i in range(space.size):
        cdf = torch.softmax(logits(i, x), 1).cumsum(1)
        if seeded:
            u = torch.from_numpy(noise.draw(Noise("uniform"), np.arange(batch), seed=0, stream="sample/u", step=i))
        else:
            u = torch.rand(batch)
        x[:, i] = (cdf < u[:, None]).sum(1).clamp_(max=cdf.shape[1] - 1)
    return x.reshape(-1, *space.shape).numpy().astype(space.dtype)


# ---- the past anew in each step: what people write first -----------------------------------------------------------


def made(net, batch: int) -> Logits:
    inner, outer = net.weights()

    def logits(i: int, x: torch.Tensor) -> torch.Tensor:
        seen = F.embedding(x, net.features).flatten(1)
        hidden = torch.relu(seen @ inner.flatten(0, 1) + net.inner_bias)
        return (hidden @ outer[i]) @ net.curves + net.marginals[i]

    return logits


def transformer(net, batch: int) -> Logits:
    def logits(i: int, x: torch.Tensor) -> torch.Tensor:
        past = slice(i + 1)
        h = net.level(net.before(x)[:, past]) + net.place[past]
        mask = net.mask(net.order[past]).repeat_interleave(net.config.heads, 0)[:, past]
        for block in net.blocks:
            h = block(h, *block.queries_keys_values(h), mask)
        return net.head(net.norm(h[:, i]))

    return logits


def pixelcnn(net, batch: int) -> Logits:
    return lambda i, x: net.logits(x)[:, i]


# ---- with caches, written in place ---------------------------------------------------------------------------------


def made_sums(net, batch: int) -> Logits:
    inner, outer = net.weights()
    seen = net.inner_bias.repeat(batch, 1)

    def logits(i: int, x: torch.Tensor) -> torch.Tensor:
        if i:
            seen.add_(net.features[x[:, i - 1]] @ inner[i - 1])
        return (torch.relu(seen) @ outer[i]) @ net.curves + net.marginals[i]

    return logits


def transformer_keys_values(net, batch: int) -> Logits:
    caches = torch.zeros(len(net.blocks), 2, batch, net.dim, net.blocks[0].head)
    first, mask = torch.full((batch,), net.levels), torch.zeros(())  # nothing ahead is there to be hidden

    def logits(i: int, x: torch.Tensor) -> torch.Tensor:
        h = net.level(x[:, i - 1] if i else first) + net.place[i]
        for block, cache in zip(net.blocks, caches, strict=True):
            q, cache[0, :, i], cache[1, :, i] = block.queries_keys_values(h)
            h = block(h, q, *cache[:, :, : i + 1], mask)
        return net.head(net.norm(h))

    return logits


def pixelcnn_rows(net, batch: int) -> Logits:
    (height, width), above, beside = net.plane, net.first.above, net.first.beside
    features = torch.zeros(batch, net.config.rank, height + above, width + 2 * beside)
    given = torch.zeros(len(net.gates), batch, net.config.channels, height + 1, width + 2)
    first, *weights = (layer.weight.flatten(1).T for layer in (net.first, *net.gates))

    def logits(i: int, x: torch.Tensor) -> torch.Tensor:
        row, column = divmod(i, width)
        if i:
            last_row, last_column = divmod(i - 1, width)
            features[:, :, last_row + above, last_column + beside] = net.features[x[:, i - 1]]
        near = features[:, :, row : row + above + 1, column : column + 2 * beside + 1].flatten(2)
        h = near[:, :, : net.first.before].flatten(1) @ first + net.place[i]
        for cache, weight, out in zip(given, weights, net.outs, strict=True):
            cache[:, :, row + 1, column + 1] = h
            near = cache[:, :, row : row + 2, column : column + 3].flatten(2)[:, :, :5]
            h = h + F.linear(gated(near.flatten(1) @ weight), out.weight.flatten(1), out.bias)
        return net.head(h) + net.marginals[i]

    return logits
