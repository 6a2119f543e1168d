"""What the second-order solver gains: ddpm.digits by DPM-Solver++ (order 2) against DDIM (order 1) in as many steps,
from the same noise. The ratio is of each sample's distance from what 1000 steps of DDIM make of that noise, so of the
solvers' own errors: the equation is the same. Distances are root mean squares over pixels between -1 and 1 (thousandths
in place of ms). Notes have, order 2 before order 1, that of all samples, the two-sample test against the test split
(0.5 is best), and the share that cnn.digits labels as asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import zoo
from benchmarks.timing import Row, pairs_of
from zoo.eager import EagerModel
from zoo.evaluation import two_sample_accuracy
from zoo.signature import Signature

STEPS = (5, 10, 15, 20, 25, 50)


def rows() -> Iterator[Row]:
    model, judge = with_floats(zoo.load("ddpm.digits")), zoo.open("cnn.digits", device="cpu")
    x, label = zoo.load_dataset("digits").split("test")

    def sample(steps: int, order: int) -> dict[str, np.ndarray]:
        return model.run("sample", {"label": label}, seed=0, steps=steps, order=order)

    exact = sample(1000, 1)
    for steps in STEPS:
        yield row_of(f"{steps} steps", [sample(steps, 2), sample(steps, 1)], exact, x, label, judge)


def with_floats(model: EagerModel) -> EagerModel:
    """The model with one output more: `y`, its samples before they are rounded to levels."""
    loop = model.methods["sample"]
    model.methods["sample"] = replace(
        loop,
        finish=lambda state: {"x": loop.finish(state), "y": state["y"]},
        outputs={**loop.outputs, "y": loop.state["y"]},
    )
    model.signatures["sample"] = Signature.of(model.methods["sample"])
    return model


def row_of(what: str, made: list[dict[str, np.ndarray]], exact, x: np.ndarray, label: np.ndarray, judge) -> Row:
    squares = [((one["y"] - exact["y"]) ** 2).reshape(len(x), -1).mean(1) for one in made]
    figures = {
        "of all": [np.sqrt(square.mean()) for square in squares],
        "two-sample test": [two_sample_accuracy(one["x"], x) for one in made],
        "labelled as asked": [(judge.predict(one["x"]).argmax(1) == label).mean() for one in made],
    }
    note = "; ".join(f"{name} " + ", ".join(f"{value:.4f}" for value in values) for name, values in figures.items())
    return pairs_of(f"ddpm.digits, {what}", len(x), "DDIM", *np.sqrt(squares), note=note)
