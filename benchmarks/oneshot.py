"""One-shot methods of all presets against PyTorch or Keras eager, and against torch.compile."""

from __future__ import annotations

from collections.abc import Iterator

import torch

import zoo
from benchmarks.peers import artifact_run, torch_run
from benchmarks.timing import Row, same, side_by_side

BATCHES = (1, 64, 1024)


def rows() -> Iterator[Row]:
    for name in zoo.list_models("*.*"):
        artifact, model = zoo.open(name, device="cpu"), zoo.load(name)
        for method, signature in artifact.signatures.items():
            if signature.length is not None:
                continue
            for batch in BATCHES:
                what, ours = f"{name} {method}", artifact_run(artifact, method, batch)
                expected = torch_run(model, method, batch, seeded=True)()
                for key, value in ours().items():
                    same(value, expected[key], f"{what} {key}")
                eager = "eager Keras" if model.network.framework == "keras" else "eager PyTorch"
                with model.network.inference():
                    yield side_by_side(what, batch, eager, ours, torch_run(model, method, batch), reach=1.0)
                    torch.compiler.reset()
                    compiled = torch_run(model, method, batch, wrap=torch.compile)
                    yield side_by_side(what, batch, "torch.compile", ours, compiled, reach=1.0)
