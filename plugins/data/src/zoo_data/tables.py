"""Tables that lie in this package as the codes of their rows, with the space that says what these stand for."""

from __future__ import annotations

import json

from zoo.data import Dataset, split_rows
from zoo.spaces import from_json
from zoo_data.embedded import read


def adult() -> Dataset:
    """32,561 people of the census of the United States of 1994, in 15 columns; `income` is what models predict.

    Becker and Kohavi, "Adult", UCI Machine Learning Repository, 1996, doi 10.24432/C5XW20, CC BY 4.0: the file
    `adult.data`, without the spaces before its words. A "?" is what it has for a value that is not known.
    """
    return _table("adult", "UCI Adult (Becker, Kohavi 1996), CC BY 4.0")


def diamonds() -> Dataset:
    """53,940 diamonds in ten columns, seven of which are numbers, as in ggplot2 and plotnine."""
    return _table("diamonds", "ggplot2 and plotnine 0.15.9, MIT")


def _table(name: str, source: str) -> Dataset:
    arrays = read(f"{name}.npz")
    return split_rows(name, from_json(json.loads(str(arrays["space"]))), arrays["x"], source=source)
