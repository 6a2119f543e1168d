"""PyTorch architectures. Importing this package imports no PyTorch: specs only."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.hookspecs import hookimpl
from zoo.spec import ModelSpec

REQUIRES = {"torch": "pip install genzoo-torch", "lightning_fabric": "pip install genzoo-torch"}


@hookimpl
def zoo_architectures() -> Iterator[ModelSpec]:
    yield ModelSpec(
        name="realnvp",
        target="zoo_torch.realnvp:RealNVP",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Flow of affine coupling layers",
        paper="Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803",
        requires=REQUIRES,
    )
