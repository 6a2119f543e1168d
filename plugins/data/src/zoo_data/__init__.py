"""Data sets of small color pictures, and tables, embedded. Importing this package imports no numpy: specs only."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import DatasetSpec


@hookimpl
def zoo_datasets() -> Iterator[DatasetSpec]:
    yield DatasetSpec(
        name="emoji",
        target="zoo_data.embedded:emoji",
        summary="3,762 emoji of 32x32 pixels in color on white, 9 categories",
        source="Noto Emoji 2.048 (Google), Apache-2.0; names and categories: emoji-data 16.0.0 (Cal Henderson), MIT",
    )
    yield DatasetSpec(
        name="pixel-faces",
        target="zoo_data.embedded:pixel_faces",
        summary="20,000 drawn faces of 16x16 pixels in color, 6 hair colors",
        source="drawn by DiceBear 9.4.3 in its style Pixel Art, CC0 1.0",
    )
    yield DatasetSpec(
        name="adult",
        target="zoo_data.tables:adult",
        summary="32,561 people of a census, 15 columns, and whether they earn more than $50,000",
        source="UCI Adult (Becker, Kohavi 1996), CC BY 4.0",
    )
    yield DatasetSpec(
        name="diamonds",
        target="zoo_data.tables:diamonds",
        summary="53,940 diamonds, 10 columns, most of them numbers",
        source="ggplot2 and plotnine 0.15.9, MIT",
    )
