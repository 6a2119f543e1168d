"""`wrap`: a PyTorch model that people already have, as a genzoo model, without a plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.errors import InputError
from zoo.spaces import Labels, Space
from zoo.wrapping import Wrap, WrapConfig, WrappedNetwork
from zoo.wrapping.calling import user_line
from zoo_torch.network import TorchNetwork
from zoo_torch.recognise import recognise


class WrappedTorch(WrappedNetwork, TorchNetwork):
    """The user's modules, and the methods made of the user's functions over them."""

    first = "channels_first"

    def __init__(self, space: Space, config: WrapConfig, classes: Labels | None, modules: list[nn.Module]) -> None:
        super().__init__(space, config, classes)
        if any(isinstance(m, torch.jit.ScriptModule) for part in modules for m in part.modules()):
            raise InputError("TorchScript cannot be traced; give the nn.Module that it was made from.")
        self.parts = nn.ModuleList(modules)

    def cast(self, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
        return tensor.to(getattr(torch, dtype))

    def watch(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        with Watch() as watch:
            return call(), watch.found


class Watch(TorchDispatchMode):
    """Notes the operations that draw random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in function.tags:
            line = user_line()
            self.found.append(f"{function.overloadpacket.__name__}{f' ({line})' if line else ''}")
        return function(*args, **(kwargs or {}))


wrap = Wrap(
    WrappedTorch,
    nn.Module,
    recognise,
    "flows of zuko and nflows, and GaussianDiffusion of denoising-diffusion-pytorch",
)
