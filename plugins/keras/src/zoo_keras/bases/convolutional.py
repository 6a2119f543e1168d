"""Base of models that turn images into a few numbers and back by strided convolutions."""

from __future__ import annotations

from typing import Any

from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.network import KerasNetwork


class Convolutional(KerasNetwork):
    """The config has `filters`, one per convolution that halves the image. Odd sizes are rounded up on the way down,
    and cropped at the end."""

    spaces = (Image,)

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        shrink = 2 ** len(config.filters)
        self.grid = (-(-space.height // shrink), -(-space.width // shrink))
        like = {"padding": "same", "data_format": "channels_first", "activation": "swish"}
        self.down = [layers.Conv2D(f, 3, strides=2, **like) for f in config.filters]
        self.spread = layers.Dense(config.filters[-1] * self.grid[0] * self.grid[1], activation="swish")
        self.up = [layers.Conv2DTranspose(f, 3, strides=2, **like) for f in config.filters[::-1]]

    def scaled(self, x: Any) -> Any:
        """(N, H, W, C) levels -> (N, C, H, W) from 0 to 1."""
        return ops.cast(ops.moveaxis(x, -1, 1), "float32") / (self.space.levels - 1)

    def features(self, x: Any) -> Any:
        """(N, H, W, C) levels -> (N, features)."""
        h = self.scaled(x)
        for layer in self.down:
            h = layer(h)
        return ops.reshape(h, (h.shape[0], -1))

    def planes(self, z: Any) -> Any:
        """(N, numbers) -> (N, filters[0], H, W), where H and W may be too large."""
        h = ops.reshape(self.spread(z), (-1, self.config.filters[-1], *self.grid))
        for layer in self.up:
            h = layer(h)
        return h

    def cropped(self, h: Any) -> Any:
        height, width, _ = self.space.shape
        return h if h.shape[2:] == (height, width) else h[:, :, :height, :width]
