"""What a network takes from its training data before the first step: means, scales, whatever has a closed form."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from inspect import Parameter

import numpy as np

from zoo.data.sources import Split
from zoo.errors import InputError, did_you_mean
from zoo.network import Network, shapes_of

MOST_BYTES = 2**26  # of observations


def adapt(network: Network, split: Split) -> None:
    """Call `adapt` of a network with observations of a split, evenly spread where there are many, and with what else it
    takes of these rows by name. `InputError` for what the data lack, `PluginError` if it changes the shape of a
    weight."""
    shapes, x = shapes_of(network), split.sample(MOST_BYTES)
    rows = np.arange(len(x)) * len(split) // len(x)
    more = {name: split.take(name, rows) for name in _taken(network, split)}
    network.adapt(x, **more)
    network.check_shapes(shapes, "adapt")


def _taken(network: Network, split: Split) -> Iterator[str]:
    """What `adapt` takes beside the observations, as far as the data have it."""
    for parameter in [*inspect.signature(network.adapt).parameters.values()][1:]:
        if parameter.name in split.sources:
            yield parameter.name
        elif parameter.default is Parameter.empty:
            known = [name for name in split.sources if name != "x"]
            near = did_you_mean(parameter.name, [*known, "label"])
            raise InputError(
                f"adapt of {type(network).__name__} takes {parameter.name!r} of each row, and {split.name} has "
                f"{', '.join(known) or 'observations alone'}.{near}"
            )
