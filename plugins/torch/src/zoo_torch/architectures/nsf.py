"""Neural spline flow: a flow of coupling layers that are monotonic rational-quadratic splines (Durkan, Bekasov, Murray,
Papamakarios, "Neural Spline Flows", arXiv 1906.04032)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from zoo.network import Recipe, setting
from zoo_torch.bases.coupling_flow import Coupling, CouplingFlow
from zoo_torch.layers.splines import MIN_DERIVATIVE, spline


@dataclass(frozen=True)
class Config:
    layers: int = setting(4, "coupling layers")
    hidden: int = setting(32, "units of each coupling's hidden layers")
    bins: int = setting(8, "pieces of a spline")
    bound: float = setting(5.0, "the identity beyond it, in standard deviations of a column")


class Spline(Coupling):
    """A spline with `bins` pieces between -bound and bound for each dimension, the identity outside."""

    def __init__(self, kept: int, changed: int, config: Any) -> None:
        self.bins, self.bound, self.parameters = config.bins, config.bound, 3 * config.bins - 1
        super().__init__(kept, changed, config)
        self.unit_slope = math.log(math.expm1(1 - MIN_DERIVATIVE))  # softplus of it, and the least slope: one

    def spline(self, half: torch.Tensor, kept: torch.Tensor, inverse: bool) -> tuple[torch.Tensor, torch.Tensor]:
        values = self.conditioner(kept).reshape(*half.shape, self.parameters)
        widths, heights, slopes = values.split([self.bins, self.bins, self.bins - 1], -1)
        return spline(half, widths, heights, slopes + self.unit_slope, inverse, tail_bound=self.bound)

    def forward(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.spline(half, kept, inverse=False)

    def inverse(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.spline(half, kept, inverse=True)


class NSF(CouplingFlow):
    """Couplings that are splines, whose knots are networks of the half that stays.

    >>> import zoo
    >>> model = zoo.train("nsf", "moons", "runs/spline", config={"layers": 2, "bins": 4}, epochs=1)
    >>> z = model.encode([[0.0, 0.5]])
    >>> model.decode(z).round(3)
    array([[0. , 0.5]], dtype=float32)
    """

    Config = Config
    coupling = Spline
    recipe = Recipe(epochs=200, batch_size=256, learning_rate=5e-3, weight_decay=1e-5, clip=5.0, ema=0.995, patience=40)
