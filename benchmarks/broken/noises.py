"""Faults of the noise that a method declares."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.broken.claims import DECODES, NOISE, SAMPLES
from benchmarks.broken.honest import Gaussian, Plain, Table, Walk
from benchmarks.broken.register import broken, sized
from zoo.signature import Noise


@broken("noise that is multiplied by zero", NOISE)
class Multiplied(Plain):
    def sample(self, z, e):
        return super().sample(z + 0 * e)

    def methods(self):
        methods = super().methods()
        more = {**methods["sample"].noise, "e": Noise("normal", self.space.shape)}
        return {**methods, "sample": dataclasses.replace(methods["sample"], noise=more)}


@broken("the initial noise again in each step, declared noise unused", NOISE)
class InitialNoise(Walk):
    def step(self, i, state, e):
        return super().step(i, state, state["first"])


@broken("the initial noise again in each step, where none is declared for steps", size="every step")
class InitialNoiseUnseen(Walk):
    """To the suite it is a sampler like another: all of its randomness may be in where it starts."""

    def step(self, i, state):
        return super().step(i, state, state["first"])

    def methods(self):
        return {"sample": dataclasses.replace(super().methods()["sample"], noise={})}


@broken("one step's noise again in all later ones", NOISE, SAMPLES)
class SameNoise(Table):
    def step(self, i, state, u):
        kept = u if i == 0 else state["u"]
        return {**super().step(i, state, kept), "u": kept}


def cut(z, at):
    return z.clip(-at, at)


def cut_softly(z, at):
    """What lies too far out is drawn nearer, so that nothing looks cut."""
    return np.where(np.abs(z) > at, z / np.float32(2), z)


@sized(
    "noise is cut",
    {3.0: (NOISE, SAMPLES), 3.5: (NOISE, SAMPLES), 4.5: (NOISE,), 5.0: ()},
    "at {} standard deviations",
)
class Cut(Plain):
    def sample(self, z):
        return super().sample(cut(z, self.size))


@sized(
    "what lies too far out is drawn anew",
    {3.0: (SAMPLES,), 3.5: (SAMPLES,), 4.0: ()},
    "beyond {} standard deviations",
)
class CutSoftly(Plain):
    def sample(self, z):
        return super().sample(cut_softly(z, self.size))


@sized(
    "noise of a sampler without a density is cut", {3.0: (NOISE,), 4.5: (NOISE,), 5.0: ()}, "at {} standard deviations"
)
class CutWithoutDensity(Walk):
    def init(self, index, start):
        return super().init(index, start)

    def step(self, i, state, e):
        return super().step(i, state, cut(e, self.size))


@sized(
    "tails of a flow's sampler are drawn anew",
    {3.0: (DECODES, SAMPLES), 4.0: (DECODES,), 5.7: ()},
    "beyond {} standard deviations",
)
class CutFlow(Gaussian):
    def sample(self, z):
        return super().sample(cut_softly(z, self.size))
