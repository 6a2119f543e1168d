"""Faults that show when a model is trained."""

from __future__ import annotations

import numpy as np

import zoo
from benchmarks.broken.claims import INTEGRAL, NOISE, OUTPUTS, REACHES, TRAINS, UPDATES
from benchmarks.broken.honest import SCALAR, Clusters, FlowMatching, Gaussian, Pixels, Plain
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


@broken("an update that sets the means to zero", UPDATES)
class ZeroMeans(Clusters):
    def update(self, objective, inputs, noise, learning_rate):
        super().update(objective, inputs, noise, learning_rate)
        self.means[...] = 0


@broken("responsibilities that sum to two", INTEGRAL, NOISE)
class TwiceResponsible(Clusters):
    def responsibilities(self, x):
        return 2 * super().responsibilities(x)


@broken("an update that makes the loss rise", UPDATES)
class Rises(Clusters):
    def update(self, objective, inputs, noise, learning_rate):
        super().update(objective, inputs, noise, learning_rate)
        self.variances *= np.float32(3)


@broken("a reverse ODE that runs the wrong way", REACHES)
class WrongWay(FlowMatching):
    def step(self, i, state, label):
        return {"y": 2 * state["y"] - super().step(i, state, label)["y"]}


@broken("raises without classes", OUTPUTS, TRAINS)
class NeedsClasses(Plain):
    told, scope = None, "outputs"

    def center(self, label=None):
        return self.mean + np.zeros(len(self.classes), "float32")[0]


@broken("raises for color images", OUTPUTS, TRAINS)
class GrayAlone(Pixels):
    on, scope = zoo.Image(6, 5, 3, levels=5), "outputs"

    def rows(self, x):
        return x.reshape(len(x), self.space.height * self.space.width).astype(np.int64)
