"""What binding a method saves: the method bound, with the input given in the call or bound too, against `run`. Outputs
are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import zoo
from benchmarks.peers import artifact_run, inputs_of
from benchmarks.timing import Row, agree, side_by_side

BATCHES = (1, 64, 1024)


def rows(batches: Sequence[int] = BATCHES) -> Iterator[Row]:
    for name, method in (("mlp.digits", "predict"), ("vae.digits", "encode"), ("realnvp.digits", "log_prob")):
        artifact = zoo.open(name, device="cpu")
        for batch in batches:
            run, inputs = artifact_run(artifact, method, batch), inputs_of(artifact, method, batch)
            for how, ours in (
                ("input in the call", partial(artifact.bind(method, batch), 0, **inputs)),
                ("input bound", partial(artifact.bind(method, batch, **inputs), 0)),
            ):
                what = f"{name} {method}, {how}"
                agree(ours(), run(), what)
                yield side_by_side(what, batch, "run", ours, {0: run})
