"""Evaluates a model on held-out data: its likelihood, its samples, its predictions, its latents.

Each figure refers to one split, by default the test split, and needs no framework. It is a value with its standard
error and its number of rows. Figures of samples come with the same figure of real data, likelihoods with those of
simple densities that anyone can fit. docs/evaluate.md says which figure detects which fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.data import Inputs
from zoo.data.model_data import load_for
from zoo.errors import InputError
from zoo.evaluation.classes import prediction
from zoo.evaluation.descriptions import meaning
from zoo.evaluation.judge import check_judge, preset_judge
from zoo.evaluation.latents import representation
from zoo.evaluation.likelihood import likelihood
from zoo.evaluation.own_metrics import metric_inputs, own_metrics
from zoo.evaluation.report import Report
from zoo.evaluation.samples import samples
from zoo.evaluation.task import Task
from zoo.evaluation.training_data import SHARE, training_data, with_classes, with_training_rows
from zoo.evaluation.two_sample import classifier_two_sample
from zoo.model import Model, Progress
from zoo.system.memory import available

PARTS = {"log_prob": likelihood, "predict": prediction, "sample": samples, "encode": representation}


def evaluate(
    model: Model,
    data: Any,
    split: str = "test",
    *,
    fresh: int = 0,
    label: str | None = None,
    split_column: str | None = None,
    inputs: Inputs | None = None,
    judge: Model | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """All figures that the methods of `model` allow.

    `label` and `split_column` are columns of `data`: by default those of the training, if the data have them. Inputs of
    methods are found in the data by name, or given as arrays: `inputs={"shift": array}`.
    `fresh` rows are drawn instead of using a split, if the distribution of the data is known. `judge` is a classifier
    of the same data that judges samples; by default a preset trained on data of that name, if there is one. `options`
    are those of `sample`: `{"guidance": 3}`.
    """
    dataset = load_for(model, data, label=label, split=split_column, inputs=inputs)
    names = [*model.conditions, *(metric_inputs(model) & set(dataset.inputs) - set(model.conditions))]
    whole = dataset.keeping(names).fitted(model.space, model.classes, model.categories)
    most = available() // SHARE
    dataset = whole.at_most(most)
    taken = dataset is not whole
    trained, why = training_data(model, data, dataset, most)
    dataset = with_classes(dataset, trained)
    if judge is not None:
        check_judge(judge, dataset)
    elif "sample" in model.signatures:
        judge = preset_judge(dataset)
    if fresh:
        if dataset.law is None:
            raise InputError(f"there are no fresh rows of {dataset.name}: its distribution is unknown. Use a split.")
        (x, y), split, told = dataset.law.sample(fresh, seed), "fresh", {}
    else:
        x, y = dataset.split(split)
        told = {name: dataset.splits[split].take(name) for name in names}
    chosen = dict(options or {})
    report = Report(model.name, dataset.name, split, len(x), seed, judge.name if judge else None, chosen)
    if taken:
        report.remarks.append("Some rows of each split were taken, evenly spread: all would take too much memory.")
    dataset, said = with_training_rows(dataset, trained, why, x)
    task = Task(model, dataset, x, y, report, judge, chosen, told)
    parts = [part for method, part in PARTS.items() if method in model.signatures]
    for done, part in enumerate(parts):
        part(task)
        if progress:
            progress(done + 1, len(parts))
    own_metrics(task)
    report.remarks += [said] if said else []
    return report


__all__ = ["Report", "classifier_two_sample", "evaluate", "meaning"]
