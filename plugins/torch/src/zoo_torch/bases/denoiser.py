"""Base of models that turn noise into images step by step: a U-Net with the time, the class and other inputs, guidance
(Ho, Salimans, "Classifier-Free Diffusion Guidance", arXiv 2207.12598), and a loop over falling noise levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from zoo.diffusion import Level, Levels, extrapolation, step
from zoo.network import INPUTS, Objective, category_inputs, setting, told_tensors
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels
from zoo_torch.layers.unet import UNet
from zoo_torch.layers.units import Pixels
from zoo_torch.network import TorchNetwork

TIMES = 1000  # noise levels in training, after none at time 0


@dataclass(frozen=True)
class Config:
    channels: int = setting(32, "at full size; twice as many at each half of it. Multiples of 16 run fastest")
    depth: int = setting(1, "residual blocks at each size, both down and up")
    sizes: int = setting(3, "full size and its halves, as far as they are whole and no side falls below 4")
    attention: int = setting(0, "attention at sizes of at most so many pixels: 64 is 8x8; 0 for none")
    embedding: int = setting(64, "features of the time")
    drop: float = setting(0.1, "share of training examples without their class, for guidance")
    inputs: tuple[str, ...] = setting((), INPUTS)


class Denoiser(TorchNetwork):
    """A network over images scaled to [-1, 1]; conditional on the class if the data has classes, and on the inputs of
    the setting.

    An architecture defines the noise levels (`alpha`) and the network's prediction: `target` of data and noise, and
    `data` from it.
    """

    Config = Config
    spaces = (Image,)
    takes_inputs = True
    steps: ClassVar[Option] = Option(20, low=1, high=TIMES, help="denoising steps")

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.pixels = Pixels(space)
        self.unet = UNet(space, config.channels, config.depth, config.sizes, config.attention)
        self.width = sum(self.unet.shifts)
        e = config.embedding
        self.time = nn.Sequential(nn.Linear(e, e), nn.SiLU(), nn.Linear(e, self.width))
        # of the class and of each input; the last row: not given
        if classes is not None:
            self.label = self.embedding(len(classes))
        self.inputs = nn.ModuleList(self.embedding(count) for count in category_inputs(config.inputs).values())
        alpha, sigma = self.schedule(torch.arange(TIMES + 1) / TIMES)
        for name, table in (("alpha", alpha), ("sigma", sigma), ("half_log_snr", (alpha / sigma).log())):
            self.register_buffer(name, table, persistent=False)
        self.register_buffer("frequency", torch.exp(torch.linspace(0, 6, e // 2)), persistent=False)

    def embedding(self, count: int) -> nn.Embedding:
        table = nn.Embedding(count + 1, self.width)
        nn.init.normal_(table.weight, std=0.1)
        return table

    @property
    def embeddings(self) -> dict[str, nn.Embedding]:
        """Of the class and of each input, by name."""
        of_class = {} if self.classes is None else {"label": self.label}
        return of_class | dict(zip(category_inputs(self.config.inputs), self.inputs, strict=True))

    @property
    def told(self) -> dict[str, Tensor]:
        """The class and the inputs, as those of methods and losses."""
        return told_tensors({name: self.untold(name) for name in self.embeddings})

    def untold(self, name: str) -> int:
        """The value that stands for none: one more than the last."""
        return self.embeddings[name].num_embeddings - 1

    def shift(self, told: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """The sum (..., S) of the embeddings of classes and inputs (...); None if there are none."""
        shifts = [self.embeddings[name](value) for name, value in told.items()]
        return sum(shifts[1:], shifts[0]) if shifts else None

    def schedule(self, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha and sigma at times from 0 to 1: the scales of the image and of the noise."""
        raise NotImplementedError

    def target(
        self, data: torch.Tensor, epsilon: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """The prediction target for an image and its noise."""
        raise NotImplementedError

    def data(self, y: torch.Tensor, predicted: torch.Tensor, now: Level) -> torch.Tensor:
        """The image in `y` according to the network's prediction."""
        raise NotImplementedError

    def predict(self, y: torch.Tensor, t: torch.Tensor, told_shift: torch.Tensor | None) -> torch.Tensor:
        """The target, predicted from (N, C, H, W) at times (N,) or (1,)."""
        angle = t[:, None].to(torch.float32) / TIMES * self.frequency
        shift = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        return self.unet(y, (shift if told_shift is None else shift + told_shift).expand(y.shape[0], -1))

    # ---- sampling --------------------------------------------------------------------------------------------------

    def init(self, index: torch.Tensor, start: torch.Tensor, **given: torch.Tensor) -> dict[str, torch.Tensor]:
        if not self.told:
            return {"y": start, "image": start}
        pairs = {n: torch.stack([given[n], torch.full_like(given[n], self.untold(n))], 1) for n in self.told}
        # (N, 2, S): with and without the conditions
        return {"y": start, "image": start, "told_shift": self.shift(pairs)}

    def times(self, i: torch.Tensor, steps: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The time of the step before, of this one and of the next, (3,): even, or for order 2 closer together toward
        the end, where they are the power 3/2 of even ones (`benchmarks/solvers.py` has what that gains)."""
        left = steps - i + torch.tensor([1, 0, -1], device=i.device)
        share = left.double() / steps.double()
        closer = (TIMES * share * share.sqrt()).round().long().maximum(left)  # no time occurs twice
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
        told_shift: torch.Tensor | None = None,
        **given: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        y = state["y"]
        levels = Levels(self.alpha, self.sigma, self.half_log_snr)
        times = self.times(i, steps, order).split(1)
        last, now, then = map(levels.at, times)
        if told_shift is None:
            output = self.predict(y, times[1], None)
        else:  # both in one pass of twice the batch
            shifts = told_shift.transpose(0, 1).flatten(0, 1)
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
        if self.told:
            options["guidance"] = Option(1.25, low=0.0, help="0: any class, 1: the class, above: more typical of it")
        sample = Loop(
            length="steps",
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={name: Tensor("float32", self.pixels.shape) for name in ("y", "image")},
            inputs=self.told,
            outputs={"x": self.space.tensor},
            invariants={"told_shift": Tensor("float32", (2, self.width))} if self.told else {},
            init_noise={"start": noise},
            noise={"z": noise},
            options=options,
        )
        return {"sample": sample}

    # ---- training --------------------------------------------------------------------------------------------------

    def denoising(self, x: torch.Tensor, z: torch.Tensor, u: torch.Tensor, **told: torch.Tensor) -> torch.Tensor:
        t = (u[:, 0] * TIMES).floor().to(torch.int64) + 1
        alpha, sigma = (table[t][:, None, None, None] for table in (self.alpha, self.sigma))
        y, dropped = self.pixels(x), u[:, 1] < self.config.drop
        shift = self.shift({name: torch.where(dropped, self.untold(name), value) for name, value in told.items()})
        error = self.predict(alpha * y + sigma * z, t, shift) - self.target(y, z, alpha, sigma)
        return (error**2).flatten(1).mean(1)

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor, **self.told}
        noise = {"z": Noise("normal", self.pixels.shape), "u": Noise("uniform", (2,))}
        return {"denoising": Objective(Call(self.denoising, inputs, {"loss": Tensor("float32")}, noise=noise))}
