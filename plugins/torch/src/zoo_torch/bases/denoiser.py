"""What models share that turn noise into images step by step: a U-Net that knows the time and the class, guidance (Ho,
Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598), and a loop over falling noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from zoo.diffusion import Level, Levels, extrapolation, step
from zoo.network import Objective, setting
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels
from zoo_torch.layers.unet import UNet
from zoo_torch.layers.units import Pixels
from zoo_torch.network import TorchNetwork

TIMES = 1000  # noise levels in training, after none at time 0


@dataclass(frozen=True)
class Config:
    channels: int = setting(32, "at full size; twice as many at each half of it. Multiples of 16 run fastest")
    depth: int = setting(1, "residual blocks at each size, on the way down and on the way up")
    sizes: int = setting(3, "full size and its halves, as far as they are whole and no side falls below 4")
    attention: int = setting(0, "sizes of at most so many places have attention: 64 is 8x8; 0 for none")
    embedding: int = setting(64, "features of the time")
    drop: float = setting(0.1, "share of training examples without their class: what guidance compares with")


class Denoiser(TorchNetwork):
    """A network over images scaled to [-1, 1]; conditional on the class where the data has classes.

    An architecture gives the noise levels (`alpha`), and what the network predicts: `target` of data and noise, and
    `data` from it.
    """

    Config = Config
    spaces = (Image,)
    steps: ClassVar[Option] = Option(20, low=1, high=TIMES, help="denoising steps")

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.pixels = Pixels(space)
        self.unet = UNet(space, config.channels, config.depth, config.sizes, config.attention)
        self.width = sum(self.unet.shifts)
        e = config.embedding
        self.time = nn.Sequential(nn.Linear(e, e), nn.SiLU(), nn.Linear(e, self.width))
        if classes is not None:
            self.label = nn.Embedding(len(classes) + 1, self.width)  # the last row: no class
            nn.init.normal_(self.label.weight, std=0.1)
        alpha, sigma = self.schedule(torch.arange(TIMES + 1) / TIMES)
        for name, table in (("alpha", alpha), ("sigma", sigma), ("half_log_snr", (alpha / sigma).log())):
            self.register_buffer(name, table, persistent=False)
        self.register_buffer("frequency", torch.exp(torch.linspace(0, 6, e // 2)), persistent=False)

    def schedule(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha and sigma at times from 0 to 1: what is left of the image, and the deviation of the noise."""
        raise NotImplementedError

    def target(
        self, data: torch.Tensor, epsilon: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """What the network predicts of an image and its noise."""
        raise NotImplementedError

    def data(self, y: torch.Tensor, predicted: torch.Tensor, now: Level) -> torch.Tensor:
        """The image in `y` according to what the network predicted."""
        raise NotImplementedError

    def predict(self, y: torch.Tensor, t: torch.Tensor, label_shift: torch.Tensor | None) -> torch.Tensor:
        """The target, predicted from (N, C, H, W) at times (N,) or (1,)."""
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
        """The time of the step before, of this one and of the next, (3,): even, or for order 2 closer together toward
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
            output = self.predict(y, times[1], None)
        else:  # both in one pass of twice the batch
            shifts = label_shift.transpose(0, 1).flatten(0, 1)
            both = self.predict(torch.cat([y, y]), times[1], shifts).reshape(2, *y.shape)
            output = both[1] + guidance * (both[0] - both[1])
        predicted = self.data(y, output, now).clamp(-1, 1)
        image = predicted + extrapolation(order, last, now, then) * (predicted - state["image"])
        return {"y": step(image, now.epsilon(y, image), z, now, then, eta), "image": predicted}

    def finish(self, state: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.pixels.inverse(state["y"])

    def methods(self) -> dict[str, Method]:
        noise = Noise("normal", self.pixels.shape)
        options = {
            "steps": self.steps,
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
        error = self.predict(alpha * y + sigma * z, t, shift) - self.target(y, z, alpha, sigma)
        return (error**2).flatten(1).mean(1)

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor} | ({} if self.classes is None else {"label": Tensor("int64")})
        noise = {"z": Noise("normal", self.pixels.shape), "u": Noise("uniform", (2,))}
        return {"denoising": Objective(Call(self.denoising, inputs, {"loss": Tensor("float32")}, noise=noise))}
