"""`wrap`: an existing PyTorch model as a genzoo model, without a plugin."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.errors import InputError
from zoo.spaces import Labels, Space
from zoo.wrapping import Wrap, WrapConfig, WrappedNetwork
from zoo.wrapping.random_draws import Draws
from zoo_torch.network import TorchNetwork
from zoo_torch.wrapping.recognize import recognize


class WrappedTorch(WrappedNetwork, TorchNetwork):
    """The user's modules, and the methods made from the user's functions."""

    first = "channels_first"

    def __init__(self, space: Space, config: WrapConfig, classes: Labels | None, modules: list[nn.Module]) -> None:
        super().__init__(space, config, classes)
        if any(isinstance(m, torch.jit.ScriptModule) for part in modules for m in part.modules()):
            raise InputError("TorchScript cannot be traced; give the nn.Module that it was made from.")
        self.parts = nn.ModuleList(modules)

    def cast(self, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
        return tensor.to(getattr(torch, dtype))

    def watching(self, draws: Draws) -> Watch:
        return Watch(draws)


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
    WrappedTorch,
    nn.Module,
    recognize,
    "flows of zuko and nflows, and GaussianDiffusion of denoising-diffusion-pytorch",
)
