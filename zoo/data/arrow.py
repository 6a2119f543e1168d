"""pyarrow, imported where a table is read or written: it takes a quarter of a second and is optional."""

from __future__ import annotations

from typing import Any

from zoo.errors import MissingDependency


def arrow() -> Any:
    """The module pyarrow, with `pyarrow.csv` and `pyarrow.parquet` in it."""
    try:
        import pyarrow  # type: ignore[import-untyped, unused-ignore]
        import pyarrow.csv
        import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ImportError as error:
        raise MissingDependency(
            f"CSV and Parquet files need pyarrow, which cannot be imported ({error}). "
            "Install it: pip install 'genzoo[data]'; or use .npz."
        ) from None
    return pyarrow
