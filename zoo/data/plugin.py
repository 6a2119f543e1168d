"""The core's own plugin: the data sets that come with it, through the same door as anyone's."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import DatasetSpec


@hookimpl
def zoo_datasets() -> Iterator[DatasetSpec]:
    yield DatasetSpec(
        name="digits",
        target="zoo.data.builtin:digits",
        summary="1,797 handwritten digits of 8x8 pixels, 17 levels, 10 classes",
        source="UCI Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), CC BY 4.0",
    )
    yield DatasetSpec(
        name="moons",
        target="zoo.data.moons:moons",
        summary="10,000 points of two interleaved half circles with noise 0.1, 2 classes",
        source="made with zoo.noise",
    )
    yield DatasetSpec(
        name="names",
        target="zoo.data.builtin:names",
        summary="English first names, a to z",
        source="US census, as in the PyPI package names",
    )
    yield DatasetSpec(
        name="fashion-mnist",
        target="zoo.data.builtin:fashion_mnist",
        summary="70,000 pictures of clothes of 28x28 pixels, 10 classes, official test split",
        source="Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747, MIT",
    )
