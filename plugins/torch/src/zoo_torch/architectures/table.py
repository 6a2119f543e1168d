"""Rows of a table, one column after another: each column is drawn from a network of its own, given those that are known
(after Tiwald et al., "TabularARGN", arXiv 2501.12012; masks as in Germain et al., "MADE", arXiv 1502.03509)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zoo.columns import Table
from zoo.network import Objective, Recipe, setting
from zoo.signature import GIVEN, KNOWN, Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Labels
from zoo_torch.layers.bins import Bins
from zoo_torch.network import TorchNetwork

State = dict[str, torch.Tensor]
WAVES = 6  # octaves of the waves by which a network sees the position of a bin
SHARPEST = 6.0  # logarithm of how much narrower than at first a bump may become


@dataclass(frozen=True)
class Config:
    bins: int = setting(256, "of a column whose values have an order, at most")
    embedding: int = setting(16, "features of a value")
    hidden: int = setting(128, "units of a layer, for each column")
    layers: int = setting(2, "residual layers")
    bumps: int = setting(4, "of the density of a column whose values have an order; neighbors share them")
    dropout: float = setting(0.1, "share of hidden units that a training step leaves out")
    given: float = setting(0.3, "share of the training rows of which some columns are given")


class TableNetwork(TorchNetwork):
    """p(row) is the product of p(column given the columns before it, and those that are given from the start).

    A value is one of a column's bins (`zoo_torch.layers.bins`). Each has a logit, to which is added, where values have
    an order, the logarithm of a mixture of bumps over their positions: what is learned of a value holds for those near
    it. `log_prob` is about values in their units: the log-probability of a category, an integer, a missing value, or a
    real value that many rows share (an atom), and else the density of a real value, which is constant in a cell.
    Values that the space does not have, such as a category that the data did not, are errors.

    >>> import zoo
    >>> model = zoo.train("table", "adult", "runs/adult", config={"hidden": 16, "layers": 1}, epochs=1)
    >>> rows = model.sample(1000, seed=7, given={"sex": "Female", "age": 30})  # a pyarrow.Table
    >>> set(rows["age"].to_pylist())
    {30}
    >>> model.log_prob(rows).shape  # nats
    (1000,)
    """

    Config = Config
    spaces = (Table,)
    density = "exact"
    recipe = Recipe(epochs=40, batch_size=256, learning_rate=2e-3, weight_decay=0.01, clip=1.0, ema=0.995, patience=8)

    def __init__(self, space: Table, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.bins = Bins(space, config.bins)
        c, e, h, k = len(space.columns), config.embedding, config.hidden, self.bins.width + 3 * config.bumps
        self.columns = c
        self.values = nn.Parameter(0.3 * torch.randn(c, self.bins.width, e))
        self.waves = nn.Parameter(torch.randn(c, 2 * WAVES + 1, e) / (2 * WAVES + 1) ** 0.5)
        self.inner = nn.Parameter(torch.randn(c, c * e, h) / (c * e) ** 0.5)  # of each column, from all
        self.inner_bias = nn.Parameter(torch.zeros(c, 1, h))
        self.middle = nn.Parameter(0.5 * torch.randn(c, config.layers, h, h) / h**0.5)
        self.middle_bias = nn.Parameter(torch.zeros(c, config.layers, 1, h))
        self.outer = nn.Parameter(0.1 * torch.randn(c, h, k) / h**0.5)
        self.outer_bias = nn.Parameter(torch.zeros(c, 1, k))
        self.register_buffer("order", torch.arange(c), persistent=False)

    def adapt(self, x: np.ndarray) -> None:
        """Fit the bins, and begin with the distribution of each column by itself."""
        self.bins.adapt(x)
        bins, _ = self.bins(torch.from_numpy(x.astype(np.int64)))
        counts = np.stack([np.bincount(column, minlength=self.bins.width) for column in bins.numpy().T])
        logits = np.log(counts + 1 / self.bins.width)  # Perks' prior: one observation, spread over the levels
        with torch.no_grad():
            self.outer_bias[:, 0, : self.bins.width] = torch.from_numpy(logits - logits.max(1, keepdims=True))

    # ---- the networks of all columns, or of those `which` ------------------------------------------------------------

    def embeddings(self) -> torch.Tensor:
        """(C, K, E): the features of each bin."""
        position = self.bins.positions[:, :, None]
        angle = torch.pi * position * 2.0 ** torch.arange(WAVES, device=position.device)
        waves = torch.cat([2 * position - 1, angle.sin(), angle.cos()], 2) * self.bins.in_order[:, :, None]
        return self.values + waves @ self.waves

    def seen(self, bins: torch.Tensor) -> torch.Tensor:
        """(N, C) bins -> (N, C, E)."""
        return F.embedding(bins + self.order * self.bins.width, self.embeddings().flatten(0, 1))

    def logits(self, z: torch.Tensor, which: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """(C, N, H) sums of what the first layer sees -> (C, N, K), of the columns `which` (C,)."""
        middle, bias, outer, outer_bias = (
            t.index_select(0, which) for t in (self.middle, self.middle_bias, self.outer, self.outer_bias)
        )
        z = z + self.inner_bias.index_select(0, which)
        for n in range(self.config.layers):
            active = F.gelu(z)
            z = z + (active if keep is None else active * keep[:, n]) @ middle[:, n] + bias[:, n]
        logits, *bumps = (z @ outer + outer_bias).split([self.bins.width, *[self.config.bumps] * 3], 2)
        position, in_order, levels = (
            t.index_select(0, which)[:, None] for t in (self.bins.positions, self.bins.in_order, self.bins.levels)
        )
        logits = logits + torch.where(in_order, self.log_bumps(position, *bumps), 0.0)
        return torch.where(self.bins.number < levels[:, :, None], logits, -torch.inf)

    def log_bumps(
        self, position: torch.Tensor, weight: torch.Tensor, center: torch.Tensor, narrow: torch.Tensor
    ) -> torch.Tensor:
        """(C, 1, K) positions and (C, N, bumps) parameters -> (C, N, K): the logarithm of a mixture of Student's
        distributions of three degrees of freedom, which takes no exponential for each bin."""
        count = self.config.bumps
        center = center + (torch.arange(count, device=center.device) + 0.5) / max(count, 1)
        inverse = count * narrow.clamp(-2.0, SHARPEST).exp()
        height = torch.softmax(weight, 2) * inverse
        density = torch.full_like(position, 1e-9)
        for n in range(count):
            h, c, s = (t[:, :, n : n + 1] for t in (height, center, inverse))
            density = density + h / (1 + ((position - c) * s).square()).square()
        return density.log()

    # ---- densities -------------------------------------------------------------------------------------------------

    def conditionals(
        self, x: torch.Tensor, given: torch.Tensor | None = None, keep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(N, D) codes -> (N, C) nats of each column, given those before it and those of `given` (N, C)."""
        x = x.to(torch.int64)
        bins, _ = self.bins(x)
        c, h = self.columns, self.config.hidden
        seen = self.seen(bins)
        inner, place = self.inner.reshape(c, c, -1, h), self.order[:, None, None, None]
        before = torch.where(self.order[:, None, None] < place, inner, 0.0).flatten(1, 2)  # (C, C * E, H)
        z = seen.flatten(1) @ before
        if given is not None:
            after = torch.where(self.order[:, None, None] > place, inner, 0.0).flatten(1, 2)
            z = z + (seen * given[:, :, None]).flatten(1) @ after
        each = torch.log_softmax(self.logits(z, self.order, keep), 2).gather(2, bins.T[:, :, None])[:, :, 0].T
        return each - self.bins.log_volume(x, bins)

    def log_prob(self, x: torch.Tensor) -> State:
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each}

    def nll(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """In training, of some rows some columns are given: of each row another share of them."""
        if not self.training:
            return -self.conditionals(x).sum(1)
        rate, share = self.config.dropout, self.config.given
        keep = (u > rate) / (1 - rate)
        if not share:
            return -self.conditionals(x, None, keep).sum(1)
        given = v[:, 1:] < torch.where(v[:, :1] < share, v[:, :1] / share, 0.0)
        return -torch.where(given, 0.0, self.conditionals(x, given, keep)).sum(1)

    # ---- sampling: one column a step -------------------------------------------------------------------------------

    def init(self, index: torch.Tensor, given: torch.Tensor, known: torch.Tensor, **options: torch.Tensor) -> State:
        bins, offsets = self.bins(given)
        return {"bins": bins, "offsets": offsets, "seen": (self.seen(bins) * known[:, :, None]).flatten(1)}

    def step(
        self,
        i: torch.Tensor,
        state: State,
        given: torch.Tensor,
        known: torch.Tensor,
        u: torch.Tensor,
        temperature: torch.Tensor,
        missing: torch.Tensor,
    ) -> State:
        here, size = i.reshape(1), self.config.embedding
        logits = self.logits(state["seen"] @ self.inner.index_select(0, here), here)[0]  # (N, K)
        logits = torch.where(self.bins.absent.index_select(0, here) & (missing > 0), -torch.inf, logits)
        cdf = torch.softmax(logits / temperature, 1).cumsum(1)
        bins = (cdf < u[:, :1] * cdf[:, -1:]).sum(1)
        offsets = self.bins.draw(here, bins, u[:, 1:])
        is_known = known.index_select(1, here)[:, 0]
        bins = torch.where(is_known, state["bins"].index_select(1, here)[:, 0], bins)
        offsets = torch.where(is_known, state["offsets"].index_select(1, here)[:, 0], offsets)
        features = self.embeddings().index_select(0, here)[0].index_select(0, bins)
        column = i.expand(bins.shape[0], 1)
        places = (i * size + torch.arange(size, device=i.device)).expand(bins.shape[0], size)
        return {
            "bins": state["bins"].scatter(1, column, bins[:, None]),
            "offsets": state["offsets"].scatter(1, column, offsets[:, None]),
            "seen": state["seen"].scatter(1, places, features),
        }

    def finish(self, state: State) -> torch.Tensor:
        return self.bins.codes(state["bins"], state["offsets"])

    def methods(self) -> dict[str, Method]:
        x, whole = self.space.tensor, Tensor("int64", (self.columns,))
        sample = Loop(
            length=self.columns,
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={"bins": whole, "offsets": whole, "seen": Tensor("float32", (self.columns * self.config.embedding,))},
            inputs={
                GIVEN: Tensor("int64", x.shape, low=0, high=self.space.levels - 1, default=0),
                KNOWN: Tensor("bool", (self.columns,), default=0),
            },
            outputs={"x": x},
            noise={"u": Noise("uniform", (3,))},
            options={
                "temperature": Option(1.0, low=0.01, help="below 1: likelier samples"),
                "missing": Option("draw", choices=("draw", "never"), help="whether values may be missing"),
            },
        )
        outputs = {"log_prob": Tensor("float32"), "conditionals": Tensor("float32", (self.columns,))}
        return {"sample": sample, "log_prob": Call(self.log_prob, inputs={"x": x}, outputs=outputs)}

    def objectives(self) -> dict[str, Objective]:
        noise = {
            "u": Noise("uniform", (self.config.layers, self.config.hidden)),
            "v": Noise("uniform", (1 + self.columns,)),
        }
        return {"nll": Objective(Call(self.nll, {"x": self.space.tensor}, {"loss": Tensor("float32")}, noise=noise))}
