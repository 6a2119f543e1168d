"""Faults of rows that are not functions of their seed, number and inputs alone."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.broken.claims import CHUNKS, FAR, GLOBAL, NOISE, ROWS, SEEDS
from benchmarks.broken.honest import Classifier, Gaussian, PlainClasses, Started, Unmeasured
from benchmarks.broken.register import broken, sized
from zoo import noise
from zoo.signature import Noise


@broken("batch normalization in training mode", ROWS)
class BatchStatistics(Classifier):
    def logits(self, x):
        y = self.linear(x)
        return y - y.mean(0, keepdim=True)


@broken("all rows have the class of the first", ROWS)
class ClassOfTheFirst(PlainClasses):
    def log_prob(self, x, label):
        return super().log_prob(x, 0 * label + label[:1])


@broken("adds up over the rows before", ROWS)
class RunningSum(Classifier):
    def logits(self, x):
        return super().logits(x).cumsum(0)


@sized("centers each batch that is large enough", {16: (ROWS,), 256: (ROWS,), 4000: ()}, "{} rows")
class LargeBatches(Classifier):
    def logits(self, x):
        y = self.linear(x)
        return y - 0.1 * y.mean(0, keepdim=True) if len(y) >= self.size else y


@broken("which half a row comes from depends on its place in the batch", ROWS, CHUNKS)
class PlaceInBatch(Started):
    def init(self, index, z):
        return {"x": Gaussian.decode(self, z * np.where(np.arange(len(index)) % 2, 1, -1)[:, None].astype("float32"))}


@broken("draws the same rows whatever the seed", SEEDS, NOISE, FAR)
class OneSeed(Unmeasured):
    def init(self, index, z):
        return super().init(index, noise.draw(Noise("normal", (2,)), index, seed=0, stream="own"))


@sized("rows from 25,000 on are shifted", {0.2: (FAR,), 0.02: ()}, "{} standard deviations")
class FarOut(Unmeasured):
    def init(self, index, z):
        return super().init(index, z + np.float32(self.size) * (index[:, None] >= 25_000))


@sized(
    "some rows far out are shifted by one standard deviation",
    {"25,000 to 30,000": (FAR,), "5e5 to 6e5": ()},
    "{}",
)
class FarStretch(Unmeasured):
    def init(self, index, z):
        low, high = {"25,000 to 30,000": (25_000, 30_000), "5e5 to 6e5": (5e5, 6e5)}[self.size]
        return super().init(index, z + np.float32((index[:, None] >= low) & (index[:, None] < high)))


@broken("rows repeat after 25,000", FAR, NOISE, SEEDS)
class Repeats(Unmeasured):
    def init(self, index, z):
        return super().init(index, noise.draw(Noise("normal", (2,)), index % 25_000, seed=0, stream="own") + 0 * z)


@broken("draws a number that it does not use", GLOBAL)
class ThrowsDice(Gaussian):
    def decode(self, z, label=None):
        np.random.random()
        return super().decode(z, label)


@broken("draws a number of the framework that it does not use", GLOBAL)
class ThrowsTorchDice(Classifier):
    def logits(self, x):
        torch.rand(())
        return super().logits(x)
