"""A comparison of two ways of doing one thing as a row of the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.timing import Floats, Run, against, by_threads


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is ours over the peer's; below one, ours is faster (smaller, closer)."""

    what: str
    batch: int
    peer: str
    ratio: float
    low: float  # quartiles of the pairs' ratios
    high: float
    ours: float  # medians, in the unit
    theirs: float
    unit: str
    pairs: int
    peer_threads: int = 0  # what it was given: the faster of one and all; 0: its own choice
    reach: float | None = None  # what the ratio should be at most
    note: str = ""


known: dict[tuple[str, int, str], Row] = {}  # of a run that was broken off, to be gone on with


def side_by_side(
    what: str,
    batch: int,
    peer: str,
    ours: Run,
    theirs: Run | Mapping[int, Run],
    *,
    reach: float | None = None,
    note: str = "",
) -> Row:
    """Alternating runs, both warm, ours as it is, theirs with as many threads as suit it. It is a call that PyTorch
    computes, or such a call for each number of threads. What is known already is not run again."""
    if row := known.get((what, batch, peer)):
        return row
    times, threads = against(ours, theirs if isinstance(theirs, Mapping) else by_threads(theirs))
    return pairs_of(what, batch, peer, *times.T * 1e3, unit="ms", peer_threads=threads, reach=reach, note=note)


def pairs_of(
    what: str,
    batch: int,
    peer: str,
    ours: Floats,
    theirs: Floats,
    *,
    unit: str,
    peer_threads: int = 0,
    reach: float | None = None,
    note: str = "",
) -> Row:
    """A row from figures of both sides, a pair each."""
    low, middle, high = np.quantile(ours / theirs, [0.25, 0.5, 0.75])
    figures = map(_short, (middle, low, high, np.median(ours), np.median(theirs)))
    row = Row(what, batch, peer, *figures, unit, len(ours), peer_threads, reach, note)
    quartiles = f"[{row.low:.3f}, {row.high:.3f}]"
    sides = f"{row.ours:.4g} and {row.theirs:.4g} {unit}"
    print(f"{what:34} {batch:7} {peer:28} {peer_threads:2} {row.ratio:7.3f} {quartiles:16} {sides}", flush=True)
    return row


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def same(ours: np.ndarray, theirs: np.ndarray, what: str, tolerance: float = 1e-3) -> None:
    """Both sides compute one thing: floats relative to the largest, integers but for one level in one of a hundred,
    where what is rounded was a tie."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{what}: {ours.shape} and {theirs.shape}"
    if ours.dtype.kind == "f":
        error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6)
    else:
        apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
        assert apart.max() <= 1, f"{what}: the two sides are {apart.max()} levels apart"
        error = apart.mean() / 10
    assert error <= tolerance, f"{what}: the two sides differ by {error:.2g}"


def agree(ours: Mapping[str, Any], theirs: Mapping[str, Any], what: str) -> None:
    """`same` for each output of a method, be it an array or an `OrtValue`."""
    assert set(ours) == set(theirs), f"{what}: {sorted(ours)} and {sorted(theirs)}"
    for name in ours:
        mine, other = (v.numpy() if hasattr(v, "numpy") else v for v in (ours[name], theirs[name]))
        same(mine, other, f"{what} {name}")
