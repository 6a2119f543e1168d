"""MADE: an autoregressive model over integer levels, all conditionals in one pass of a masked network (Germain, Gregor,
Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", arXiv 1502.03509)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zoo.columns import Table
from zoo.network import Recipe, setting
from zoo.signature import Tensor
from zoo.spaces import Discrete, Image, Labels, Space
from zoo_torch.bases.autoregressive import Autoregressive, State


@dataclass(frozen=True)
class Config:
    hidden: int = setting(192, "units of the hidden layers")
    rank: int = setting(4, "features of a level, going in and coming out")
    dropout: float = setting(0.2, "share of hidden units that a training step leaves out")


class MADE(Autoregressive):
    """A level goes in as `rank` features and comes out as `rank` weights of learned log-probability curves, on top of
    the marginals of the training data. With one hidden layer, drawing a dimension needs only the running sums of what
    the hidden units have seen: a step costs as much as one column of the weights.

    >>> import zoo
    >>> model = zoo.train("made", "digits", "runs/made", epochs=1)
    >>> model.sample(2, seed=7).shape
    (2, 8, 8, 1)
    >>> model.log_prob(zoo.load_dataset("digits").test[:2]).shape  # nats
    (2,)
    """

    Config = Config
    spaces = (Image, Discrete, Table)
    recipe = Recipe(epochs=200, learning_rate=1e-3, weight_decay=0.3, ema=0.99, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.dropped = (config.hidden,)
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

    def logits(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        inner, outer = self.weights()
        seen = F.embedding(x, self.features).flatten(1)  # (N, D * R)
        hidden = torch.relu(seen @ inner.flatten(0, 1) + self.inner_bias)
        if keep is not None:
            hidden = hidden * keep
        out = (hidden @ outer.transpose(0, 1).flatten(1)).reshape(-1, self.dim, self.config.rank)
        return out @ self.curves + self.marginals

    # ---- sampling: one dimension a step --------------------------------------------------------------------------

    def caches(self) -> dict[str, Tensor]:
        return {"seen": Tensor("float32", (self.config.hidden,))}  # what the hidden units have summed up so far

    def advance(self, i: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        inner, outer = self.weights()
        before = inner.index_select(0, (i - 1).clamp(min=0).reshape(1))[0]  # (R, H)
        features = F.pad(self.features, (0, 0, 0, 1))  # before the first dimension there is no level: zeros
        seen = state["seen"] + F.embedding(state["last"], features) @ before
        out = torch.relu(seen + self.inner_bias) @ outer.index_select(0, i.reshape(1))[0]
        return out @ self.curves + self.marginals.index_select(0, i.reshape(1)), {"seen": seen}
