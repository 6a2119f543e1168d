"""How good a model is, on data that it did not see: its accuracy, its samples, its representation.

Each figure is about one split, by default the test split, and needs no framework. Samples are judged by the
nearest-neighbour two-sample test (Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", arXiv 1610.06545):
among equally many samples and held-out observations, how often is the nearest neighbour of the same kind? One half is
as good as the data itself; one is told apart every time. The same figure for training data stands beside it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data import Dataset, load_dataset
from zoo.errors import InputError, MissingDependency
from zoo.model import Model, Progress
from zoo.spaces import Space, Text

Array = npt.NDArray[Any]
Metrics = dict[str, float | int | str]
SAMPLES = 1000  # at most so many samples and observations in a two-sample test
BOUND_SAMPLES = 16

MEANING = {
    "rows": "observations of the split",
    "nats": "mean negative log-likelihood of an observation, in nats (lower is better)",
    "nats_standard_error": "standard error of that mean",
    "bits_per_dim": "the same in bits for each dimension",
    "bits_per_dim_16_samples": f"bits for each dimension by the bound with {BOUND_SAMPLES} samples",
    "nats_16_samples": f"nats by the bound with {BOUND_SAMPLES} samples",
    "bits_per_dim_marginals": "bits for each dimension of a model without dependence, counted on the training data",
    "nats_per_character": "nats for each character, the end of a string counted as one",
    "mean_energy": "mean energy; on a scale of the model's own, so no likelihood",
    "energy_auroc": "how often data has a lower energy than the same data with its dimensions shuffled (0.5 is chance)",
    "accuracy": "share of rows whose most probable class is right",
    "cross_entropy": "mean negative log-probability of the right class, in nats",
    "mean_score": "mean p(real) of held-out data",
    "mean_score_of_samples": "mean p(real) of the model's own samples",
    "two_sample_accuracy": "nearest-neighbour two-sample test, samples against held-out data (0.5 is best)",
    "two_sample_accuracy_of_training_data": "the same for training data in place of samples",
    "labelled_as_asked": "share of conditional samples that the judge gives the class that was asked for",
    "new": "share of samples that are not in the training data",
    "distinct": "share of samples that no other sample equals",
    "linear_probe": "accuracy of a logistic regression on the latents",
    "linear_probe_of_raw_data": "accuracy of a logistic regression on the observations themselves",
    "reconstruction_rmse": "root mean square error of decode(encode(x)), in data units",
}


def evaluate(
    model: Model,
    data: str | Path | Dataset,
    split: str = "test",
    *,
    label: str | None = None,
    judge: Model | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Metrics:
    """All figures that the methods of `model` allow, by name (`MEANING` says what each is).

    `judge` is a classifier of the same data that labels class-conditional samples.
    """
    dataset = data if isinstance(data, Dataset) else load_dataset(data, label=label)
    dataset = dataset.fitted(model.space, model.classes)
    x, y = dataset.split(split)
    result: Metrics = {"split": split, "rows": len(x)}
    parts = {"log_prob": _density, "predict": _prediction, "sample": _samples, "encode": _representation}
    chosen = [function for method, function in parts.items() if method in model.signatures]
    for done, function in enumerate(chosen):
        result |= function(model, dataset, x, y, seed, judge)
        if progress:
            progress(done + 1, len(chosen))
    return result


def given_labels(model: Model, method: str, y: Array | None) -> dict[str, Array]:
    """The labels as a keyword argument where the method takes them."""
    if "label" not in model.signature(method).inputs:
        return {}
    if y is None:
        raise InputError(f"{method} of {model.name} needs a class for each row, and this data has none.")
    return {"label": y}


def _density(model: Model, data: Dataset, x: Array, y: Array | None, seed: int, judge: Model | None) -> Metrics:
    given = given_labels(model, "log_prob", y)
    nats = -model.log_prob(x, seed=seed, **given).astype(np.float64)
    if model.density == "unnormalized":
        columns = [noise.permutation(len(x), seed=seed, stream=f"shuffle/{d}") for d in range(model.space.size)]
        flat = x.reshape(len(x), -1)
        shuffled = np.stack([flat[order, d] for d, order in enumerate(columns)], axis=1).reshape(x.shape)
        other = -model.log_prob(shuffled, seed=seed, **given).astype(np.float64)
        below, up_to = (np.searchsorted(np.sort(other), nats, side) for side in ("left", "right"))  # ties count half
        auroc = 1 - (below + up_to).mean() / 2 / len(x)
        return {"mean_energy": float(nats.mean()), "energy_auroc": float(auroc)}
    result: Metrics = {"nats": float(nats.mean()), "nats_standard_error": float(nats.std() / math.sqrt(len(x)))}
    if isinstance(model.space, Text):
        result["nats_per_character"] = float(nats.sum() / np.minimum((x != 0).sum(1) + 1, x.shape[1]).sum())
        return result
    bits = model.space.size * math.log(2)
    if model.space.discrete:
        result["bits_per_dim"] = float(nats.mean() / bits)
        result["bits_per_dim_marginals"] = marginals(data.train, x, model.space)
    if "samples" in model.signature("log_prob").options:
        tighter = -float(model.log_prob(x, seed=seed, samples=BOUND_SAMPLES, **given).astype(np.float64).mean())
        result["nats_16_samples"] = tighter
        if model.space.discrete:
            result["bits_per_dim_16_samples"] = tighter / bits
    return result


def marginals(train: Array, x: Array, space: Space) -> float:
    """Bits for each dimension of independent levels, counted on `train` with one more of each level."""
    levels = int(getattr(space, "levels", 2))
    a, b = train.reshape(len(train), -1), x.reshape(len(x), -1)
    total = 0.0
    for column, other in zip(a.T, b.T, strict=True):
        p = (np.bincount(column, minlength=levels) + 1) / (len(column) + levels)
        total -= float(np.log2(p[other]).mean())
    return total / a.shape[1]


def _prediction(model: Model, data: Dataset, x: Array, y: Array | None, seed: int, judge: Model | None) -> Metrics:
    p = model.predict(x, seed=seed)
    if p.ndim == 1:  # a discriminator of real and made
        return {"mean_score": float(p.mean())}
    if y is None:
        raise InputError(f"the accuracy of {model.name} needs the classes of the rows; name their column with label=.")
    right = np.take_along_axis(p, y[:, None], 1)[:, 0].astype(np.float64)
    return {
        "accuracy": float((p.argmax(1) == y).mean()),
        "cross_entropy": float(-np.log(np.maximum(right, 1e-30)).mean()),
    }


def _samples(model: Model, data: Dataset, x: Array, y: Array | None, seed: int, judge: Model | None) -> Metrics:
    count = min(SAMPLES, len(x))
    given = given_labels(model, "sample", None if y is None else y[:count])
    if "label" in given:
        samples = model.run("sample", given, seed=seed)["x"]
    else:
        samples = model.sample(count, seed=seed)
    if isinstance(model.space, Text):
        made, seen = model.space.decode(samples), set(model.space.decode(data.train))
        return {
            "new": sum(s not in seen for s in made) / count,
            "distinct": sum(made.count(s) == 1 for s in made) / count,
        }
    train = data.train[noise.permutation(len(data.train), seed=seed, stream="two-sample")[:count]]
    result: Metrics = {
        "two_sample_accuracy": two_sample_accuracy(samples, x[:count]),
        "two_sample_accuracy_of_training_data": two_sample_accuracy(train, x[: len(train)]),
    }
    if "predict" in model.signatures:
        result["mean_score_of_samples"] = float(model.predict(samples, seed=seed).mean())
    if judge is not None and "label" in given:
        result["labelled_as_asked"] = float((judge.predict(samples).argmax(1) == given["label"]).mean())
    return result


def two_sample_accuracy(a: Array, b: Array) -> float:
    """Share of rows whose nearest neighbour, in data units, comes from the same array."""
    neighbours = _sklearn("neighbors")
    rows = np.concatenate([a.reshape(len(a), -1), b.reshape(len(b), -1)]).astype(np.float64)
    kind = np.repeat([0, 1], [len(a), len(b)])
    nearest = neighbours.NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(return_distance=False)[:, 0]
    return float((kind[nearest] == kind).mean())


def _representation(model: Model, data: Dataset, x: Array, y: Array | None, seed: int, judge: Model | None) -> Metrics:
    result: Metrics = {}
    given = given_labels(model, "encode", y)
    z = model.encode(x, seed=seed, **given)
    if "decode" in model.signatures:
        again = model.decode(z, seed=seed, **given_labels(model, "decode", y))
        result["reconstruction_rmse"] = float(np.sqrt(np.mean((again.astype(np.float64) - x) ** 2)))
    if y is not None and not given:  # an encoder that is told the class would only give it back
        train, labels = data.split("train")
        latents = model.encode(train, seed=seed)
        result["linear_probe"] = linear_probe(latents, labels, z, y)
        result["linear_probe_of_raw_data"] = linear_probe(train, labels, x, y)
    return result


def linear_probe(train: Array, labels: Array | None, x: Array, y: Array) -> float:
    """Test accuracy of a logistic regression on standardized features."""
    flat = [a.reshape(len(a), -1).astype(np.float64) for a in (train, x)]
    scale = flat[0].std(0)
    mean, scale = flat[0].mean(0), np.where(scale > 0, scale, 1)
    probe = _sklearn("linear_model").LogisticRegression(max_iter=2000)
    probe.fit((flat[0] - mean) / scale, labels)
    return float(probe.score((flat[1] - mean) / scale, y))


def _sklearn(module: str) -> Any:
    try:
        import importlib

        return importlib.import_module(f"sklearn.{module}")
    except ImportError:
        raise MissingDependency(
            "evaluating samples and latents needs scikit-learn: pip install 'genzoo[evaluate]'"
        ) from None


__all__ = ["MEANING", "evaluate", "linear_probe", "marginals", "two_sample_accuracy"]
