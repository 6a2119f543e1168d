"""A denoiser and its noise schedule as a sampler: DDIM steps (Song, Meng, Ermon, arXiv 2010.02502).

The steps, and the times that they visit, are those of the scheduler that the model came with: of diffusers'
`DDIMScheduler` and `DDPMScheduler`, or of `GaussianDiffusion` in denoising-diffusion-pytorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.model import check_option
from zoo.signature import Loop, Noise, Option, Tensor
from zoo.wrapping.calling import Given

if TYPE_CHECKING:
    from zoo.wrapping.wish import WrappedNetwork

PREDICTIONS = ("epsilon", "sample", "v_prediction")
LEAST = 1e-9  # of an image's variance as noise; far below what float32 has beside 1
SPACINGS = ("leading", "trailing", "linspace", "even")


@dataclass(frozen=True)
class Schedule:
    """Noise levels and how to walk down them.

    `signal` is the cumulative product of alphas, (T,), what is left of an image's variance at each time; `final` that
    after the last step. `spacing` says which times are visited, `ratio` whether a step leads `T // steps` down
    instead of to the next time that is visited. `clip` bounds the estimated image; `rederive` takes the noise from
    the bounded image.
    """

    signal: npt.NDArray[np.float32]
    final: float = 1.0
    prediction: str = "epsilon"
    spacing: Literal["leading", "trailing", "linspace", "even"] = "even"
    ratio: bool = False
    offset: int = 0
    clip: float | None = None
    rederive: bool = False
    steps: int = 50
    eta: float = 0.0

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
                "schedule is not a row of alphas_cumprod: numbers that fall from about 1, at the first time, towards 0."
            )


def read_schedule(schedule: Any, prediction: str | None = None, clip: float | None = None) -> Schedule:
    """A schedule from an array of alphas_cumprod, or from a scheduler with the attributes of diffusers'."""
    known = isinstance(schedule, Schedule)  # of a model that `wrap` knows
    if known or hasattr(schedule, "alphas_cumprod"):
        if prediction is not None:
            raise InputError("prediction= is for a bare array; a scheduler or a whole model says it itself.")
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
        value = getattr(scheduler, name, None) if value is None else value
        return default if value is None else value

    ddpm = "DDPM" in kind.__name__ or get("variance_type", None) is not None
    if kind.__module__.startswith("diffusers.") and not ddpm and kind.__name__ != "DDIMScheduler":
        raise InputError(
            f"{kind.__name__} takes steps of another kind; wrap has DDIMScheduler's and DDPMScheduler's. For DDIM "
            "steps down the same noise levels: schedule=DDIMScheduler.from_config(scheduler.config)."
        )
    if get("thresholding", False):
        raise InputError("the scheduler has thresholding, which wrap does not do; only clip_sample is.")
    if ddpm and get("variance_type", "fixed_small") not in ("fixed_small", "fixed_small_log"):
        raise InputError(f"variance_type is {get('variance_type', '')!r}; expected 'fixed_small' or 'fixed_small_log'.")
    signal = as_floats(scheduler.alphas_cumprod)
    final = 1.0 if ddpm or get("set_alpha_to_one", True) else float(signal[0])
    return Schedule(
        signal,
        final=final,
        prediction=get("prediction_type", "epsilon"),
        spacing=get("timestep_spacing", "leading"),
        ratio=not ddpm,
        offset=int(get("steps_offset", 0)),
        clip=float(get("clip_sample_range", 1.0)) if get("clip_sample", True) else None,
        rederive=ddpm,  # DDPM's mean is of the bounded image; DDIM keeps the noise as it was predicted
        steps=int(get("num_inference_steps", min(50, len(signal)))),
        eta=1.0 if ddpm else 0.0,
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
    """The loop over `x_t` of this shape. Its state is `x`; what `finish` and `outputs` are is the caller's."""
    top = len(schedule.signal) - (schedule.offset if schedule.spacing == "leading" else 0)
    steps = schedule.steps if length is None else length
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise InputError(f"length is {length!r}; expected the number of denoising steps, from 1 to {top}.")
    options = {
        "steps": Option(steps, low=1, high=top, help="denoising steps"),
        "eta": Option(schedule.eta, low=0.0, high=1.0, help="fresh noise in each step: 0 DDIM, 1 DDPM"),
    }
    for name, option in more.items():  # a bare number is another default, within the same bounds
        known = options.get(name)
        options[name] = replace(known, default=option.default) if known and option.low is None else option
    for name, option in options.items():
        check_option(name, option, option.default)
    walk = Walk(network, schedule)

    def step(i: Any, state: Mapping[str, Any], z: Any, steps: Any, eta: Any, **named: Any) -> dict[str, Any]:
        x = state["x"]
        time, before = walk.times(i, steps)
        # (N,) times: some networks want one for each example, and the others take it
        raw = denoiser(x, time.expand(x.shape[0]), steps=steps, eta=eta, **named)
        return {"x": walk.step(x, _output(raw, x), z, time, before, eta)}

    noise = Noise("normal", shape)
    return Loop(
        "steps",
        lambda index, start, **named: {"x": start},
        step,
        lambda state: state["x"],
        {"x": Tensor("float32", shape)},
        inputs,
        init_noise={"start": noise},
        noise={"z": noise},
        options=options,
    )


def _output(raw: Any, x: Any) -> Any:
    """The tensor of a denoiser's answer: itself, the `.sample` of diffusers, or the first of a tuple."""
    raw = raw[0] if isinstance(raw, tuple) else getattr(raw, "sample", raw) if not hasattr(raw, "reshape") else raw
    if not hasattr(raw, "shape"):
        raise InputError(f"denoiser gives a {type(raw).__name__}; expected a tensor, or an object with it in .sample.")
    if tuple(raw.shape[1:]) != tuple(x.shape[1:]):
        given, wanted = ("(N, {})".format(", ".join(str(int(d)) for d in t.shape[1:])) for t in (raw, x))
        raise InputError(f"denoiser gives {given} for x_t of {wanted}: a learned variance is not supported.")
    return raw


class Walk:
    """One step down a schedule, with the tables as tensors."""

    def __init__(self, network: WrappedNetwork, schedule: Schedule) -> None:
        self.schedule, self.cast = schedule, network.cast
        # at 0 what comes after the last step, then each time
        self.table = network.tensor(np.concatenate([[np.float32(schedule.final)], schedule.signal]))

    def times(self, i: Any, steps: Any) -> tuple[Any, Any]:
        """The time of step `i` of `steps`, and that after the step (-1: the end), (1,) int64 each."""
        now = self._time(i, steps)
        if self.schedule.ratio:
            return now, now - self._whole(steps) // steps
        later = self._time(i + 1, steps)
        last = (i + 1 >= steps).reshape(1)
        return now, later.masked_fill(last, -1)

    def _whole(self, steps: Any) -> Any:
        """T as a tensor like `steps`: what divides a number by a tensor multiplies by its reciprocal."""
        return steps * 0 + len(self.schedule.signal)

    def _time(self, i: Any, steps: Any) -> Any:
        size, spacing = self._whole(steps), self.schedule.spacing
        left = steps - 1 - i
        if spacing == "leading":
            return (left * (size // steps) + self.schedule.offset).reshape(1)
        if spacing == "even":  # the whole part of torch.linspace(-1, T - 1, steps + 1), which counts from both ends
            stride = self.cast(size, "float32") / self.cast(steps, "float32")
            low, high = stride * (left + 1) - 1, (size - 1) - stride * i
            first_half = left + 1 < (steps + 1) // 2
            return self.cast(low.where(first_half, high), "int64").clamp(min=0).reshape(1)
        exact, total = self.cast(steps, "float64"), self.cast(size, "float64")  # in the order in which numpy computes
        if spacing == "linspace":
            time = self.cast(left, "float64") * ((total - 1) / (exact - 1).clamp(min=1))
        else:
            time = total + self.cast(i, "float64") * ((total - total / exact) - total)
        whole = self.cast(time.round(), "int64") - int(spacing == "trailing")
        return whole.clamp(min=0).reshape(1)

    def step(self, x: Any, raw: Any, z: Any, time: Any, before: Any, eta: Any) -> Any:
        """x at the time `before`, from x and the network's output at `time`."""
        s = self.schedule
        a = self.table.index_select(0, time + 1)
        a2 = self.table.index_select(0, before.clamp(min=-1) + 1)
        left = (1 - a).clamp(min=LEAST)  # divides what is 0 where a is 1
        root, noise_root = a**0.5, left**0.5
        if s.prediction == "epsilon":
            image, noise = (x - noise_root * raw) / root, raw
        elif s.prediction == "sample":
            image, noise = raw, (x - root * raw) / noise_root
        else:
            image, noise = root * x - noise_root * raw, root * raw + noise_root * x
        if s.clip is not None:
            image = image.clamp(-s.clip, s.clip)
            if s.rederive:
                noise = (x - root * image) / noise_root
        variance = (1 - a2) / left * (1 - a / a2)
        fresh = eta * variance.clamp(min=0) ** 0.5
        return a2**0.5 * image + (1 - a2 - fresh**2).clamp(min=0) ** 0.5 * noise + fresh * z
