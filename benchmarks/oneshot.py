"""One-shot methods of all presets against PyTorch or Keras eager, against torch.compile, and against Keras `predict`
where a method is a plain forward pass. All are compared with the eager method, given the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import zoo
from benchmarks.peers import artifact_run, inputs_of, torch_run
from benchmarks.timing import Row, agree, side_by_side
from zoo.artifact import Artifact
from zoo.eager import EagerModel
from zoo.signature import named

BATCHES = (1, 64, 1024)


def rows(names: Sequence[str] = (), batches: Sequence[int] = BATCHES) -> Iterator[Row]:
    for name in names or zoo.list_models("*.*"):
        artifact, model = zoo.open(name, device="cpu"), with_constants(zoo.load(name))
        for method, signature in artifact.signatures.items():
            if signature.length is None:
                for batch in batches:
                    yield from compared(artifact, model, method, batch)


def with_constants(model: EagerModel) -> EagerModel:
    """Masked weights made once, as they are in the artifact."""
    for module in model.network.modules() if isinstance(model.network, torch.nn.Module) else ():
        if callable(make := getattr(module, "weights", None)):
            with torch.no_grad():
                module.weights = partial(tuple, make())
    return model


def compared(artifact: Artifact, model: EagerModel, method: str, batch: int) -> Iterator[Row]:
    what, ours = f"{artifact.name} {method}", artifact_run(artifact, method, batch)
    eager = "eager Keras" if model.network.framework == "keras" else "eager PyTorch"
    torch.compiler.reset()  # each batch size gets code of its own, not for any size
    with model.network.inference():
        expected = torch_run(model, method, batch, seeded=True)()
        agree(ours(), expected, what)
        yield side_by_side(what, batch, eager, ours, torch_run(model, method, batch), reach=1.0)
        agree(torch_run(model, method, batch, seeded=True, wrap=torch.compile)(), expected, f"{what}, torch.compile")
        compiled = torch_run(model, method, batch, wrap=torch.compile)
        yield side_by_side(what, batch, "torch.compile", ours, compiled, reach=1.0)
    if predict := keras_predict(model, method, batch):
        agree(predict(), expected, f"{what}, Keras predict")
        yield side_by_side(what, batch, "Keras predict", ours, predict)


def keras_predict(model: EagerModel, method: str, batch: int) -> Callable[[], dict[str, np.ndarray]] | None:
    """`predict` of a Keras model whose forward pass is this method, which takes observations or latents alone."""
    definition = model.methods[method]
    if model.network.framework != "keras" or len(definition.inputs) != 1 or definition.noise or definition.options:
        return None
    from zoo_keras.backend import keras

    ((name, array),) = inputs_of(model, method, batch).items()

    class Plain(keras.Model):
        def call(self, inputs: torch.Tensor) -> object:
            return definition.function(**{name: inputs})

    plain = Plain()
    return lambda: named(plain.predict(array, batch_size=batch, verbose=0), definition.outputs)


PEERS = {  # which rows' peers they are, and the reach of the geometric mean
    "eager PyTorch or Keras": (("eager PyTorch", "eager Keras"), 0.35),
    "eager PyTorch": (("eager PyTorch",), None),
    "eager Keras": (("eager Keras",), None),
    "torch.compile": (("torch.compile",), 0.8),
    "Keras predict": (("Keras predict",), None),
}


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Geometric means of the ratios against each peer: of all batch sizes, then of each."""
    sizes, found = sorted({row["batch"] for row in rows}), {}
    for name, (chosen, _) in PEERS.items():
        theirs = [row for row in rows if row["peer"] in chosen]
        if theirs:
            groups = [theirs, *([row for row in theirs if row["batch"] == size] for size in sizes)]
            found[name] = [float(np.exp(np.mean(np.log([row["ratio"] for row in group])))) for group in groups]
    return found


def slowest(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The row of the largest ratio against each peer."""
    found = {name: [row for row in rows if row["peer"] in chosen] for name, (chosen, _) in PEERS.items()}
    return {name: max(theirs, key=lambda row: float(row["ratio"])) for name, theirs in found.items() if theirs}


def summary(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The means and the largest ratios as Markdown."""
    sizes = sorted({row["batch"] for row in rows})
    lines = [
        "Geometric means of the ratios, and the largest:", "",
        f"| peer | all | {' | '.join(f'batch {n}' for n in sizes)} | largest | reach of the mean |",
        "|---|---|" + "---|" * len(sizes) + "---|---|",
    ]  # fmt: skip
    for name, found in means(rows).items():
        _, reach = PEERS[name]
        largest = slowest(rows)[name]["ratio"]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in (*found, largest))} | {reach or ''} |")
    return lines
