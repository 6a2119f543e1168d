"""Flow matching: images along straight paths from noise (Lipman, Chen, Ben-Hamu, Nickel, Le, "Flow Matching for
Generative Modeling", arXiv 2210.02747; Liu, Gong, Liu, "Rectified Flow", arXiv 2209.03003).

On the path x_t = (1 - t) data + t epsilon the network predicts its direction, epsilon - data: in the notation of
`zoo.diffusion`, whose solver takes the steps, alpha is 1 - t and sigma is t. Its order 1 is Euler's method here."""

from __future__ import annotations

import torch

from zoo.diffusion import Level
from zoo.network import Recipe
from zoo.signature import Option
from zoo_torch.bases.denoiser import TIMES, Denoiser


class FlowMatching(Denoiser):
    """Predicts the direction of straight paths from images to noise.

    >>> import zoo
    >>> config = {"channels": 16, "sizes": 2}
    >>> model = zoo.train("flow-matching", "digits", "runs/paths", config=config, epochs=1)
    >>> model.sample(2, seed=7, label=[3, 8], steps=4, order=1).shape  # Euler's method
    (2, 8, 8, 1)
    """

    recipe = Recipe(epochs=150, batch_size=64, learning_rate=2e-3, clip=1.0, ema=0.998)
    steps = Option(10, low=1, high=TIMES, help="steps along the path")

    def schedule(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 1 - time, time

    def target(
        self, data: torch.Tensor, epsilon: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        return epsilon - data

    def data(self, y: torch.Tensor, predicted: torch.Tensor, now: Level) -> torch.Tensor:
        return y - now.sigma * predicted
