"""Whether samples repeat the training data: two questions, because each has answers that only the other explains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.estimate import Estimate
from zoo.evaluation.estimates import below, share
from zoo.evaluation.vectors import Matrix, nearest


def nearer_to_training(samples: Matrix, train: Matrix, held_out: Matrix) -> Estimate:
    """How often a sample's nearest neighbor in `train` is nearer than that in as many `held_out` rows.

    One half where nothing is memorized, however good the samples are: both sets come from one law. Above it are copies
    and near copies. Samples with one neighbor depend on each other, and the error knows.
    """
    rows = min(train.shape[0], held_out.shape[0])
    (to_train, a), (to_held_out, b) = nearest(samples, train[:rows]), nearest(samples, held_out[:rows])
    hits = np.where(to_train == to_held_out, 0.5, to_train < to_held_out)
    return share(hits, np.where(to_train <= to_held_out, a, rows + b))


def nearer_than_held_out(train: Matrix, held_out: Matrix) -> Callable[[Matrix], Estimate]:
    """Of samples, how often one is nearer to the training rows than a held-out row is (Meehan, Chaudhuri and Dasgupta,
    "A non-parametric test to detect data-copying in generative models", arXiv 2004.05675).

    One half for samples of the data's law. Above it are copies, of any small part of all training rows, but also
    samples that keep to the middle of the data; below it are samples that lie farther out than data does.
    """
    distances = nearest(held_out, train)[0]
    return lambda samples: below(nearest(samples, train)[0], distances)
