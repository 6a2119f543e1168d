"""`wrap`: an existing Keras model, functional or subclassed, as a genzoo model, without a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.spaces import Labels, Space
from zoo.wrapping import Wrap, WrapConfig, WrappedNetwork
from zoo.wrapping.random_draws import Draws
from zoo_keras.backend import keras
from zoo_keras.network import KerasNetwork
from zoo_keras.wrapping.recognize import recognize


class WrappedKeras(WrappedNetwork, KerasNetwork):
    """The user's layers and models, and the methods made from the user's functions."""

    first = "channels_last"

    def __init__(self, space: Space, config: WrapConfig, classes: Labels | None, modules: list[Any]) -> None:
        super().__init__(space, config, classes)
        self.parts = [m for m in modules if isinstance(m, keras.Layer)]
        # PyTorch modules: Keras would wrap each in a new layer, which the functions do not call
        self.__dict__["loose"] = tuple(m for m in modules if not isinstance(m, keras.Layer))

    def cast(self, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
        return tensor.to(getattr(torch, dtype))

    def watching(self, draws: Draws) -> Watch:
        return Watch(draws)

    @contextmanager
    def inference(self) -> Iterator[None]:
        modes = [(m, m.training) for part in (self, *self.loose) for m in part.modules()]
        for part in self.loose:
            part.eval()
        try:
            with super().inference():
                yield
        finally:
            for module, mode in modes:  # individually: a user may have frozen some
                module.training = mode


class Watch(TorchDispatchMode):
    """Reports every operation to `draws`."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        taken = function._schema.arguments
        given = {**dict(zip((a.name for a in taken), args, strict=False)), **(kwargs or {})}
        arguments = {a.name: a.default_value for a in taken} | given
        random = torch.Tag.nondeterministic_seeded in function.tags
        self.draws.note(function.overloadpacket.__name__, arguments, result, random)
        return result


wrap = Wrap(
    WrappedKeras,
    (keras.Layer, torch.nn.Module),
    recognize,
    "models with an encoder and a decoder, or with a generator",
)
