"""`wrap`: a PyTorch model that people already have, as a genzoo model, without a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.eager import EagerModel
from zoo.signature import Call, Loop, Option
from zoo.spaces import Labels, Space
from zoo.spec import Density
from zoo.wrapping import WrapConfig, WrappedNetwork, build, read_schedule
from zoo.wrapping.build import Wish
from zoo.wrapping.calling import user_line
from zoo.wrapping.units import Layout
from zoo_torch.network import TorchNetwork

Method = Callable[..., Any] | Call | Loop


def wrap(
    model: Any = None,
    *,
    space: Space,
    sample: Method | None = None,
    log_prob: Method | None = None,
    encode: Method | None = None,
    decode: Method | None = None,
    predict: Method | None = None,
    noise: Any = None,
    init: Callable[..., Any] | None = None,
    step: Callable[..., Any] | None = None,
    finish: Callable[..., Any] | None = None,
    until: Callable[..., Any] | None = None,
    length: int | str | None = None,
    step_noise: Any = None,
    denoiser: Callable[..., Any] | None = None,
    schedule: Any = None,
    prediction: str | None = None,
    options: Mapping[str, Option | float] | None = None,
    classes: Labels | Sequence[str] | int | None = None,
    density: Density = "exact",
    values: tuple[float, float] | None = None,
    layout: Layout | None = None,
    latent: int | Sequence[int] | None = None,
    name: str = "",
    family: str = "",
    modules: Sequence[nn.Module] = (),
) -> EagerModel:
    return build(
        WrappedTorch,
        nn.Module,
        Wish(
            space=space,
            sample=sample,
            log_prob=log_prob,
            encode=encode,
            decode=decode,
            predict=predict,
            noise=noise,
            init=init,
            step=step,
            finish=finish,
            until=until,
            length=length,
            step_noise=step_noise,
            denoiser=denoiser,
            schedule=None if schedule is None else read_schedule(schedule, prediction),
            options=options,
            classes=classes,
            density=density,
            values=values,
            layout=layout,
            latent=latent,
            name=name,
            family=family,
            modules=modules,
        ),
    )


class WrappedTorch(WrappedNetwork, TorchNetwork):
    """The user's modules, and the methods made of the user's functions over them."""

    first = "channels_first"

    def __init__(self, space: Space, config: WrapConfig, classes: Labels | None, modules: list[nn.Module]) -> None:
        super().__init__(space, config, classes)
        self.parts = nn.ModuleList(modules)

    def cast(self, tensor: torch.Tensor, dtype: str) -> torch.Tensor:
        return tensor.to(getattr(torch, dtype))

    def watch(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        with Watch() as watch:
            return call(), watch.found

    @contextmanager
    def inference(self) -> Iterator[None]:
        modes = [(m, m.training) for m in self.modules()]
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, mode in modes:  # each its own: a user may have frozen some
                module.training = mode


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
