"""Whether samples repeat the training data, by two tests, because each alone is ambiguous."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.estimate import Estimate
from zoo.evaluation.estimates import below, share
from zoo.evaluation.vectors import Matrix, nearest


def nearer_to_training(samples: Matrix, train: Matrix, held_out: Matrix) -> Estimate:
    """How often a sample's nearest neighbor in `train` is nearer than that in as many `held_out` rows.

    One half if nothing is memorized, however good the samples are: both sets have the same distribution. Copies and
    near copies raise it. Samples that share a neighbor are dependent, and the error accounts for that.
    """
    rows = min(train.shape[0], held_out.shape[0])
    (to_train, a), (to_held_out, b) = nearest(samples, train[:rows]), nearest(samples, held_out[:rows])
    hits = np.where(to_train == to_held_out, 0.5, to_train < to_held_out)
    return share(hits, np.where(to_train <= to_held_out, a, rows + b))


def nearer_than_held_out(train: Matrix, held_out: Matrix) -> Callable[[Matrix], Estimate]:
    """How often a sample is nearer to the training rows than a held-out row is (Meehan, Chaudhuri and Dasgupta, "A
    non-parametric test to detect data-copying in generative models", arXiv 2004.05675).

    One half for samples from the distribution of the data. It is raised by copies, even of a few training rows, but
    also by samples that keep to the center of the data; samples farther out than data lower it.
    """
    distances = nearest(held_out, train)[0]
    return lambda samples: below(nearest(samples, train)[0], distances)
