"""The data sets that genzoo brings, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.hookspecs import hookimpl
from zoo.spec import DatasetSpec


@hookimpl
def zoo_datasets() -> Iterable[DatasetSpec]:
    yield DatasetSpec("digits", "zoo.data.builtin:digits", "1,797 handwritten digits, 8x8, 17 levels", "UCI, CC BY 4.0")
    yield DatasetSpec("moons", "zoo.data.builtin:moons", "10,000 points on two half circles", "made by genzoo")
    yield DatasetSpec("names", "zoo.data.builtin:names", "5,163 first names", "1990 US census; pip install names")
    yield DatasetSpec(
        "fashion-mnist", "zoo.data.builtin:fashion_mnist", "70,000 pictures of clothes, 28x28", "arXiv 1708.07747, MIT"
    )
