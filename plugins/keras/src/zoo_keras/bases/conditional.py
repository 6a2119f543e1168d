"""What conditional models share: the class and other categories of a row, as numbers beside what a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import InputError
from zoo.network import category_inputs
from zoo.spaces import Labels
from zoo_keras.backend import ops


def told_of(config: Any, classes: Labels | None) -> dict[str, int]:
    """What a network is told of a row, with the number of its values: the class ("label") if `config.conditional`, and
    `config.inputs`."""
    if config.conditional and classes is None:
        raise InputError("conditional=True needs class labels, and this data has none.")
    return ({"label": len(classes)} if classes and config.conditional else {}) | category_inputs(config.inputs)


def one_hot(told: Mapping[str, Any], counts: Mapping[str, int]) -> Any:
    """Integers (N,) by name as (N, sum of `counts`) zeros and ones."""
    return ops.concatenate([ops.one_hot(told[name], k, dtype="float32") for name, k in counts.items()], axis=1)
