"""A flow of affine couplings over real vectors (Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP",
arXiv 1605.08803).

Replace it by a model of your own and keep the shape of this file. Each method is a function of a whole batch and draws
no random numbers: it declares the noise that it consumes, so that an exported model has it too.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Method, Noise, Tensor
from zoo.spaces import Labels, Real, Space
from zoo_torch.network import TorchNetwork


@dataclass(frozen=True)
class Config:
    """What `--set layers=4` sets."""

    layers: int = setting(8, "coupling layers")
    hidden: int = setting(64, "units of each coupling's hidden layers")


class Coupling(nn.Module):
    """Scales and shifts some columns by functions of the others, which stay: so the inverse is as cheap."""

    def __init__(self, stay: torch.Tensor, hidden: int) -> None:
        super().__init__()
        d = len(stay)
        self.register_buffer("stay", stay)  # (D,) 1 for a column that stays, else 0
        self.net = nn.Sequential(nn.Linear(d, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.head = nn.Linear(hidden, 2 * d)

    def scale_shift(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale, shift = self.head(self.net(y * self.stay)).chunk(2, dim=1)
        return 2 * torch.tanh(scale / 2) * (1 - self.stay), shift * (1 - self.stay)  # bounded: exp cannot overflow


class Example(TorchNetwork):
    Config = Config
    spaces = (Real,)  # the sample spaces that it models
    density = "exact"  # what a number from log_prob means
    recipe = Recipe(epochs=20, batch_size=128, learning_rate=3e-3, clip=5.0)  # its training, unless told otherwise

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        odd = (torch.arange(space.size) % 2).float()
        self.couplings = nn.ModuleList(Coupling(odd if i % 2 else 1 - odd, config.hidden) for i in range(config.layers))
        self.register_buffer("mean", torch.zeros(space.size))  # saved with the weights
        self.register_buffer("scale", torch.ones(space.size))

    def adapt(self, x: np.ndarray) -> None:
        """Once, before training. Observations come in and go out raw: their units are the model's own business."""
        self.mean.copy_(torch.from_numpy(x.mean(0)))
        self.scale.copy_(torch.from_numpy(np.where(x.std(0) > 0, x.std(0), 1)))  # a constant column keeps its units

    def to_normal(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) observations -> (N, D) standard normals, (N,) log-determinants."""
        y, log_det = (x - self.mean) / self.scale, -self.scale.log().sum().expand(len(x))
        for coupling in self.couplings:
            scale, shift = coupling.scale_shift(y)
            y, log_det = y * scale.exp() + shift, log_det + scale.sum(1)
        return y, log_det

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.to_normal(x)[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        for coupling in reversed(self.couplings):
            scale, shift = coupling.scale_shift(z)
            z = (z - shift) * (-scale).exp()
        return self.mean + self.scale * z

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """(N,) nats of raw observations."""
        z, log_det = self.to_normal(x)
        return log_det - 0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

    def nll(self, x: torch.Tensor) -> torch.Tensor:
        return -self.log_prob(x)

    def methods(self) -> dict[str, Method]:
        """What the model can do: the function, then what it takes, gives, and the noise of one example."""
        x, z = self.space.tensor, Tensor("float32", self.space.shape)
        return {
            "sample": Call(self.decode, outputs={"x": x}, noise={"z": Noise("normal", z.shape)}),
            "log_prob": Call(self.log_prob, inputs={"x": x}, outputs={"log_prob": Tensor("float32")}),
            "encode": Call(self.encode, inputs={"x": x}, outputs={"z": z}),
            "decode": Call(self.decode, inputs={"z": z}, outputs={"x": x}),
        }

    def objectives(self) -> dict[str, Objective]:
        """What training minimizes; the first is also what validation measures."""
        loss = Call(self.nll, inputs={"x": self.space.tensor}, outputs={"loss": Tensor("float32")})
        return {"nll": Objective(loss)}
