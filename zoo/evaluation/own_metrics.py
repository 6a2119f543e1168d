"""Figures that an architecture brings itself (`Network.metrics`): means over the rows that are evaluated."""

from __future__ import annotations

import inspect

from zoo.eager import EagerModel
from zoo.errors import PluginError
from zoo.evaluation.estimates import mean
from zoo.evaluation.task import Task
from zoo.model import Model


def metric_inputs(model: Model) -> set[str]:
    """What the metrics of a model are told of each row, other than observations and classes."""
    if not isinstance(model, EagerModel):
        return set()
    return {name for metric in model.network.metrics().values() for name in metric.inputs} - {"x", "label"}


def own_metrics(task: Task) -> None:
    """Those of the network; of an artifact there are none, for it holds methods alone."""
    if not isinstance(task.model, EagerModel):
        return
    metrics, report = task.model.network.metrics(), task.report
    if not metrics:
        return
    model = task.model.with_methods(metrics)
    known = {"x": task.x, **({} if task.y is None else {"label": task.y}), **task.told}
    for name, metric in metrics.items():
        if lacking := [given for given in metric.inputs if given not in known]:
            report.remarks.append(f"{name} needs {', '.join(lacking)} of each row, and {report.data} has none.")
            continue
        inputs = {given: known[given] for given in metric.inputs}
        for output, values in model.run(name, inputs, seed=task.seed).items():
            figure = name if len(metric.outputs) == 1 else f"{name}.{output}"
            if figure in report.figures or values.ndim != 1:
                why = "one of genzoo's" if figure in report.figures else f"of shape {values.shape[1:]} for each row"
                raise PluginError(
                    f"the metric {figure} of {model.name} is {why}; expected another name and one number."
                )
            report.figures[figure] = mean(values)
            report.meanings[figure] = (inspect.getdoc(metric.function) or "").partition("\n")[0]
