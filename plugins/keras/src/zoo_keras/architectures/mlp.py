"""A multilayer perceptron (Foster, *Generative Deep Learning*, 2nd ed., ch. 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.network import Recipe, setting
from zoo.spaces import Discrete, Image, Labels, Real, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.classifier import Classifier


@dataclass(frozen=True)
class Config:
    hidden: tuple[int, ...] = setting((200, 150), "units of each hidden layer")


class MLP(Classifier):
    """Dense layers over standardized observations.

    >>> import zoo
    >>> model = zoo.train("mlp", "digits", "runs/mlp", epochs=1)
    >>> data = zoo.load_dataset("digits")
    >>> bool((model.predict(data.test).argmax(1) == data.labels["test"]).mean() > 0.8)
    True
    """

    Config = Config
    spaces = (Real, Image, Discrete)
    recipe = Recipe(epochs=60, batch_size=32, learning_rate=1e-3, weight_decay=1e-2, ema=0.99, patience=15)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.mean = self.add_weight((space.size,), "zeros", name="mean", trainable=False)
        self.scale = self.add_weight((space.size,), "ones", name="scale", trainable=False)
        self.hidden = [layers.Dense(width, activation="relu") for width in config.hidden]
        self.head = layers.Dense(len(classes))

    def adapt(self, x: np.ndarray) -> None:
        flat = x.reshape(len(x), -1).astype(np.float64)
        scale = flat.std(0)
        self.mean.assign(flat.mean(0))
        self.scale.assign(np.where(scale > 0, scale, 1))  # a constant column keeps its units

    def logits(self, x: Any) -> Any:
        h = ops.cast(ops.reshape(x, (-1, self.space.size)), "float32")
        h = (h - self.mean) / self.scale
        for layer in self.hidden:
            h = layer(h)
        return self.head(h)
