"""Faults of what a model declares, keeps and exports."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmarks.broken.claims import CHECKPOINT, DECLARED, EXPORT, GRADIENT, INPUTS, OUTPUTS, STATES
from benchmarks.broken.honest import Classifier, Plain, Table, Walk
from benchmarks.broken.register import broken
from zoo.signature import Call, Tensor


@broken("a state of a loop of another shape than is declared", STATES)
class OtherState(Walk):
    def methods(self):
        sample = super().methods()["sample"]
        state = {**sample.state, "z": Tensor("float32", (3,))}
        return {"sample": dataclasses.replace(sample, state=state)}


@broken("a method that the spec does not declare", DECLARED)
class Undeclared(Table):
    def methods(self):
        x = {"x": self.space.tensor}
        extra = Call(lambda x: x.astype(np.float32), x, {"z": Tensor("float32", self.space.shape)})
        return {**super().methods(), "encode": extra}


@broken("log_prob in double precision", OUTPUTS)
class DoublePrecision(Plain):
    def log_prob(self, x):
        return super().log_prob(x) * np.float64(1)


@broken("predicts the same for everything", INPUTS)
class Constant(Classifier):
    """Though its loss looks at the data."""

    def methods(self):
        y = Tensor("float32", (len(self.classes),))
        return {"predict": Call(lambda x: self.logits(0 * x).softmax(1), {"x": self.space.tensor}, {"y": y})}


@broken("a weight that no loss trains", GRADIENT)
class Idle(Classifier):
    def __init__(self, space, config, classes=None):
        super().__init__(space, config, classes)
        self.idle = torch.nn.Linear(2, 2)


@broken("keeps what it learned where no checkpoint looks", CHECKPOINT)
class Forgets(Plain):
    def adapt(self, x):
        super().adapt(x)
        self._offset = np.float32(x.mean())

    def center(self, label=None):
        return super().center(label) + getattr(self, "_offset", 0)


@broken("takes another way when it is traced", EXPORT)
class OtherwiseInTheGraph(Plain):
    def sample(self, z):
        return super().sample(z if isinstance(z, np.ndarray) else 0.5 * z)


@broken("predicts the wrong class", size="every row")
class WrongClass(Classifier):
    def methods(self):
        y, x = {"y": Tensor("float32", (len(self.classes),))}, {"x": self.space.tensor}
        return {"predict": Call(lambda x: self.logits(x).softmax(1).roll(1, 1), x, y)}
