"""Generators of tables that people use, each with its defaults: `python table_peers.py NAME train.csv made.csv ROWS`.

Runs in an environment of its own, without genzoo: `pip install ctgan copulas`, or for `arf` `pip install arfpy
'numpy<2.4' 'pandas<3'`. Prints the CPU seconds of training and the seconds of drawing as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd


def words(table: pd.DataFrame) -> list[str]:
    return [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]


def ctgan(table: pd.DataFrame) -> Any:
    from ctgan import CTGAN

    model = CTGAN(enable_gpu=False)
    model.fit(table, words(table))
    return model.sample


def tvae(table: pd.DataFrame) -> Any:
    from ctgan import TVAE

    model = TVAE(enable_gpu=False)
    model.fit(table, words(table))
    return model.sample


def copula(table: pd.DataFrame) -> Any:
    """Of numbers: words are numbered, and rounded back."""
    from copulas.multivariate import GaussianMultivariate

    names = {column: sorted(set(table[column])) for column in words(table)}
    numbers = table.copy()
    for column, known in names.items():
        numbers[column] = table[column].map({name: n for n, name in enumerate(known)}).astype(float)
    model = GaussianMultivariate()
    model.fit(numbers)

    def sample(count: int) -> pd.DataFrame:
        made = model.sample(count)
        for column, known in names.items():
            made[column] = np.array(known)[np.rint(made[column]).clip(0, len(known) - 1).astype(int)]
        return made

    return sample


def arf(table: pd.DataFrame) -> Any:
    from arfpy.arf import arf as forests

    model = forests(x=table)
    model.forde()
    return model.forge


PEERS = {"ctgan": ctgan, "tvae": tvae, "copula": copula, "arf": arf}

if __name__ == "__main__":
    peer, source, target, rows = sys.argv[1:]
    known = pd.read_csv(source)
    began = time.process_time()
    draw = PEERS[peer](known)
    trained, began = time.process_time() - began, time.perf_counter()
    draw(int(rows)).to_csv(target, index=False)
    print(json.dumps({"train_cpu_seconds": trained, "sample_seconds": time.perf_counter() - began}))
