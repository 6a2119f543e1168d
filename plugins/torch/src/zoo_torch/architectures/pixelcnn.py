"""PixelCNN: an image drawn pixel by pixel, by convolutions that see the pixels before (van den Oord, Kalchbrenner,
Kavukcuoglu, "Pixel Recurrent Neural Networks", arXiv 1601.06759), with the gated units of "Conditional Image Generation
with PixelCNN Decoders" (arXiv 1606.05328). A sampler that keeps the last row of each layer draws a pixel at the cost of
one pixel (Ramachandran et al., "Fast Generation for Convolutional Autoregressive Models", arXiv 1704.06001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from zoo.errors import InputError
from zoo.logistic_mixture import LogisticMixture
from zoo.network import Recipe, setting
from zoo.signature import Tensor
from zoo.spaces import Image, Labels
from zoo_torch.bases.autoregressive import Autoregressive, State


@dataclass(frozen=True)
class Config:
    channels: int = setting(32, "features of a pixel")
    layers: int = setting(4, "gated convolutions after the first")
    kernel: int = setting(7, "of the first convolution, odd; the others have 3")
    rank: int = setting(4, "features of a level")
    dropout: float = setting(0.2, "share of features that a training step leaves out")
    mixtures: int = setting(0, "logistic components of a pixel (arXiv 1701.05517), for many levels; 0: a softmax")


class Masked(nn.Module):
    """A convolution that sees so many rows above, so far to either side, and its own row up to a pixel: with it, or
    without it (`own`).

    The taps of its weights (out, in, T) are in raster order. Those that a mask would hide come last, and are left out.
    """

    def __init__(self, inputs: int, outputs: int, above: int, beside: int, own: bool) -> None:
        super().__init__()
        self.above, self.beside, self.before = above, beside, above * (2 * beside + 1) + beside
        fan = inputs * (self.before + 1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, self.before + own) / fan**0.5)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, H, W)."""
        weight = F.pad(self.weight, (0, self.before + self.beside + 1 - self.weight.shape[2]))
        around = (self.beside, self.beside, self.above, 0)
        return F.conv2d(F.pad(h, around), weight.unflatten(2, (self.above + 1, -1)))

    def past(self, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The taps before a pixel: how far back in raster order, (T,), and whether they are in the image, (D, T)."""
        reach = torch.arange(-self.above, 1), torch.arange(-self.beside, self.beside + 1)
        down, across = torch.cartesian_prod(*reach)[: self.before].T
        row, column = torch.cartesian_prod(torch.arange(height), torch.arange(width)).T[:, :, None]
        inside = (row + down >= 0) & (column + across >= 0) & (column + across < width)
        return -(down * width + across), inside


class PixelCNN(Autoregressive):
    """Logits are on top of the marginals of the training data. The channels of a pixel are drawn one after another, as
    pixels of a wider image. Every pixel has a bias of its own, which tells it where it is, and of which channel.

    >>> import zoo
    >>> config = {"channels": 8, "layers": 1}
    >>> model = zoo.train("pixelcnn", "digits", "runs/pixels", config=config, epochs=1)
    >>> model.sample(2, seed=7, temperature=0.9).shape
    (2, 8, 8, 1)
    """

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=60, learning_rate=5e-3, weight_decay=0.1, clip=5.0, ema=0.98, patience=15)

    def __init__(self, space: Image, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        if config.kernel % 2 == 0:
            raise InputError(f"kernel={config.kernel} has no middle; choose an odd number.")
        if config.layers < 1:
            raise InputError(f"layers={config.layers} are too few; choose at least 1.")
        f, k, r = config.channels, self.levels, config.rank
        self.plane = height, width = space.height, space.width * space.channels

        def reach(pixels: int) -> tuple[int, int]:
            return min(pixels, height - 1), min(pixels * space.channels, width - 1)

        grid = torch.linspace(-1, 1, k)[:, None]
        waves = torch.cos(torch.pi * torch.arange(1, r) * (grid + 1) / 2)
        self.features = nn.Parameter(torch.cat([grid, waves], 1)[:, :r])  # (K, R)
        self.first = Masked(r, f, *reach(config.kernel // 2), own=False)
        self.place = nn.Parameter(torch.zeros(self.dim, f))
        self.gates = nn.ModuleList(Masked(f, 2 * f, *reach(1), own=True) for _ in range(config.layers))
        self.outs = nn.ModuleList(nn.Conv2d(f, f, 1) for _ in range(config.layers))
        self.likelihood = LogisticMixture(1, k)
        outputs = self.likelihood.rows * config.mixtures or k
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(f, f), nn.ReLU(), nn.Linear(f, outputs))
        nn.init.zeros_(self.head[-1].weight)  # starts as the marginals
        nn.init.zeros_(self.head[-1].bias)
        # (D, K) log-probabilities, or (D, rows * mixtures) parameters
        self.register_buffer("marginals", torch.zeros(self.dim, outputs))
        self.adapt(np.arange(k)[:, None] + np.zeros((1, self.dim), np.int64))  # all levels alike
        if config.mixtures:
            scales = torch.tensor(self.likelihood.scales()).repeat_interleave(config.mixtures)
            self.register_buffer("scales", scales, persistent=False)
        self.dropped = (config.layers, f)
        for name, convolution in (("first", self.first), ("later", self.gates[0])):
            for part, value in zip(("back", "inside"), convolution.past(*self.plane), strict=True):
                self.register_buffer(f"{name}_{part}", value, persistent=False)

    def adapt(self, x: np.ndarray) -> None:
        if self.config.mixtures:
            base = self.likelihood.marginals(x.reshape(len(x), 1, -1), self.config.mixtures)  # (rows, K, D)
            self.marginals.copy_(torch.from_numpy(base).flatten(0, 1).T)
            return
        counts = np.stack([np.bincount(column, minlength=self.levels) for column in x.reshape(len(x), -1).T])
        smooth = counts + 1 / self.levels  # Perks' prior: one observation, spread over the levels
        self.marginals.copy_(torch.from_numpy(np.log(smooth / smooth.sum(1, keepdims=True))))

    def predicted(self, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Features (N, ..., F) of dimensions with these marginals -> logits, or the parameters of logistics."""
        return self.head(h) * self.scales + base if self.config.mixtures else self.head(h) + base

    def conditionals(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        if not self.config.mixtures:
            return super().conditionals(x, keep)
        x = x.reshape(-1, self.dim).to(torch.int64)
        return self.likelihood.log_mass(x[:, None], self.mixture(self.logits(x, keep)))

    def mixture(self, parameters: torch.Tensor) -> torch.Tensor:
        """(N, M, rows * K) -> (N, rows, K, M)."""
        return parameters.transpose(1, 2).unflatten(1, (self.likelihood.rows, self.config.mixtures))

    def logits(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        y = F.embedding(x, self.features).transpose(1, 2).unflatten(2, self.plane)  # (N, R, H, W)
        h = self.first(y) + self.place.T.unflatten(1, self.plane)
        for n, (gate, out) in enumerate(zip(self.gates, self.outs, strict=True)):
            more = gated(gate(h))
            h = h + out(more if keep is None else more * keep[:, n, :, None, None])
        return self.predicted(h.flatten(2).transpose(1, 2), self.marginals)

    def caches(self) -> dict[str, Tensor]:
        """What each layer was given at the pixels of the last row: a queue, the oldest first."""
        length = self.plane[1] + self.gates[0].beside
        return {"row": Tensor("float32", (length, self.config.layers, self.config.channels))}

    def advance(self, i: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        here, row = i.reshape(1), state["row"]  # (N, M, L, F)
        near = state["x"].index_select(1, (i - self.first_back).clamp(min=0)).to(torch.int64)
        seen = F.embedding(near, self.features) * self.first_inside.index_select(0, here)[:, :, None]  # (N, T, R)
        h = seen.flatten(1) @ matrix(self.first.weight) + self.place.index_select(0, here)
        # what the pixels before this one add to each layer's gates, for all layers at once: (L, N, 2 F)
        past = row.index_select(1, row.shape[1] - self.later_back)
        past = past * self.later_inside.index_select(0, here)[:, :, None, None]  # (N, T, L, F)
        weights = torch.stack([matrix(gate.weight[:, :, :-1]) for gate in self.gates])
        added = past.permute(2, 0, 1, 3).flatten(2) @ weights
        given = []
        for before, gate, out in zip(added, self.gates, self.outs, strict=True):
            given.append(h)
            more = gated(torch.addmm(before, h, gate.weight[:, :, -1].T))
            h = h + F.linear(more, out.weight.flatten(1), out.bias)
        newest = torch.cat(given, 1).unflatten(1, (1, len(given), -1))
        logits = self.predicted(h, self.marginals.index_select(0, here))
        if self.config.mixtures:  # of all levels, so that one is drawn as from a softmax
            levels = torch.arange(self.levels, device=h.device).reshape(1, 1, -1)
            logits = self.likelihood.log_mass(levels, self.mixture(logits[:, None]))
        return logits, {"row": torch.cat([row[:, 1:], newest], 1)}


def gated(h: torch.Tensor) -> torch.Tensor:
    """(N, 2 F, ...) -> (N, F, ...): one half of the features lets the other through."""
    value, gate = h.chunk(2, 1)
    return torch.tanh(value) * torch.sigmoid(gate)


def matrix(weight: torch.Tensor) -> torch.Tensor:
    """Weights of a convolution (out, in, T) -> (T * in, out), for what is at its taps, (N, T * in)."""
    return weight.permute(2, 1, 0).flatten(0, 1)
