"""How to train: a recipe's values and what they may be, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from zoo.errors import InputError, did_you_mean
from zoo.network import Network, Recipe, parse_config

WARMUP = 0.02  # share of the steps in which the learning rate rises
LARGEST = 1e20  # of settings that frameworks compute with in float32
Schedules = Mapping[str, Callable[[float], float]]
SCHEDULES: Schedules = {"cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)), "constant": lambda done: 1.0}
BOUNDS = {
    **dict.fromkeys(("epochs", "batch_size", "accumulate"), (1, math.inf)),
    **dict.fromkeys(("weight_decay", "clip"), (0, LARGEST)),
    "patience": (0, math.inf),
    **dict.fromkeys(("betas", "ema"), (0, 0.999999)),
    "learning_rate": (1e-12, LARGEST),
}


def merge_recipe(default: Recipe, given: Mapping[str, Any], cls: type[Network] = Network) -> Recipe:
    """A recipe with some settings replaced, their values checked; `InputError` for those that the training of `cls` has
    no use for."""
    unused = [name for name, value in given.items() if value is not None and name not in cls.used_settings()]
    if unused:
        used = ", ".join(f.name for f in fields(default) if f.name in cls.used_settings())
        raise InputError(f"{' and '.join(unused)} would change nothing: {cls.__name__} is trained with {used} alone.")
    merged = {**asdict(default), **{k: v for k, v in given.items() if v is not None}}
    recipe: Recipe = parse_config(type(default), merged)
    for name, (low, high) in BOUNDS.items():
        values = getattr(recipe, name)
        for value in values if isinstance(values, tuple) else (values,):
            if not (math.isfinite(value) and low <= value <= high):
                most = f" and at most {high:g}" if math.isfinite(high) else ""
                raise InputError(f"{name} is {value}; expected at least {low:g}{most}.")
    known = [*SCHEDULES, *cls.schedules]
    if recipe.schedule not in known:
        near = did_you_mean(recipe.schedule, known)
        raise InputError(f"schedule is {recipe.schedule!r}; expected one of {', '.join(known)}.{near}")
    return recipe


def learning_rate(recipe: Recipe, step: int, steps: int, own: Schedules = SCHEDULES) -> float:
    """That of a step: linear warm-up, then constant or a cosine down to zero; or an `own` schedule from end to end."""
    if recipe.schedule not in SCHEDULES:
        return recipe.learning_rate * own[recipe.schedule](step / steps)
    warmup = max(1, int(WARMUP * steps))
    rise = min(1.0, (step + 1) / warmup)
    return recipe.learning_rate * rise * SCHEDULES[recipe.schedule](step / steps)
