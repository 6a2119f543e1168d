"""A trained model as an artifact: every method composed, compared with the source, written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from zoo import parity
from zoo.artifact import EXAMPLES, MANIFEST, SCHEMA, Artifact, FileEntry, Manifest, MethodEntry, Precision
from zoo.eager import EagerModel
from zoo.errors import CorruptFile, ExportError
from zoo.files import atomic_folder, sha256
from zoo.numpy_network import NumpyNetwork
from zoo.parity import Case
from zoo.signature import Method
from zoo_onnx.compose import compose
from zoo_onnx.describe import explain
from zoo_onnx.graph import OPSET
from zoo_onnx.precision import deviations, rounded, store
from zoo_onnx.weights import LIMIT, Weights, computed_bytes
from zoo_onnx.work import products

Progress = Callable[[str], None]


def export(
    model: EagerModel,
    folder: str | Path,
    *,
    weights: str = "float32",
    options: Mapping[str, Any] | None = None,
    limit: int = LIMIT,
    force: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Write `model` as an artifact to `folder`; `ExportError` if it cannot be traced or differs from its source.

    With `options` all options become constants: these values, and the defaults of others. So every input of the files
    has a row axis, as servers need that batch requests. Weights lie inside of each file while all files are at most
    `limit` bytes, else in one file beside them.

    With `weights` "float16" or "int8" the source is the model with its weights rounded to those, for as long as this
    takes. What the rounding changed is in the manifest.
    """
    say = progress or (lambda message: None)
    if options is not None:
        model = model.fixed(options)
    with atomic_folder(Path(folder), force=force, marker=MANIFEST) as work:
        exact: list[Case] = []
        if weights != "float32":
            say(f"running the source before its weights are rounded to {weights}")
            exact = list(parity.make_cases(model))
        with rounded(model, weights) as source, source.network.inference():
            return write(source, work, weights, limit, exact, say)


def write(model: EagerModel, work: Path, weights: str, limit: int, exact: list[Case], say: Progress) -> Manifest:
    """The files of `model`, whose weights are what `weights` can hold. `exact` are its cases before they were."""
    network = model.network
    module, methods = traceable(model)
    made_by = versions(network.framework)
    entries, small, files = {}, np.zeros(2), Weights(work, limit)
    for method, definition in methods.items():
        say(f"tracing {method}")
        composed = compose(module, method, definition, model.name)
        if weights != "float32":
            small += store(composed, weights)
        explain(composed, model, method, made_by)
        work_of_row = products(composed)
        file = f"{method}.onnx"
        entries[method] = MethodEntry(file, model.signatures[method], computed_bytes(composed), *work_of_row)
        files.add(file, composed)
    files.write()
    say("running the source")
    cases = list(parity.make_cases(model))
    (work / EXAMPLES).write_bytes(parity.pack(cases))
    precision = Precision()
    if weights != "float32":
        precision = Precision(weights, float(small[0] / max(small[1], 1)), deviations(exact, cases))
    manifest = Manifest(
        schema=SCHEMA,
        name=model.name,
        architecture=model.meta.get("architecture", type(network).__name__),
        family=model.meta.get("family", ""),
        framework=network.framework,
        opset=OPSET,
        methods=entries,
        files={p.name: FileEntry(sha256(p), p.stat().st_size) for p in sorted(work.iterdir())},
        versions=made_by,
        card=model.meta.get("card", {}),
        precision=precision,
        **{k: v for k, v in network.describe().items() if k != "framework"},
    )
    write_manifest(work, manifest)
    say("comparing the artifact with the source")
    try:
        found = parity.check(Artifact(work, device="cpu"), cases)
    except CorruptFile as error:  # the graph is valid, and onnxruntime will not have it
        said = str(error).replace(f"{work}{os.sep}", "")
        raise ExportError(
            low_precision(model.name, module) or f"{model.name}: the exported graph does not run. {said}"
        ) from error
    except ExportError as error:
        said = str(error)
        if weights != "float32":
            said += f" Rounded to {weights}, its weights may make it sensitive to the last bits: try other weights."
        raise ExportError(low_precision(model.name, module) or said) from error
    manifest = msgspec.structs.replace(manifest, parity=found)
    write_manifest(work, manifest)
    return manifest


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
    """What to say of a network whose weights have fewer bits than an artifact's numbers; "" of any other."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dtype in (torch.bfloat16, torch.float16):
            kind = str(tensor.dtype).removeprefix("torch.")
            return (
                f"{name}: the network computes in {kind}, which is not what the artifact computes; give model.float()."
            )
    return ""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(json.dumps(msgspec.to_builtins(manifest), indent=1, allow_nan=False) + "\n")


def versions(framework: str) -> dict[str, str]:
    names = ["genzoo", "genzoo-onnx", "torch", "onnx-ir", "onnxruntime", *(["keras"] if framework == "keras" else [])]
    return {name: importlib.metadata.version(name) for name in names}
