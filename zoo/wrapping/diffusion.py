"""A denoiser and its noise schedule as a sampler, with DDIM steps (Song, Meng, Ermon, arXiv 2010.02502), or
second-order DPM-Solver++ 2M steps (Lu, Zhou, Bao, Chen, Li, Zhu, arXiv 2211.01095).

The steps, and the times that they visit, are those of the model's original scheduler: diffusers'
`DDIMScheduler`, `DDPMScheduler` and `DPMSolverMultistepScheduler`, or of `GaussianDiffusion` in
denoising-diffusion-pytorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.diffusion import Level, Levels, extrapolation, step
from zoo.errors import InputError
from zoo.model import check_option
from zoo.signature import Loop, Noise, Option, Tensor
from zoo.wrapping.calling import Given

if TYPE_CHECKING:
    from zoo.wrapping.arguments import WrappedNetwork

PREDICTIONS = ("epsilon", "sample", "v_prediction")
LEAST = 1e-9  # variance of the noise; far below float32 resolution at 1
SPACINGS = ("leading", "trailing", "linspace", "even")
# the supported settings of DPMSolverMultistepScheduler
SOLVER: Mapping[str, tuple[Any, ...]] = {
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "solver_order": (1, 2),
    "solver_type": ("midpoint",),
    "final_sigmas_type": ("zero",),
    "lambda_min_clipped": (-np.inf,),
    **{f"use_{kind}": (False,) for kind in ("karras_sigmas", "exponential_sigmas", "beta_sigmas", "flow_sigmas")},
    "use_lu_lambdas": (False,),
}


@dataclass(frozen=True)
class Schedule:
    """Noise levels and how to step through them.

    `signal` is the cumulative product of alphas, (T,), the remaining share of an image's variance at each time; `final`
    is its value after the last step. `spacing` says which times are visited; with `beyond`, one more is spaced and then
    dropped; with `ratio`, a step leads `T // steps` down instead of to the next visited time. `clip` bounds the
    estimated image; `rederive` recomputes the noise from the clipped image, which order 2 always does.
    """

    signal: npt.NDArray[np.float32]
    final: float = 1.0
    prediction: str = "epsilon"
    spacing: Literal["leading", "trailing", "linspace", "even"] = "even"
    beyond: bool = False
    ratio: bool = False
    offset: int = 0
    clip: float | None = None
    rederive: bool = False
    steps: int = 50
    order: int = 1
    eta: float = 0.0

    @property
    def most(self) -> int:
        """The largest number of steps that the times allow."""
        return len(self.signal) - (self.offset + self.beyond if self.spacing == "leading" else 0)

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise InputError(
                f"the denoiser predicts {self.prediction!r}; expected {', '.join(map(repr, PREDICTIONS))}."
            )
        if self.spacing not in SPACINGS:
            raise InputError(f"timestep_spacing is {self.spacing!r}; expected {', '.join(map(repr, SPACINGS))}.")
        s = self.signal
        if s.ndim != 1 or len(s) < 2 or not np.isfinite(s).all() or (s < 0).any() or (s > 1).any() or s[0] <= s[-1]:
            raise InputError(
                "schedule is not an array of alphas_cumprod: numbers that fall from about 1, at the first time, toward "
                "0."
            )


def read_schedule(schedule: Any, prediction: str | None = None, clip: float | None = None) -> Schedule:
    """A schedule from an array of alphas_cumprod, or from a scheduler with the attributes of diffusers'."""
    known = isinstance(schedule, Schedule)  # from a model that `wrap` knows
    if known or hasattr(schedule, "alphas_cumprod"):
        if prediction is not None:
            raise InputError("prediction= is for a bare array; a scheduler or a whole model defines it.")
        return schedule if known else _of_scheduler(schedule)
    try:
        signal = as_floats(schedule)
    except (TypeError, ValueError):
        raise InputError(
            f"schedule is {type(schedule).__name__}; expected an array of alphas_cumprod, or a scheduler that has them."
        ) from None
    return Schedule(signal, prediction=prediction or "epsilon", clip=clip, rederive=True, steps=min(50, len(signal)))


