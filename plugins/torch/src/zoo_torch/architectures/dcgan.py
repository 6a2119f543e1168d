"""DCGAN: a generator of images and a discriminator, both convolutional, trained against each other (Radford, Metz,
Chintala, "Unsupervised Representation Learning with Deep Convolutional GANs", arXiv 1511.06434)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Method, Noise, Tensor
from zoo.spaces import Image, Labels
from zoo_torch.layers.units import Pixels
from zoo_torch.network import TorchNetwork


@dataclass(frozen=True)
class Config:
    latent: int = setting(32, "numbers of a latent")
    channels: int = setting(32, "at half size; twice as many at a quarter")


def quarter(space: Image) -> tuple[int, int]:
    """A quarter of the size, rounded up: what is made too large is cropped."""
    return -(-space.height // 4), -(-space.width // 4)


class Generator(nn.Module):
    """(N, Z) -> (N, C, H, W) in [-1, 1]."""

    def __init__(self, space: Image, config: Config) -> None:
        super().__init__()
        c, self.space, self.start = config.channels, space, (2 * config.channels, *quarter(space))
        self.project = nn.Linear(config.latent, self.start[0] * self.start[1] * self.start[2], bias=False)
        self.grow = nn.Sequential(
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.ConvTranspose2d(c, space.channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.grow(self.project(z).reshape(-1, *self.start))[:, :, : self.space.height, : self.space.width]


class Discriminator(nn.Module):
    """(N, C, H, W) -> (N,), the log-odds that an image is real."""

    def __init__(self, space: Image, config: Config) -> None:
        super().__init__()
        c, (height, width) = config.channels, quarter(space)
        self.spare = (0, 4 * width - space.width, 0, 4 * height - space.height)
        self.net = nn.Sequential(
            nn.Conv2d(space.channels, c, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * c),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * c * height * width, 1),
        )

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.net(F.pad(y, self.spare, value=-1.0)).squeeze(1)


class DCGAN(TorchNetwork):
    """Images from a standard normal latent. Outside of training, batch normalization uses its running averages."""

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
