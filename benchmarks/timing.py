"""A comparison of two ways of doing one thing as a row of the results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.timing import Floats, Run, alternate


@dataclass(frozen=True)
class Row:
    """One comparison. `ratio` is ours over the peer's; below one, ours is faster."""

    what: str
    batch: int
    peer: str
    ratio: float
    low: float  # quartiles of the pairs' ratios
    high: float
    ours_ms: float
    peer_ms: float
    pairs: int
    reach: float | None = None  # what the ratio should be at most
    note: str = ""


known: dict[tuple[str, int, str], Row] = {}  # of a run that was broken off, to be gone on with


def side_by_side(
    what: str, batch: int, peer: str, ours: Run, theirs: Run, *, reach: float | None = None, note: str = ""
) -> Row:
    """Alternating runs, both warm. What is known already is not run again."""
    if row := known.get((what, batch, peer)):
        return row
    times = alternate([ours, theirs])
    return pairs_of(what, batch, peer, *times.T, reach=reach, note=note)


def pairs_of(
    what: str, batch: int, peer: str, ours: Floats, theirs: Floats, *, reach: float | None = None, note: str = ""
) -> Row:
    """A row from figures of both sides, a pair each; seconds, if they are times."""
    low, middle, high = np.quantile(ours / theirs, [0.25, 0.5, 0.75])
    figures = map(_short, (middle, low, high, np.median(ours) * 1e3, np.median(theirs) * 1e3))
    row = Row(what, batch, peer, *figures, len(ours), reach, note)
    quartiles = f"[{row.low:.3f}, {row.high:.3f}]"
    print(f"{what:34} {batch:7} {peer:28} {row.ratio:7.3f} {quartiles:16} {row.ours_ms:10.3f} ms", flush=True)
    return row


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def same(ours: np.ndarray, theirs: np.ndarray, what: str, tolerance: float = 1e-3) -> None:
    """Both sides compute one thing: floats relative to the largest, integers but for one in a hundred (ties)."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{what}: {ours.shape} and {theirs.shape}"
    if ours.dtype.kind == "f":
        error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6)
    else:
        error = (ours != theirs).mean() / 10
    assert error <= tolerance, f"{what}: the two sides differ by {error:.2g}"
