"""Faults of samplers that do not follow their density."""

from __future__ import annotations

import math

import numpy as np

import zoo
from benchmarks.broken.claims import DECODES, SAMPLES
from benchmarks.broken.honest import Gaussian, LongTable, Modes, Plain, Table
from benchmarks.broken.register import broken, sized


@sized("samples too wide", {0.1: (SAMPLES,), 0.02: (SAMPLES,), 0.005: ()}, "{:.1%}")
class Warm(Plain):
    def sample(self, z):
        return super().sample(np.float32(1 + self.size) * z)


@sized("samples too wide in twelve dimensions", {0.1: (SAMPLES, DECODES), 0.002: (DECODES,)}, "{:.1%}")
class WarmFlow(Gaussian):
    """Nothing but the flow's own transform tells."""

    on = zoo.Real(12)

    def sample(self, z):
        return super().sample(np.float32(1 + self.size) * z)


@sized("samples of a plain density too wide in six dimensions", {0.05: (SAMPLES,), 0.03: ()}, "{:.1%}")
class WarmInSix(Warm):
    on = zoo.Real(6)


@sized("samples of a plain density too wide in twelve dimensions, where there is no power", {0.1: ()}, "{:.1%}")
class WarmInTwelve(Warm):
    on = zoo.Real(12)


@sized("samples of another correlation", {0.4: (SAMPLES,), 0.05: (SAMPLES,), 0.005: ()}, "{}")
class OtherCorrelation(Plain):
    def sample(self, z):
        along = np.float32(math.sqrt(1 - self.size**2)) * z[:, 1] + np.float32(self.size) * z[:, 0]
        return super().sample(np.stack([z[:, 0], along], 1))


@sized("samples of another correlation in three dimensions", {0.6: (SAMPLES,), 0.1: (SAMPLES,), 0.02: ()}, "{}")
class Tilted(Plain):
    on = zoo.Real(3)

    def sample(self, z):
        along = np.float32(math.sqrt(1 - self.size**2)) * z[:, 2] + np.float32(self.size) * z[:, 0]
        return super().sample(np.stack([z[:, 0], z[:, 1], along], axis=1))


@sized("a mode that is never drawn", {0.01: (SAMPLES,), 0.001: (SAMPLES,), 0.0001: ()}, "{:.2%} of the mass")
class NeverDrawn(Modes):
    def log_prob(self, x):
        self.rare = self.size
        return super().log_prob(x)

    def sample(self, z, u):
        return Gaussian.decode(self, np.where(u[:, None] < 0.5, z, -z))  # what `u` is for is not drawn


@sized(
    "a mode in three dimensions that is never drawn",
    {0.03: (SAMPLES,), 0.01: (SAMPLES,), 0.001: ()},
    "{:.1%} of the mass",
)
class NeverDrawnInThree(NeverDrawn):
    on = zoo.Real(3)


@sized("one mode is drawn too often", {0.06: (SAMPLES,), 0.002: ()}, "{:.1%} of the mass")
class OneSided(Modes):
    rare, apart = 0.5, 4.0

    def is_rare(self, u):
        return u < self.rare - self.size


@broken("draws as if the dimension before were always at its lowest level", SAMPLES)
class OtherOrder(Table):
    def draw(self, i, x, u):
        return super().draw(i, x * 0, u)


@broken("the same in nine dimensions", SAMPLES)
class OtherOrderInNine(LongTable):
    def draw(self, i, x, u):
        return super().draw(i, x * 0, u)


@sized("unlikely levels are never drawn", {0.1: (SAMPLES,), 0.02: (SAMPLES,), 0.0003: ()}, "below {:g}")
class OnlyLikely(LongTable):
    def reset(self, random):
        p = random.uniform(0.2, 1, self.p.shape)
        p[:, :, 0] = self.size / 2
        p[:, :, 1:] *= (1 - self.size / 2) / p[:, :, 1:].sum(2, keepdims=True)
        self.p = p.astype("float32")

    def draw(self, i, x, u):
        return np.maximum(super().draw(i, x, u), 1)
