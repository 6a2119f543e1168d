"""RealNVP: a flow of affine coupling layers (Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP",
arXiv 1605.08803; Foster, *Generative Deep Learning*, 2nd ed., ch. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from zoo.network import Recipe
from zoo.spaces import Labels, Space
from zoo_torch.flow import Flow


@dataclass(frozen=True)
class Config:
    layers: int = 8
    hidden: int = 64


class Coupling(nn.Module):
    """Scales and shifts one half of the dimensions by functions of the other half, so both directions are one pass."""

    def __init__(self, dim: int, hidden: int, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)  # (D,): 1 where a dimension passes through unchanged
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * dim)
        )
        nn.init.zeros_(self.net[-1].weight)  # starts as the identity
        nn.init.zeros_(self.net[-1].bias)

    def scale_shift(self, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.net(kept).chunk(2, dim=1)
        change = 1 - self.mask
        return 2 * torch.tanh(scale / 2) * change, shift * change  # bounded: exp stays within a factor of e^2

    def forward(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.scale_shift(y * self.mask)
        return y * scale.exp() + shift, scale.sum(1)

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale_shift(z * self.mask)
        return (z - shift) * (-scale).exp()


class RealNVP(Flow):
    """Couplings with alternating halves: even and odd dimensions."""

    Config = Config
    recipe = Recipe(epochs=100, batch_size=128, learning_rate=2e-3, weight_decay=1e-5, clip=5.0, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        parity = torch.arange(space.size) % 2
        self.couplings = nn.ModuleList(
            Coupling(space.size, config.hidden, (parity if i % 2 else 1 - parity).float()) for i in range(config.layers)
        )

    def to_normal(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_det = torch.zeros_like(y[:, 0])
        for coupling in self.couplings:
            y, more = coupling(y)
            log_det = log_det + more
        return y, log_det

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
        return z
