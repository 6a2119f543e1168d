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
        signal = (angle.cos() / angle[0].cos()).clamp(1e-3, 1.0)
        self.register_buffer("signal", signal, persistent=False)  # (T + 1,): what is left of an image at time t
        self.register_buffer("noise", (1 - signal**2).sqrt(), persistent=False)
        self.register_buffer("half_log_snr", (self.signal / self.noise).log(), persistent=False)  # infinite at time 0
        self.register_buffer("frequency", torch.exp(torch.linspace(0, 6, e // 2)), persistent=False)

    def velocity(self, y: torch.Tensor, t: torch.Tensor, label_shift: torch.Tensor | None) -> torch.Tensor:
        """signal * noise - noise * image, estimated from (N, C, H, W) at times (N,) or (1,)."""
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
        times = self.times(i, steps, order)
        _, now, then = times.split(1)
        a, b, a2, b2 = (table.index_select(0, t) for t in (now, then) for table in (self.signal, self.noise))
        if label_shift is None:
            v = self.velocity(y, now, None)
        else:  # both in one pass of twice the batch
            both = self.velocity(torch.cat([y, y]), now, label_shift.transpose(0, 1).flatten(0, 1)).reshape(2, *y.shape)
            v = both[1] + guidance * (both[0] - both[1])
        estimate = (a * y - b * v).clamp(-1, 1)
        # what the estimate will be half way to the next time, on the line through the last one. There is no line in the
        # first step, and no half way in the last, which leads to no noise at all
        l0, l1, l2 = self.half_log_snr.index_select(0, times).split(1)
        slope = torch.where((order > 1) & (l1 > l0) & (l2 < torch.inf), (l2 - l1) / (2 * (l1 - l0)), 0.0)
        image = estimate + slope * (estimate - state["image"])
        noise = (y - a * image) / b
        fresh = eta * b2 / b * (1 - (a / a2) ** 2).clamp(min=0).sqrt()
        return {"y": a2 * image + (b2**2 - fresh**2).clamp(min=0).sqrt() * noise + fresh * z, "image": estimate}

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
        a, b = (table[t][:, None, None, None] for table in (self.signal, self.noise))
        y, shift = self.pixels(x), None
        if label is not None:
            shift = self.label(torch.where(u[:, 1] < self.config.drop, len(self.classes or ()), label))
        error = self.velocity(a * y + b * z, t, shift) - (a * z - b * y)
        return (error**2).flatten(1).mean(1)

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor} | ({} if self.classes is None else {"label": Tensor("int64")})
        noise = {"z": Noise("normal", self.pixels.shape), "u": Noise("uniform", (2,))}
        return {"denoising": Objective(Call(self.denoising, inputs, {"loss": Tensor("float32")}, noise=noise))}
