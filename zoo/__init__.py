"""A plugin-based zoo of generative models: train in PyTorch or Keras, ship as ONNX files that run by themselves.

import zoo
zoo.list_models("*vae*", method="encode")     # no framework is imported
model = zoo.load("vae.digits")                # PyTorch or Keras, whichever its plugin uses
x = model.sample(16, seed=7, label=3)         # numpy, in data units
zoo.export(model, "out/vae.digits")           # checked against the source, or it fails
art = zoo.open("out/vae.digits")              # needs neither torch nor keras
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name -> module: imported on first use, because listing models must not import what running them needs
_LAZY = {
    "list_models": "zoo.registry",
    "hookimpl": "zoo.plugins.hookspecs",
    "create": "zoo.api",
    "load": "zoo.api",
    "open": "zoo.api",
    "show": "zoo.metadata",
    "export": "zoo.api",
    "verify": "zoo.api",
    "train": "zoo.training",
    "resume": "zoo.training",
    "runs": "zoo.training",
    "Run": "zoo.training",
    "compare": "zoo.evaluation.compare",
    "evaluate": "zoo.evaluation",
    "arithmetic": "zoo.latents",
    "attribute_vector": "zoo.latents",
    "interpolate": "zoo.latents",
    "walk": "zoo.latents",
    "load_dataset": "zoo.data",
    "DensityModel": "zoo.interfaces",
    "Generator": "zoo.interfaces",
    "Discriminator": "zoo.interfaces",
    "LatentModel": "zoo.interfaces",
    "Real": "zoo.spaces",
    "Discrete": "zoo.spaces",
    "Image": "zoo.spaces",
    "Text": "zoo.spaces",
    "Tokens": "zoo.spaces",
    "Labels": "zoo.spaces",
    "Table": "zoo.columns",
    "Normal": "zoo.signature",
    "Uniform": "zoo.signature",
    "Noise": "zoo.signature",
    "Option": "zoo.signature",
    "Tensor": "zoo.signature",
    "Call": "zoo.signature",
    "Loop": "zoo.signature",
    "ZooError": "zoo.errors",
}
__all__ = [
    "Call", "DensityModel", "Discrete", "Discriminator", "Generator", "Image", "Labels", "LatentModel", "Loop", "Noise",
    "Normal", "Option", "Real", "Run", "Table", "Tensor", "Text", "Tokens", "Uniform", "ZooError", "arithmetic",
    "attribute_vector", "compare", "create", "evaluate", "export", "hookimpl", "interpolate", "list_models", "load",
    "load_dataset", "open", "resume", "runs", "show", "train", "verify", "walk",
]  # fmt: skip

if TYPE_CHECKING:
    from zoo.api import create, export, load, open, verify
    from zoo.columns import Table
    from zoo.data import load_dataset
    from zoo.errors import ZooError
    from zoo.evaluation import evaluate
    from zoo.evaluation.compare import compare
    from zoo.interfaces import DensityModel, Discriminator, Generator, LatentModel
    from zoo.latents import arithmetic, attribute_vector, interpolate, walk
    from zoo.metadata import show
    from zoo.plugins.hookspecs import hookimpl
    from zoo.registry import list_models
    from zoo.signature import Call, Loop, Noise, Normal, Option, Tensor, Uniform
    from zoo.spaces import Discrete, Image, Labels, Real, Text, Tokens
    from zoo.training import Run, resume, runs, train


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
