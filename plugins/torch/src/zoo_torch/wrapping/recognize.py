"""Models of other libraries that `wrap` knows by their shape, without importing those libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from zoo.errors import InputError
from zoo.signature import Noise
from zoo.spaces import Image, Real, Space
from zoo.wrapping.diffusion import Schedule, as_floats
from zoo_torch.layers.splines import traceable
from zoo_torch.wrapping.inverses import nflows_inverse, zuko_inverse

OBJECTIVES = {"pred_noise": "epsilon", "pred_x0": "sample", "pred_v": "v_prediction"}


# why flows of zuko cannot be exported, by class
UNEXPORTED = {
    "NAF": "it inverts its networks by bisection, and takes their gradient",
    "UNAF": "it integrates its networks, and inverts them by bisection",
    "BPF": "it inverts its polynomials by bisection",
    "GF": "it inverts its transforms by bisection",
    "CNF": "it solves a differential equation with steps of adaptive size",
}


def recognize(model: Any, space: Space) -> Mapping[str, Any] | None:
    """The equivalent arguments of `wrap`: functions, noise, schedule; None for an unknown model."""
    if hasattr(model, "alphas_cumprod") and hasattr(model, "objective") and hasattr(model, "model"):
        return gaussian_diffusion(model, space)
    if callable(getattr(model, "transform", None)) and callable(getattr(model, "base", None)):
        return zuko_flow(model, space)
    if hasattr(model, "_transform") and hasattr(model, "_distribution") and hasattr(model, "log_prob"):
        return nflows_flow(model, space)
    return None


def _real(model: Any, space: Space) -> None:
    if not isinstance(space, Real):
        raise InputError(
            f"{type(model).__name__} is a density of real vectors, and this space is {space.describe()}. Give "
            "log_prob=, sample=, ... that convert observations to its vectors and back, with the log-determinant."
        )


def zuko_flow(flow: Any, space: Space) -> Mapping[str, Any]:
    """A `zuko.flows.Flow`: calling it gives the distribution, with a `transform` to its `base`."""
    _real(flow, space)
    for kind in type(flow).__mro__:
        if kind.__module__.startswith("zuko.") and kind.__name__ in UNEXPORTED:
            raise InputError(
                f"{kind.__name__} cannot be exported: {UNEXPORTED[kind.__name__]}, which ONNX cannot do. Of "
                "zuko's flows, NSF, MAF, NICE, RealNVP, NCSF and SOSPF can be exported."
            )
    try:
        with torch.no_grad():
            base = flow().base
            flow().transform(torch.zeros(2, *base.event_shape))
    except Exception as error:
        raise InputError(
            f"{type(flow).__name__} cannot be called without a context ({error}). For a conditional flow give "
            "log_prob=lambda x, label: flow(embed(label)).log_prob(x), and so on, with classes=."
        ) from error
    kind = _innermost(base)
    parts = (("loc", "scale"), "normal") if hasattr(kind, "loc") else (("low", "high"), "uniform")
    if type(kind).__name__ not in ("Normal", "Uniform"):
        raise InputError(f"the base of {type(flow).__name__} is {type(kind).__name__}; expected Normal or Uniform.")
    names, name = parts

    def start(noise: torch.Tensor) -> torch.Tensor:
        distribution = _innermost(flow().base)
        low, scale = (getattr(distribution, n) for n in names)
        return low + (scale if name == "normal" else scale - low) * noise

    return {
        "sample": lambda noise: zuko_inverse(flow().transform, start(noise)),
        "log_prob": _within_box(flow) if name == "uniform" else lambda x: flow().log_prob(x),
        "encode": lambda x: flow().transform(x),
        "decode": lambda z: zuko_inverse(flow().transform, z),
        "noise": Noise(name, tuple(base.event_shape)),  # type: ignore[arg-type]
        "density": "exact",
        "family": "flow",
    }


def _within_box(flow: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The density of a flow with a uniform base, -inf outside its support: zuko gives a finite one for values that its
    circular transforms wrap around."""
    with torch.no_grad():
        low, high = (getattr(_innermost(flow().base), end) for end in ("low", "high"))
        beyond = (high + (high - low) / 4)[None]
        transform = flow().transform
        wraps = not torch.allclose(transform.inv(transform(beyond)), beyond, rtol=1e-2, atol=1e-2)

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        base, z = _innermost(flow().base), flow().transform(x)
        inside = ((z >= base.low) & (z <= base.high)).all(-1)
        if wraps:
            inside = inside & ((x >= base.low) & (x <= base.high)).all(-1)
        return torch.where(inside, flow().log_prob(x), -torch.inf)

    return log_prob


def _innermost(distribution: Any) -> Any:
    while hasattr(distribution, "base_dist"):
        distribution = distribution.base_dist
    return distribution


def nflows_flow(flow: Any, space: Space) -> Mapping[str, Any]:
    """An `nflows.flows.Flow`: a `_transform` to a `_distribution`."""
    _real(flow, space)
    base = flow._distribution
    if type(base).__name__ != "StandardNormal":
        raise InputError(f"the base of this flow is {type(base).__name__}; expected StandardNormal.")

    def traced(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
        def inner(x: torch.Tensor) -> torch.Tensor:
            with traceable():
                return function(x)

        return inner

    return {
        "sample": traced(lambda noise: nflows_inverse(flow._transform, noise)),
        "log_prob": traced(lambda x: flow.log_prob(x)),
        "encode": traced(lambda x: flow._transform(x)[0]),
        "decode": traced(lambda z: nflows_inverse(flow._transform, z)),
        "noise": Noise("normal", tuple(base._shape)),
        "density": "exact",
        "family": "flow",
    }


def gaussian_diffusion(diffusion: Any, space: Space) -> Mapping[str, Any]:
    """A `GaussianDiffusion` of denoising-diffusion-pytorch: its own sampler's steps, ancestral or DDIM."""
    if getattr(diffusion, "self_condition", False):
        raise InputError("this GaussianDiffusion conditions on its own estimate (self_condition), which wrap does not.")
    if diffusion.objective not in OBJECTIVES:
        raise InputError(f"objective is {diffusion.objective!r}; expected one of {', '.join(OBJECTIVES)}.")
    if isinstance(space, Image):
        size = getattr(diffusion, "image_size", (space.height, space.width))
        size = (size, size) if isinstance(size, int) else tuple(size)
        channels = getattr(diffusion, "channels", space.channels)
        if (*size, channels) != space.shape:
            raise InputError(
                f"this GaussianDiffusion makes images of {(*size, channels)}; the space has {space.shape}."
            )
    signal = as_floats(diffusion.alphas_cumprod)
    ddim = bool(getattr(diffusion, "is_ddim_sampling", False))
    unnormalize = getattr(diffusion, "unnormalize", None)
    scaled = unnormalize is None or float(unnormalize(torch.zeros(()))) != 0  # to [0, 1] in the end
    return {
        "denoiser": diffusion.model,
        "schedule": Schedule(
            signal,
            prediction=OBJECTIVES[diffusion.objective],
            clip=1.0,
            rederive=True,
            steps=int(diffusion.sampling_timesteps) if ddim else len(signal),
            eta=float(diffusion.ddim_sampling_eta) if ddim else 1.0,
        ),
        "family": "diffusion",
    } | ({"values": (-1, 1) if scaled else (0, 1)} if isinstance(space, Image) else {})


__all__ = ["recognize"]
