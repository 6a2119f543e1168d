"""A convolutional autoencoder (Hinton, Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", 2006;
Foster, *Generative Deep Learning*, 2nd ed., ch. 3): images to a few numbers and back. It has neither a density nor a
prior over latents: to draw new images, use `vae`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.network import Objective, Recipe, setting
from zoo.signature import Call, Method, Tensor
from zoo.spaces import Labels, Space
from zoo_keras.backend import layers, ops
from zoo_keras.bases.convolutional import Convolutional


@dataclass(frozen=True)
class Config:
    latent: int = setting(16, "numbers of a code; 2 can be drawn as a map")
    filters: tuple[int, ...] = setting((32, 64), "of convolutions that halve the image; in reverse on the way back")


class Autoencoder(Convolutional):
    """Codes of images, and images of codes.

    >>> import zoo
    >>> model = zoo.train("autoencoder", "digits", "runs/codes", config={"latent": 2, "filters": (8,)}, epochs=1)
    >>> z = model.encode(zoo.load_dataset("digits").test[:3])
    >>> z.shape, model.decode(z).shape
    ((3, 2), (3, 8, 8, 1))
    """

    Config = Config
    recipe = Recipe(epochs=100, batch_size=64, learning_rate=2e-3, clip=10.0, ema=0.99, patience=20)

    def __init__(self, space: Space, config: Config, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.code = layers.Dense(config.latent)
        self.pixels = layers.Conv2D(
            space.channels, 3, padding="same", data_format="channels_first", activation="sigmoid"
        )

    def encode(self, x: Any) -> Any:
        return self.code(self.features(x))

    def image(self, z: Any) -> Any:
        """(N, latent) -> (N, C, H, W) from 0 to 1."""
        return ops.cast(self.cropped(self.pixels(self.planes(z))), "float32")

    def decode(self, z: Any) -> Any:
        return ops.cast(ops.moveaxis(ops.round(self.image(z) * (self.space.levels - 1)), 1, -1), "uint8")

    def methods(self) -> dict[str, Method]:
        x, z = {"x": self.space.tensor}, {"z": Tensor("float32", (self.config.latent,))}
        return {"encode": Call(self.encode, x, z), "decode": Call(self.decode, z, x)}

    def squared_error(self, x: Any) -> Any:
        """Loss summed over pixels and channels, with values from 0 to 1."""
        return ops.sum((self.image(self.encode(x)) - self.scaled(x)) ** 2, axis=(1, 2, 3))

    def objectives(self) -> dict[str, Objective]:
        loss = Call(self.squared_error, {"x": self.space.tensor}, {"loss": Tensor("float32")})
        return {"squared_error": Objective(loss)}
