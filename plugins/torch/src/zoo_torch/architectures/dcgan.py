"""DCGAN: a generator of images and a discriminator, both convolutional, trained against each other (Radford, Metz,
Chintala, "Unsupervised Representation Learning with Deep Convolutional GANs", arXiv 1511.06434)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from zoo.errors import InputError
from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Method, Noise, Tensor
from zoo.spaces import Image, Labels
from zoo_torch.layers.units import Pixels
from zoo_torch.network import TorchNetwork


@dataclass(frozen=True)
class Config:
    latent: int = setting(32, "numbers of a latent")
    channels: int = setting(32, "at half size; twice as many at each half of it")
    halvings: int = setting(2, "how often an image is halved: 4 for 64x64 as in the paper")

    def __post_init__(self) -> None:
        if self.halvings < 1:
            raise InputError(f"halvings={self.halvings}; expected at least 1.")

    @property
    def widths(self) -> list[int]:
        """Channels at half size, at a quarter, ..."""
        return [self.channels * 2**n for n in range(self.halvings)]


def smallest(space: Image, config: Config) -> tuple[int, int]:
    """The size after all halvings, rounded up: what is made too large is cropped."""
    return -(-space.height // 2**config.halvings), -(-space.width // 2**config.halvings)


class Generator(nn.Module):
    """(N, Z) -> (N, C, H, W) in [-1, 1]."""

    def __init__(self, space: Image, config: Config) -> None:
        super().__init__()
        widths, self.space = config.widths[::-1], space
        self.start = (widths[0], *smallest(space, config))
        self.project = nn.Linear(config.latent, math.prod(self.start), bias=False)
        self.grow = nn.Sequential()
        for width, next_width in pairwise(widths):
            self.grow += doubling(width, next_width, bias=False)
        self.grow += doubling(widths[-1], space.channels, bias=True)
        self.grow.append(nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.grow(self.project(z).reshape(-1, *self.start))[:, :, : self.space.height, : self.space.width]


def doubling(width: int, out: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, out, 4, stride=2, padding=1, bias=bias)
    )


class Discriminator(nn.Module):
    """(N, C, H, W) -> (N,), the log-odds that an image is real."""

    def __init__(self, space: Image, config: Config) -> None:
        super().__init__()
        widths, (height, width), whole = config.widths, smallest(space, config), 2**config.halvings
        self.spare = (0, whole * width - space.width, 0, whole * height - space.height)
        self.net = nn.Sequential(nn.Conv2d(space.channels, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        for before, after in pairwise(widths):
            self.net += nn.Sequential(
                nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
            )
        self.net += nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * height * width, 1))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.net(F.pad(y, self.spare, value=-1.0)).squeeze(1)


class DCGAN(TorchNetwork):
    """Images from a standard normal latent. Outside of training, batch normalization uses its running averages.

    >>> import zoo
    >>> model = zoo.train("dcgan", "digits", "runs/gan", config={"channels": 8}, epochs=1)
    >>> model.sample(2, seed=7).shape
    (2, 8, 8, 1)
    >>> model.predict(zoo.load_dataset("digits").test[:2]).shape  # the probability of being real
    (2,)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=300, batch_size=64, learning_rate=4e-4, betas=(0.5, 0.999), schedule="constant", ema=0.995)

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.pixels = Pixels(space)
        self.generator, self.discriminator = Generator(space, config), Discriminator(space, config)
        for part in self.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(part.weight, std=0.02)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.pixels.inverse(self.generator(z))

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.discriminator(self.pixels(x)))

    def methods(self) -> dict[str, Method]:
        x, z = self.space.tensor, (self.config.latent,)
        return {
            "sample": Call(self.decode, outputs={"x": x}, noise={"z": Noise("normal", z)}),
            "decode": Call(self.decode, inputs={"z": Tensor("float32", z)}, outputs={"x": x}),
            "predict": Call(self.predict, inputs={"x": x}, outputs={"y": Tensor("float32")}),
        }

    # ---- training: real images get noise within their level, or the levels would give them away ------------------

    def discriminator_loss(self, x: torch.Tensor, z: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        real = self.pixels(x) + (2 * u - 1) / self.pixels.top
        with torch.no_grad():
            fake = self.generator(z)
        return F.softplus(-self.discriminator(real)) + F.softplus(self.discriminator(fake))

    def generator_loss(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return F.softplus(-self.discriminator(self.generator(z)))  # the non-saturating loss

    def objectives(self) -> dict[str, Objective]:
        x, loss, z = {"x": self.space.tensor}, {"loss": Tensor("float32")}, Noise("normal", (self.config.latent,))
        u = Noise("uniform", self.pixels.shape)
        return {
            "discriminator": Objective(
                Call(self.discriminator_loss, x, loss, noise={"z": z, "u": u}), ("discriminator",)
            ),
            "generator": Objective(Call(self.generator_loss, x, loss, noise={"z": z}), ("generator",)),
        }
