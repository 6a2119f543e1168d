"""A convolutional classifier (Foster, *Generative Deep Learning*, 2nd ed., ch. 2).

The defaults on 32x32x3 images and 10 classes are the book's network: 15,120 weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.errors import InputError
from zoo.network import Recipe
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.classifier import Classifier


@dataclass(frozen=True)
class Config:
    filters: tuple[int, ...] = (10, 20)
    kernels: tuple[int, ...] = (4, 3)
    strides: tuple[int, ...] = (2, 2)

    def __post_init__(self) -> None:
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise InputError(
                f"filters={self.filters}, kernels={self.kernels} and strides={self.strides} differ in length; "
                "give one of each for every convolution."
            )


class CNN(Classifier):
    """Convolutions with ReLU, then one dense layer."""

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=60, batch_size=32, learning_rate=3e-3, weight_decay=1e-2, ema=0.99, patience=15)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.convolutions = [
            layers.Conv2D(f, k, strides=s, padding="same", activation="relu", data_format="channels_first")
            for f, k, s in zip(config.filters, config.kernels, config.strides, strict=True)
        ]
        self.head = layers.Dense(len(classes))

    def logits(self, x: Any) -> Any:
        h = ops.cast(ops.moveaxis(x, -1, 1), "float32") / (self.space.levels - 1)
        for layer in self.convolutions:
            h = layer(h)
        return self.head(ops.reshape(h, (h.shape[0], -1)))