def _of_scheduler(scheduler: Any) -> Schedule:
    config, kind = getattr(scheduler, "config", {}), type(scheduler)

    def get(name: str, default: Any) -> Any:
        value = config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
        if value is None and not (isinstance(config, Mapping) and name in config):  # in a config, None is a choice
            value = getattr(scheduler, name, None)
        return default if value is None else value

    multistep = kind.__name__ == "DPMSolverMultistepScheduler"
    ddpm = "DDPM" in kind.__name__ or get("variance_type", None) is not None
    if kind.__module__.startswith("diffusers.") and not (ddpm or multistep) and kind.__name__ != "DDIMScheduler":
        raise InputError(
            f"{kind.__name__} is not supported; wrap has the steps of DDIMScheduler, DDPMScheduler and "
            "DPMSolverMultistepScheduler. For DDIM steps down the same noise levels: "
            "schedule=DDIMScheduler.from_config(scheduler.config)."
        )
    for name, known in SOLVER.items() if multistep else ():
        if get(name, known[-1]) not in known:
            raise InputError(f"{name} is {get(name, None)!r}; expected {' or '.join(map(repr, known))}.")
    if get("thresholding", False):
        raise InputError("the scheduler has thresholding, which wrap does not support; it supports clip_sample.")
    if ddpm and get("variance_type", "fixed_small") not in ("fixed_small", "fixed_small_log"):
        raise InputError(f"variance_type is {get('variance_type', '')!r}; expected 'fixed_small' or 'fixed_small_log'.")
    signal = as_floats(scheduler.alphas_cumprod)
    # a configuration may hold fields of other schedulers
    final = 1.0 if ddpm or multistep or get("set_alpha_to_one", True) else float(signal[0])
    clip = get("clip_sample", True) and not multistep
    return Schedule(
        signal,
        final=final,
        prediction=get("prediction_type", "epsilon"),
        spacing=get("timestep_spacing", "leading"),
        beyond=multistep,
        ratio=not ddpm and not multistep,
        offset=int(get("steps_offset", 0)),
        clip=float(get("clip_sample_range", 1.0)) if clip else None,
        rederive=ddpm,  # DDPM's mean uses the clipped image; DDIM keeps the predicted noise
        steps=int(get("num_inference_steps", min(50, len(signal)))),
        order=int(get("solver_order", 2)) if multistep else 1,
        eta=1.0 if ddpm or (multistep and get("algorithm_type", "").startswith("sde-")) else 0.0,
    )


def as_floats(values: Any) -> npt.NDArray[np.float32]:
    for method in ("detach", "cpu"):
        values = getattr(values, method)() if hasattr(values, method) else values
    return np.asarray(values, dtype=np.float32)


def denoising(
    network: WrappedNetwork,
    denoiser: Given,
    schedule: Schedule,
    shape: tuple[Any, ...],
    inputs: Mapping[str, Tensor],
    length: Any,
    more: Mapping[str, Option],
) -> Loop:
    """The loop over `x_t` of this shape. Its state is `x`, and the last estimate of the image, which order 2 needs;
    the caller defines `finish` and `outputs`."""
    steps = schedule.steps if length is None else length
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise InputError(f"length is {length!r}; expected the number of denoising steps, from 1 to {schedule.most}.")
    options = {
        "steps": Option(steps, low=1, high=schedule.most, help="denoising steps"),
        "order": Option(schedule.order, low=1, high=2, help="of the solver: 1 DDIM; 2 DPM-Solver++, for few steps"),
        "eta": Option(schedule.eta, low=0.0, high=1.0, help="fresh noise in each step: 0 none; 1 as much as DDPM"),
    }
    for name, option in more.items():  # a bare number changes the default and keeps the bounds
        known = options.get(name)
        options[name] = replace(known, default=option.default) if known and option.low is None else option
    for name, option in options.items():
        check_option(name, option, option.default)
    walk = Walk(network, schedule)

    def denoise(
        i: Any, state: Mapping[str, Any], z: Any, steps: Any, order: Any, eta: Any, **named: Any
    ) -> dict[str, Any]:
        x = state["x"]
        time, _ = walk.times(i, steps)
        # (N,) times: some networks need one per example, and the others accept it
        raw = denoiser(x, time.expand(x.shape[0]), steps=steps, order=order, eta=eta, **named)
        after, image = walk.step(x, _output(raw, x), z, state["image"], i, steps, order, eta)
        return {"x": after, "image": image}

    noise = Noise("normal", shape)
    return Loop(
        "steps",
        lambda index, start, **named: {"x": start, "image": start},
        denoise,
        lambda state: state["x"],
        {"x": Tensor("float32", shape), "image": Tensor("float32", shape)},
        inputs,
        init_noise={"start": noise},
        noise={"z": noise},
        options=options,
    )


