"""Keras models that `wrap` knows by their parts, as is customary: subclasses with their own `train_step`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from zoo.errors import InputError
from zoo.signature import Noise
from zoo.spaces import Space
from zoo.wrapping.calling import running
from zoo_keras.backend import keras, ops


def recognize(model: Any, space: Space) -> Mapping[str, Any] | None:
    """The equivalent arguments of `wrap`; None for an unknown model."""
    parts = {name: getattr(model, name, None) for name in ("encoder", "decoder", "generator", "discriminator")}
    layers = {name: part for name, part in parts.items() if isinstance(part, keras.Layer)}
    if "encoder" in layers and "decoder" in layers:
        return autoencoder(layers["encoder"], layers["decoder"], space)
    if "generator" in layers:
        critic = {"predict": layers["discriminator"]} if "discriminator" in layers else {}
        return {"sample": layers["generator"], **critic, "family": "gan"}
    return None


def autoencoder(encoder: keras.Layer, decoder: keras.Layer, space: Space) -> Mapping[str, Any]:
    """An encoder that returns the latent, or for a VAE its mean and log-variance and possibly a draw. A VAE's samples
    are decoded standard normal noise: its prior."""
    outputs = _run(encoder, space)
    several = isinstance(outputs, (list, tuple))
    mean, *spread = outputs if several else [outputs]
    if any(not hasattr(part, "shape") or part.shape != mean.shape for part in (mean, *spread)):
        raise InputError(
            "the encoder gives neither a latent nor a mean and a log-variance of one shape; select the output that "
            "is the latent: encode=lambda x: model.encoder(x)[0], decode=model.decoder, noise=zoo.Normal(...)."
        )
    prior = {"noise": Noise("normal", tuple(mean.shape[1:])), "family": "vae"} if spread else {}
    return {"encode": _first(encoder) if several else encoder, "decode": decoder, **prior}


def _first(encoder: keras.Layer) -> Any:
    """The first output of an encoder: of a functional one without the layers that only the other outputs need, such as
    the draw of a VAE's latent."""
    outputs = getattr(encoder, "outputs", None)
    return keras.Model(encoder.inputs, outputs[0]) if outputs else lambda x: encoder(x)[0]


def _run(encoder: keras.Layer, space: Space) -> Any:
    """The outputs of an encoder for two rows of zeros."""
    inputs = getattr(encoder, "inputs", None)
    known = [tuple(inputs[0].shape[1:])] if inputs and len(inputs) == 1 else []
    hint = "Say how it is called: encode=lambda x: model.encoder(...), decode=model.decoder."
    failed: InputError | None = None
    for shape in known or dict.fromkeys((space.shape, (math.prod(space.shape),))):
        zeros = ops.zeros((2, *shape))
        try:
            with torch.no_grad():
                return running("the encoder", partial(encoder, zeros, training=False), hint)
        except InputError as error:
            failed = failed or error
    assert failed
    raise failed


__all__ = ["recognize"]
