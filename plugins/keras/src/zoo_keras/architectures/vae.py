"""A convolutional variational autoencoder (Kingma, Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114;
class-conditional: Sohn, Lee, Yan, "Learning Structured Output Representation using Deep Conditional Generative
Models", NeurIPS 2015; Foster, *Generative Deep Learning*, 2nd ed., ch. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.logistic_mixture import LogisticMixture
from zoo.network import INPUTS, Objective, Recipe, setting, told_tensors
from zoo.signature import Call, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.conditional import one_hot, told_of
from zoo_keras.bases.convolutional import Convolutional

OBSERVE = ("mean", "draw")


@dataclass(frozen=True)
class Config:
    latent: int = setting(16, "numbers of a latent")
    filters: tuple[int, ...] = setting((32, 48), "of convolutions that halve the image; in reverse on the way back")
    mixtures: int = setting(2, "logistic components of a pixel")
    beta: float = setting(1.0, "weight of the divergence from the prior (Higgins et al., ICLR 2017)")
    draws: int = setting(1, "of a latent in training; several: the importance-weighted bound (Burda et al.)")
    conditional: bool = setting(False, "on the class, in both networks")
    inputs: tuple[str, ...] = setting((), INPUTS)


class VAE(Convolutional):
    """q(z given x) and p(x given z) by strided convolutions; a standard normal prior.

    >>> import zoo
    >>> config = {"latent": 2, "filters": (8,), "conditional": True}
    >>> model = zoo.train("vae", "digits", "runs/vae", config=config, epochs=1)
    >>> model.sample(2, seed=7, label=3).shape
    (2, 8, 8, 1)
    >>> model.log_prob(zoo.load_dataset("digits").test[:2], label=[3, 8], samples=5).shape  # a bound
    (2,)
    """

    Config = Config
    spaces = (Image,)
    takes_inputs = True
    recipe = Recipe(epochs=150, batch_size=64, learning_rate=2e-3, weight_decay=0.2, clip=10.0, ema=0.99, patience=30)
    density = "lower_bound"

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.likelihood = LogisticMixture(space.channels, space.levels)
        self.plane = space.height * space.width
        if config.draws < 1:
            raise InputError(f"draws={config.draws}; expected at least 1.")
        if config.draws > 1 and config.beta != 1:
            raise InputError(f"beta={config.beta:g} weighs a divergence, which several draws have not: use beta=1.")
        self.told = told_of(config, classes)
        self.posterior = layers.Dense(2 * config.latent)
        rows = self.likelihood.rows
        self.pixels = layers.Conv2D(rows * config.mixtures, 3, padding="same", data_format="channels_first")
        self.base = self.add_weight((rows, config.mixtures, self.plane), "zeros", name="base")

    def adapt(self, x: np.ndarray) -> None:
        """Start at the pixels' own distributions."""
        flat = np.moveaxis(x, -1, 1).reshape(len(x), self.space.channels, -1)
        self.base.assign(self.likelihood.marginals(flat, self.config.mixtures))

    # ---- the two networks --------------------------------------------------------------------------------------

    def infer(self, x: Any, told: Mapping[str, Any]) -> tuple[Any, Any]:
        """Mean and log-variance (N, latent) of q(z given x)."""
        h = self.posterior(self.joined(self.features(x), told))
        mean, log_var = ops.split(ops.cast(h, "float32"), 2, axis=1)
        return mean, ops.clip(log_var, -10.0, 10.0)

    def generate(self, z: Any, told: Mapping[str, Any]) -> Any:
        """Parameters (N, rows, K, M) of p(x given z), M = height * width."""
        h = self.cropped(self.pixels(self.planes(self.joined(z, told))))
        h = ops.cast(ops.reshape(h, (-1, *self.base.shape)), "float32")
        return self.base + h * ops.reshape(ops.convert_to_tensor(self.likelihood.scales()), (-1, 1, 1))

    def joined(self, h: Any, told: Mapping[str, Any]) -> Any:
        return ops.concatenate([h, one_hot(told, self.told)], axis=1) if self.told else h

    def levels(self, x: Any) -> Any:
        """(N, height, width, channels) -> (N, channels, M)."""
        return ops.reshape(ops.moveaxis(x, -1, 1), (-1, self.space.channels, self.plane))

    def observed(self, parameters: Any, u: Any, v: Any, observe: Any) -> Any:
        """The mean of p(x given z), or a draw from it: (N, height, width, channels) uint8."""
        s = self.space
        mean, drawn = self.likelihood.mean(parameters), self.likelihood.draw(parameters, u, v)
        flat = ops.where(observe == OBSERVE.index("draw"), ops.stack(drawn, 1), ops.round(ops.stack(mean, 1)))
        return ops.cast(ops.moveaxis(ops.reshape(flat, (-1, s.channels, s.height, s.width)), 1, -1), "uint8")

    # ---- the methods -------------------------------------------------------------------------------------------

    def sample(self, z: Any, u: Any, v: Any, temperature: Any, observe: Any, **told: Any) -> Any:
        return self.observed(self.generate(z * temperature, told), u, v, observe)

    def decode(self, z: Any, u: Any, v: Any, observe: Any, **told: Any) -> Any:
        return self.observed(self.generate(z, told), u, v, observe)

    def encode(self, x: Any, **told: Any) -> dict[str, Any]:
        mean, log_var = self.infer(x, told)
        return {"z": mean, "log_var": log_var}

    def bound(self, x: Any, e: Any, samples: Any, **told: Any) -> Any:
        """Importance-weighted bound (Burda et al., arXiv 1509.00519); with one sample, the ELBO. `e` (N, S, latent)."""
        n, s, d = e.shape
        mean, log_var = self.infer(x, told)
        z = mean[:, None] + ops.exp(0.5 * log_var)[:, None] * e
        log_ratio = 0.5 * ops.sum(e**2 - z**2 + log_var[:, None], axis=2)  # log p(z) - log q(z given x)
        each = ops.zeros((1, s), dtype="int64")
        repeated = {name: ops.reshape(value[:, None] + each, (-1,)) for name, value in told.items()}
        p = ops.reshape(self.generate(ops.reshape(z, (-1, d)), repeated), (n, s, *self.base.shape))
        log_x = ops.sum(self.likelihood.log_mass(self.levels(x)[:, None], p), axis=2)
        return ops.logsumexp(log_x + log_ratio, axis=1) - ops.log(ops.cast(samples, "float32"))

    def negative_elbo(self, x: Any, e: Any, **told: Any) -> Any:
        """With the divergence in closed form, times `beta` (Higgins et al., ICLR 2017)."""
        mean, log_var = self.infer(x, told)
        p = self.generate(mean + ops.exp(0.5 * log_var) * e, told)
        kl = 0.5 * ops.sum(ops.exp(log_var) + mean**2 - 1 - log_var, axis=1)
        return self.config.beta * kl - ops.sum(self.likelihood.log_mass(self.levels(x), p), axis=1)

    def negative_bound(self, x: Any, e: Any, **told: Any) -> Any:
        return -self.bound(x, e, self.config.draws, **told)

    def methods(self) -> dict[str, Method]:
        x, z = self.space.tensor, Tensor("float32", (self.config.latent,))
        told = told_tensors(self.told)
        e, draws = Noise("normal", ("samples", self.config.latent)), Option(1, low=1, help="draws of z an observation")
        draw = {"u": Noise("uniform", (self.plane,)), "v": Noise("uniform", (self.space.channels, self.plane))}
        observe = Option("mean", choices=OBSERVE, help="of p(x given z): its mean, or a draw with each pixel's noise")
        score = Tensor("float32")
        warm = Option(1.0, low=0.0, help="scale of z: below 1 more typical observations, fewer kinds")
        return {
            "sample": Call(
                self.sample,
                told,
                {"x": x},
                {"z": Noise("normal", z.shape), **draw},
                {"temperature": warm, "observe": observe},
            ),
            "log_prob": Call(self.bound, {"x": x, **told}, {"log_prob": score}, {"e": e}, {"samples": draws}),
            "encode": Call(self.encode, {"x": x, **told}, {"z": z, "log_var": z}),
            "decode": Call(self.decode, {"z": z, **told}, {"x": x}, draw, {"observe": observe}),
        }

    def objectives(self) -> dict[str, Objective]:
        inputs = {"x": self.space.tensor, **told_tensors(self.told)}
        loss, draws, latent = {"loss": Tensor("float32")}, self.config.draws, (self.config.latent,)
        if draws == 1:
            noise = {"e": Noise("normal", latent)}
            return {"negative_elbo": Objective(Call(self.negative_elbo, inputs, loss, noise))}
        noise = {"e": Noise("normal", (draws, *latent))}
        return {"negative_bound": Objective(Call(self.negative_bound, inputs, loss, noise))}
