"""Keras architectures on the torch backend. Importing this package imports no Keras: specs only."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import ModelSpec

if TYPE_CHECKING:
    from zoo_keras.wrapping.wrap import wrap

__all__ = ["wrap", "zoo_architectures"]
# `zoo_keras.backend` imports Keras after choosing its backend
REQUIRES = {"torch": "pip install genzoo-keras", "zoo_keras.backend": "pip install genzoo-keras"}


@hookimpl
def zoo_architectures() -> Iterator[ModelSpec]:
    foster = "Foster 2023, Generative Deep Learning, ch. 2"
    for name, target, summary in (
        ("mlp", "zoo_keras.architectures.mlp:MLP", "Multilayer perceptron classifier"),
        ("cnn", "zoo_keras.architectures.cnn:CNN", "Convolutional classifier"),
    ):
        yield ModelSpec(
            name=name,
            target=target,
            family="classifier",
            framework="keras",
            methods=("predict",),
            summary=summary,
            paper=foster,
            requires=REQUIRES,
        )
    yield ModelSpec(
        name="autoencoder",
        target="zoo_keras.architectures.autoencoder:Autoencoder",
        family="vae",
        framework="keras",
        methods=("encode", "decode"),
        summary="Convolutional autoencoder, without a density",
        paper="Hinton, Salakhutdinov 2006; Foster 2023, Generative Deep Learning, ch. 3",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="vae",
        target="zoo_keras.architectures.vae:VAE",
        family="vae",
        framework="keras",
        methods=("sample", "log_prob", "encode", "decode"),
        density="lower_bound",
        summary="Convolutional variational autoencoder, conditional on request",
        paper="Kingma, Welling 2014, arXiv 1312.6114",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="ddim",
        target="zoo_keras.architectures.ddim:DDIM",
        family="diffusion",
        framework="keras",
        methods=("sample",),
        summary="Denoising diffusion U-Net of the book, in Keras",
        paper="Song, Meng, Ermon 2021, arXiv 2010.02502; Foster 2023, Generative Deep Learning, ch. 8",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="wgan",
        target="zoo_keras.architectures.wgan:WGAN",
        family="gan",
        framework="keras",
        methods=("sample", "decode", "predict"),
        summary="Wasserstein GAN with gradient penalty, conditional on request",
        paper="Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville 2017, arXiv 1704.00028",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="lstm",
        target="zoo_keras.architectures.lstm:LSTM",
        family="autoregressive",
        framework="keras",
        methods=("sample", "log_prob"),
        density="exact",
        summary="LSTM over characters",
        paper="Hochreiter, Schmidhuber 1997; Graves 2013, arXiv 1308.0850",
        requires=REQUIRES,
    )


def __getattr__(name: str) -> Any:
    """`wrap` is imported when it is used: it needs Keras."""
    if name != "wrap":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()["wrap"] = importlib.import_module("zoo_keras.wrapping.wrap").wrap
    return value
