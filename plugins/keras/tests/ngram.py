"""The baseline for `lstm.names`: an n-gram model of characters with Witten-Bell smoothing.
Run it for the figures on `names`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np


class NGram:
    """p(c | context) = (count(context, c) + kinds(context) p(c | shorter context)) / (count(context) + kinds(context)),
    down to the uniform distribution (Witten and Bell, 1991). Strings end with token 0 unless they fill `length`."""

    def __init__(self, order: int, tokens: int, length: int) -> None:
        self.order, self.tokens, self.length = order, tokens, length
        self.counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def events(self, row: np.ndarray) -> Iterable[tuple[tuple[int, ...], int]]:
        context = (0,) * (self.order - 1)
        for token in row:
            yield context, int(token)
            if token == 0:
                return
            context = (*context, int(token))[1:]

    def fit(self, x: np.ndarray) -> NGram:
        for row in x:
            for context, token in self.events(row):
                for cut in range(self.order):
                    self.counts[context[cut:]][token] += 1
        return self

    def probability(self, context: tuple[int, ...], token: int) -> float:
        lower = self.probability(context[1:], token) if context else 1 / self.tokens
        seen = self.counts.get(context)
        if not seen:
            return lower
        return (seen[token] + len(seen) * lower) / (seen.total() + len(seen))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """(N,) nats."""
        return np.array([sum(math.log(self.probability(*event)) for event in self.events(row)) for row in x])


def nats_per_character(log_prob: np.ndarray, x: np.ndarray) -> float:
    """The end of a string counts as a character."""
    return float(-log_prob.sum() / np.minimum((x != 0).sum(1) + 1, x.shape[1]).sum())


if __name__ == "__main__":
    from zoo.data import load_dataset

    data = load_dataset("names")
    for order in range(1, 7):
        model = NGram(order, data.space.tokens, data.space.length).fit(data.train)
        print(f"{order}-gram: {nats_per_character(model.log_prob(data.test), data.test):.4f} nats a character")
