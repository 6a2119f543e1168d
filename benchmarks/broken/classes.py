"""Faults of one class among several."""

from __future__ import annotations

import numpy as np

from benchmarks.broken.claims import CLASS_USED, DECODES, INTEGRAL, INVERSE, SAMPLES
from benchmarks.broken.honest import Classes, PlainClasses
from benchmarks.broken.register import broken, sized


@broken("two classes alike", CLASS_USED)
class TwoClassesAlike(PlainClasses):
    def reset(self, random):
        super().reset(random)
        self.shift[2] = self.shift[1]


@broken("the class is ignored", CLASS_USED)
class IgnoresTheClass(PlainClasses):
    def reset(self, random):
        pass


def in_class_one(label, value):
    return np.float32(value) * (label == 1)


@sized("density too high in one class alone", {0.05: (INTEGRAL,), 0.002: ()}, "{} nats")
class DenserInOneClass(PlainClasses):
    def log_prob(self, x, label):
        return super().log_prob(x, label) + in_class_one(label, self.size)


@sized("samples too wide in one class alone", {0.1: (SAMPLES,), 0.03: (SAMPLES,), 0.002: ()}, "{:.1%}")
class WiderInOneClass(PlainClasses):
    def sample(self, z, label):
        return super().sample(z * (1 + in_class_one(label, self.size))[:, None], label)


@broken("decode does not undo encode in one class alone", INVERSE, DECODES, size="1.0%")
class NotBackInOneClass(Classes):
    def decode(self, z, label):
        return super().decode(z * (1 + in_class_one(label, 0.01))[:, None], label)
