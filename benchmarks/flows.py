"""Flows of zuko and nflows, wrapped and exported as they are, against the libraries' own calls. Compared are densities,
and samples with what the library decodes from the same noise."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import torch
import zuko
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
)
from torch import nn
from zoo_torch import wrap

import zoo
from benchmarks.peers import artifact_run, noises_of
from benchmarks.timing import Row, same, side_by_side
from zoo import noise

SIZE, SPLINES = 64, 16  # dimensions; zuko's splines, one pass for each dimension in each layer, take long with 64
LAYERS, HIDDEN = 5, 64
Function = Callable[[torch.Tensor], torch.Tensor]


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    yield from of_zuko(
        "zuko MAF", SIZE, zuko.flows.MAF(SIZE, transforms=LAYERS, hidden_features=[HIDDEN]), (1, 256, 1024)
    )
    yield from of_zuko("zuko NSF", SPLINES, zuko.flows.NSF(SPLINES, transforms=3, hidden_features=[HIDDEN]), (1, 256))
    yield from of_nflows("nflows MAF", autoregressive)
    yield from of_nflows("nflows spline coupling", coupling)


def of_zuko(name: str, size: int, flow: nn.Module, batches: tuple[int, ...]) -> Iterator[Row]:
    return compared(
        name, size, flow, batches, sample=lambda count: flow().sample((count,)),
        decode=lambda z: flow().transform.inv(z), log_prob=lambda x: flow().log_prob(x),
    )  # fmt: skip


def of_nflows(name: str, layer: Callable[[], nn.Module]) -> Iterator[Row]:
    transforms = [part for _ in range(LAYERS) for part in (layer(), ReversePermutation(SIZE))]
    flow = Flow(CompositeTransform(transforms), StandardNormal([SIZE]))
    return compared(
        name, SIZE, flow, (256,), sample=flow.sample,
        decode=lambda z: flow._transform.inverse(z)[0], log_prob=flow.log_prob,
    )  # fmt: skip


def autoregressive() -> nn.Module:
    return MaskedAffineAutoregressiveTransform(SIZE, HIDDEN)


def coupling() -> nn.Module:
    def net(inputs: int, outputs: int) -> nn.Module:
        return ResidualNet(inputs, outputs, HIDDEN)

    return PiecewiseRationalQuadraticCouplingTransform(
        torch.arange(SIZE) % 2, net, num_bins=8, tails="linear", tail_bound=3.0
    )


def compared(
    name: str, size: int, flow: nn.Module, batches: tuple[int, ...], *,
    sample: Callable[[int], torch.Tensor], decode: Function, log_prob: Function,
) -> Iterator[Row]:  # fmt: skip
    train(flow, size, log_prob)
    model, library = wrap(flow, space=zoo.Real(size), name="flow"), name.split()[0]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        zoo.export(model, f"{folder}/flow")
        artifact = zoo.open(f"{folder}/flow", device="cpu")
        for batch in batches:
            what, ours = f"{name} of {size} dimensions", artifact_run(artifact, "sample", batch)
            ((stream, declared),) = noises_of(model.methods["sample"]).items()
            z = noise.draw(declared, np.arange(batch), seed=0, stream=f"sample/{stream}")
            x = decode(torch.from_numpy(z))
            array = x.numpy()
            same(ours()["x"], array, f"{what}, sample")
            most = 0.15 if (name, batch) == ("zuko MAF", 256) else None
            yield side_by_side(f"{what}, sample", batch, library, ours, lambda n=batch: sample(n).numpy(), reach=most)
            ours, theirs = lambda a=array: artifact.log_prob(a), lambda t=x: log_prob(t).numpy()
            same(ours(), theirs(), f"{what}, log_prob")
            yield side_by_side(f"{what}, log_prob", batch, library, ours, theirs)


def train(flow: nn.Module, size: int, log_prob: Function, steps: int = 100) -> None:
    """For a while: nflows' layers, as they are made, have inverses that overflow."""
    optimizer, scale = torch.optim.Adam(flow.parameters(), 1e-3), torch.arange(1, size + 1).sqrt()
    for _ in range(steps):
        z = torch.randn(256, size)
        loss = -log_prob(z.cumsum(1) / scale + 0.5 * torch.sin(3 * z)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        optimizer.step()
    flow.eval()
