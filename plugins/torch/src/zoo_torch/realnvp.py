"""RealNVP: a flow of affine coupling layers (Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP",
arXiv 1605.08803; Foster, *Generative Deep Learning*, 2nd ed., ch. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from zoo.network import Recipe
from zoo.spaces import Labels, Space
from zoo_torch.flow import Flow


@dataclass(frozen=True)
class Config:
    layers: int = 8
    hidden: int = 64


class Coupling(nn.Module):
    """Scales and shifts one half of the dimensions by functions of the other half, so both directions are one pass."""

    def __init__(self, kept: int, changed: int, hidden: int) -> None:
        super().__init__()
        self.conditioner = nn.Sequential(
            nn.Linear(kept, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * changed)
        )
        nn.init.zeros_(self.conditioner[-1].weight)  # starts as the identity
        nn.init.zeros_(self.conditioner[-1].bias)

    def forward(self, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Half the log-scale and the shift, (N, changed) each. Bounded: a factor of at most e^2."""
        scale, shift = self.conditioner(kept).chunk(2, dim=1)
        return torch.tanh(scale), shift


class RealNVP(Flow):
    """Couplings with alternating halves: even and odd dimensions, which stand one after the other in the latent."""

    Config = Config
    recipe = Recipe(epochs=100, batch_size=128, learning_rate=2e-3, weight_decay=1e-5, clip=5.0, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dim = space.size
        self.widths = [-(-self.dim // 2), max(self.dim // 2, 1)]
        # the half that a layer changes: odd, even, odd, ...; of one dimension always the even, the other is a zero
        self.changes = [0 if i % 2 or self.dim == 1 else 1 for i in range(config.layers)]
        self.couplings = nn.ModuleList(
            Coupling(self.widths[1 - c], self.widths[c], config.hidden) for c in self.changes
        )

    def padded(self, y: torch.Tensor, width: int) -> torch.Tensor:
        return F.pad(y, (0, width - y.shape[1])) if y.shape[1] < width else y

    def to_normal(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        even, odd = self.widths
        pairs = self.padded(y, 2 * even).reshape(-1, even, 2).split(1, 2)  # runtimes transpose slowly
        halves = [pairs[0].flatten(1), pairs[1].flatten(1)[:, :odd]]
        scales = [y.new_zeros(y.shape[0], width) for width in self.widths]
        for change, coupling in zip(self.changes, self.couplings, strict=True):
            scale, shift = coupling(halves[1 - change])
            halves[change] = halves[change] * (2 * scale).exp() + shift
            scales[change] = scales[change] + scale
        return torch.cat(halves, 1)[:, : self.dim], 2 * torch.cat(scales, 1).sum(1)

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        even, odd = self.widths
        halves = list(self.padded(z, even + odd).split(self.widths, 1))
        for change, coupling in zip(reversed(self.changes), reversed(self.couplings), strict=True):
            scale, shift = coupling(halves[1 - change])
            halves[change] = (halves[change] - shift) * (-2 * scale).exp()
        halves[1] = self.padded(halves[1], even)
        return torch.stack(halves, 2).flatten(1)[:, : self.dim]
