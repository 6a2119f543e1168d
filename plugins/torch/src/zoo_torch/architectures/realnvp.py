"""RealNVP: a flow of affine coupling layers (Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP",
arXiv 1605.08803; Foster, *Generative Deep Learning*, 2nd ed., ch. 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoo.network import Recipe, setting
from zoo_torch.bases.coupling_flow import Coupling, CouplingFlow


@dataclass(frozen=True)
class Config:
    layers: int = setting(8, "coupling layers")
    hidden: int = setting(64, "units of each coupling's hidden layers")


class Affine(Coupling):
    """Scales and shifts. The log-scale is bounded: a factor of at most e^2."""

    parameters = 2

    def forward(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.conditioner(kept).chunk(2, dim=1)
        log_scale = 2 * torch.tanh(scale)
        return half * log_scale.exp() + shift, log_scale

    def inverse(self, half: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.conditioner(kept).chunk(2, dim=1)
        log_scale = -2 * torch.tanh(scale)
        return (half - shift) * log_scale.exp(), log_scale


class RealNVP(CouplingFlow):
    """Affine couplings, whose scales and shifts are networks of the half that stays.

    >>> import zoo
    >>> model = zoo.train("realnvp", "moons", "runs/moons", epochs=1)
    >>> model.sample(3, seed=7).shape
    (3, 2)
    >>> model.log_prob([[0.0, 0.5], [9.0, 9.0]]).argmax()  # nats: the first point is among the moons
    np.int64(0)
    """

    Config = Config
    coupling = Affine
    recipe = Recipe(epochs=100, batch_size=128, learning_rate=2e-3, weight_decay=1e-5, clip=5.0, patience=20)
