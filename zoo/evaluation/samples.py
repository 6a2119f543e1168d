"""How well samples match the data: a few figures, each blind to something that another one detects."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.columns import Table
from zoo.estimate import Estimate
from zoo.evaluation import judge as judging
from zoo.evaluation.coverage import density_and_coverage, spread
from zoo.evaluation.estimates import clearly_positive, mean, share
from zoo.evaluation.memorization import nearer_than_held_out, nearer_to_training
from zoo.evaluation.tables import table_figures
from zoo.evaluation.task import Task
from zoo.evaluation.two_sample import classifier_two_sample
from zoo.evaluation.vectors import Matrix, vectorizer
from zoo.model import Model

Array = npt.NDArray[Any]
SAMPLES = 1000  # samples and held-out rows, at most
NEIGHBORS = 10_000  # held-out rows as possible neighbors of a sample, at most
LEAST = 25  # rows required
COLLAPSED = 0.5  # of the spread of data, below which there is a remark
ALWAYS = 0.95  # two-sample accuracy above which there is a remark


def samples(task: Task) -> None:
    """Draw samples, as many as there are held-out rows, and compare the two.

    A conditional model draws the classes of training rows: with those of the held-out rows themselves, samples would
    match them better than real data does. Other inputs are those of the held-out rows.
    """
    count, given = min(SAMPLES, len(task.x)), {}
    inputs = task.model.signature("sample").inputs
    if told := {name: values[:count] for name, values in task.told.items() if name in inputs}:
        given = told if task.y is None or "label" not in inputs else {**told, "label": task.y[:count]}
    elif task.labels("sample"):
        train_y = task.some_training(count)[1]
        assert train_y is not None
        given = {"label": np.resize(train_y, count)}
    if isinstance(task.model.space, Table) and not given:
        table_figures(task, task.model.space)
    rows = {} if given else {"count": count}
    made = task.model.run("sample", given, seed=task.seed, **rows, **task.options)["x"]
    compare(task, made, given.get("label"))
    draws = task.model.signature("sample").draws
    if set(draws) - set(task.options):
        words = " ".join(f"{name}={value}" for name, value in draws.items())
        task.report.remarks.append(f"Its samples are means, which are more typical than draws ({words}).")
    if "predict" in task.model.signatures:  # a discriminator
        told = task.given("predict")  # of the held-out rows, as for samples
        scores = [
            mean(task.model.predict(x, seed=task.seed, **{name: values[: len(x)] for name, values in told.items()}))
            for x in (made, task.x)
        ]
        task.report.figures["mean_score"] = scores[0].beside(scores[1])


def compare(task: Task, made: Array, labels: Array | None = None) -> None:
    """The figures of samples `made`, drawn for the classes `labels` if given."""
    count = min(len(made), len(task.x))
    smallest = min(count, len(task.data.train), len(task.other[0]))
    if smallest < LEAST:
        rows = f"{smallest} rows are" if smallest > 1 else "One row is"
        task.report.remarks.append(f"{rows} too few to compare samples with; expected at least {LEAST} of each split.")
        return
    if not np.isfinite(made).all():
        bad = int((~np.isfinite(made).reshape(len(made), -1).all(1)).sum())
        task.report.remarks.append(f"{bad:,} of {len(made):,} samples are not finite: samples are not compared.")
        return
    made, x, labels = made[:count], task.x[:count], None if labels is None else labels[:count]
    train, train_y = task.some_training(count)
    _two_sample(task, made, x, train, labels, train_y)
    _copies(task, made, train)
    compare_neighbors(task, made)
    if task.judge is not None:
        _judged(task, task.judge, made, x, labels)
    elif task.data.classes is not None:
        task.report.remarks.append("Without a classifier of these data nothing is said of classes: --judge NAME.")


def _two_sample(task: Task, made: Array, x: Array, train: Array, labels: Array | None, train_y: Array | None) -> None:
    """Real against real is the training data against the held-out rows."""
    space, pairs, real_pairs = task.model.space, None, None
    if labels is not None and task.y is not None and train_y is not None:
        pairs, real_pairs = (labels, task.y[: len(x)]), (train_y, task.y[: len(train)])
    figure = classifier_two_sample(space, made, x, pairs, seed=task.seed)
    real = classifier_two_sample(space, train, x[: len(train)], real_pairs, seed=task.seed)
    task.report.figures["c2st_accuracy"] = figure.beside(real)
    if figure.value > ALWAYS:
        task.report.remarks.append(
            f"Its samples are told from data nearly every time: {figure} (real data from other real data: {real})."
        )


def _copies(task: Task, made: Array, train: Array) -> None:
    """Whether equal rows are more frequent than in the data."""
    seen = set(_keys(task.data.train))
    copied = [share(np.array([key in seen for key in _keys(x)])) for x in (made, task.x)]
    distinct = [_distinct(x) for x in (made, train)]
    task.report.figures["copies"] = copied[0].beside(copied[1])
    task.report.figures["distinct"] = distinct[0].beside(distinct[1])


def _keys(x: Array) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(x)]


def _distinct(x: Array) -> Estimate:
    keys = _keys(x)
    counts = Counter(keys)
    return share(np.array([counts[key] == 1 for key in keys]))


def compare_neighbors(task: Task, made: Array) -> None:
    """Memorization, density and coverage in data units. Real rows are the rest of the split."""
    vectors, figures = vectorizer(task.model.space, task.data.train), task.report.figures
    other = task.other[0][: len(made)]
    held_out, sampled, real = vectors(task.x[:NEIGHBORS]), vectors(made), vectors(other)
    if task.report.split != "train":
        train = vectors(task.some_training(len(task.data.train))[0])
        found, control = (nearer_to_training(rows, train, held_out) for rows in (sampled, real))
        figures["nearer_to_training"] = found.beside(control)
        nearer = nearer_than_held_out(train, held_out[: len(made)])
        figures["nearer_than_held_out"] = nearer(sampled).beside(nearer(real))
    apart = spread(sampled, held_out).beside(spread(real, held_out))
    if math.isnan(apart.value):
        task.report.remarks.append("All rows are equal, so nothing is said of the spread of samples.")
    else:
        figures["spread"] = apart
    if clearly_positive(replace(apart, value=COLLAPSED - apart.value)):
        task.report.remarks.append(
            f"Its samples are much more like each other than data are: their distances are {apart} of those of data."
        )
    equal = min(len(made), len(other))  # density and coverage depend on how many rows there are
    figures |= _covered("", held_out[:equal], sampled[:equal], real)


def _covered(suffix: str, held_out: Matrix, sampled: Matrix, real: Matrix) -> dict[str, Estimate]:
    """Density and coverage of samples, next to those of as many real rows."""
    ours, theirs = (density_and_coverage(held_out, rows) for rows in (sampled, real))
    names = f"density{suffix}", f"coverage{suffix}"
    return {name: a.beside(b) for name, a, b in zip(names, ours, theirs, strict=True)}


def _judged(task: Task, judge: Model, made: Array, x: Array, labels: Array | None) -> None:
    """In the features of a classifier. It has seen the training rows, so real rows are the rest of the split."""
    report, figures = task.report, task.report.figures
    equal = min(len(made), len(task.other[0]))
    rows = made[:equal], task.other[0][:equal], x[:equal]
    sampled, real, held_out = (judging.log_odds(judge, part) for part in rows)
    figures |= _covered("_in_classes", held_out, sampled, real)
    distance, least = (judging.frechet_distance(part, held_out) for part in (sampled, real))
    figures["frechet_distance"] = distance.beside(least)
    difference, least = (judging.class_difference(judge, part, rows[2]) for part in rows[:2])
    figures["class_difference"] = difference.beside(least)
    report.histogram.update(judging.class_shares(judge, made, task.x))
    if labels is not None and task.y is not None:
        asked = share(judge.predict(made).argmax(1) == labels)
        right = share(judge.predict(task.x).argmax(1) == task.y)
        figures["labelled_as_asked"] = asked.beside(right)
        if clearly_positive(replace(asked, value=asked.value - right.value)):
            report.remarks.append(
                "Its samples have the class that was asked for more often than data has its own: they are more typical "
                "than data. What that costs shows in c2st_accuracy and coverage."
            )
