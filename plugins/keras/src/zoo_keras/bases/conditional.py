"""Base of conditional models: the class and other categories of a row, as additional numbers for a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import InputError
from zoo.network import category_inputs
from zoo.spaces import Labels, Space
from zoo_keras.backend import ops
from zoo_keras.network import KerasNetwork


class Conditional(KerasNetwork):
    """The config has `conditional`, whether the class is an input, and `inputs`."""

    takes_inputs = True

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        if config.conditional and classes is None:
            raise InputError("conditional=True needs class labels, and this data has none.")

    @property
    def told(self) -> dict[str, int]:
        """The categories of a row that the network receives, with their numbers of values. Not an attribute, because
        tracing sorts the keys of dicts in attributes."""
        label = {"label": len(self.classes)} if self.config.conditional else {}
        return label | category_inputs(self.config.inputs)

    def one_hot(self, told: Mapping[str, Any]) -> Any:
        """Integers (N,) by name, one-hot encoded, (N, values in all)."""
        return ops.concatenate([ops.one_hot(told[name], k, dtype="float32") for name, k in self.told.items()], axis=1)
