"""A small U-Net (Ronneberger, Fischer, Brox, arXiv 1505.04597) of residual blocks, for diffusion."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from zoo.spaces import Image


def halvings(space: Image) -> int:
    """How often the U-Net halves an image: at most twice, while the size is even and no side falls below 4."""
    sides = (space.height, space.width)
    return sum(all(s % 2**n == 0 and s >> n >= 4 for s in sides) for n in (1, 2))


class Block(nn.Module):
    """Two convolutions around a shift of the channels, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)  # starts as the identity
        nn.init.zeros_(self.second.bias)

    def forward(self, h: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return h + self.second(F.silu(self.first(F.silu(h)) + shift[:, :, None, None]))


class UNet(nn.Module):
    """(N, C, H, W) images and (N, S) shifts -> (N, C, H, W)."""

    def __init__(self, space: Image, c: int) -> None:
        super().__init__()
        widths = [c, 2 * c, 2 * c][: halvings(space) + 1]
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(space.channels, c, 3, padding=1)
        self.down = nn.ModuleList(Block(w) for w in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.middle = nn.ModuleList(Block(widths[-1]) for _ in range(2))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 3, padding=1) for w in widths[:-1])
        self.up = nn.ModuleList(Block(w) for w in widths[:-1])
        self.head = nn.Conv2d(c, space.channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        self.shifts = [*widths[:-1], widths[-1], widths[-1], *widths[:-1]]  # channels of each block that is shifted

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        parts = shift.split(self.shifts, dim=1)
        n, h, kept = len(self.down), self.stem(x), []
        for block, shrink, part in zip(self.down, self.shrink, parts, strict=False):
            h = block(h, part)
            kept.append(h)
            h = shrink(F.avg_pool2d(h, 2))
        for block, part in zip(self.middle, parts[n : n + 2], strict=True):
            h = block(h, part)
        for level in reversed(range(n)):
            h = self.grow[level](F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = self.up[level](self.merge[level](torch.cat([h, kept[level]], 1)), parts[n + 2 + level])
        return self.head(F.silu(h))
