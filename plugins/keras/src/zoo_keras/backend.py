"""Keras on PyTorch, the one backend whose models the exporter can trace.

Import Keras from here (`from zoo_keras.backend import layers, ops`): the first import determines its backend.
"""

from __future__ import annotations

import os

from zoo.errors import ZooError

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras import layers, ops

if keras.backend.backend() != "torch":
    raise ZooError(
        f"Keras runs on {keras.backend.backend()!r} in this process; genzoo's Keras models need the backend 'torch'. "
        "Set the environment variable KERAS_BACKEND=torch before Keras is imported."
    )

__all__ = ["keras", "layers", "ops"]
