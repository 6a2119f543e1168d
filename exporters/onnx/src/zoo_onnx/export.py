"""A trained model as an artifact: every method composed, compared with the source, written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from zoo.artifact import (
    EXAMPLES,
    FIRST_STEP,
    MANIFEST,
    SCHEMA,
    Artifact,
    FileEntry,
    Manifest,
    MethodEntry,
    Precision,
)
from zoo.eager import EagerModel
from zoo.errors import CorruptFile, ExportError
from zoo.numpy_network import NumpyNetwork
from zoo.parity import comparison, costs
from zoo.parity.budget import Check, Cost, Run, plan, seconds_of
from zoo.parity.cases import Case, Progress, make_cases, pack, silent
from zoo.signature import Method
from zoo.spaces import names_of
from zoo.system.files import atomic_folder, sha256
from zoo.wrapping.probe import STATE
from zoo_onnx.compose import compose
from zoo_onnx.describe import explain
from zoo_onnx.graph import OPSET
from zoo_onnx.multiplications import multiplications_per_row
from zoo_onnx.passes.weight_precision import deviations, rounded, store
from zoo_onnx.tracing.failures import IN_FLOAT32
from zoo_onnx.weight_files import LIMIT, Weights, computed_bytes


def export(
    model: EagerModel,
    folder: str | Path,
    *,
    weights: str = "float32",
    options: Mapping[str, Any] | None = None,
    limit: int = LIMIT,
    check: Check = None,
    force: bool = False,
    progress: Progress = silent,
) -> Manifest:
    """Write `model` as an artifact to `folder`; `ExportError` if it cannot be traced or differs from its source.

    With `options` all options become constants: these values, and the defaults of others. Then every input of the files
    has a row axis, as servers with batching need. Weights are stored inside the files if these total at most `limit`
    bytes, otherwise in one separate file.

    `check` is how much of each method to compare with the source: a number of seconds (by default 40), "full" or
    "quick". The manifest states what was compared.

    With `weights` "float16" or "int8" the source is the model with its weights rounded, for the duration of the export.
    The manifest states the effect of rounding.
    """
    seconds = seconds_of(check)
    if options is not None:
        model = model.fixed(options)
    with atomic_folder(Path(folder), force=force, marker=MANIFEST) as work:
        with rounded(model, weights) as source, source.network.inference():
            export = Export(source, work, weights, seconds, progress)
            with naming_what_is_kept(source):
                export.write(limit)
                export.compare()
        if weights != "float32":
            export.state_precision(model)
        return export.manifest


class Export:
    """The files of `model`, whose weights `weights` can represent, in the folder `work`."""

    manifest: Manifest

    def __init__(self, model: EagerModel, work: Path, weights: str, seconds: float, progress: Progress) -> None:
        self.model, self.work, self.weights = model, work, weights
        self.seconds, self.progress = seconds, progress
        self.module, self.methods = traceable(model)
        self.costs: dict[str, Cost] = {}  # of the source
        self.stored = np.zeros(2)  # number of weights in fewer bits, and of all
        self.windowed: set[str] = set()  # methods with loops that can be entered anywhere
        self.plans: dict[str, list[Run]] = {}
        self.cases: list[Case] = []

    def write(self, limit: int) -> None:
        """Write all files, with a manifest without a comparison, and no examples."""
        model, network = self.model, self.model.network
        made_by = versions(network.framework)
        entries, files = {}, Weights(self.work, limit)
        for number, (method, definition) in enumerate(self.methods.items()):
            self.progress(f"tracing {method}", number, len(self.methods))
            self.costs[method] = costs.time_passes(model, method)
            with network.tracing():
                composed = compose(self.module, method, definition, model.name)
            if self.weights != "float32":
                self.stored += store(composed, self.weights)
            if FIRST_STEP in composed.graph.initializers:
                self.windowed.add(method)
            explain(composed, model, method, made_by, self.costs[method], self.seconds)
            work_of_row = multiplications_per_row(composed)
            file = f"{method}.onnx"
            entries[method] = MethodEntry(file, model.signatures[method], computed_bytes(composed), *work_of_row)
            files.add(file, composed)
        self.progress("writing the files", 0, 0)
        files.write()
        (self.work / EXAMPLES).write_bytes(pack([]))
        self.manifest = Manifest(
            schema=SCHEMA,
            name=model.name,
            architecture=model.meta.get("architecture", type(network).__name__),
            family=model.meta.get("family", ""),
            framework=network.framework,
            opset=OPSET,
            methods=entries,
            files={p.name: file_entry(p) for p in sorted(self.work.iterdir())},
            versions=made_by,
            card=model.meta.get("card", {}),
            categories=names_of(model.categories),
            **{k: v for k, v in network.describe().items() if k != "framework"},
        )
        write_manifest(self.work, self.manifest)

    def compare(self) -> None:
        """Compare the files with the source within the budget, and record what was compared."""
        try:
            artifact = Artifact(self.work, device="cpu")
            for method, signature in self.model.signatures.items():
                cost = costs.time_passes(artifact, method)
                windowed = method in self.windowed
                self.plans[method] = plan(signature, self.costs[method], cost, self.seconds, windowed)
                artifact.release()
            self.cases = list(make_cases(self.model, self.plans, self.progress))
            found = comparison.check(artifact, self.cases, progress=self.progress)
        except CorruptFile as error:  # the graph is valid, but onnxruntime rejects it
            said = str(error).replace(f"{self.work}{os.sep}", "")
            said = f"{self.model.name}: the exported graph does not run. {said}"
            raise ExportError(low_precision(self.model.name, self.module) or said) from error
        except ExportError as error:
            said = str(error)
            if self.weights != "float32":
                said += f" Rounded to {self.weights}, its weights may make it sensitive to the last bits: try others."
            raise ExportError(low_precision(self.model.name, self.module) or said) from error
        (self.work / EXAMPLES).write_bytes(pack(self.cases))
        files = {**self.manifest.files, EXAMPLES: file_entry(self.work / EXAMPLES)}
        self.manifest = msgspec.structs.replace(self.manifest, parity=found, files=files)
        write_manifest(self.work, self.manifest)

    def state_precision(self, model: EagerModel) -> None:
        """Record the effect of rounding the weights of `model`."""
        exact = list(make_cases(model, self.plans, self.progress))
        share = float(self.stored[0] / max(self.stored[1], 1))
        held = Precision(self.weights, share, deviations(exact, self.cases))
        self.manifest = msgspec.structs.replace(self.manifest, precision=held)
        write_manifest(self.work, self.manifest)


@contextmanager
def naming_what_is_kept(model: EagerModel) -> Iterator[None]:
    """For a model that keeps tensors between calls, an `ExportError` says so first: it may be the cause."""
    try:
        yield
    except ExportError as error:
        kept = ", ".join(f"`{name}`" for name in model.network.kept[:3])
        if not kept:
            raise
        raise ExportError(
            f"{model.name}: its functions keep {kept} from an earlier call, but an artifact keeps nothing. {STATE}; "
            f"recompute anything else. If no call uses what an earlier one has kept, the cause is: {error}"
        ) from error


def file_entry(path: Path) -> FileEntry:
    return FileEntry(sha256(path), path.stat().st_size)


def traceable(model: EagerModel) -> tuple[nn.Module, Mapping[str, Method]]:
    """A module that owns the weights of a model, and the model's methods over PyTorch tensors."""
    network = model.network
    if isinstance(network, nn.Module):  # a Keras model on the torch backend is one too
        return network, model.methods
    if isinstance(network, NumpyNetwork):
        module = type(type(network).__name__, (nn.Module,), {})()
        for name, array in network.arrays().items():
            module.register_buffer(name, torch.from_numpy(np.array(array)))
        return module, network.with_arrays(dict(module.named_buffers())).methods()
    raise ExportError(
        f"{model.name}: the onnx exporter traces PyTorch modules, Keras models on the torch backend, and "
        f"NumpyNetworks; got a {type(network).__name__}."
    )


def low_precision(name: str, module: nn.Module) -> str:
    """The message for a network whose weights have fewer bits than float32; "" for any other."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype in (torch.bfloat16, torch.float16):
            kind = str(tensor.dtype).removeprefix("torch.")
            around = IN_FLOAT32[getattr(module, "framework", "torch")]
            return f"{name}: the network computes in {kind}, but an artifact computes in float32. Workaround: {around}."
    return ""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(json.dumps(msgspec.to_builtins(manifest), indent=1, allow_nan=False) + "\n")


def versions(framework: str) -> dict[str, str]:
    names = ["genzoo", "genzoo-onnx", "torch", "onnx-ir", "onnxruntime", *(["keras"] if framework == "keras" else [])]
    return {name: importlib.metadata.version(name) for name in names}
