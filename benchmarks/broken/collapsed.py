"""Faults of samplers without a density that have collapsed."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.broken.claims import NOISE, REPEAT, SEEDS
from benchmarks.broken.honest import Gaussian, Walk
from benchmarks.broken.register import sized


@sized("collapsed onto a few points", {1: (SEEDS, REPEAT, NOISE), 10: (REPEAT,), 100: ()}, "{} of them")
class Collapsed(Walk):
    def methods(self):
        def finish(state):
            z = state["z"]
            kind = np.floor(np.abs(z[:, :1]) * 1e4) % self.size
            return Gaussian.decode(self, np.concatenate([kind, -kind], 1).astype(np.float32))

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


@sized("collapsed onto ten points with noise", {0.001: (REPEAT,), 0.3: ()}, "{} standard deviations")
class NearlyCollapsed(Walk):
    def methods(self):
        def finish(state):
            z = state["z"]
            kind = np.floor(np.abs(z[:, :1]) * 1e4) % 10
            return Gaussian.decode(
                self, np.concatenate([kind, -kind], 1).astype(np.float32) + np.float32(self.size) * z
            )

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


@sized("draws on a lattice, without a density", {1.0: (REPEAT,), 0.5: ()}, "of {:g} standard deviations")
class Lattice(Walk):
    def methods(self):
        def finish(state):
            return Gaussian.decode(self, np.float32(self.size) * np.round(state["z"] / np.float32(self.size)))

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}


@sized("samples too narrow, without a density", {1e-4: (REPEAT,), 0.01: ()}, "{:g} of the spread")
class Narrow(Walk):
    def methods(self):
        def finish(state):
            return Gaussian.decode(self, np.float32(self.size) * state["z"])

        return {"sample": dataclasses.replace(super().methods()["sample"], finish=finish)}
