"""The training step of Keras architectures: Keras's optimizers, loss scaling and dtype policies on PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.errors import InputError
from zoo.network import Recipe, average_decay, parts_of, steps_taken
from zoo.signature import named
from zoo_keras.backend import keras
from zoo_keras.network import array_of, assign, named_weights

if TYPE_CHECKING:
    from zoo_keras.network import KerasNetwork

Arrays = Mapping[str, np.ndarray]
POLICIES = {"32-true": "float32", "16-mixed": "mixed_float16", "bf16-mixed": "mixed_bfloat16"}


class KerasLearner:
    """AdamW steps on the objectives of a network, one optimizer per objective, or the network's own updates. Optimizers
    hold the averaged weights."""

    rank, world_size = 0, 1

    def __init__(self, network: KerasNetwork, recipe: Recipe, *, precision: str = "32-true", devices: int = 1) -> None:
        if devices != 1:
            raise InputError(
                f"Keras architectures train on one device, but {devices} were requested. Use devices=1, or train a "
                "PyTorch architecture: zoo list --framework torch."
            )
        if precision not in POLICIES:
            raise InputError(f"precision {precision!r} is not one of Keras's: {', '.join(POLICIES)}.")
        self.network, self.recipe, self.policy = network, recipe, POLICIES[precision]
        self.objectives = network.objectives()
        self.trained = {name: self._chosen(o.parameters) for name, o in self.objectives.items()}
        self.device = str(network.device)
        self.variables = [v for v in named_weights(network).values() if v.trainable]
        with keras.device(self.device):
            self.optimizers = {name: self._optimizer(variables) for name, variables in self.trained.items()}
        self.counts = dict.fromkeys(self.objectives, 0)  # steps of each

    def _chosen(self, attributes: tuple[str, ...]) -> list[keras.Variable]:
        """The trainable weights under some attributes of the network, or all of them."""
        weights = named_weights(self.network).items()
        return [v for n, v in weights if v.trainable and (not attributes or n.split(".")[0] in attributes)]

    def _optimizer(self, variables: list[keras.Variable]) -> keras.Optimizer:
        recipe = self.recipe
        optimizer = keras.optimizers.AdamW(
            recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            beta_1=recipe.betas[0],
            beta_2=recipe.betas[1],
            global_clipnorm=recipe.clip or None,
            use_ema=bool(recipe.ema),
            ema_momentum=recipe.ema,
        )
        if self.policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    def step(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> dict[str, float]:
        if self.network.updates_itself():
            return self._update(objective, inputs, noise, learning_rate)
        network, optimizer, variables = self.network, self.optimizers[objective], self.trained[objective]
        optimizer.learning_rate = learning_rate
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner.ema_momentum = average_decay(self.recipe.ema, self.counts[objective])
        if not network.training:  # visiting all layers costs as much as running a small one
            network.train()
        means: dict[str, float] = {}
        with keras.device(self.device), self._dtypes():
            for variable in self.variables:
                variable.value.grad = None
            for share, *part in parts_of(self.recipe.accumulate, inputs, noise):
                outputs = self._outputs(objective, *part)
                loss = outputs["loss"].mean()
                optimizer.scale_loss(loss if share == 1 else loss * share).backward()
                for name, value in outputs.items():
                    mean = loss if name == "loss" else value.mean()
                    means[name] = means.get(name, 0.0) + share * float(mean.detach())
            values = [v.value for v in variables]
            grads = [torch.zeros_like(value) if value.grad is None else value.grad for value in values]
            with torch.no_grad():
                optimizer.apply(grads, variables)
        self.counts[objective] += 1
        return means

    def _update(self, objective: str, inputs: Arrays, noise: Arrays, learning_rate: float) -> dict[str, float]:
        """A step of the network's own."""
        x, z = ({name: self.network.tensor(a) for name, a in arrays.items()} for arrays in (inputs, noise))
        with keras.device(self.device), torch.no_grad():
            self.network.update(objective, x, z, learning_rate)
            outputs = self._outputs(objective, inputs, noise)
        return {name: float(value.mean()) for name, value in outputs.items()}

    def evaluate(self, objective: str, inputs: Arrays, noise: Arrays) -> dict[str, np.ndarray]:
        with self.network.inference(), self._averaged():
            return {name: value.cpu().numpy() for name, value in self._outputs(objective, inputs, noise).items()}

    def _outputs(self, objective: str, *arrays: Arrays) -> dict[str, torch.Tensor]:
        given = {name: self.network.tensor(a) for part in arrays for name, a in part.items()}
        loss = self.objectives[objective].loss
        return {name: value.float() for name, value in named(loss.function(**given), loss.outputs).items()}

    @contextmanager
    def _dtypes(self) -> Iterator[None]:
        """Layers that compute in half precision; weights stay float32."""
        if self.policy == "float32":
            yield
            return
        layers = list(self.network._flatten_layers())
        before = [layer.dtype_policy for layer in layers]
        try:
            for layer in layers:
                layer.dtype_policy = self.policy
            yield
        finally:
            for layer, policy in zip(layers, before, strict=True):
                layer.dtype_policy = policy

    def _averages(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Weights and their averages, which the optimizers hold; none before the first step."""
        pairs = []
        for name, optimizer in self.optimizers.items():
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if self.recipe.ema and int(inner.iterations):
                pairs += zip(self.trained[name], inner._model_variables_moving_average, strict=True)
        return pairs

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The network with its averaged weights inside."""
        pairs = self._averages()
        before = [v.value.detach().clone() for v, _ in pairs]
        try:
            for v, average in pairs:
                v.assign(average)
            yield
        finally:
            for (v, _), value in zip(pairs, before, strict=True):
                v.assign(value)

    def weights(self) -> dict[str, np.ndarray]:
        with self._averaged():
            return self.network.arrays()

    def _variables(self) -> dict[str, keras.Variable]:
        found = {f"network.{name}": v for name, v in named_weights(self.network).items()}
        for objective, optimizer in self.optimizers.items():
            found |= {f"optimizer.{objective}.{i}": v for i, v in enumerate(optimizer.variables)}
        return found

    def memory(self) -> int:
        device = self.network.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0

    def state(self) -> dict[str, np.ndarray]:
        return {name: array_of(v) for name, v in self._variables().items()}

    def load_state(self, arrays: Arrays) -> None:
        assign(self._variables(), arrays)
        self.counts = {name: steps_taken(optimizer.iterations) for name, optimizer in self.optimizers.items()}
