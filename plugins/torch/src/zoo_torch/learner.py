"""The training step of PyTorch architectures. Devices, precision and data parallel come from Lightning Fabric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zoo.errors import InputError
from zoo.network import Recipe

if TYPE_CHECKING:
    from zoo_torch.network import TorchNetwork

Arrays = Mapping[str, np.ndarray]


class Losses(nn.Module):
    """The objectives of a network behind `forward`, where Fabric's wrappers (autocast, DDP) act."""

    def __init__(self, network: TorchNetwork) -> None:
        super().__init__()
        self.network = network
        self.objectives = network.objectives()

    def forward(self, objective: str, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        result = self.objectives[objective].loss.function(**given)
        return result["loss"] if isinstance(result, Mapping) else result


def averaging(decay: float) -> Any:
    """Exponential moving average of floats; integer buffers (an order, a count) are copied."""
    average = get_ema_multi_avg_fn(decay)

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
        if averaged[0].is_floating_point():
            average(averaged, current, count)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return update


def check_state(state: Mapping[int, Mapping[str, torch.Tensor]], parameters: list[nn.Parameter]) -> None:
    """`InputError` for a state of AdamW that is not of these parameters: PyTorch takes any, and fails in a step."""
    for index, entries in state.items():  # a weight that has had no gradient has none
        if not 0 <= index < len(parameters):
            raise InputError(f"it has a state of weight {index}; there are {len(parameters)}")
        shape = parameters[index].shape
        found = {name: tuple(tensor.shape) for name, tensor in entries.items()}
        if found != {"step": (), "exp_avg": shape, "exp_avg_sq": shape}:
            raise InputError(f"the state of weight {index}, of shape {tuple(shape)}, is {found}")


class TorchLearner:
    """AdamW steps on the objectives of a network, one optimiser an objective."""

    def __init__(self, network: TorchNetwork, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> None:
        losses = Losses(network)
        accelerator = "cuda" if network.device.type == "cuda" else "cpu"
        strategy: Any = "auto"
        if devices > 1:
            strategy = DDPStrategy(find_unused_parameters=len(losses.objectives) > 1)
        self.fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)
        self.fabric.launch()  # with several devices this starts the other processes, by the same command
        self.rank, self.world_size = self.fabric.global_rank, self.fabric.world_size
        self.network, self.recipe = network, recipe
        optimizers = []
        for objective in losses.objectives.values():
            chosen = [getattr(network, name) for name in objective.parameters] or [network]
            parameters = [p for part in chosen for p in (part.parameters() if isinstance(part, nn.Module) else [part])]
            optimizers.append(
                torch.optim.AdamW(
                    parameters, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
                )
            )
        self.losses, *wrapped = self.fabric.setup(losses, *optimizers)
        self.optimizers = dict(zip(losses.objectives, wrapped, strict=True))
        self.average = (
            AveragedModel(network, multi_avg_fn=averaging(recipe.ema), use_buffers=True) if recipe.ema else None
        )
        self.kept = Losses(self.average.module) if self.average else losses

    def step(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> float:
        self.network.train()
        optimizer = self.optimizers[objective]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        self.losses.zero_grad()
        loss = self.losses(objective, self._tensors(inputs, noise)).mean()
        self.fabric.backward(loss)
        if self.recipe.clip:
            self.fabric.clip_gradients(self.losses, optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False)
        optimizer.step()
        if self.average:
            self.average.update_parameters(self.network)
        return float(loss.detach())

    def evaluate(self, objective: str, inputs: Arrays, noise: Arrays) -> np.ndarray:
        self.kept.eval()
        with torch.no_grad():
            return self.kept(objective, self._tensors(inputs, noise)).float().cpu().numpy()

    def _tensors(self, *arrays: Arrays) -> dict[str, torch.Tensor]:
        return {name: self.network.tensor(a) for part in arrays for name, a in part.items()}

    def weights(self) -> dict[str, np.ndarray]:
        return (self.average.module if self.average else self.network).arrays()

    def state(self) -> dict[str, np.ndarray]:
        arrays = {f"network.{name}": a for name, a in self.network.arrays().items()}
        if self.average:
            arrays |= {f"average.{name}": t.cpu().numpy() for name, t in self.average.state_dict().items()}
        for objective, optimizer in self.optimizers.items():
            for index, entries in optimizer.state_dict()["state"].items():
                for name, value in entries.items():
                    arrays[f"optimizer.{objective}.{index}.{name}"] = value.cpu().numpy()
        return {name: np.array(a) for name, a in arrays.items()}

    def load_state(self, arrays: Arrays) -> None:
        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}

        self.network.load_arrays(under("network."))
        if self.average:
            self.average.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in under("average.").items()})
        for objective, optimizer in self.optimizers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for name, a in under(f"optimizer.{objective}.").items():
                index, _, entry = name.partition(".")
                state.setdefault(int(index), {})[entry] = torch.from_numpy(np.array(a))
            check_state(state, [p for group in optimizer.param_groups for p in group["params"]])
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
