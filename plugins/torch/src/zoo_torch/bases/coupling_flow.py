"""Base of flows of coupling layers: two halves of the dimensions that change in turns."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from zoo.spaces import Labels, Space
from zoo_torch.bases.flow import Flow


class Coupling(nn.Module):
    """Transforms one half of the dimensions by functions of the other half, so both directions are one pass.

    The conditioner computes `parameters` numbers for each dimension that changes: (N, parameters * changed), initially
    zeros. A subclass maps them to a transform, which is then the identity.
    """

    parameters: int

    def __init__(self, kept: int, changed: int, config: Any) -> None:
        super().__init__()
        hidden = config.hidden
        self.conditioner = nn.Sequential(
            nn.Linear(kept, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, self.parameters * changed),
        )
        nn.init.zeros_(self.conditioner[-1].weight)
        nn.init.zeros_(self.conditioner[-1].bias)

    def forward(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The transformed half (N, changed), and the logs of its derivatives (N, changed): their sum over dimensions
        is the log-determinant."""
        raise NotImplementedError

    def inverse(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The half that `forward` transforms to this one, and the logs of the derivatives of this direction."""
        raise NotImplementedError


class CouplingFlow(Flow):
    """Couplings with alternating halves: even and odd dimensions, which are concatenated in the latent.

    An architecture names its `coupling`; its config has `layers` and what the coupling reads.
    """

    coupling: ClassVar[type[Coupling]]

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dim = space.size
        self.widths = [-(-self.dim // 2), max(self.dim // 2, 1)]
        # the half that a layer changes: odd, even, odd, ...; of one dimension always the even, the other is a zero
        self.changes = [0 if i % 2 or self.dim == 1 else 1 for i in range(config.layers)]
        self.couplings = nn.ModuleList(self.coupling(self.widths[1 - c], self.widths[c], config) for c in self.changes)

    def padded(self, y: torch.Tensor, width: int) -> torch.Tensor:
        return F.pad(y, (0, width - y.shape[1])) if y.shape[1] < width else y

    def to_normal(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        even, odd = self.widths
        pairs = self.padded(y, 2 * even).reshape(-1, even, 2).split(1, 2)  # runtimes transpose slowly
        halves = [pairs[0].flatten(1), pairs[1].flatten(1)[:, :odd]]
        slopes = [y.new_zeros(y.shape[0], width) for width in self.widths]
        for change, coupling in zip(self.changes, self.couplings, strict=True):
            halves[change], slope = coupling(halves[change], halves[1 - change])
            slopes[change] = slopes[change] + slope
        return torch.cat(halves, 1)[:, : self.dim], torch.cat(slopes, 1).sum(1)

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        even, odd = self.widths
        halves = list(self.padded(z, even + odd).split(self.widths, 1))
        for change, coupling in zip(reversed(self.changes), reversed(self.couplings), strict=True):
            halves[change], _ = coupling.inverse(halves[change], halves[1 - change])
        halves[1] = self.padded(halves[1], even)
        return torch.stack(halves, 2).flatten(1)[:, : self.dim]
