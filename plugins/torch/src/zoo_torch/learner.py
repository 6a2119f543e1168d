"""The training step of PyTorch architectures. Devices, precision and data parallelism come from Lightning Fabric."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zoo.errors import InputError
from zoo.network import Recipe, average_decay, parts_of, steps_taken
from zoo.signature import named

if TYPE_CHECKING:
    from zoo_torch.network import TorchNetwork

Arrays = Mapping[str, np.ndarray]


class Losses(nn.Module):
    """The objectives of a network behind `forward`, where Fabric's wrappers (autocast, DDP) act. These round tensor
    arguments to half precision, so it takes arrays: observations and noise keep their values."""

    def __init__(self, network: TorchNetwork) -> None:
        super().__init__()
        self.network = network
        self.objectives = network.objectives()

    def forward(self, objective: str, inputs: Arrays, noise: Arrays) -> dict[str, torch.Tensor]:
        loss = self.objectives[objective].loss
        given = {name: self.network.tensor(array) for part in (inputs, noise) for name, array in part.items()}
        return dict(named(loss.function(**given), loss.outputs))


class Average(AveragedModel):
    """Exponential moving average of a network's floats. Integer buffers (an order, a count) are copied."""

    def __init__(self, network: TorchNetwork, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self.decay, self.count = decay, 0
        self.mine, self.theirs = list(self.module.parameters()), list(network.parameters())

    @torch.no_grad()
    def update_parameters(self, network: TorchNetwork) -> None:
        """Parameters do not change, so they are searched once: in every step it would cost as much as the rest."""
        mine, theirs = [*self.mine, *self.module.buffers()], [*self.theirs, *network.buffers()]
        floats = [m.is_floating_point() and self.count > 0 for m in mine]
        for average, current, is_float in zip(mine, theirs, floats, strict=True):
            if not is_float:
                average.copy_(current)
        if self.count:
            average = get_ema_multi_avg_fn(average_decay(self.decay, self.count))
            average(list(compress(mine, floats)), list(compress(theirs, floats)), self.n_averaged)
        self.count += 1
        self.n_averaged += 1

    def load_state_dict(self, state: Mapping[str, torch.Tensor], **more: Any) -> Any:
        found = super().load_state_dict(state, **more)
        self.count = steps_taken(self.n_averaged)
        return found


def check_state(state: Mapping[int, Mapping[str, torch.Tensor]], parameters: list[nn.Parameter]) -> None:
    """`InputError` for an AdamW state that does not fit these parameters: PyTorch accepts any, and fails in a step."""
    for index, entries in state.items():  # a weight without a gradient so far has none
        if not 0 <= index < len(parameters):
            raise InputError(f"it has a state of weight {index}; there are {len(parameters)}")
        shape = parameters[index].shape
        found = {name: tuple(tensor.shape) for name, tensor in entries.items()}
        if found != {"step": (), "exp_avg": shape, "exp_avg_sq": shape}:
            raise InputError(f"the state of weight {index}, of shape {tuple(shape)}, is {found}")
        steps_taken(entries["step"])
        if not entries["step"].is_floating_point():
            raise InputError(f"the steps of weight {index} are {entries['step'].dtype}")


class TorchLearner:
    """AdamW steps on the objectives of a network, one optimizer per objective, or the network's own updates."""

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
        for objective in () if network.updates_itself() else losses.objectives.values():
            chosen = [getattr(network, name) for name in objective.parameters] or [network]
            parameters = [p for part in chosen for p in (part.parameters() if isinstance(part, nn.Module) else [part])]
            optimizers.append(
                torch.optim.AdamW(
                    parameters, lr=recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
                )
            )
        self.parameters = list(network.parameters())
        self.losses, wrapped = losses, []
        if optimizers:
            self.losses, *wrapped = self.fabric.setup(losses, *optimizers)
        if devices == 1 and precision == "32-true":  # the wrappers would do nothing, at the cost of a small layer
            self.losses, wrapped = losses, optimizers
        self.optimizers = dict(zip(losses.objectives, wrapped, strict=bool(optimizers)))
        self.average = Average(network, recipe.ema) if recipe.ema else None
        self.kept = Losses(self.average.module) if self.average else losses

    def step(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> dict[str, float]:
        if self.network.updates_itself():
            return self._update(objective, inputs, noise, learning_rate)
        if not self.network.training:  # visiting all modules costs as much as a small layer
            self.network.train()
        optimizer = self.optimizers[objective]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        for parameter in self.parameters:
            parameter.grad = None
        means: dict[str, float] = {}
        done = 0.0
        for share, *part in parts_of(self.recipe.accumulate, inputs, noise):
            done += share
            with self._among_processes(last=done > 0.999):
                outputs = self.losses(objective, *part)
                loss = outputs["loss"].mean()
                if loss.requires_grad:  # a network may learn everything in `adapt`
                    self.fabric.backward(loss if share == 1 else loss * share)
            for name, value in outputs.items():
                mean = loss if name == "loss" else value.float().mean()
                means[name] = means.get(name, 0.0) + share * float(mean.detach())
        if self.recipe.clip:
            self.fabric.clip_gradients(self.losses, optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False)
        optimizer.step()
        if self.average:
            self.average.update_parameters(self.network)
        return means

    @torch.no_grad()
    def _update(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> dict[str, float]:
        """A step of the network's own."""
        x, z = ({name: self.network.tensor(a) for name, a in arrays.items()} for arrays in (inputs, noise))
        self.network.update(objective, x, z, learning_rate)
        if self.average:
            self.average.update_parameters(self.network)
        return {name: float(value.float().mean()) for name, value in self.losses(objective, inputs, noise).items()}

    def _among_processes(self, last: bool) -> AbstractContextManager[Any]:
        """Sum gradients over processes only after the `last` part of a batch."""
        return nullcontext() if last or self.world_size == 1 else self.fabric.no_backward_sync(self.losses)

    def evaluate(self, objective: str, inputs: Arrays, noise: Arrays) -> dict[str, np.ndarray]:
        self.kept.eval()
        with torch.no_grad():
            outputs = self.kept(objective, inputs, noise)
        return {name: value.float().cpu().numpy() for name, value in outputs.items()}

    def weights(self) -> dict[str, np.ndarray]:
        return (self.average.module if self.average else self.network).arrays()

    def memory(self) -> int:
        device = self.network.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0

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
