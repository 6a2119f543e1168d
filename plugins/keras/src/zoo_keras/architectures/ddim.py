"""DDIM: images by denoising in few steps (Song, Meng, Ermon, "Denoising Diffusion Implicit Models", arXiv 2010.02502),
with the network of Foster, *Generative Deep Learning*, 2nd ed., ch. 8: a U-Net that receives the noise level as
additional channels of the image, and predicts the noise. Cosine schedule: Nichol, Dhariwal, arXiv 2102.09672."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from zoo.diffusion import Level, Levels, extrapolation, step
from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.network import KerasNetwork

TIMES = 1000  # noise levels, after none at time 0
LEAST = 0.02  # alpha at the last time, when almost nothing is left of the image


@dataclass(frozen=True)
class Config:
    widths: tuple[int, ...] = setting((32, 64, 96), "channels at full size, at half of it, ...")
    depth: int = setting(2, "residual blocks at each size, both down and up")
    embedding: int = setting(32, "channels of the noise level")


class Residual(layers.Layer):
    """Two convolutions, added to the input or to a 1x1 convolution of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.norm = layers.GroupNormalization(1, axis=1)
        self.first = convolution(width, 3, activation="swish")
        self.second = convolution(width, 3)
        self.direct: Any = None

    def build(self, input_shape: Any) -> None:
        if input_shape[1] != self.width:
            self.direct = convolution(self.width, 1)
        super().build(input_shape)

    def call(self, h: Any) -> Any:
        return self.second(self.first(self.norm(h))) + (h if self.direct is None else self.direct(h))


def convolution(width: int, kernel: int, **more: Any) -> Any:
    return layers.Conv2D(width, kernel, padding="same", data_format="channels_first", **more)


class DDIM(KerasNetwork):
    """Predicts the noise of noised images.

    >>> import zoo
    >>> config = {"widths": (8, 16), "depth": 1, "embedding": 8}
    >>> model = zoo.train("ddim", "digits", "runs/ddim", config=config, epochs=1)
    >>> model.sample(2, seed=7, steps=5).shape
    (2, 8, 8, 1)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=100, batch_size=64, learning_rate=1e-3, weight_decay=1e-4, clip=1.0, ema=0.998)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        sides, widths = space.shape[:2], config.widths
        self.whole = [-(-s // 2 ** (len(widths) - 1)) * 2 ** (len(widths) - 1) for s in sides]  # halved as often
        self.stem = convolution(widths[0], 1)
        self.down = [Residual(w) for w in widths[:-1] for _ in range(config.depth)]
        self.middle = [Residual(widths[-1]) for _ in range(config.depth)]
        self.up = [Residual(w) for w in widths[-2::-1] for _ in range(config.depth)]
        self.head = convolution(space.channels, 1, kernel_initializer="zeros")
        angle = np.arccos(LEAST) * np.arange(TIMES + 1) / TIMES
        alpha, sigma = np.cos(angle), np.sin(angle)
        with np.errstate(divide="ignore"):  # infinite without noise
            self.tables = [table.astype(np.float32) for table in (alpha, sigma, np.log(alpha / sigma))]
        self.frequency = (2 * math.pi * np.geomspace(1, 1000, config.embedding // 2)).astype(np.float32)

    def levels(self) -> Levels:
        return Levels(*map(ops.convert_to_tensor, self.tables))

    def epsilon(self, y: Any, sigma: Any) -> Any:
        """The noise in (N, C, H, W), predicted for its deviation (N,) or (1,)."""
        depth, (height, width), (tall, wide) = self.config.depth, self.space.shape[:2], self.whole
        angle = sigma[:, None] ** 2 * ops.convert_to_tensor(self.frequency)
        level = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=1)[:, :, None, None]
        h = ops.pad(y, [(0, 0), (0, 0), (0, tall - height), (0, wide - width)])
        h = ops.concatenate([self.stem(h), level + ops.zeros_like(h[:, :1])], axis=1)
        kept = []
        for number, block in enumerate(self.down):
            h = block(h)
            kept.append(h)
            if (number + 1) % depth == 0:
                h = ops.average_pool(h, 2, data_format="channels_first")
        for block in self.middle:
            h = block(h)
        for number, block in enumerate(self.up):
            if number % depth == 0:
                h = ops.repeat(ops.repeat(h, 2, axis=2), 2, axis=3)
            h = block(ops.concatenate([h, kept.pop()], axis=1))
        return ops.cast(self.head(h), "float32")[:, :, :height, :width]

    # ---- sampling ----------------------------------------------------------------------------------------------

    def init(self, index: Any, start: Any, **options: Any) -> dict[str, Any]:
        return {"y": start, "image": start}

    def step(self, i: Any, state: dict[str, Any], z: Any, steps: Any, order: Any, eta: Any) -> dict[str, Any]:
        levels, left = self.levels(), ops.reshape(steps - i, (1,))
        last, now, then = (levels.at(torch.clamp((left + k) * TIMES // steps, max=TIMES)) for k in (1, 0, -1))
        predicted = ops.clip(self.image(state["y"], now), -1.0, 1.0)
        image = predicted + extrapolation(order, last, now, then) * (predicted - state["image"])
        return {"y": step(image, now.epsilon(state["y"], image), z, now, then, eta), "image": predicted}

    def image(self, y: Any, now: Level) -> Any:
        return now.data(y, self.epsilon(y, now.sigma))

    def finish(self, state: dict[str, Any]) -> Any:
        top = self.space.levels - 1
        levels = ops.clip(ops.round((state["y"] + 1) * (top / 2)), 0, top)
        return ops.cast(ops.moveaxis(levels, 1, -1), "uint8")

    def methods(self) -> dict[str, Method]:
        shape = (self.space.channels, *self.space.shape[:2])
        noise, y = Noise("normal", shape), Tensor("float32", shape)
        options = {
            "steps": Option(20, low=1, high=TIMES, help="denoising steps"),
            "order": Option(1, low=1, high=2, help="of the solver: 1 DDIM, 2 DPM-Solver++"),
            "eta": Option(0.0, low=0.0, high=1.0, help="fresh noise in each step: 0 none, 1 as much as DDPM"),
        }
        sample = Loop(
            "steps",
            self.init,
            self.step,
            self.finish,
            state={"y": y, "image": y},
            outputs={"x": self.space.tensor},
            init_noise={"start": noise},
            noise={"z": noise},
            options=options,
        )
        return {"sample": sample}

    # ---- training ----------------------------------------------------------------------------------------------

    def absolute_error(self, x: Any, z: Any, u: Any) -> Any:
        """The error of the predicted noise, as in the book, at a random time."""
        y = ops.cast(ops.moveaxis(x, -1, 1), "float32") * (2 / (self.space.levels - 1)) - 1
        level = self.levels().at(ops.cast(ops.floor(u * TIMES), "int64") + 1)
        alpha, sigma = level.alpha[:, None, None, None], level.sigma[:, None, None, None]
        return ops.mean(ops.abs(self.epsilon(alpha * y + sigma * z, level.sigma) - z), axis=(1, 2, 3))

    def objectives(self) -> dict[str, Objective]:
        noise = {"z": Noise("normal", (self.space.channels, *self.space.shape[:2])), "u": Noise("uniform")}
        loss = Call(self.absolute_error, {"x": self.space.tensor}, {"loss": Tensor("float32")}, noise)
        return {"absolute_error": Objective(loss)}
