"""Faults of autoregressive order, changes of variables and decoders."""

from __future__ import annotations

import math

import numpy as np
from array_api_compat import array_namespace

import zoo
from benchmarks.broken.claims import CAUSAL, DECODES, INVERSE, LATENTS, NOISE, VARIABLES
from benchmarks.broken.honest import Gaussian, Generator, Table
from benchmarks.broken.noises import cut
from benchmarks.broken.register import broken, sized
from zoo.signature import Noise


@broken("terms of later dimensions", CAUSAL)
class Backwards(Table):
    def log_prob(self, x):
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each[:, ::-1]}


@broken("a step draws the dimension before it once more", CAUSAL)
class Redraws(Table):
    """From the right probabilities: of the first two, the joint stays what it was because nothing depends on the
    first."""

    noises = {"u": Noise("uniform"), "v": Noise("uniform")}

    def reset(self, random):
        super().reset(random)
        self.p[1] = self.p[1, :1]  # x_1 does not depend on x_0

    def step(self, i, state, u, v):
        state = super().step(i, state, u)
        x = state["x"]
        if i <= 1:
            x[:, 0] = np.where(v < 0.5, self.draw(0, x, 2 * v), x[:, 0])
        return {**state, "x": x}


@sized("decode does not quite undo encode", {0.01: (INVERSE, DECODES), 1e-5: ()}, "{:.3%}")
class NotQuiteBack(Gaussian):
    def decode(self, z):
        return super().decode(z * np.float32(1 + self.size))


@broken("no determinant in log_prob, in 16 dimensions", VARIABLES)
class NoDeterminant(Gaussian):
    """No sum over the space would tell."""

    on = zoo.Real(16)

    def log_prob(self, x):
        z = self.encode(x)
        return -0.5 * array_namespace(z).sum(z**2, axis=1) - 0.5 * self.space.width * math.log(2 * math.pi)


@sized(
    "a flow's decoder saturates",
    {3.5: (INVERSE, DECODES), 5.0: (INVERSE, DECODES), 5.7: ()},
    "beyond {} standard deviations",
)
class SaturatedFlow(Gaussian):
    def decode(self, z):
        return super().decode(cut(z, self.size))


@sized(
    "a decoder without an encoder saturates",
    {3.5: (LATENTS, NOISE), 4.5: (LATENTS, NOISE), 5.0: ()},
    "beyond {} standard deviations",
)
class SaturatedDecoder(Generator):
    def decode(self, z):
        return super().decode(cut(z, self.size))

    def sample(self, z):
        return self.decode(z)
