"""Flows of zuko and nflows, wrapped and exported as they are, against the libraries' own calls."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import torch
import zuko
from zoo_torch import wrap

import zoo
from benchmarks.peers import artifact_run
from benchmarks.timing import Row, same, side_by_side


def rows() -> Iterator[Row]:
    torch.manual_seed(0)
    flow = zuko.flows.MAF(64, transforms=5, hidden_features=(64,))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model = wrap(flow, space=zoo.Real(64), name="zuko-maf")
    with tempfile.TemporaryDirectory() as folder:
        zoo.export(model, f"{folder}/maf")
        artifact = zoo.open(f"{folder}/maf", device="cpu")
        batch = 256
        z = np.random.default_rng(0).standard_normal((batch, 64)).astype(np.float32)
        x = artifact.decode(z)
        with torch.no_grad():
            same(x, flow().transform.inv(torch.from_numpy(z)).numpy(), "zuko decode")
            same(artifact.log_prob(x), flow().log_prob(torch.from_numpy(x)).numpy(), "zuko log_prob")

        def sample() -> np.ndarray:
            with torch.no_grad():
                return flow().sample((batch,)).numpy()

        def score() -> np.ndarray:
            with torch.no_grad():
                return flow().log_prob(torch.from_numpy(x)).numpy()

        ours = artifact_run(artifact, "sample", batch)
        yield side_by_side("zuko MAF of 64 dimensions, sample", batch, "zuko", ours, sample, reach=0.15)
        yield side_by_side("zuko MAF of 64 dimensions, log_prob", batch, "zuko", lambda: artifact.log_prob(x), score)
