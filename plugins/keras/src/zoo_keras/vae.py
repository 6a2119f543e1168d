"""A convolutional variational autoencoder (Kingma, Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114;
class-conditional: Sohn, Lee, Yan, "Learning Structured Output Representation using Deep Conditional Generative
Models", NeurIPS 2015; Foster, *Generative Deep Learning*, 2nd ed., ch. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.network import Objective, Recipe
from zoo.signature import Call, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels, Space
from zoo_keras import likelihood
from zoo_keras.backend import layers, ops
from zoo_keras.network import KerasNetwork


@dataclass(frozen=True)
class Config:
    latent: int = 16
    filters: tuple[int, ...] = (32, 48)
    mixtures: int = 2
    beta: float = 1.0
    conditional: bool = False


class VAE(KerasNetwork):
    """q(z given x) and p(x given z) by strided convolutions; a standard normal prior."""

    Config = Config
    spaces = (Image,)
    recipe = Recipe(epochs=150, batch_size=64, learning_rate=2e-3, weight_decay=0.2, clip=10.0, ema=0.99, patience=30)
    density = "lower_bound"

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        if config.conditional and classes is None:
            raise InputError("conditional=True needs class labels, and this data has none.")
        shrink = 2 ** len(config.filters)
        self.grid = (-(-space.height // shrink), -(-space.width // shrink))  # what the convolutions leave, rounded up
        like = {"padding": "same", "data_format": "channels_first", "activation": "swish"}
        self.down = [layers.Conv2D(f, 3, strides=2, **like) for f in config.filters]
        self.posterior = layers.Dense(2 * config.latent)
        self.spread = layers.Dense(config.filters[-1] * self.grid[0] * self.grid[1], activation="swish")
        self.up = [layers.Conv2DTranspose(f, 3, strides=2, **like) for f in config.filters[::-1]]
        self.pixels = layers.Conv2D(
            3 * config.mixtures * space.channels, 3, padding="same", data_format="channels_first"
        )
        self.base = self.add_weight((3, config.mixtures, space.size), "zeros", name="base")

    def adapt(self, x: np.ndarray) -> None:
        """Start at the pixels' own distributions: components at their quantiles."""
        flat, k = np.moveaxis(x, -1, 1).reshape(len(x), -1).astype(np.float64), self.config.mixtures
        centre = np.quantile(flat, (np.arange(k) + 0.5) / k, axis=0)
        width = np.maximum(flat.std(0) / k, 0.1)
        self.base.assign(np.stack([0 * centre, centre, np.log(width) + 0 * centre]))

    # ---- the two networks --------------------------------------------------------------------------------------

    def infer(self, x: Any, label: Any = None) -> tuple[Any, Any]:
        """Mean and log-variance (N, latent) of q(z given x)."""
        h = ops.cast(ops.moveaxis(x, -1, 1), "float32") / (self.space.levels - 1)
        for layer in self.down:
            h = layer(h)
        h = self.posterior(self.joined(ops.reshape(h, (h.shape[0], -1)), label))
        mean, log_var = ops.split(ops.cast(h, "float32"), 2, axis=1)
        return mean, ops.clip(log_var, -10.0, 10.0)

    def generate(self, z: Any, label: Any = None) -> Any:
        """Parameters (N, 3, K, D) of p(x given z), D = channels * height * width."""
        space, config = self.space, self.config
        h = ops.reshape(self.spread(self.joined(z, label)), (-1, config.filters[-1], *self.grid))
        for layer in self.up:
            h = layer(h)
        h = self.pixels(h)
        if h.shape[2:] != (space.height, space.width):
            h = h[:, :, : space.height, : space.width]
        h = ops.cast(ops.reshape(h, (-1, 3, config.mixtures, space.size)), "float32")
        scale = ops.reshape(ops.convert_to_tensor([1.0, (space.levels - 1) / 4, 1.0]), (3, 1, 1))
        return self.base + h * scale

    def joined(self, h: Any, label: Any) -> Any:
        if not self.config.conditional:
            return h
        return ops.concatenate([h, ops.one_hot(label, len(self.classes), dtype="float32")], axis=1)

    def flat(self, x: Any) -> Any:
        return ops.reshape(ops.moveaxis(x, -1, 1), (-1, self.space.size))

    def image(self, flat: Any) -> Any:
        """(N, D) levels as floats -> (N, height, width, channels) uint8."""
        s = self.space
        return ops.cast(ops.moveaxis(ops.reshape(flat, (-1, s.channels, s.height, s.width)), 1, -1), "uint8")

    # ---- the methods -------------------------------------------------------------------------------------------

    def sample(self, z: Any, u: Any, v: Any, temperature: Any, label: Any = None) -> Any:
        return self.image(likelihood.draw(self.generate(z * temperature, label), self.space.levels, u, v))

    def decode(self, z: Any, label: Any = None) -> Any:
        return self.image(ops.round(likelihood.mean(self.generate(z, label), self.space.levels)))

    def encode(self, x: Any, label: Any = None) -> dict[str, Any]:
        mean, log_var = self.infer(x, label)
        return {"z": mean, "log_var": log_var}

    def bound(self, x: Any, e: Any, samples: Any, label: Any = None) -> Any:
        """Importance-weighted bound (Burda et al., arXiv 1509.00519); with one sample, the ELBO. `e` (N, S, latent)."""
        n, s, d = e.shape
        mean, log_var = self.infer(x, label)
        z = mean[:, None] + ops.exp(0.5 * log_var)[:, None] * e
        log_ratio = 0.5 * ops.sum(e**2 - z**2 + log_var[:, None], axis=2)  # log p(z) - log q(z given x)
        labels = None if label is None else ops.reshape(label[:, None] + ops.zeros((1, s), dtype="int64"), (-1,))
        p = ops.reshape(self.generate(ops.reshape(z, (-1, d)), labels), (n, s, *self.base.shape))
        log_x = ops.sum(likelihood.log_mass(self.flat(x)[:, None], p, self.space.levels), axis=2)
        return ops.logsumexp(log_x + log_ratio, axis=1) - ops.log(ops.cast(samples, "float32"))

    def negative_elbo(self, x: Any, e: Any, label: Any = None) -> Any:
        """With the divergence in closed form, times `beta` (Higgins et al., ICLR 2017)."""
        mean, log_var = self.infer(x, label)
        p = self.generate(mean + ops.exp(0.5 * log_var) * e, label)
        kl = 0.5 * ops.sum(ops.exp(log_var) + mean**2 - 1 - log_var, axis=1)
        return self.config.beta * kl - ops.sum(likelihood.log_mass(self.flat(x), p, self.space.levels), axis=1)

    def methods(self) -> dict[str, Method]:
        x, z, d = self.space.tensor, Tensor("float32", (self.config.latent,)), self.space.size
        label = {"label": Tensor("int64")} if self.config.conditional else {}
        e, draws = Noise("normal", ("samples", self.config.latent)), Option(1, low=1, help="draws of z an observation")
        noise = {"z": Noise("normal", z.shape), "u": Noise("uniform", (d,)), "v": Noise("uniform", (d,))}
        score = Tensor("float32")
        warm = Option(1.0, low=0.0, help="scale of z: below 1 more typical observations, fewer kinds")
        return {
            "sample": Call(self.sample, label, {"x": x}, noise, {"temperature": warm}),
            "log_prob": Call(self.bound, {"x": x, **label}, {"log_prob": score}, {"e": e}, {"samples": draws}),
            "encode": Call(self.encode, {"x": x, **label}, {"z": z, "log_var": z}),
            "decode": Call(self.decode, {"z": z, **label}, {"x": x}),
        }

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor, **({"label": Tensor("int64")} if self.config.conditional else {})}
        noise = {"e": Noise("normal", (self.config.latent,))}
        return {"negative_elbo": Objective(Call(self.negative_elbo, inputs, {"loss": Tensor("float32")}, noise))}
