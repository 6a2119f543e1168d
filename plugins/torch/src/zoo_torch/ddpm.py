"""DDPM: images by denoising (Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", arXiv 2006.11239).

Sampled in few steps (Song, Meng, Ermon, "Denoising Diffusion Implicit Models", arXiv 2010.02502), or in fewer (Lu,
Zhou, Bao, Chen, Li, Zhu, "DPM-Solver++", arXiv 2211.01095), steered to a class by guidance (Ho, Salimans,
"Classifier-Free Diffusion Guidance", arXiv 2207.12598). Cosine schedule: Nichol, Dhariwal, arXiv 2102.09672; the
network predicts the velocity of Salimans, Ho, arXiv 2202.00512."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from zoo.diffusion import Levels, extrapolation, step
from zoo.network import Objective, Recipe
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels
from zoo_torch.network import TorchNetwork
from zoo_torch.unet import UNet
from zoo_torch.units import Pixels

TIMES = 1000  # noise levels in training


@dataclass(frozen=True)
class Config:
    channels: int = 32  # at full size; twice as many at half size. Multiples of 16 run fastest
    embedding: int = 64
    drop: float = 0.1  # share of training examples without their class: what guidance compares with


class DDPM(TorchNetwork):
    """A denoiser of images scaled to [-1, 1]; conditional on the class where the data has classes."""

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=150, batch_size=64, learning_rate=2e-3, clip=1.0, ema=0.998)

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.pixels = Pixels(space)
        self.unet = UNet(space, config.channels)
        self.width = sum(self.unet.shifts)
        e = config.embedding
        self.time = nn.Sequential(nn.Linear(e, e), nn.SiLU(), nn.Linear(e, self.width))
        if classes is not None:
            self.label = nn.Embedding(len(classes) + 1, self.width)  # the last row: no class
            nn.init.normal_(self.label.weight, std=0.1)
        angle = (torch.arange(TIMES + 1) / TIMES + 0.008) / 1.008 * math.pi / 2
        alpha = (angle.cos() / angle[0].cos()).clamp(1e-3, 1.0)  # (T + 1,)
        sigma = (1 - alpha**2).sqrt()
        for name, table in (("alpha", alpha), ("sigma", sigma), ("half_log_snr", (alpha / sigma).log())):
            self.register_buffer(name, table, persistent=False)
        self.register_buffer("frequency", torch.exp(torch.linspace(0, 6, e // 2)), persistent=False)

    def velocity(self, y: torch.Tensor, t: torch.Tensor, label_shift: torch.Tensor | None) -> torch.Tensor:
        """alpha * epsilon - sigma * image, predicted from (N, C, H, W) at times (N,) or (1,)."""
        angle = t[:, None].to(torch.float32) / TIMES * self.frequency
        shift = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        return self.unet(y, (shift if label_shift is None else shift + label_shift).expand(y.shape[0], -1))

    # ---- sampling --------------------------------------------------------------------------------------------------

    def init(
        self, index: torch.Tensor, start: torch.Tensor, label: torch.Tensor | None = None, **options: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        if label is None:
            return {"y": start, "image": start}
        pair = torch.stack([label, torch.full_like(label, len(self.classes or ()))], 1)
        # (N, 2, S): with the class and without
        return {"y": start, "image": start, "label_shift": self.label(pair)}

    def times(self, i: torch.Tensor, steps: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The time of the step before, of this one and of the next, (3,): even, or for order 2 closer together towards
        the end, where they are the power 3/2 of even ones (`benchmarks/solvers.py` has what that gains)."""
        left = steps - i + torch.tensor([1, 0, -1], device=i.device)
        share = left.double() / steps.double()
        closer = (TIMES * share * share.sqrt()).round().long().maximum(left)  # never one time twice
        return torch.where(order > 1, closer, left * TIMES // steps).clamp(max=TIMES)

    def step(
        self,
        i: torch.Tensor,
        state: dict[str, torch.Tensor],
        z: torch.Tensor,
        steps: torch.Tensor,
        eta: torch.Tensor,
        order: torch.Tensor,
        guidance: torch.Tensor | None = None,
        label_shift: torch.Tensor | None = None,
        **given: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        y = state["y"]
        levels = Levels(self.alpha, self.sigma, self.half_log_snr)
        times = self.times(i, steps, order).split(1)
        last, now, then = map(levels.at, times)
        if label_shift is None:
            v = self.velocity(y, times[1], None)
        else:  # both in one pass of twice the batch
            shifts = label_shift.transpose(0, 1).flatten(0, 1)
            both = self.velocity(torch.cat([y, y]), times[1], shifts).reshape(2, *y.shape)
            v = both[1] + guidance * (both[0] - both[1])
        predicted = (now.alpha * y - now.sigma * v).clamp(-1, 1)
        image = predicted + extrapolation(order, last, now, then) * (predicted - state["image"])
        return {"y": step(image, now.epsilon(y, image), z, now, then, eta), "image": predicted}

    def finish(self, state: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.pixels.inverse(state["y"])

    def methods(self) -> dict[str, Method]:
        noise = Noise("normal", self.pixels.shape)
        options = {
            "steps": Option(20, low=1, high=TIMES, help="denoising steps"),
            "order": Option(
                2, low=1, high=2, help="of the solver: 1 DDIM, 2 DPM-Solver++ (15 steps are as exact as 50)"
            ),
            "eta": Option(0.0, low=0.0, high=1.0, help="fresh noise in each step: 0 none, 1 as much as DDPM"),
        }
        if self.classes is not None:
            options["guidance"] = Option(1.25, low=0.0, help="0: any class, 1: the class, above: more typical of it")
        sample = Loop(
            length="steps",
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={name: Tensor("float32", self.pixels.shape) for name in ("y", "image")},
            inputs={} if self.classes is None else {"label": Tensor("int64")},
            outputs={"x": self.space.tensor},
            invariants={} if self.classes is None else {"label_shift": Tensor("float32", (2, self.width))},
            init_noise={"start": noise},
            noise={"z": noise},
            options=options,
        )
        return {"sample": sample}

    # ---- training --------------------------------------------------------------------------------------------------

    def denoising(
        self, x: torch.Tensor, z: torch.Tensor, u: torch.Tensor, label: torch.Tensor | None = None
    ) -> torch.Tensor:
        t = (u[:, 0] * TIMES).floor().to(torch.int64) + 1
        alpha, sigma = (table[t][:, None, None, None] for table in (self.alpha, self.sigma))
        y, shift = self.pixels(x), None
        if label is not None:
            shift = self.label(torch.where(u[:, 1] < self.config.drop, len(self.classes or ()), label))
        error = self.velocity(alpha * y + sigma * z, t, shift) - (alpha * z - sigma * y)
        return (error**2).flatten(1).mean(1)

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor} | ({} if self.classes is None else {"label": Tensor("int64")})
        noise = {"z": Noise("normal", self.pixels.shape), "u": Noise("uniform", (2,))}
        return {"denoising": Objective(Call(self.denoising, inputs, {"loss": Tensor("float32")}, noise=noise))}