def _output(raw: Any, x: Any) -> Any:
    """The tensor in a denoiser's result: itself, the `.sample` of diffusers, or the first of a tuple."""
    raw = raw[0] if isinstance(raw, tuple) else getattr(raw, "sample", raw) if not hasattr(raw, "reshape") else raw
    if not hasattr(raw, "shape"):
        raise InputError(f"denoiser gives a {type(raw).__name__}; expected a tensor, or an object with it in .sample.")
    if tuple(raw.shape[1:]) != tuple(x.shape[1:]):
        given, wanted = ("(N, {})".format(", ".join(str(int(d)) for d in t.shape[1:])) for t in (raw, x))
        raise InputError(f"denoiser gives {given} for x_t of {wanted}: a learned variance is not supported.")
    return raw


class Walk:
    """The steps of a schedule, with its tables as tensors."""

    def __init__(self, network: WrappedNetwork, schedule: Schedule) -> None:
        self.schedule, self.cast = schedule, network.cast
        # index 0 is the end, after the last step, followed by each time
        signal = np.concatenate([[np.float32(schedule.final)], schedule.signal])
        with np.errstate(divide="ignore"):  # infinite without noise
            half_log_snr = (np.log(signal) - np.log1p(-signal)) / 2
        self.levels = Levels(*map(network.tensor, (np.sqrt(signal), np.sqrt(1 - signal), half_log_snr)))

    def level(self, time: Any) -> Level:
        """The noise level at a time; -1 and below mean the end."""
        return self.levels.at(time.clamp(min=-1) + 1)

    def times(self, i: Any, steps: Any) -> tuple[Any, Any]:
        """The time of step `i` of `steps`, and the time after the step (-1: the end), (1,) int64 each."""
        now = self._time(i, steps)
        if self.schedule.ratio:
            return now, now - self._whole(steps) // steps
        later = self._time(i + 1, steps)
        last = (i + 1 >= steps).reshape(1)
        return now, later.masked_fill(last, -1)

    def _whole(self, steps: Any) -> Any:
        """T as a tensor like `steps`: dividing a number by a tensor would multiply by the reciprocal."""
        return steps * 0 + len(self.schedule.signal)

    def _time(self, i: Any, steps: Any) -> Any:
        size, spacing = self._whole(steps), self.schedule.spacing
        if self.schedule.beyond and spacing != "trailing":
            steps = steps + 1
        left = steps - 1 - i
        if spacing == "leading":
            return (left * (size // steps) + self.schedule.offset).reshape(1)
        if spacing == "even":  # torch.linspace(-1, T - 1, steps + 1) truncated; it counts from both ends
            stride = self.cast(size, "float32") / self.cast(steps, "float32")
            low, high = stride * (left + 1) - 1, (size - 1) - stride * i
            first_half = left + 1 < (steps + 1) // 2
            return self.cast(low.where(first_half, high), "int64").clamp(min=0).reshape(1)
        exact, total = self.cast(steps, "float64"), self.cast(size, "float64")  # in numpy's order of operations
        if spacing == "linspace":
            time = self.cast(left, "float64") * ((total - 1) / (exact - 1).clamp(min=1))
        else:
            time = total + self.cast(i, "float64") * ((total - total / exact) - total)
        whole = self.cast(time.round(), "int64") - int(spacing == "trailing")
        return whole.clamp(min=0).reshape(1)

    def step(self, x: Any, raw: Any, z: Any, last: Any, i: Any, steps: Any, order: Any, eta: Any) -> tuple[Any, Any]:
        """x after step `i` of `steps`, from x and the network's output `raw`, and the predicted image; `last` is that
        of the previous step."""
        s = self.schedule
        time, later = self.times(i, steps)
        now, then = self.level(time), self.level(later)
        now = replace(now, sigma=now.sigma.clamp(min=LEAST**0.5))  # without noise, it divides 0
        if s.prediction == "epsilon":
            image, epsilon = now.data(x, raw), raw
        elif s.prediction == "sample":
            image, epsilon = raw, now.epsilon(x, raw)
        else:
            image, epsilon = now.alpha * x - now.sigma * raw, now.alpha * raw + now.sigma * x
        if s.clip is not None:
            image = image.clamp(-s.clip, s.clip)
            derived = now.epsilon(x, image)
            epsilon = derived if s.rederive else derived.where(order > 1, epsilon)
        further = extrapolation(order, self.level(self._time((i - 1).clamp(min=0), steps)), now, then)
        change = further.where(i + 1 < steps, 0.0) * (image - last)
        epsilon = epsilon - now.alpha / now.sigma * change  # so that both still add up to x
        return step(image + change, epsilon, z, now, then, eta), image
