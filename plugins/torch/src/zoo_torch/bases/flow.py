"""Base of normalizing flows: data units, the standard normal base, and the methods that follow from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from zoo.network import Objective
from zoo.signature import Call, Method, Noise, Option, Tensor
from zoo.spaces import Discrete, Image, Labels, Real, Space
from zoo_torch.layers.units import Dequantize, Standardize
from zoo_torch.network import TorchNetwork

SCALAR = Tensor("float32", ())


class Flow(TorchNetwork):
    """A change of variables from observations to a standard normal (Papamakarios et al., arXiv 1912.02762).

    An architecture defines `to_normal(y) -> (z, log_det)` and `from_normal(z) -> y` over (N, D) tensors in the units
    of `self.units`, or replaces `inversion`. On integers the density is that of dequantized observations: a lower
    bound, which more `samples` of the dequantization noise tighten (an importance-weighted bound).
    """

    spaces = (Real, Image, Discrete)

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.discrete = space.discrete
        self.units = Dequantize(space, space.levels) if space.discrete else Standardize(space)
        self.density = "lower_bound" if space.discrete else "exact"
        self.z = Tensor("float32", (space.size,))

    def adapt(self, x: np.ndarray) -> None:
        self.units.adapt(x)

    def to_normal(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError

    def from_normal(self, z: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(-1, self.space.size).to(torch.int64 if self.discrete else torch.float32)

    def observe(self, y: torch.Tensor) -> torch.Tensor:
        """(N, D) model units -> (N, *shape) observations."""
        x = self.units.inverse(y).reshape(-1, *self.space.shape)
        return x.to(getattr(torch, self.space.dtype))

    def log_normal(self, y: torch.Tensor, log_det: torch.Tensor) -> torch.Tensor:
        z, more = self.to_normal(y)
        return log_det + more - 0.5 * (z**2).sum(1) - 0.5 * self.space.size * math.log(2 * math.pi)

    def log_prob_real(self, x: torch.Tensor) -> torch.Tensor:
        return self.log_normal(*self.units(self.flat(x)))

    def log_prob_discrete(self, x: torch.Tensor, u: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        n, s, d = u.shape
        repeated = self.flat(x)[:, None].expand(n, s, d).reshape(n * s, d)
        each = self.log_normal(*self.units(repeated, u.reshape(n * s, d)))
        return torch.logsumexp(each.reshape(n, s), 1) - samples.to(torch.float32).log()

    def encode_real(self, x: torch.Tensor) -> torch.Tensor:
        return self.to_normal(self.units(self.flat(x))[0])[0]

    def encode_discrete(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return self.to_normal(self.units(self.flat(x), u)[0])[0]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.observe(self.from_normal(z))

    def inversion(self, **given: Any) -> Method:
        """The method that turns `z`, an input or noise, into an observation."""
        return Call(self.decode, outputs={"x": self.space.tensor}, **given)

    def methods(self) -> dict[str, Method]:
        x, d = self.space.tensor, self.space.size
        if self.discrete:
            log_prob = Call(
                self.log_prob_discrete,
                inputs={"x": x},
                outputs={"log_prob": SCALAR},
                noise={"u": Noise("uniform", ("samples", d))},
                options={"samples": Option(1, low=1, help="dequantization draws an observation")},
            )
            noise = {"u": Noise("uniform", (d,))}
            encode = Call(self.encode_discrete, inputs={"x": x}, outputs={"z": self.z}, noise=noise)
        else:
            log_prob = Call(self.log_prob_real, inputs={"x": x}, outputs={"log_prob": SCALAR})
            encode = Call(self.encode_real, inputs={"x": x}, outputs={"z": self.z})
        return {
            "sample": self.inversion(noise={"z": Noise("normal", (d,))}),
            "log_prob": log_prob,
            "encode": encode,
            "decode": self.inversion(inputs={"z": self.z}),
        }

    def objectives(self) -> dict[str, Objective]:
        x, loss = {"x": self.space.tensor}, {"loss": SCALAR}
        if self.discrete:

            def nll(x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
                return -self.log_normal(*self.units(self.flat(x), u))

            return {"nll": Objective(Call(nll, x, loss, noise={"u": Noise("uniform", (self.space.size,))}))}
        return {"nll": Objective(Call(lambda x: -self.log_prob_real(x), x, loss))}
