"""EBM: an energy network sampled by Langevin steps (Du, Mordatch, "Implicit Generation and Modeling with Energy Based
Models", arXiv 1903.08689; Foster, *Generative Deep Learning*, 2nd ed., ch. 7), trained on short runs from noise
(Nijkamp, Hill, Zhu, Wu, "Learning Non-Convergent Non-Persistent Short-Run MCMC Toward Energy-Based Model", arXiv
1904.09770)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels, Real, Space
from zoo_torch.layers.gradient import gradient
from zoo_torch.layers.units import Pixels, Standardize
from zoo_torch.network import TorchNetwork

SCALAR = Tensor("float32", ())
WIDTH = 2.0  # of the normal density that the network reweighs
MAX_MOVE = 0.1  # of a dimension in one step: where the energy is steep, a step would leap over the valley


@dataclass(frozen=True)
class Config:
    channels: int = setting(16, "of images at full size; each halving doubles them. Multiples of 16 run fastest")
    hidden: int = setting(128, "units of the dense layers")
    steps: int = setting(30, "of Langevin dynamics, in training and by default in sampling")
    step_size: float = setting(0.02, "of the first of them; it falls to zero")
    penalty: float = setting(3e-4, "on squared energies: their level is arbitrary, and this keeps it near zero")
    blur: float = setting(0.03, "normal noise on the data")


class Energy(nn.Module):
    """(N, C, H, W) or (N, D) -> (N,): a network plus the energy of a broad normal, so that the integral is finite."""

    def __init__(self, space: Space, config: Config) -> None:
        super().__init__()
        c, h = config.channels, config.hidden
        if isinstance(space, Image):
            layers: list[nn.Module] = [nn.Conv2d(space.channels, c, 3, padding=1), nn.SiLU()]
            layers += [nn.Conv2d(c, c, 3, padding=1), nn.SiLU()]
            height, width = space.height, space.width
            while not (height % 2 or width % 2) and height * width > 16:
                layers += [nn.AvgPool2d(2), nn.Conv2d(c, 2 * c, 3, padding=1), nn.SiLU()]
                height, width, c = height // 2, width // 2, 2 * c
            layers += [nn.Flatten(), nn.Linear(c * height * width, h), nn.SiLU(), nn.Linear(h, 1)]
        else:
            layers = [nn.Linear(space.size, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU()]
            layers += [nn.Linear(h, 1)]
        self.net = nn.Sequential(*layers)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.net(y).squeeze(1) + (y * y).flatten(1).sum(1) * (0.5 / WIDTH**2)


class EBM(TorchNetwork):
    """p(x) is proportional to exp(-energy(x)) over images scaled to [-1, 1], or standardized real vectors.

    >>> import zoo
    >>> model = zoo.train("ebm", "moons", "runs/energy", epochs=1)
    >>> model.log_prob([[0.0, 0.5], [9.0, 9.0]]).argmax()  # up to a constant
    np.int64(0)
    """

    Config = Config
    spaces = (Real, Image)
    density = "unnormalized"
    recipe = Recipe(epochs=100, learning_rate=2e-3, betas=(0.5, 0.999), clip=1.0, ema=0.99)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.energy = Energy(space, config)
        self.image = isinstance(space, Image)
        self.units = Pixels(space) if isinstance(space, Image) else Standardize(space)
        self.shape = self.units.shape if isinstance(space, Image) else space.shape

    def adapt(self, x: np.ndarray) -> None:
        if not self.image:
            self.units.adapt(x)

    def to_units(self, x: torch.Tensor) -> torch.Tensor:
        """Observations -> (N, C, H, W) in [-1, 1], or (N, D) standardized."""
        return self.units(x) if self.image else self.units(x)[0]

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return -self.energy(self.to_units(x))

    # ---- Langevin dynamics -----------------------------------------------------------------------------------------

    def init(self, index: torch.Tensor, start: torch.Tensor, **options: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": 2 * start - 1 if self.image else WIDTH * start}

    def step(
        self,
        i: torch.Tensor,
        state: dict[str, torch.Tensor],
        z: torch.Tensor,
        steps: torch.Tensor,
        step_size: torch.Tensor,
        temperature: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        y, size = (
            state["y"],
            step_size * (1 - i / steps) ** 2,
        )  # the last steps are small, and so is the noise they leave
        move = (size * gradient(self.energy, y)).clamp(-MAX_MOVE, MAX_MOVE)
        return {"y": y - move + (2 * size * temperature).sqrt() * z}

    def finish(self, state: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.units.inverse(state["y"])

    def methods(self) -> dict[str, Method]:
        x, y, config = self.space.tensor, Tensor("float32", self.shape), self.config
        sample = Loop(
            length="steps",
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={"y": y},
            outputs={"x": x},
            init_noise={"start": self.start},
            noise={"z": Noise("normal", self.shape)},
            options={
                "steps": Option(config.steps, low=1, help="Langevin steps"),
                "step_size": Option(config.step_size, low=0.0, help="of the first step; falls to zero"),
                "temperature": Option(1.0, low=0.0, help="0: go downhill without noise"),
            },
        )
        return {"sample": sample, "log_prob": Call(self.log_prob, inputs={"x": x}, outputs={"log_prob": SCALAR})}

    # ---- training --------------------------------------------------------------------------------------------------

    @property
    def start(self) -> Noise:
        return Noise("uniform" if self.image else "normal", self.shape)

    def contrast(self, x: torch.Tensor, blur: torch.Tensor, start: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Energy of data less that of samples: its gradient is that of the log-likelihood."""
        size, temperature = (torch.tensor(v, device=start.device) for v in (self.config.step_size, 1.0))
        state, steps = self.init(x, start), torch.tensor(self.config.steps)
        for i, fresh in enumerate(z.unbind(1)):
            state = self.step(torch.tensor(i), state, fresh, steps, size, temperature)
        y = self.to_units(x) + self.config.blur * blur
        real, fake = self.energy(torch.cat([y, state["y"].detach()])).chunk(2)
        return real - fake + self.config.penalty * (real**2 + fake**2)

    def objectives(self) -> dict[str, Objective]:
        noise = {"blur": Noise("normal", self.shape), "start": self.start}
        noise["z"] = Noise("normal", (self.config.steps, *self.shape))
        return {"contrast": Objective(Call(self.contrast, {"x": self.space.tensor}, {"loss": SCALAR}, noise=noise))}
