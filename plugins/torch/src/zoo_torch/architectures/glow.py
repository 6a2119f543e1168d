"""Glow: a multi-scale flow of images (Kingma, Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", arXiv
1807.03039). The 1x1 convolutions are rotations made of Householder reflections (Tomczak, Welling, arXiv 1611.09630), so
their inverse is the transpose, and they leave volumes as they are; scales are those of the activation norms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from zoo.errors import InputError
from zoo.network import Recipe, setting
from zoo.spaces import Image, Labels
from zoo_torch.bases.flow import Flow

Change = tuple[torch.Tensor, torch.Tensor]  # (N, C, H, W), (N,) log-determinant


@dataclass(frozen=True)
class Config:
    scales: int = setting(3, "sizes of the image, each half of the one before, as far as sides are even")
    layers: int = setting(8, "steps of flow at each size")
    hidden: int = setting(64, "channels of the networks in couplings")


class Step(nn.Module):
    """An activation norm, a rotation of the channels, and an affine coupling, as one invertible layer."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.kept = channels // 2
        self.scale, self.shift = (nn.Parameter(torch.zeros(channels, 1, 1)) for _ in range(2))
        self.reflections = nn.Parameter(torch.randn(channels, channels))
        self.conditioner = network(self.kept, hidden, 2 * (channels - self.kept))

    def rotation(self) -> torch.Tensor:
        """The matrix of the 1x1 convolution, (C, C), orthogonal."""
        matrix = torch.eye(len(self.reflections), device=self.reflections.device)
        for v in F.normalize(self.reflections, dim=1):
            matrix = matrix - 2 * (matrix @ v)[:, None] * v
        return matrix

    def affine(self, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-scale, bounded, and shift of the other channels."""
        scale, shift = self.conditioner(kept).chunk(2, 1)
        return 2 * torch.tanh(scale / 2), shift

    def forward(self, h: torch.Tensor) -> Change:
        h = F.conv2d(h * self.scale.exp() + self.shift, self.rotation()[:, :, None, None])
        kept, changed = h.split([self.kept, h.shape[1] - self.kept], 1)
        scale, shift = self.affine(kept)
        places = h.shape[2] * h.shape[3]
        return torch.cat([kept, changed * scale.exp() + shift], 1), places * self.scale.sum() + scale.sum((1, 2, 3))

    def inverse(self, h: torch.Tensor) -> Change:
        kept, changed = h.split([self.kept, h.shape[1] - self.kept], 1)
        scale, shift = self.affine(kept)
        h = torch.cat([kept, (changed - shift) * (-scale).exp()], 1)
        h = (F.conv2d(h, self.rotation().T[:, :, None, None]) - self.shift) * (-self.scale).exp()
        places = h.shape[2] * h.shape[3]
        return h, -places * self.scale.sum() - scale.sum((1, 2, 3))


class Split(nn.Module):
    """Half of the channels leave as latents, in units of what the other half says of them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.prior = network(channels, hidden, 2 * channels)

    def units(self, stay: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-deviation, bounded, and mean of the half that leaves."""
        scale, mean = self.prior(stay).chunk(2, 1)
        return 2 * torch.tanh(scale / 2), mean

    def forward(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stay, leave = h.chunk(2, 1)
        scale, mean = self.units(stay)
        return stay, (leave - mean) * (-scale).exp(), -scale.sum((1, 2, 3))

    def inverse(self, stay: torch.Tensor, z: torch.Tensor) -> Change:
        scale, mean = self.units(stay)
        return torch.cat([stay, z * scale.exp() + mean], 1), scale.sum((1, 2, 3))


class Glow(Flow):
    """Steps of flow at several sizes of the image; half of the channels leave as latents after each size.

    >>> import zoo
    >>> config = {"scales": 2, "layers": 1, "hidden": 16}
    >>> model = zoo.train("glow", "digits", "runs/glow", config=config, epochs=1)
    >>> model.log_prob(model.sample(2, seed=7), samples=4).shape  # a bound, tighter with more samples
    (2,)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=100, batch_size=64, learning_rate=1e-3, clip=5.0, patience=20)

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        sides = (space.height, space.width)
        scales = sum(all(s % 2**n == 0 for s in sides) for n in range(1, config.scales + 1))
        if not scales:
            raise InputError(f"glow halves images: expected an even height and width, got {sides[0]}x{sides[1]}.")
        self.steps, self.splits, channels = nn.ModuleList(), nn.ModuleList(), space.channels
        for scale in range(scales):
            channels = 4 * channels if scale == 0 else 2 * channels
            self.steps.append(nn.ModuleList(Step(channels, config.hidden) for _ in range(config.layers)))
            if scale < scales - 1:
                self.splits.append(Split(channels // 2, config.hidden))
        # of the latents that leave at each size; the last has all channels
        widths = [space.channels * 2 ** (n + 1) for n in range(scales)]
        widths[-1] *= 2
        self.shapes = [(w, sides[0] >> (n + 1), sides[1] >> (n + 1)) for n, w in enumerate(widths)]

    def to_normal(self, y: torch.Tensor) -> Change:
        h = y.reshape(-1, *self.space.shape).permute(0, 3, 1, 2)
        log_det, latents = y.new_zeros(y.shape[0]), []
        for scale, steps in enumerate(self.steps):
            h = F.pixel_unshuffle(h, 2)
            for step in steps:
                h, more = step(h)
                log_det = log_det + more
            if scale < len(self.splits):
                h, z, more = self.splits[scale](h)
                log_det = log_det + more
                latents.append(z.flatten(1))
        return torch.cat([*latents, h.flatten(1)], 1), log_det

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        parts = z.split([math.prod(shape) for shape in self.shapes], 1)
        *latents, h = (part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True))
        for scale in reversed(range(len(self.steps))):
            if scale < len(self.splits):
                h, _ = self.splits[scale].inverse(h, latents[scale])
            for step in reversed(self.steps[scale]):
                h, _ = step.inverse(h)
            h = F.pixel_shuffle(h, 2)
        return h.permute(0, 2, 3, 1).flatten(1)


def network(channels: int, hidden: int, out: int) -> nn.Sequential:
    """Three convolutions, whose output is zero at first."""
    last = nn.Conv2d(hidden, out, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1), nn.SiLU(), nn.Conv2d(hidden, hidden, 1), nn.SiLU(), last
    )
