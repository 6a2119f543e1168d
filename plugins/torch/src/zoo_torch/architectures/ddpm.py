"""DDPM: images by denoising (Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", arXiv 2006.11239).

Sampled in few steps (Song, Meng, Ermon, "Denoising Diffusion Implicit Models", arXiv 2010.02502), or in fewer (Lu,
Zhou, Bao, Chen, Li, Zhu, "DPM-Solver++", arXiv 2211.01095). Cosine schedule: Nichol, Dhariwal, arXiv 2102.09672; the
network predicts the velocity of Salimans, Ho, arXiv 2202.00512."""

from __future__ import annotations

import math

import torch

from zoo.diffusion import Level
from zoo.network import Recipe
from zoo_torch.bases.denoiser import Denoiser


class DDPM(Denoiser):
    """Predicts the velocity of noised images.

    >>> import zoo
    >>> config = {"channels": 16, "sizes": 2}
    >>> model = zoo.train("ddpm", "digits", "runs/ddpm", config=config, epochs=1)
    >>> model.sample(2, seed=7, label=[3, 8], steps=5).shape
    (2, 8, 8, 1)
    """

    recipe = Recipe(epochs=150, batch_size=64, learning_rate=2e-3, clip=1.0, ema=0.998)

    def schedule(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angle = (time + 0.008) / 1.008 * math.pi / 2
        alpha = (angle.cos() / angle[0].cos()).clamp(1e-3, 1.0)
        return alpha, (1 - alpha**2).sqrt()

    def target(
        self, data: torch.Tensor, epsilon: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        return alpha * epsilon - sigma * data

    def data(self, y: torch.Tensor, predicted: torch.Tensor, now: Level) -> torch.Tensor:
        return now.alpha * y - now.sigma * predicted
