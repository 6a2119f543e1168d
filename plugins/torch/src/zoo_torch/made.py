"""MADE: an autoregressive model over integer levels, all conditionals in one pass of a masked network (Germain, Gregor,
Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", arXiv 1502.03509)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zoo.network import Objective, Recipe
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Discrete, Image, Labels, Space
from zoo_torch.network import TorchNetwork

SCALAR = Tensor("float32", ())


@dataclass(frozen=True)
class Config:
    hidden: int = 192
    rank: int = 4  # features of a level, going in and coming out
    dropout: float = 0.2


class MADE(TorchNetwork):
    """p(x) is the product of p(x_d given x_1..x_{d-1}) over dimensions in their order, each a softmax over levels.

    A level goes in as `rank` features and comes out as `rank` weights of learned log-probability curves, on top of the
    marginals of the training data. With one hidden layer, drawing a dimension needs only the running sums
    of what the hidden units have seen: a step costs as much as one column of the weights.
    """

    Config = Config
    spaces = (Image, Discrete)
    density = "exact"
    recipe = Recipe(epochs=200, learning_rate=1e-3, weight_decay=0.3, ema=0.99, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dim, self.levels, self.dtype = space.size, space.levels, getattr(torch, space.dtype)
        d, k, h, r = self.dim, self.levels, config.hidden, config.rank
        grid = torch.linspace(-1, 1, k)[:, None]
        waves = torch.cos(torch.pi * torch.arange(1, r) * (grid + 1) / 2)
        self.features = nn.Parameter(torch.cat([grid, waves], 1)[:, :r])  # (K, R)
        self.curves = nn.Parameter(self.features.detach().T.clone())  # (R, K)
        self.inner = nn.Parameter(torch.randn(d, r, h) / (d * r) ** 0.5)
        self.inner_bias = nn.Parameter(torch.zeros(h))
        self.outer = nn.Parameter(torch.zeros(d, h, r))
        self.register_buffer("marginals", torch.full((d, k), 1 / k).log())  # (D, K) log-probabilities
        self.register_buffer("degree", torch.arange(h) % max(d - 1, 1), persistent=False)  # sees dimensions up to it
        self.register_buffer("order", torch.arange(d), persistent=False)

    def adapt(self, x: np.ndarray) -> None:
        counts = np.stack([np.bincount(column, minlength=self.levels) for column in x.reshape(len(x), -1).T])
        smooth = counts + 1 / self.levels  # Perks' prior: one observation, spread over the levels
        self.marginals.copy_(torch.from_numpy(np.log(smooth / smooth.sum(1, keepdims=True))))

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Masked weights (D, R, H) and (D, H, R). Constants of an exported graph."""
        sees = (self.order[:, None] <= self.degree)[:, None, :]
        serves = (self.order[:, None] > self.degree)[:, :, None]
        return torch.where(sees, self.inner, 0.0), torch.where(serves, self.outer, 0.0)

    def conditionals(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """(N, *shape) levels -> (N, D) nats: of each dimension, given those before it."""
        inner, outer = self.weights()
        x = x.reshape(-1, self.dim).to(torch.int64)
        seen = F.embedding(x, self.features).flatten(1)  # (N, D * R)
        hidden = torch.relu(seen @ inner.flatten(0, 1) + self.inner_bias)
        if keep is not None:
            hidden = hidden * keep
        out = (hidden @ outer.transpose(0, 1).flatten(1)).reshape(-1, self.dim, self.config.rank)
        log_p = torch.log_softmax(out @ self.curves + self.marginals, dim=2)  # (N, D, K)
        return log_p.gather(2, x[:, :, None])[:, :, 0]

    def log_prob(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        each = self.conditionals(x)
        return {"log_prob": each.sum(1), "conditionals": each}

    def nll(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return -self.conditionals(x).sum(1)
        rate = self.config.dropout
        return -self.conditionals(x, (u > rate) / (1 - rate)).sum(1)

    # ---- sampling: one dimension a step --------------------------------------------------------------------------

    def init(self, index: torch.Tensor, temperature: torch.Tensor) -> dict[str, torch.Tensor]:
        n = index.shape[0]
        seen = self.inner_bias.expand(n, -1).clone()  # (N, H): what the hidden units have summed up so far
        return {"seen": seen, "x": torch.zeros(n, self.dim, dtype=self.dtype, device=index.device)}

    def step(
        self, i: torch.Tensor, state: dict[str, torch.Tensor], u: torch.Tensor, temperature: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        inner, outer = (w.index_select(0, i.reshape(1))[0] for w in self.weights())  # (R, H), (H, R)
        out = torch.relu(state["seen"]) @ outer
        logits = out @ self.curves + self.marginals.index_select(0, i.reshape(1))
        cdf = torch.softmax(logits / temperature, dim=1).cumsum(1)
        level = (cdf < u[:, None]).sum(1).clamp(max=self.levels - 1)  # (N,)
        seen = state["seen"] + F.embedding(level, self.features) @ inner
        return {"seen": seen, "x": torch.where(self.order == i, level[:, None].to(self.dtype), state["x"])}

    def finish(self, state: dict[str, torch.Tensor]) -> torch.Tensor:
        return state["x"].reshape(-1, *self.space.shape)

    def methods(self) -> dict[str, Method]:
        x = self.space.tensor
        sample = Loop(
            length=self.dim,
            init=self.init,
            step=self.step,
            finish=self.finish,
            state={"seen": Tensor("float32", (self.config.hidden,)), "x": Tensor(self.space.dtype, (self.dim,))},
            outputs={"x": x},
            noise={"u": Noise("uniform")},
            options={"temperature": Option(1.0, low=0.01, help="below 1: likelier samples")},
        )
        outputs = {"log_prob": SCALAR, "conditionals": Tensor("float32", (self.dim,))}
        return {"sample": sample, "log_prob": Call(self.log_prob, inputs={"x": x}, outputs=outputs)}

    def objectives(self) -> dict[str, Objective]:
        u = Noise("uniform", (self.config.hidden,))
        return {"nll": Objective(Call(self.nll, {"x": self.space.tensor}, {"loss": SCALAR}, noise={"u": u}))}
