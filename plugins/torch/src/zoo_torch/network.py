"""The base class of a PyTorch architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from zoo.network import Network, Recipe, choose_device
from zoo.signature import Call, named
from zoo.spaces import Labels, Space

if TYPE_CHECKING:
    from zoo_torch.learner import TorchLearner


class TorchNetwork(Network, nn.Module):
    """An `nn.Module` with a sample space, a configuration, and methods over batches of tensors.

    An architecture defines `Config`, `spaces`, `methods()`, `objectives()`, and `density` if it has one. Its steps
    follow the gradients of its losses, unless it overrides `update`.
    """

    framework = "torch"
    parallel = True

    def __init__(self, space: Space, config: Any, classes: Labels | None = None) -> None:
        super().__init__()
        self.space, self.config, self.classes = space, config, classes

    @classmethod
    def create(
        cls,
        space: Space,
        config: Mapping[str, Any] | None = None,
        classes: Labels | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> Self:
        settings = cls.configure(space, config, classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = cls(space, settings, classes)
        return network.to(choose_device(device, torch.cuda.is_available())).eval()

    @property
    def device(self) -> torch.device:
        first = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: t.detach().cpu().numpy() for name, t in self.state_dict().items()}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.check_arrays(arrays)
        self.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in arrays.items()})

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)

    def numpy(self, tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy()

    def gradients(self, loss: Call, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        parameters = {name: p for name, p in self.named_parameters() if p.requires_grad}
        if not parameters or self.updates_itself():
            return {}
        value = named(loss.function(**given), loss.outputs)["loss"].mean()
        found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, materialize_grads=True)
        return {name: self.numpy(g) for name, g in zip(parameters, found, strict=True)}

    def jacobian(self, function: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            given = self.tensor(x).requires_grad_(True)
            columns = function(given).unbind(1)
            rows = [torch.autograd.grad(c.sum(), given, retain_graph=True, materialize_grads=True)[0] for c in columns]
        return torch.stack(rows, 1).double().cpu().numpy()

    def random_state(self) -> bytes:
        return torch.get_rng_state().numpy().tobytes()

    @contextmanager
    def inference(self) -> Iterator[None]:
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with torch.no_grad():  # not inference_mode: Langevin steps need the gradient of the energy
                yield
        finally:
            for module, mode in modes:  # individually: some may have been frozen
                module.training = mode

    def learner(self, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> TorchLearner:
        from zoo_torch.learner import TorchLearner

        return TorchLearner(self, recipe, precision=precision, devices=devices)
