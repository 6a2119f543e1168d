"""Faults of options."""

from __future__ import annotations

import numpy as np

from benchmarks.broken.claims import GUIDANCE, OPTIONS, TEMPERATURE
from benchmarks.broken.honest import Guided, Mixture
from benchmarks.broken.register import broken


@broken("temperature does nothing", OPTIONS)
class NoTemperature(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, np.float32(1), guidance)


@broken("temperature acts on some dimensions alone", size="one of two")
class HalfTemperature(Guided):
    def sample(self, z, label, temperature, guidance):
        one = np.stack([temperature, np.ones_like(temperature)], -1)
        return super().sample(z, label, one, guidance)


@broken("a higher temperature narrows samples", TEMPERATURE)
class Reversed(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, 1 / np.maximum(temperature, np.float32(1e-3)), guidance)


@broken("guidance does nothing", OPTIONS)
class NoGuidance(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, temperature, np.float32(1))


@broken("more guidance is less of the class", GUIDANCE)
class LessOfTheClass(Guided):
    def sample(self, z, label, temperature, guidance):
        return super().sample(z, label, temperature, np.exp(-guidance))


@broken("more samples of a bound do nothing", OPTIONS)
class OneSample(Mixture):
    def log_prob(self, x, causes, samples):
        return super().log_prob(x, causes[:, :1], samples)
