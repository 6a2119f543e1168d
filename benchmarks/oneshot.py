"""One-shot methods of all presets against PyTorch or Keras eager, against torch.compile, and against Keras `predict`
where a method is a plain forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

import zoo
from benchmarks.peers import artifact_run, inputs_of, torch_run
from benchmarks.timing import Row, same, side_by_side
from zoo.eager import EagerModel
from zoo.signature import named

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
                    torch.compiler.reset()  # the next batch size gets code of its own, not for any size
                    compiled = torch_run(model, method, batch, wrap=torch.compile)
                    yield side_by_side(what, batch, "torch.compile", ours, compiled, reach=1.0)
                if predict := keras_predict(model, method, batch):
                    for key, value in predict().items():
                        same(value, expected[key], f"{what} {key}")
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
