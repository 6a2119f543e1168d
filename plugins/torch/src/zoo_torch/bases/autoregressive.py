"""Base of autoregressive models over integer levels: drawing a level, and the methods that follow from it."""

from __future__ import annotations

from typing import Any

import torch

from zoo.columns import Table
from zoo.network import Objective
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Labels, Space, Strings
from zoo_torch.network import TorchNetwork

State = dict[str, torch.Tensor]


class Autoregressive(TorchNetwork):
    """p(x) is the product of p(x_d given x_1..x_{d-1}) over dimensions in their order, each a softmax over levels.

    An architecture computes the logits of all dimensions in one pass, `logits`, and those of one dimension from caches
    of the earlier ones, `advance`. The `caches` are float32, initially zeros: the sampler's loop carries them, so steps
    do not recompute the past. In text, token 0 ends a string. In a table, levels that a code does not have are barred,
    and a code is 0 if the first of its column determines the value; the density refers to values, in their units.
    """

    density = "exact"
    dropped: tuple[int, ...]  # shape, for one example, of what dropout scales

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dim, self.text, self.table = space.size, isinstance(space, Strings), isinstance(space, Table)
        self.levels = space.tokens if isinstance(space, Strings) else space.levels
        if isinstance(space, Table):
            buffers = {
                "barred": torch.arange(self.levels) >= torch.tensor(space.counts)[:, None],  # (D, K) are no levels
                "leads": torch.tensor(space.leads),  # (D,) the first code of the column of each
                "opens": torch.tensor(space.opens),  # (D,) from this level on, the first code says all
                "log_widths": torch.tensor(space.log_widths(), dtype=torch.float32),  # (D, K), in data units
                "place_of": torch.arange(self.dim),
            }
            for name, value in buffers.items():
                self.register_buffer(name, value, persistent=False)

    def logits(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """(N, D) levels -> (N, D, K): logits given the levels before each. `keep` (N, *dropped) is for dropout."""
        raise NotImplementedError

    def caches(self) -> dict[str, Tensor]:
        raise NotImplementedError

    def advance(self, i: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Logits (N, K) of dimension `i`, and the caches with it. The state has the caches, `x` (N, D), drawn up to
        `i`, and `last` (N,), the level before `i`."""
        raise NotImplementedError

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """(N, D) levels -> (N, D): the level before each; before the first, one that there is not."""
        return torch.cat([torch.full_like(x[:, :1], self.levels), x[:, :-1]], 1)

    def conditionals(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """(N, *shape) levels -> (N, D) nats: of each dimension, given those before it."""
        x = x.reshape(-1, self.dim).to(torch.int64)
        logits = self.logits(x, keep)
        if self.table:
            logits = torch.where(self.barred, -torch.inf, logits)
        each = torch.log_softmax(logits, 2).gather(2, x[:, :, None])[:, :, 0]
        if self.table:
            said = (x.index_select(1, self.leads) >= self.opens) & (self.leads != self.place_of)
            return torch.where(said, 0.0, each) - self.log_widths.T.gather(0, x)
        return torch.where(self.before(x) == 0, 0.0, each) if self.text else each  # after the end

    def log_prob(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each}

    def nll(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Dropout removes a feature from all dimensions of an example (Gal, Ghahramani, arXiv 1512.05287)."""
        rate = self.config.dropout
        return -self.conditionals(x, (u > rate) / (1 - rate) if self.training else None).sum(1)

    # ---- sampling: one dimension a step ----------------------------------------------------------------------------

    def init(self, index: torch.Tensor, temperature: torch.Tensor) -> State:
        n = index.shape[0]
        caches = {name: torch.zeros(n, *t.shape, device=index.device) for name, t in self.caches().items()}
        x = torch.zeros(n, self.dim, dtype=getattr(torch, self.space.dtype), device=index.device)
        return {**caches, "x": x, "last": torch.full_like(index, self.levels)}

    def step(self, i: torch.Tensor, state: State, u: torch.Tensor, temperature: torch.Tensor) -> State:
        x, last = state["x"], state["last"]
        logits, caches = self.advance(i, state)
        if self.table:
            logits = torch.where(self.barred.index_select(0, i.reshape(1)), -torch.inf, logits)
        cdf = torch.softmax(logits / temperature, 1).cumsum(1)
        level = (cdf < u[:, None]).sum(1).clamp(max=self.levels - 1)
        if self.text:
            level = torch.where(last == 0, 0, level)
        if self.table:
            lead, open_levels = (t.index_select(0, i.reshape(1)) for t in (self.leads, self.opens))
            said = (x.gather(1, lead.expand(last.shape[0], 1))[:, 0] >= open_levels) & (lead != i)
            level = torch.where(said, 0, level)
        x = x.scatter(1, i.expand(last.shape[0], 1), level[:, None].to(x.dtype))
        return {**caches, "x": x, "last": level}

    def finish(self, state: State) -> torch.Tensor:
        return state["x"].reshape(-1, *self.space.shape)

    def methods(self) -> dict[str, Method]:
        x = self.space.tensor
        sample = Loop(
            length=self.dim,
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={**self.caches(), "x": Tensor(x.dtype, (self.dim,)), "last": Tensor("int64")},
            outputs={"x": x},
            noise={"u": Noise("uniform")},
            options={"temperature": Option(1.0, low=0.01, help="below 1: likelier samples")},
            until=(lambda state: (state["last"] == 0).all()) if self.text else None,
        )
        outputs = {"log_prob": Tensor("float32"), "conditionals": Tensor("float32", (self.dim,))}
        return {"sample": sample, "log_prob": Call(self.log_prob, inputs={"x": x}, outputs=outputs)}

    def objectives(self) -> dict[str, Objective]:
        noise = {"u": Noise("uniform", self.dropped)}
        return {"nll": Objective(Call(self.nll, {"x": self.space.tensor}, {"loss": Tensor("float32")}, noise=noise))}
