"""pyarrow, imported where a table is read or written: the import takes a quarter of a second."""

from __future__ import annotations

from typing import Any

from zoo.errors import MissingDependency


def arrow() -> Any:
    """The module pyarrow, with `pyarrow.compute`, `pyarrow.csv` and `pyarrow.parquet` in it."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependency(
            f"CSV and Parquet files need pyarrow, which cannot be imported ({error}). "
            "Install it: pip install pyarrow; or use .npz."
        ) from None
    return pyarrow
