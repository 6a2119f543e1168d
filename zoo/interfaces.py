"""The interfaces of models. All arrays are numpy, in data units, with the batch axis first.

A `zoo.model.Model` has those of its `signatures`; asking it for another raises `UnknownMethod`. For each of them the
framework model (`zoo.load`) and the artifact (`zoo.open`) give the same values for the same arguments. `more` are the
inputs and options that the signature declares, such as `label=3` or `temperature=0.8`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.rows import Seeds
from zoo.spaces import Labels, Space
from zoo.spec import Density

if TYPE_CHECKING:
    from zoo.model import Model

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class DensityModel(Protocol):
    """Answers how probable an observation is.

    `density` says what the number means: "exact", a "lower_bound" on the log-density, or "unnormalized", the
    log-density up to a constant.
    """

    space: Space
    density: Density | None

    def log_prob(self, x: Any, *, seed: int = 0, **more: Any) -> Array:
        """Nats for each of the observations `x` (N, *space.shape): (N,) float32. For a discrete space this is the
        log-probability, for a continuous one the log-density with respect to the raw units of `x`.

        An autoregressive model may have the further output `conditionals` (N, D): log p(x_d given x_1..x_{d-1}), the
        terms of the sum, in the order of the dimensions (`run("log_prob", {"x": x})` gives all outputs)."""


class Generator(Protocol):
    """Draws new observations."""

    space: Space

    def sample(
        self,
        count: int | None = None,
        seed: Seeds | None = None,
        *,
        start: int = 0,
        index: Seeds | None = None,
        **more: Any,
    ) -> Array:
        """Rows `start`, `start + 1`, ... of `seed`: (count, *space.shape) of the space's dtype. A row of a seed is the
        same in any batch and on any machine. `seed` and `index` may be arrays with one value per row."""


class Discriminator(Protocol):
    """Predicts the class of an observation, or whether it is real."""

    space: Space
    classes: Labels | None

    def predict(self, x: Any, *, seed: int = 0, **more: Any) -> Array:
        """p(y given x) for the observations `x` (N, *space.shape): (N, classes) float32 that sums to one in each row;
        for a real/fake discriminator p(real), (N,)."""


class LatentModel(Protocol):
    """Maps between observations and latents."""

    space: Space

    def encode(self, x: Any, *, seed: int = 0, **more: Any) -> Array:
        """Latents of the observations `x` (N, *space.shape): (N, ...) float32."""

    def decode(self, z: Any, *, seed: int = 0, **more: Any) -> Array:
        """Observations of the latents `z` (N, ...): (N, *space.shape) of the space's dtype."""


def fits(model: Model) -> tuple[DensityModel, Generator, Discriminator, LatentModel]:
    """The type checker's proof that a `Model` has all four interfaces."""
    return model, model, model, model
