"""What networks of every framework have in common."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import InputError

NETWORKS = {"torch": ("realnvp", zoo.Real(4)), "keras": ("cnn", zoo.Image(8, 8, 1))}


@pytest.mark.parametrize("framework", NETWORKS)
@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_weights_that_do_not_fit(framework, change):
    pytest.importorskip(f"zoo_{framework}")
    name, space = NETWORKS[framework]
    network = zoo.create(name, space, classes=["a", "b", "c"] if name == "cnn" else None).network
    arrays = network.arrays()
    first = next(iter(arrays))
    if change == "missing":
        del arrays[first]
        problem = f"{first} is missing"
    elif change == "unknown":
        arrays["tail"] = np.zeros(3, np.float32)
        problem = "tail is unknown"
    else:
        arrays[first] = np.zeros((1, 2, 3), np.float32)
        problem = rf"{first} has shape \(1, 2, 3\), expected"
    with pytest.raises(InputError, match=f"{problem}.*train again"):
        network.load_arrays(arrays)
