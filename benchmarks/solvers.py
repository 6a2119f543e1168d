"""What the second-order solver gains: ddpm.digits by DPM-Solver++ (order 2) against DDIM (order 1) at even times, in as
many steps, from the same noise. ddpm's order 2 walks down at times closer together toward the end, the power 3/2 of
even ones: what that does alone, and the solver alone, has rows of its own. The ratio is of each sample's distance from
what 1000 steps of DDIM make of that noise, so of the solvers' own errors: the equation is the same. Distances are root
mean squares over pixels between -1 and 1. Notes have, before those of DDIM, that of all samples, how often a random
forest tells them from the test split (0.5 is best), and the share that cnn.digits labels as asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

import zoo
from benchmarks.timing import Row, pairs_of
from zoo.eager import EagerModel
from zoo.evaluation import classifier_two_sample
from zoo.signature import Signature

STEPS = (5, 10, 15, 20, 25, 50)
EVEN, CLOSER = 1, 2  # times: the order whose they are
VARIANTS = {
    "order 2, times of power 3/2": (2, CLOSER),
    "order 2, even times": (2, EVEN),
    "order 1, times of power 3/2": (1, CLOSER),
}


def rows(steps: Sequence[int] = STEPS, many: int = 1000, count: int | None = None) -> Iterator[Row]:
    model, judge = with_floats(zoo.load("ddpm.digits")), zoo.open("cnn.digits", device="cpu")
    x, label = (values[:count] for values in zoo.load_dataset("digits").split("test"))
    own = model.network.times

    def sample(n: int, order: int, times: int) -> dict[str, np.ndarray]:
        model.network.times = lambda i, steps, order: own(i, steps, torch.full_like(order, times))
        return model.run("sample", {"label": label}, seed=0, steps=n, order=order)

    exact = sample(many, 1, EVEN)
    for n in steps:
        plain = sample(n, 1, EVEN)
        for variant, (order, times) in VARIANTS.items():
            made = [sample(n, order, times), plain]
            yield row_of(f"ddpm.digits, {n} steps, {variant}", made, exact, x, label, judge)


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
        "two-sample test": [classifier_two_sample(judge.space, one["x"], x).value for one in made],
        "labeled as asked": [(judge.predict(one["x"]).argmax(1) == label).mean() for one in made],
    }
    note = "; ".join(f"{name} " + ", ".join(f"{value:.4f}" for value in values) for name, values in figures.items())
    return pairs_of(what, len(x), "DDIM", *np.sqrt(squares), unit="RMS", note=note)
