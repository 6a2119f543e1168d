"""A convolutional classifier (Foster, *Generative Deep Learning*, 2nd ed., ch. 2).

The defaults on 32x32x3 images and 10 classes are the book's first network: 15,120 weights. Its second, with batch
normalization (Ioffe, Szegedy, arXiv 1502.03167) and dropout (Srivastava et al., JMLR 2014), has 592,554:

    filters=32,32,64,64 kernels=3,3,3,3 strides=1,2,1,2 norm=true slope=0.3 hidden=128 dropout=0.5

Residual blocks (He, Zhang, Ren, Sun, arXiv 1512.03385) and global average pooling improve it at any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from zoo.errors import InputError
from zoo.network import Objective, Recipe, setting
from zoo.signature import Noise
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.classifier import Classifier, cross_entropy


@dataclass(frozen=True)
class Config:
    filters: tuple[int, ...] = setting((10, 20), "of each convolution")
    kernels: tuple[int, ...] = setting((4, 3), "sides of each convolution's kernel")
    strides: tuple[int, ...] = setting((2, 2), "of each convolution; 2 halves the image")
    blocks: int = setting(0, "residual blocks of two convolutions after each convolution")
    average: bool = setting(False, "global average pooling before the classes")
    hidden: int = setting(0, "units of a dense layer before the classes; 0 for none")
    norm: bool = setting(False, "batch normalization before each activation")
    slope: float = setting(0.0, "of the activation below zero: 0 is ReLU, more leaky ReLU")
    dropout: float = setting(0.0, "share of features before the classes that a training step drops")
    flip: bool = setting(False, "mirror half of the training images")
    shift: int = setting(0, "largest shift of training images in each direction, in pixels")

    def __post_init__(self) -> None:
        if not len(self.filters) == len(self.kernels) == len(self.strides):
            raise InputError(
                f"filters={self.filters}, kernels={self.kernels} and strides={self.strides} differ in length; "
                "give one value per convolution."
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout={self.dropout:g}; expected a share from 0 to below 1.")


class Residual(layers.Layer):
    """Two convolutions, added to their input. Initially the identity."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        like = {"padding": "same", "data_format": "channels_first"}
        self.first = layers.Conv2D(filters, 3, activation="relu", **like)
        self.second = layers.Conv2D(filters, 3, kernel_initializer="zeros", **like)

    def call(self, h: Any) -> Any:
        return h + self.second(self.first(ops.relu(h)))


class CNN(Classifier):
    """Convolutions, each followed by blocks, and dense layers.

    >>> import zoo
    >>> config = {"filters": (8, 16), "kernels": (3, 3), "strides": (2, 2)}
    >>> model = zoo.train("cnn", "digits", "runs/cnn", config=config, epochs=1)
    >>> model.predict(zoo.load_dataset("digits").test[:2]).shape  # a probability of each class
    (2, 10)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=60, batch_size=32, learning_rate=3e-3, weight_decay=1e-2, ema=0.99, patience=15)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.convolutions: list[Any] = []
        grid = space.shape[:2]
        for f, k, s in zip(config.filters, config.kernels, config.strides, strict=True):
            like = {"strides": s, "padding": "same", "data_format": "channels_first"}
            self.convolutions += self.activated(layers.Conv2D, f, k, **like)
            self.convolutions += [Residual(f) for _ in range(config.blocks)]
            grid = [-(-side // s) for side in grid]
        self.dense = self.activated(layers.Dense, config.hidden) if config.hidden else []
        self.head = layers.Dense(len(classes))
        # of the features before the classes
        self.width = config.hidden or config.filters[-1] * (1 if config.average else grid[0] * grid[1])

    def activated(self, kind: type[layers.Layer], *shape: int, **more: Any) -> list[layers.Layer]:
        """A layer with its activation, and with batch normalization between the two if it is set."""
        slope = self.config.slope
        activation = partial(ops.leaky_relu, negative_slope=slope) if slope else ops.relu
        if not self.config.norm:
            return [kind(*shape, activation=activation, **more)]
        return [kind(*shape, **more), layers.BatchNormalization(axis=1), layers.Activation(activation)]

    def features(self, x: Any) -> Any:
        """The features before the classes, (N, width)."""
        h = self.through(self.convolutions, ops.cast(ops.moveaxis(x, -1, 1), "float32") / (self.space.levels - 1))
        h = ops.mean(h, axis=(2, 3)) if self.config.average else ops.reshape(h, (h.shape[0], -1))
        return self.through(self.dense, h)

    def through(self, stack: list[layers.Layer], h: Any) -> Any:
        for layer in stack:
            h = layer(h, training=self.training) if isinstance(layer, layers.BatchNormalization) else layer(h)
        return h

    def logits(self, x: Any) -> Any:
        return self.head(self.features(x))

    # ---- training --------------------------------------------------------------------------------------------------

    def cross_entropy(self, x: Any, label: Any, move: Any = None, drop: Any = None) -> Any:
        if move is not None and self.training:
            x = self.moved(x, move)
        h = self.features(x)
        if drop is not None and self.training:
            kept = ops.cast(drop >= self.config.dropout, h.dtype)
            h = h * kept / (1 - self.config.dropout)
        return cross_entropy(self.head(h), label)

    def moved(self, x: Any, move: Any) -> Any:
        """Images mirrored and shifted according to uniforms (N, 3), with edges replicated."""
        height, width, _ = self.space.shape
        most = self.config.shift
        down, across = (torch.floor(move[:, k, None] * (2 * most + 1)).long() - most for k in (0, 1))
        rows = (torch.arange(height, device=x.device) + down).clamp(0, height - 1)
        columns = (torch.arange(width, device=x.device) + across).clamp(0, width - 1)
        if self.config.flip:
            columns = torch.where(move[:, 2, None] < 0.5, width - 1 - columns, columns)
        return x[torch.arange(len(x), device=x.device)[:, None, None], rows[:, :, None], columns[:, None]]

    def objectives(self) -> dict[str, Objective]:
        objective, noise = super().objectives()["cross_entropy"], {}
        if self.config.flip or self.config.shift:
            noise["move"] = Noise("uniform", (3,))
        if self.config.dropout:
            noise["drop"] = Noise("uniform", (self.width,))
        return {"cross_entropy": replace(objective, loss=replace(objective.loss, noise=noise))}
