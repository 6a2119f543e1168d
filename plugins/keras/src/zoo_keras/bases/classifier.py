"""Base of classifiers: p(y given x) from logits, trained by cross-entropy."""

from __future__ import annotations

from typing import Any

import torch

from zoo.network import Objective
from zoo.signature import Call, Method, Tensor
from zoo_keras.backend import ops
from zoo_keras.network import KerasNetwork


class Classifier(KerasNetwork):
    """An architecture defines `logits(x)`, (N, classes)."""

    needs_classes = True

    def logits(self, x: Any) -> Any:
        raise NotImplementedError

    def probabilities(self, x: Any) -> Any:
        return ops.softmax(self.logits(x), axis=-1)

    def cross_entropy(self, x: Any, label: Any) -> Any:
        return cross_entropy(self.logits(x), label)

    def methods(self) -> dict[str, Method]:
        y = Tensor("float32", (len(self.classes),))
        return {"predict": Call(self.probabilities, inputs={"x": self.space.tensor}, outputs={"y": y})}

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor, "label": Tensor("int64")}
        return {"cross_entropy": Objective(Call(self.cross_entropy, inputs, {"loss": Tensor("float32")}))}


def cross_entropy(logits: Any, label: Any) -> Any:
    """-log p(label) in nats (N,) of logits (N, classes)."""
    logits = ops.cast(logits, "float32")
    chosen = torch.gather(logits, -1, label[:, None])[:, 0]
    return ops.logsumexp(logits, axis=-1) - chosen
