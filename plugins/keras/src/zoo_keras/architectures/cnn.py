"""A convolutional classifier (Foster, *Generative Deep Learning*, 2nd ed., ch. 2).

The defaults on 32x32x3 images and 10 classes are the book's network: 15,120 weights. With residual blocks (He, Zhang,
Ren, Sun, arXiv 1512.03385) and averages over places it is a better one of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from zoo.errors import InputError
from zoo.network import Objective, Recipe, setting
from zoo.signature import Noise
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.classifier import Classifier


@dataclass(frozen=True)
class Config:
    filters: tuple[int, ...] = setting((10, 20), "of each convolution")
    kernels: tuple[int, ...] = setting((4, 3), "sides of each convolution's kernel")
    strides: tuple[int, ...] = setting((2, 2), "of each convolution; 2 halves the image")
    blocks: int = setting(0, "residual blocks of two convolutions after each convolution")
    average: bool = setting(False, "the classes see averages over all places, in place of each place")
    flip: bool = setting(False, "half of the training images are mirrored")
    shift: int = setting(0, "pixels by which training images are moved at most, in each direction")

    def __post_init__(self) -> None:
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise InputError(
                f"filters={self.filters}, kernels={self.kernels} and strides={self.strides} differ in length; "
                "give one of each for every convolution."
            )


class Residual(layers.Layer):
    """Two convolutions, added to their input. It begins as the identity."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        like = {"padding": "same", "data_format": "channels_first"}
        self.first = layers.Conv2D(filters, 3, activation="relu", **like)
        self.second = layers.Conv2D(filters, 3, kernel_initializer="zeros", **like)

    def call(self, h: Any) -> Any:
        return h + self.second(self.first(ops.relu(h)))


class CNN(Classifier):
    """Convolutions with ReLU, blocks after them, then one dense layer."""

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=60, batch_size=32, learning_rate=3e-3, weight_decay=1e-2, ema=0.99, patience=15)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.convolutions = []
        for f, k, s in zip(config.filters, config.kernels, config.strides, strict=True):
            self.convolutions.append(
                layers.Conv2D(f, k, strides=s, padding="same", activation="relu", data_format="channels_first")
            )
            self.convolutions += [Residual(f) for _ in range(config.blocks)]
        self.head = layers.Dense(len(classes))

    def logits(self, x: Any) -> Any:
        h = ops.cast(ops.moveaxis(x, -1, 1), "float32") / (self.space.levels - 1)
        for layer in self.convolutions:
            h = layer(h)
        h = ops.mean(h, axis=(2, 3)) if self.config.average else ops.reshape(h, (h.shape[0], -1))
        return self.head(h)

    # ---- training --------------------------------------------------------------------------------------------------

    def cross_entropy(self, x: Any, label: Any, move: Any = None) -> Any:
        return super().cross_entropy(x if move is None or not self.training else self.moved(x, move), label)

    def moved(self, x: Any, move: Any) -> Any:
        """Images mirrored and shifted as uniform numbers (N, 3) say; what comes in at an edge is as the edge."""
        height, width, _ = self.space.shape
        most = self.config.shift
        down, across = (torch.floor(move[:, k, None] * (2 * most + 1)).long() - most for k in (0, 1))
        rows = (torch.arange(height, device=x.device) + down).clamp(0, height - 1)
        columns = (torch.arange(width, device=x.device) + across).clamp(0, width - 1)
        if self.config.flip:
            columns = torch.where(move[:, 2, None] < 0.5, width - 1 - columns, columns)
        return x[torch.arange(len(x), device=x.device)[:, None, None], rows[:, :, None], columns[:, None]]

    def objectives(self) -> dict[str, Objective]:
        objective = super().objectives()["cross_entropy"]
        if self.config.flip or self.config.shift:
            objective = replace(objective, loss=replace(objective.loss, noise={"move": Noise("uniform", (3,))}))
        return {"cross_entropy": objective}
