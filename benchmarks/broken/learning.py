"""Faults that show when a model is trained."""

from __future__ import annotations

import numpy as np

from benchmarks.broken.claims import TRAINS
from benchmarks.broken.honest import SCALAR, Gaussian, Plain
from benchmarks.broken.register import broken
from zoo.network import Objective
from zoo.signature import Call


@broken("an update that raises", TRAINS)
class UpdateRaises(Plain):
    def update(self, objective, inputs, noise, learning_rate):
        self.mean += learning_rate * inputs["x"].mean(1)  # the wrong axis


@broken("an update that makes the loss infinite", TRAINS)
class UpdateDiverges(Plain):
    def update(self, objective, inputs, noise, learning_rate):
        self.mean = np.full_like(self.mean, 1e30)


@broken("a loss that asks data for what only a method has", TRAINS)
class AsksForLatents(Plain):
    def objectives(self):
        x, z = {"x": self.space.tensor}, {"z": self.space.tensor}
        return {"nll": Objective(Call(lambda x, z: -Gaussian.log_prob(self, x), x | z, {"loss": SCALAR}))}
