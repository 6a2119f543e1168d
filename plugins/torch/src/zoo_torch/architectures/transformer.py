"""A decoder-only transformer over text, images in raster order or vectors of levels (Vaswani et al., "Attention Is All
You Need", arXiv 1706.03762; blocks as in GPT-2, Radford et al., "Language Models are Unsupervised Multitask Learners",
2019). All heads share keys and values (Shazeer, "Fast Transformer Decoding: One Write-Head is All You Need", arXiv
1911.02150): what the sampler keeps, and reads in each step, is smaller by the number of heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from zoo.columns import Table
from zoo.errors import InputError
from zoo.network import Recipe, setting
from zoo.signature import Tensor
from zoo.spaces import Discrete, Image, Labels, Space, Strings
from zoo_torch.bases.autoregressive import Autoregressive, State


@dataclass(frozen=True)
class Config:
    width: int = setting(64, "features of a position")
    heads: int = setting(4, "of attention in each layer; they divide the width")
    layers: int = setting(4, "of attention and a perceptron")
    dropout: float = setting(0.2, "share of features that a training step leaves out")


class Block(nn.Module):
    """Attention, then a perceptron, each added to its input: (N, T, E) -> (N, T, E), or of one position, (N, E)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head = width // heads  # features of a head
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, width + 2 * self.head)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def queries_keys_values(self, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries (N, T * heads, F), the heads of a position side by side; keys and values (N, T, F) or (N, F)."""
        q, k, v = self.project(self.norm_attention(h)).split([h.shape[-1], self.head, self.head], -1)
        return q.reshape(h.shape[0], -1, self.head), k, v

    def attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What queries see of `k` and `v` (N, D, F), as `q` is laid out. `mask` (1, D), added to the scores of one
        position, hides those ahead. Without it `q` are of all D positions, and no scores are kept: they are D times as
        many as the queries."""
        if mask is not None:
            return torch.softmax(q @ k.mT * self.head**-0.5 + mask, -1) @ v
        n, d, f = k.shape
        q = q.reshape(n, d, -1, f).transpose(1, 2)  # (N, heads, D, F)
        k, v = (t[:, None].expand_as(q) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)

    def forward(
        self,
        h: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: torch.Tensor | None = None,
        keep: tuple[torch.Tensor, ...] | None = None,
    ) -> torch.Tensor:
        """`k` and `v` (N, D, F) of all positions, and the `mask` of `attention`."""
        seen = self.out(self.attention(q, k, v, mask).reshape(h.shape))
        h = h + (seen if keep is None else seen * keep[0])
        more = self.mlp(self.norm_mlp(h))
        return h + (more if keep is None else more * keep[1])


class Transformer(Autoregressive):
    """Drawing a position takes that position alone through the network: keys and values of those before it are kept.

    >>> import zoo
    >>> config = {"width": 16, "heads": 2, "layers": 1}
    >>> model = zoo.train("transformer", "names", "runs/names", config=config, epochs=1)
    >>> len(model.space.decode(model.sample(3, seed=7)))
    3
    >>> model.log_prob(["anna", "xqzw"]).argmax()
    np.int64(0)
    """

    Config = Config
    spaces = (Image, Discrete, Strings, Table)
    recipe = Recipe(epochs=40, learning_rate=3e-3, weight_decay=0.1, clip=1.0, ema=0.99, patience=10)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        if config.heads < 1 or config.width % config.heads:
            raise InputError(f"width={config.width} is not a multiple of heads={config.heads}; choose one that is.")
        self.level = nn.Embedding(self.levels + 1, config.width)  # the last row: before the first level
        nn.init.normal_(self.level.weight, std=0.02)
        self.place = nn.Parameter(0.02 * torch.randn(self.dim, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, self.levels)
        self.dropped = (config.layers, 2, config.width)
        self.register_buffer("order", torch.arange(self.dim), persistent=False)

    def mask(self, position: torch.Tensor) -> torch.Tensor:
        """(1,) -> (1, D): zero where a position sees another, itself included, minus infinity where it does not."""
        return torch.where(self.order <= position[:, None], 0.0, -torch.inf)

    def logits(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        h = self.level(self.before(x)) + self.place
        for n, block in enumerate(self.blocks):
            kept = None if keep is None else keep[:, n, :, None].unbind(1)  # two of (N, 1, E)
            h = block(h, *block.queries_keys_values(h), keep=kept)
        return self.head(self.norm(h))

    def caches(self) -> dict[str, Tensor]:
        kept = Tensor("float32", (self.dim, self.config.width // self.config.heads))
        return {f"{name}{n}": kept for n in range(self.config.layers) for name in ("keys", "values")}

    def advance(self, i: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        here, caches = i.reshape(1), {}
        h, mask = self.level(state["last"]) + self.place.index_select(0, here), self.mask(here)
        for n, block in enumerate(self.blocks):
            q, *fresh = block.queries_keys_values(h)
            for name, value in zip((f"keys{n}", f"values{n}"), fresh, strict=True):
                row = value[:, None]  # (N, 1, F)
                caches[name] = state[name].scatter(1, i.expand_as(row), row)
            h = block(h, q, caches[f"keys{n}"], caches[f"values{n}"], mask)
        return self.head(self.norm(h)), caches
