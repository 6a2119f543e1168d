"""A Wasserstein GAN with gradient penalty (Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved Training of
Wasserstein GANs", arXiv 1704.00028), conditional on request as in Foster, *Generative Deep Learning*, 2nd ed., ch. 4:
the critic sees the class, or what else it is told, as further channels of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from zoo.network import INPUTS, Objective, Recipe, setting, told_tensors
from zoo.signature import Call, Method, Noise, Tensor
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.conditional import Conditional


@dataclass(frozen=True)
class Config:
    latent: int = setting(64, "numbers of a latent")
    filters: tuple[int, ...] = setting((48, 96), "of the critic's convolutions, each of which halves the image")
    penalty: float = setting(10.0, "weight of the critic's distance from slopes of one")
    conditional: bool = setting(False, "on the class, in both networks")
    inputs: tuple[str, ...] = setting((), INPUTS)


class WGAN(Conditional):
    """Images from a standard normal latent; `predict` orders them as the critic does, higher for what is more like the
    data.

    >>> import zoo
    >>> config = {"latent": 8, "filters": (8,), "conditional": True}
    >>> model = zoo.train("wgan", "digits", "runs/wgan", config=config, epochs=1)
    >>> model.sample(2, seed=7, label=3).shape
    (2, 8, 8, 1)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=300, batch_size=64, learning_rate=3e-4, betas=(0.0, 0.9), schedule="constant", ema=0.995)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        shrink = 2 ** len(config.filters)
        self.grid = (-(-space.height // shrink), -(-space.width // shrink))  # rounded up: the image is cropped
        first, like = "channels_first", {"padding": "same", "data_format": "channels_first"}
        widths = config.filters[::-1]
        self.generator = [
            layers.Dense(widths[0] * self.grid[0] * self.grid[1]),
            layers.Reshape((widths[0], *self.grid)),
        ]
        for width in (*widths[1:], widths[-1]):
            self.generator += [
                layers.GroupNormalization(1, axis=1),
                layers.Activation("swish"),
                layers.UpSampling2D(data_format=first),
                layers.Conv2D(width, 3, **like),
            ]
        self.generator += [layers.Activation("swish"), layers.Conv2D(space.channels, 3, activation="tanh", **like)]
        self.critic = []
        for width in config.filters:  # without norms: the penalty is on the slope for each image
            self.critic += [layers.Conv2D(width, 4, strides=2, **like), layers.LeakyReLU(0.2)]
        self.critic += [layers.Flatten(), layers.Dense(1, use_bias=False)]  # a constant would cancel out

    # ---- the two networks --------------------------------------------------------------------------------------

    def generate(self, z: Any, told: Mapping[str, Any]) -> Any:
        """(N, Z) -> (N, C, H, W) in [-1, 1]."""
        h = ops.concatenate([z, self.one_hot(told)], axis=1) if self.told else z
        for layer in self.generator:
            h = layer(h)
        return h[:, :, : self.space.height, : self.space.width]

    def score(self, y: Any, told: Mapping[str, Any]) -> Any:
        """(N, C, H, W) -> (N,)."""
        if self.told:
            planes = self.one_hot(told)[:, :, None, None]
            y = ops.concatenate([y, planes + ops.zeros((1, 1, *self.space.shape[:2]))], axis=1)
        for layer in self.critic:
            y = layer(y)
        return ops.cast(y, "float32")[:, 0]

    def pixels(self, x: Any) -> Any:
        return ops.cast(ops.moveaxis(x, -1, 1), "float32") * (2 / (self.space.levels - 1)) - 1

    # ---- the methods -------------------------------------------------------------------------------------------

    def decode(self, z: Any, **told: Any) -> Any:
        top = self.space.levels - 1
        levels = ops.clip(ops.round((self.generate(z, told) + 1) * (top / 2)), 0, top)
        return ops.cast(ops.moveaxis(levels, 1, -1), "uint8")

    def realism(self, x: Any, **told: Any) -> Any:
        """The critic's score between 0 and 1: it ranks images, but is not a probability."""
        return ops.sigmoid(self.score(self.pixels(x), told))

    def methods(self) -> dict[str, Method]:
        x, z = {"x": self.space.tensor}, (self.config.latent,)
        told = told_tensors(self.told)
        return {
            "sample": Call(self.decode, told, x, {"z": Noise("normal", z)}),
            "decode": Call(self.decode, {"z": Tensor("float32", z), **told}, x),
            "predict": Call(self.realism, {**x, **told}, {"y": Tensor("float32")}),
        }

    # ---- training: real images get noise within their level, or the levels would give them away ------------------

    def critic_loss(self, x: Any, z: Any, u: Any, e: Any, **told: Any) -> Any:
        """A lower estimate of the Wasserstein distance, and the penalty at points between real and generated images."""
        real = self.pixels(x) + (2 * u - 1) / (self.space.levels - 1)
        with torch.no_grad():
            fake = self.generate(z, told)
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            between = (real + e[:, None, None, None] * (fake - real)).detach().requires_grad_(True)
            total = self.score(between, told).sum()
            (slope,) = torch.autograd.grad(total, between, create_graph=training)
        length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
        return self.score(fake, told) - self.score(real, told) + self.config.penalty * (length - 1) ** 2

    def generator_loss(self, x: Any, z: Any, **told: Any) -> Any:
        return -self.score(self.generate(z, told), told)

    def objectives(self) -> dict[str, Objective]:
        inputs, loss = {"x": self.space.tensor, **told_tensors(self.told)}, {"loss": Tensor("float32")}
        z, u = Noise("normal", (self.config.latent,)), Noise("uniform", (self.space.channels, *self.space.shape[:2]))
        noise = {"z": z, "u": u, "e": Noise("uniform")}
        return {
            "critic": Objective(Call(self.critic_loss, inputs, loss, noise), ("critic",)),
            "generator": Objective(Call(self.generator_loss, inputs, loss, {"z": z}), ("generator",)),
        }
