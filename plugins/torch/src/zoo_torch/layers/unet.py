"""A small U-Net (Ronneberger, Fischer, Brox, arXiv 1505.04597) of residual blocks, for diffusion, with optional
self-attention at small sizes, as in Ho, Jain, Abbeel, arXiv 2006.11239."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from zoo.spaces import Image

HEAD = 32  # channels of an attention head


def halvings(space: Image, most: int) -> int:
    """How often the U-Net halves an image: up to a limit, while the size is even and no side falls below 4."""
    sides = (space.height, space.width)
    return sum(all(s % 2**n == 0 and s >> n >= 4 for s in sides) for n in range(1, most + 1))


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


class Attention(nn.Module):
    """Self-attention over the pixels of an image; added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)  # starts as the identity
        nn.init.zeros_(self.out.bias)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        n, c, height, width = h.shape
        places = self.norm(h.flatten(2).transpose(1, 2))  # (N, places, C)
        q, k, v = self.qkv(places).reshape(n, -1, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return h + self.out(seen).transpose(1, 2).reshape(n, c, height, width)


class UNet(nn.Module):
    """(N, C, H, W) images and (N, S) shifts -> (N, C, H, W).

    It has `channels` at full size and doubles them at each halving, with `sizes` sizes and `depth` blocks at each,
    both down and up. Sizes of at most `attention` pixels have attention after each block.
    """

    def __init__(self, space: Image, channels: int, depth: int = 1, sizes: int = 3, attention: int = 0) -> None:
        super().__init__()
        widths = [channels, *[2 * channels] * halvings(space, sizes - 1)]
        pairs, self.depth = list(pairwise(widths)), depth

        def blocks(sizes: list[int]) -> nn.ModuleList:
            return nn.ModuleList(Block(widths[n]) for n in sizes)

        def attend(sizes: list[int]) -> nn.ModuleList:
            few = [(space.height >> n) * (space.width >> n) <= attention for n in range(len(widths))]
            return nn.ModuleList(Attention(widths[n]) if few[n] else nn.Identity() for n in sizes)

        above = [n for n in range(len(pairs)) for _ in range(depth)]  # the size of each block on the way down
        below = [len(pairs)] * (2 * depth)
        self.stem = nn.Conv2d(space.channels, channels, 3, padding=1)
        self.down = blocks(above)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.middle = blocks(below)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * a, a, 3, padding=1) for a, _ in pairs)
        self.up = blocks(above)
        self.head = nn.Conv2d(channels, space.channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        self.attention = attend([*above, *below, *above])
        self.shifts = [widths[n] for n in (*above, *below, *above)]  # channels of each block

    def forward(self, x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        blocks = *self.down, *self.middle, *self.up
        shifts, depth = shift.split(self.shifts, dim=1), self.depth
        middle, up = len(self.down), len(self.down) + len(self.middle)  # the numbers of their first blocks

        def run(h: torch.Tensor, first: int, count: int) -> torch.Tensor:
            for k in range(first, first + count):
                h = self.attention[k](blocks[k](h, shifts[k]))
            return h

        h, kept = self.stem(x), []
        for n, shrink in enumerate(self.shrink):
            h = run(h, n * depth, depth)
            kept.append(h)
            h = shrink(F.avg_pool2d(h, 2))
        h = run(h, middle, 2 * depth)
        for n in reversed(range(len(kept))):
            h = self.grow[n](F.interpolate(h, scale_factor=2.0, mode="nearest"))
            h = run(self.merge[n](torch.cat([h, kept[n]], 1)), up + n * depth, depth)
        return self.head(F.silu(h))
