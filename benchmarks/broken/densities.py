"""Faults of densities and bounds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

import zoo
from benchmarks.broken.claims import BOUND, EXACT, INTEGRAL, SAMPLES
from benchmarks.broken.honest import Mixture, Plain, Table
from benchmarks.broken.register import broken, sized
from zoo.signature import Noise


@sized("noise in an exact density, declared", {0.1: (EXACT, INTEGRAL), 0.001: (EXACT,)}, "{} nats")
class NoisyDensity(Plain):
    def log_prob(self, x, e):
        return super().log_prob(x) + np.float32(self.size) * e

    def methods(self):
        methods = super().methods()
        return {**methods, "log_prob": dataclasses.replace(methods["log_prob"], noise={"e": Noise("normal")})}


@sized("noise in an exact density, made of the observation", {0.1: (EXACT,), 0.02: (EXACT,), 0.003: ()}, "{} nats")
class HashedNoise(Plain):
    def log_prob(self, x):
        bits = x.view(np.uint32).astype(np.uint64)
        u = (bits.sum(1) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)) / 2.0**24  # far from the next one's
        return (super().log_prob(x) + self.size * math.sqrt(12) * (u - 0.5)).astype(np.float32)


@sized("each probability of a discrete density too high", {0.01: (INTEGRAL,), 0.0001: ()}, "{} nats a dimension")
class OffByAConstant(Table):
    def conditionals(self, x):
        return super().conditionals(x) + np.float32(self.size)


@sized("density too high", {0.05: (INTEGRAL,), 0.005: (INTEGRAL,), 0.002: ()}, "{} nats")
class Denser(Plain):
    def log_prob(self, x):
        return super().log_prob(x) + np.float32(self.size)


@sized("density in three dimensions too high", {0.05: (INTEGRAL,), 0.005: ()}, "{} nats")
class DenserInThree(Denser):
    on = zoo.Real(3)


@sized("density in twelve dimensions too high, where there is no power", {0.05: ()}, "{} nats")
class DenserInTwelve(Denser):
    on = zoo.Real(12)


FLOORS = {-10: (INTEGRAL,), -100: (INTEGRAL,), -1e5: (INTEGRAL,), -1e10: ()}


@sized("improper: log_prob is bounded from below", FLOORS, "at {:g}")
class Floor(Plain):
    on = zoo.Real(3)

    def log_prob(self, x):
        return np.maximum(super().log_prob(x), np.float32(self.size))


@sized("improper: flat in one dimension of six", {6: (INTEGRAL,)}, "")
class Flat(Plain):
    on = zoo.Real(6)

    def log_prob(self, x):
        return super().log_prob(np.concatenate([x[:, :5], 0 * x[:, 5:] + self.mean[5:]], 1))


@broken("a bound that does not divide by the number of samples", INTEGRAL)
class TooHigh(Mixture):
    """Right with one."""

    def bound(self, log_p, samples):
        return np.log(np.exp(log_p).sum(1))


@broken("a bound that is the mean of its samples: no tighter with more", INTEGRAL, SAMPLES)
class MeanOfBounds(Mixture):
    def bound(self, log_p, samples):
        return log_p.mean(1)


@broken("a bound that is looser with more samples", BOUND, size="1 nat")
class LooserWithMore(Mixture):
    def bound(self, log_p, samples):
        return super().bound(log_p, samples) - (1 if 1 < samples <= 16 else 0)
