"""PyTorch architectures. Importing this package imports no PyTorch: specs only."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from zoo.plugins.hookspecs import hookimpl
from zoo.spec import ModelSpec

if TYPE_CHECKING:
    from zoo_torch.wrapping.wrap import wrap

__all__ = ["wrap", "zoo_architectures"]
REQUIRES = {"torch": "pip install genzoo-torch", "lightning_fabric": "pip install genzoo-torch"}


@hookimpl
def zoo_architectures() -> Iterator[ModelSpec]:
    yield ModelSpec(
        name="realnvp",
        target="zoo_torch.architectures.realnvp:RealNVP",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Flow of affine coupling layers",
        paper="Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="nsf",
        target="zoo_torch.architectures.nsf:NSF",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Flow of spline coupling layers",
        paper="Durkan, Bekasov, Murray, Papamakarios 2019, arXiv 1906.04032",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="glow",
        target="zoo_torch.architectures.glow:Glow",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Multi-scale flow of images with 1x1 convolutions",
        paper="Kingma, Dhariwal 2018, arXiv 1807.03039",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="maf",
        target="zoo_torch.architectures.maf:MAF",
        family="flow",
        framework="torch",
        methods=("sample", "log_prob", "encode", "decode"),
        density="exact",
        summary="Flow of masked autoregressive layers",
        paper="Papamakarios, Pavlakou, Murray 2017, arXiv 1705.07057",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="made",
        target="zoo_torch.architectures.made:MADE",
        family="autoregressive",
        framework="torch",
        methods=("sample", "log_prob"),
        density="exact",
        summary="Masked autoregressive network over integer levels",
        paper="Germain, Gregor, Murray, Larochelle 2015, arXiv 1502.03509",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="transformer",
        target="zoo_torch.architectures.transformer:Transformer",
        family="autoregressive",
        framework="torch",
        methods=("sample", "log_prob"),
        density="exact",
        summary="Decoder-only transformer over text, images or levels",
        paper="Vaswani et al. 2017, arXiv 1706.03762",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="table",
        target="zoo_torch.architectures.table:TableNetwork",
        family="autoregressive",
        framework="torch",
        methods=("sample", "log_prob"),
        density="exact",
        summary="Rows of a table, one column after another",
        paper="Tiwald et al. 2025, arXiv 2501.12012",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="pixelcnn",
        target="zoo_torch.architectures.pixelcnn:PixelCNN",
        family="autoregressive",
        framework="torch",
        methods=("sample", "log_prob"),
        density="exact",
        summary="Masked convolutions over the pixels of an image",
        paper="van den Oord, Kalchbrenner, Kavukcuoglu 2016, arXiv 1601.06759",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="ebm",
        target="zoo_torch.architectures.ebm:EBM",
        family="energy",
        framework="torch",
        methods=("sample", "log_prob"),
        density="unnormalized",
        summary="Energy network with Langevin sampling",
        paper="Du, Mordatch 2019, arXiv 1903.08689",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="ddpm",
        target="zoo_torch.architectures.ddpm:DDPM",
        family="diffusion",
        framework="torch",
        methods=("sample",),
        summary="Denoising diffusion U-Net with DDIM steps and guidance",
        paper="Ho, Jain, Abbeel 2020, arXiv 2006.11239",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="flow-matching",
        target="zoo_torch.architectures.flow_matching:FlowMatching",
        family="diffusion",
        framework="torch",
        methods=("sample",),
        summary="Straight paths from noise to images in few steps",
        paper="Lipman, Chen, Ben-Hamu, Nickel, Le 2023, arXiv 2210.02747",
        requires=REQUIRES,
    )
    yield ModelSpec(
        name="dcgan",
        target="zoo_torch.architectures.dcgan:DCGAN",
        family="gan",
        framework="torch",
        methods=("sample", "decode", "predict"),
        summary="Convolutional generator and discriminator",
        paper="Radford, Metz, Chintala 2015, arXiv 1511.06434",
        requires=REQUIRES,
    )


def __getattr__(name: str) -> Any:
    """`wrap` is imported when it is used: it needs PyTorch."""
    if name != "wrap":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()["wrap"] = importlib.import_module("zoo_torch.wrapping.wrap").wrap
    return value
