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
        self.net = nn.Sequential(
            nn.Linear(kept, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2 * changed)
        )
        nn.init.zeros_(self.net[-1].weight)  # starts as the identity
        nn.init.zeros_(self.net[-1].bias)

    def scale_shift(self, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.net(kept).chunk(2, dim=1)
        return 2 * torch.tanh(scale / 2), shift  # bounded: exp stays within a factor of e^2

    def forward(self, kept: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.scale_shift(kept)
        return y * scale.exp() + shift, scale.sum(1)

    def inverse(self, kept: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale_shift(kept)
        return (z - shift) * (-scale).exp()


class RealNVP(Flow):
    """Couplings with alternating halves: even and odd dimensions."""

    Config = Config
    recipe = Recipe(epochs=100, batch_size=128, learning_rate=2e-3, weight_decay=1e-5, clip=5.0, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dim = space.size
        widths = [-(-self.dim // 2), max(self.dim // 2, 1)]
        # the half that a layer changes: odd, even, odd, ...; of one dimension always the even, the other is a zero
        self.changes = [0 if i % 2 or self.dim == 1 else 1 for i in range(config.layers)]
        self.couplings = nn.ModuleList(Coupling(widths[1 - c], widths[c], config.hidden) for c in self.changes)

    def halves(self, y: torch.Tensor) -> list[torch.Tensor]:
        """(N, D) -> even and odd columns; once for all layers, because runtimes copy them one by one."""
        even, odd = F.pad(y, (0, self.dim % 2)).reshape(-1, -(-self.dim // 2), 2).transpose(1, 2).unbind(1)
        return [even, odd[:, : max(self.dim // 2, 1)]]

    def whole(self, halves: list[torch.Tensor]) -> torch.Tensor:
        even, odd = halves
        odd = F.pad(odd, (0, even.shape[1] - odd.shape[1]))
        return torch.stack([even, odd], 1).transpose(1, 2).flatten(1)[:, : self.dim]

    def to_normal(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_det, halves = y.new_zeros(y.shape[0]), self.halves(y)
        for change, coupling in zip(self.changes, self.couplings, strict=True):
            halves[change], more = coupling(halves[1 - change], halves[change])
            log_det = log_det + more
        return self.whole(halves), log_det

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        halves = self.halves(z)
        for change, coupling in zip(reversed(self.changes), reversed(self.couplings), strict=True):
            halves[change] = coupling.inverse(halves[1 - change], halves[change])
        return self.whole(halves)
