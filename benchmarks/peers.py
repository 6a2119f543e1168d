"""What a framework user runs instead of an artifact: the network's own functions, with the framework's noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from zoo import noise
from zoo.eager import EagerModel
from zoo.model import Model
from zoo.parity.cases import make_inputs
from zoo.signature import Loop, Method, Noise, resolve

DRAW = {"normal": torch.randn, "uniform": torch.rand}
Function = Callable[..., Any]


def thread_counts() -> list[int]:
    """One, and all: what a peer is given, whichever is faster."""
    return sorted({1, torch.get_num_threads()})


def noises_of(method: Method) -> dict[str, Noise]:
    """All that it draws, once or in each step."""
    return {**(method.init_noise if isinstance(method, Loop) else {}), **method.noise}


def inputs_of(model: Model, method: str, batch: int) -> dict[str, np.ndarray]:
    return make_inputs(model, model.signature(method), "random", batch)


def artifact_run(artifact: Model, method: str, batch: int, **more: Any) -> Callable[[], dict[str, np.ndarray]]:
    inputs = inputs_of(artifact, method, batch)
    count = None if inputs else batch
    return lambda: artifact.run(method, inputs, count=count, seed=0, **more)


def torch_run(
    model: EagerModel,
    method: str,
    batch: int,
    *,
    seeded: bool = False,
    wrap: Callable[[Function], Function] = lambda f: f,
    keep: bool = False,
    **more: Any,
) -> Callable[[], dict[str, Any]]:
    """A method in its framework, without genzoo's noise (but with it where `seeded`, to compare outputs): what a user
    would write. `wrap` is applied to the function that does the work, such as `torch.compile`. With `keep` the outputs
    are not copied to the host, only waited for."""
    definition = model.methods[method]
    values = {name: more.get(name, o.number) for name, o in definition.options.items()}
    device = model.network.device
    inputs = {name: torch.from_numpy(a).to(device) for name, a in inputs_of(model, method, batch).items()}
    options = {
        name: torch.tensor(values[name], dtype=getattr(torch, o.dtype), device=device)
        for name, o in definition.options.items()
    }
    index = torch.arange(batch, device=device)

    def draw(noises: Mapping[str, Noise], step: int = 0) -> dict[str, torch.Tensor]:
        if seeded:
            when: dict[str, Any] = {"step": step, "options": values}
            return {
                n: torch.from_numpy(noise.draw(d, np.arange(batch), seed=0, stream=f"{method}/{n}", **when)).to(device)
                for n, d in noises.items()
            }
        return {n: DRAW[d.kind](batch, *resolve(d.shape, values), device=device) for n, d in noises.items()}

    outputs = list(definition.outputs)

    def numbers(result: Any) -> dict[str, Any]:
        found = result if isinstance(result, Mapping) else {outputs[0]: result}
        if keep:
            if device.type == "cuda":
                torch.cuda.synchronize()
            return dict(found)
        return {name: t.cpu().numpy() for name, t in found.items()}

    if not isinstance(definition, Loop):
        function = wrap(definition.function)

        def call() -> dict[str, Any]:
            with torch.no_grad():
                return numbers(function(**inputs, **draw(definition.noise), **options))

        return call

    step_function = wrap(definition.step)
    length = definition.length if isinstance(definition.length, int) else int(values[definition.length])

    def loop() -> dict[str, Any]:
        with torch.no_grad():
            first = definition.init(index, **inputs, **draw(definition.init_noise), **options)
            state = {name: first[name] for name in definition.state}
            constant = {name: first[name] for name in definition.invariants}
            for i in range(length):
                fresh = draw(definition.noise, i)
                state = step_function(torch.tensor(i, device=device), state, **inputs, **constant, **fresh, **options)
                if definition.until and bool(definition.until(state)):
                    break
            return numbers(definition.finish(state))

    return loop
