"""Between the codes of a table's columns and one bin per column, which is what a network embeds and predicts.

The codes of a column make one number, its offset: the place of a category, the digits of an integer, or the interval of
a real value and the cell in it. A bin is a range of offsets, and these are equally likely given the bin. Missing values
and atoms are bins of their own, after those of offsets.
"""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zoo.columns import AnyColumn, Boolean, Category, Table, Whole

FEWEST = 10  # rows of a bin, so that none repeats the values of a few
GAIN = 1.0  # nats by which the data become likelier, at least, where a bin is cut
BEYOND = 2**62  # more than any offset
RESOLUTION = 22  # bits of an offset that one uniform number decides


class Bins(nn.Module):
    """Bins of C columns: of the offsets of each at most `most`, or as many as there are in a category.

    `adapt` fits them: half are quantiles, and the others make the density that is constant in each bin as likely as
    possible, so a value that many rows share has a bin to itself.
    """

    def __init__(self, space: Table, most: int) -> None:
        super().__init__()
        columns = list(space.columns)
        totals = [offsets_of(c) for c in columns]
        self.sizes = [n if isinstance(c, Category) else min(n, most) for n, c in zip(totals, columns, strict=True)]
        self.width = max(s + c.levels[0] - c.open[0] for s, c in zip(self.sizes, columns, strict=True))  # K
        digits = max(len(c.open) for c in columns)  # L, the most codes of a column
        places = np.full((digits, len(columns)), space.size)  # the last codes in the last row; others are padded
        radix = np.ones_like(places)
        for n, (place, column) in enumerate(space.places()):
            lead = digits - len(column.open)
            places[lead:, n], radix[lead:, n] = place + np.arange(len(column.open)), np.maximum(column.open, 1)
        buffers = {
            "places": places,  # (L, C) of codes in a row
            "radix": radix,  # (L, C) their levels, of first codes those of offsets
            "found": np.argsort(places.reshape(-1), kind="stable")[: space.size],  # (D,) where in (L * C) a code is
            "first": np.array([place for place, _ in space.places()]),  # (C,) place of the first code
            "open": np.array([c.open[0] for c in columns]),  # (C,) levels of the first code that are of offsets
            "total": np.array(totals),  # (C,) offsets
            "highest": np.array(space.counts) - 1,  # (D,)
            "ordered": np.array([is_ordered(c) for c in columns]),  # (C,)
            "number": np.arange(self.width),  # (K,)
            "nullable": np.array([c.missing for c in columns]),  # (C,)
            "cells": space.log_widths().astype(np.float32),  # (D, levels)
        }
        for name, value in buffers.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        self.register_buffer("lower", torch.zeros(len(columns), self.width, dtype=torch.int64))  # least offset of a bin
        self.register_buffer("count", torch.zeros(len(columns), dtype=torch.int64))  # (C,) bins of offsets
        self._set([np.array([n * t // s for n in range(s)], np.int64) for s, t in zip(self.sizes, totals, strict=True)])

    def adapt(self, codes: np.ndarray) -> None:
        """Fit the bins to rows of codes (N, D)."""
        offsets, closed = self.offsets(torch.from_numpy(codes.astype(np.int64)))
        lowest = []
        for n, (size, total) in enumerate(zip(self.sizes, self.total.tolist(), strict=True)):
            values = offsets[~closed[:, n], n].numpy()
            lowest.append(np.arange(total) if size == total else lower_ends(values, total, size))
        self._set(lowest)

    def _set(self, lowest: list[np.ndarray]) -> None:
        self.lower.fill_(BEYOND)
        for n, lower in enumerate(lowest):
            self.lower[n, : len(lower)] = torch.from_numpy(lower)
            self.count[n] = len(lower)

    @property
    def levels(self) -> torch.Tensor:
        """(C,) bins of each column, those of missing values and atoms included."""
        return self.count + self.highest.index_select(0, self.first) + 1 - self.open

    @property
    def widths(self) -> torch.Tensor:
        """(C, K) offsets of each bin; 1 where it has none."""
        upper = torch.minimum(F.pad(self.lower[:, 1:], (0, 1), value=BEYOND), self.total[:, None])
        return torch.where(self.lower == BEYOND, 1, upper - self.lower)

    @property
    def absent(self) -> torch.Tensor:
        """(C, K): whether a bin is that of a missing value, in columns that have others."""
        last = self.number == self.levels[:, None] - 1
        return last & (self.nullable & (self.levels > 1))[:, None]

    @property
    def in_order(self) -> torch.Tensor:
        """(C, K): whether a bin is one of offsets whose order means something."""
        return self.ordered[:, None] & (self.number < self.count[:, None])

    @property
    def positions(self) -> torch.Tensor:
        """(C, K): of bins of offsets, between 0 and 1 in their order."""
        return ((self.number + 0.5) / self.count.clamp(min=1)[:, None]).clamp(max=1.0)

    def offsets(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) codes -> (N, C) offsets, and where there is none: the first code says all."""
        padded = F.pad(codes, (0, 1))
        offset = torch.zeros_like(codes.index_select(1, self.first))
        for places, radix in zip(self.places, self.radix, strict=True):
            offset = offset * radix + padded.index_select(1, places)
        return offset, codes.index_select(1, self.first) >= self.open

    def forward(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, D) codes -> (N, C) bins and offsets. Codes and offsets that there are not become the nearest."""
        codes = torch.minimum(codes.clamp(min=0), self.highest)
        offset, closed = self.offsets(codes)
        offset = torch.where(closed, 0, torch.minimum(offset, self.total - 1))
        bins = (offset[:, :, None] >= self.lower).sum(2) - 1
        return torch.where(closed, self.count + codes.index_select(1, self.first) - self.open, bins), offset

    def log_volume(self, codes: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
        """(N, C): the logarithm of the number of offsets in the bin of each value, times the volume in data units that
        an offset stands for. Infinite for integers beyond the range of the column, which have codes all the same."""
        offset, closed = self.offsets(codes)
        first = codes.index_select(1, self.first)
        cell = self.cells.index_select(0, self.first).T.gather(0, first)
        volume = self.widths.T.gather(0, bins).to(torch.float32).log() + cell
        return torch.where(closed, 0.0, torch.where(offset < self.total, volume, torch.inf))

    def draw(self, column: torch.Tensor, bins: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """(N,) bins of the column (1,) -> (N,) offsets in them, by uniform numbers (N, 2)."""
        lower, width = (t.index_select(0, column)[0].index_select(0, bins) for t in (self.lower, self.widths))
        block = width // 2**RESOLUTION + 1  # offsets that the first number does not tell apart
        blocks = (width + block - 1) // block
        high = torch.minimum((u[:, 0] * blocks).to(torch.int64), blocks - 1)
        low = torch.minimum((u[:, 1] * block).to(torch.int64), block - 1)
        return torch.where(lower == BEYOND, 0, lower + torch.minimum(high * block + low, width - 1))

    def codes(self, bins: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """(N, C) bins and offsets -> (N, D) codes."""
        digits = []
        for radix in self.radix.flip(0):
            digits.append(offset % radix)
            offset = offset // radix
        codes = torch.stack(digits[::-1], 1).flatten(1).index_select(1, self.found)
        first = torch.where(bins < self.count, codes.index_select(1, self.first), bins - self.count + self.open)
        return codes.index_copy(1, self.first, first)


def offsets_of(column: AnyColumn) -> int:
    """How many offsets a column has."""
    return column.high - column.low + 1 if isinstance(column, Whole) else math.prod(column.open)


def is_ordered(column: AnyColumn) -> bool:
    return column.ordered if isinstance(column, Category) else not isinstance(column, Boolean)


def lower_ends(values: np.ndarray, total: int, most: int) -> np.ndarray:
    """The least offset of each of at most `most` bins of the offsets 0 to `total - 1`, fit to `values` (N,)."""
    known, counts = np.unique(values, return_counts=True)
    below = np.concatenate([[0], counts.cumsum()])  # how many rows have lesser values than each

    def best_cut(low: int, high: int) -> tuple[float, int, int, int]:
        """The loss in nats, which is negative, of the best cut of a bin; its ends, and the cut."""
        i, j = np.searchsorted(known, (low, high))
        cuts = np.concatenate([known[i:j], known[i:j] + 1])
        left = np.concatenate([below[i:j], below[i + 1 : j + 1]]) - below[i]
        right = below[j] - below[i] - left
        sound = (cuts > low) & (cuts < high)
        sound &= ((left == 0) | (left >= FEWEST)) & ((right == 0) | (right >= FEWEST))
        if not sound.any():
            return 0.0, low, high, low
        cuts, left, right = cuts[sound], left[sound], right[sound]
        whole = log_likelihood(left + right, high - low)
        gain = log_likelihood(left, cuts - low) + log_likelihood(right, high - cuts) - whole
        return -float(gain.max()), low, high, int(cuts[gain.argmax()])

    quantiles = np.searchsorted(below, np.arange(1, most // 2) * len(values) / (most // 2))
    inner = known[np.unique(quantiles.clip(max=len(known) - 1))] if len(known) else known
    ends = np.unique(np.concatenate([[0], inner, [total]])).tolist()
    heap = [best_cut(low, high) for low, high in itertools.pairwise(ends)]
    heapq.heapify(heap)
    while len(heap) < most and heap[0][0] < -GAIN:
        _, low, high, cut = heapq.heappop(heap)
        heapq.heappush(heap, best_cut(low, cut))
        heapq.heappush(heap, best_cut(cut, high))
    return np.sort(np.array([low for _, low, _, _ in heap], dtype=np.int64))


def log_likelihood(rows: np.ndarray, width: np.ndarray | int) -> np.ndarray:
    """Of rows in a bin of so many offsets, up to a constant."""
    return rows * np.log(np.maximum(rows, 1) / width)
