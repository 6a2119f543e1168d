"""How to train: a recipe's values and what they may be, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from zoo.errors import InputError
from zoo.network import Recipe, parse_config

WARMUP = 0.02  # share of the steps in which the learning rate rises
LARGEST = 1e20  # of settings that frameworks compute with in float32
BOUNDS = {
    **dict.fromkeys(("epochs", "batch_size", "accumulate"), (1, math.inf)),
    **dict.fromkeys(("weight_decay", "clip"), (0, LARGEST)),
    "patience": (0, math.inf),
    **dict.fromkeys(("betas", "ema"), (0, 0.999999)),
    "learning_rate": (1e-12, LARGEST),
}


def merge_recipe(default: Recipe, given: Mapping[str, Any]) -> Recipe:
    """A recipe with some settings replaced, their values checked."""
    merged = {**asdict(default), **{k: v for k, v in given.items() if v is not None}}
    recipe: Recipe = parse_config(type(default), merged)
    for name, (low, high) in BOUNDS.items():
        values = getattr(recipe, name)
        for value in values if isinstance(values, tuple) else (values,):
            if not (math.isfinite(value) and low <= value <= high):
                most = f" and at most {high:g}" if math.isfinite(high) else ""
                raise InputError(f"{name} is {value}; expected at least {low:g}{most}.")
    if recipe.schedule not in ("cosine", "constant"):
        raise InputError(f"schedule is {recipe.schedule!r}; expected 'cosine' or 'constant'.")
    return recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then constant or a cosine down to zero."""
    warmup = max(1, int(WARMUP * steps))
    rise = min(1.0, (step + 1) / warmup)
    fall = 0.5 * (1 + math.cos(math.pi * step / steps)) if recipe.schedule == "cosine" else 1.0
    return recipe.learning_rate * rise * fall
