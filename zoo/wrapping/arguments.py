"""The arguments of `wrap` as data, and the interface that a framework's plugin implements for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt

from zoo.errors import InputError, did_you_mean
from zoo.network import Network
from zoo.signature import Call, Loop, Method, Noise, Option, Tensor
from zoo.spaces import Labels, Space
from zoo.spec import FAMILIES, Density
from zoo.wrapping.calling import LABELS
from zoo.wrapping.random_draws import Draws
from zoo.wrapping.units import Layout

FUNCTIONS = ("sample", "init", "step", "finish", "until", "denoiser", "log_prob", "encode", "decode", "predict")
# arguments that have an effect only with one of these
ONLY = {
    "noise": ("sample", "step", "denoiser", "decode"),
    "init": ("step",),
    "until": ("step",),
    "step_noise": ("step",),
    "finish": ("step", "denoiser"),
    "length": ("step", "denoiser"),
    "schedule": ("denoiser",),
    "prediction": ("denoiser",),
    "density": ("log_prob",),
    "latent": ("encode", "decode"),
    "inputs": ("sample", "step", "denoiser", "log_prob", "encode", "decode", "predict"),
}
# arguments of callers and functions other than noise and options
TAKEN = {
    "count", "seed", "start", "index", "stream", "chunk", "progress", "method", "inputs", "i", "state", "label",
    "x", "z",
}  # fmt: skip


@dataclass(frozen=True)
class WrapConfig:
    """The configuration of a wrapped model in an artifact: the user's functions, and the floats of image levels."""

    functions: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    values_from: str = ""  # "given", or the draws that they were inferred from
    layouts: tuple[str, ...] = ()


class WrappedNetwork(Network):
    """The mixin by which a framework's plugin wraps functions; it comes before the base class of networks."""

    Config = WrapConfig
    spaces = (Space,)
    first: ClassVar[Layout]  # the usual image layout of this framework
    made: dict[str, Method]
    parts: Any  # the user's modules

    def methods(self) -> Mapping[str, Method]:
        return self.made

    def objectives(self) -> Mapping[str, Any]:
        return {}

    def cast(self, tensor: Any, dtype: str) -> Any:
        """A tensor with the dtype of this name."""
        raise NotImplementedError

    draws: Draws | None = None  # while a function is traced

    def watching(self, draws: Draws) -> AbstractContextManager[Any]:
        """A context in which `draws` records the operations on tensors."""
        raise NotImplementedError

    def watch(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        """The result of `call()`, and the operations that drew random numbers for it, as `name (file:line)`."""
        self.draws = draws = Draws()
        try:
            with self.watching(draws):
                result = call()
        finally:
            self.draws = None
        draws.reach(result)
        return result, draws.found()

    def numpy(self, tensor: Any) -> npt.NDArray[Any]:
        if self.draws is not None:
            self.draws.reach(tensor)
        return super().numpy(tensor)


@dataclass(frozen=True)
class WrapArguments:
    """The arguments of `wrap`, the same in every framework; its docstring describes them."""

    space: Space
    sample: Any = None
    log_prob: Any = None
    encode: Any = None
    decode: Any = None
    predict: Any = None
    noise: Any = None
    init: Any = None
    step: Any = None
    finish: Any = None
    until: Any = None
    length: int | str | None = None
    step_noise: Any = None
    denoiser: Any = None
    schedule: Any = None
    prediction: str | None = None
    options: Mapping[str, Option | float] | None = None
    inputs: Mapping[str, Tensor] | None = None
    classes: Any = None
    density: Density | None = None
    values: Any = None
    layout: Layout | None = None
    latent: int | Sequence[int] | None = None
    name: str = ""
    family: str = ""
    modules: Sequence[Any] = ()


def check_used(arguments: WrapArguments, given: Mapping[str, Any]) -> None:
    """`InputError` for an argument without effect."""
    ways = {w for w, f in given.items() if not isinstance(f, (Call, Loop)) or w == "log_prob"}
    for name, beside in ONLY.items():
        if getattr(arguments, name) is not None and not ways & set(beside):
            *others, last = (f"{w}=" for w in beside)
            either = f"{', '.join(others)} or {last}" if others else last
            raise InputError(f"{name}= has no effect here: it belongs to a function {either}.")


def check_title(name: Any, family: Any) -> None:
    """`InputError` for an invalid name, or a family that is not in the taxonomy."""
    if not isinstance(name, str) or any(not c.isprintable() or c in "/\\" for c in name) or name in (".", ".."):
        raise InputError(f"name is {name!r}; expected text without slashes and control characters, such as 'mine'.")
    if not isinstance(family, str) or (family and family not in FAMILIES):
        hint = did_you_mean(family, FAMILIES) if isinstance(family, str) else ""
        raise InputError(f"family is {family!r}; expected one of {', '.join(FAMILIES)}.{hint}")


def check_names(
    noises: Mapping[str, Noise],
    fresh: Mapping[str, Noise],
    options: Mapping[str, Option],
    inputs: Mapping[str, Tensor],
    conditional: bool,
) -> None:
    """`InputError` for a name that is already taken. Callers do not pass noise."""
    for kind, names, taken in (
        ("noise", noises, {"index", "label", "i", "state"}),
        ("step_noise", fresh, {"index", "label", "i", "state", *noises}),
        ("option", options, {*TAKEN, *noises, *fresh, *(LABELS if conditional else ())}),
        ("input", inputs, {*TAKEN, *noises, *fresh, *options, *(LABELS if conditional else ())}),
    ):
        for name in names:
            if name in taken:
                raise InputError(f"{kind} {name!r} has a name that is taken; give it another.")


def labels(classes: Any) -> Labels | None:
    """`Labels` from names or from their number."""
    if classes is None or isinstance(classes, Labels):
        return classes
    if isinstance(classes, int) and not isinstance(classes, bool) and classes > 1:
        return Labels(tuple(map(str, range(classes))))
    if isinstance(classes, (list, tuple)) and len(classes) > 1:
        return Labels(tuple(map(str, classes)))
    raise InputError(f"classes is {classes!r}; expected the names of at least two classes, or how many there are.")


def read_options(options: Any) -> dict[str, Option]:
    made = {}
    for name, option in dict(options or {}).items():
        if isinstance(option, Option):
            made[name] = option
        elif isinstance(option, (int, float)) and not isinstance(option, bool):
            made[name] = Option(option)
        else:
            raise InputError(f"option {name!r} is {option!r}; expected a number or zoo.Option(...).")
    return made


def read_inputs(inputs: Any) -> dict[str, Tensor]:
    made = dict(inputs or {})
    for name, tensor in made.items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"input {name!r} is {tensor!r}; expected zoo.Tensor(dtype, shape of one example), such as "
                "zoo.Tensor('int64', (77,), low=0, high=49407)."
            )
    return made


def read_noise(noise: Any, name: str) -> dict[str, Noise]:
    """Noise by name, from one, a sequence, or a dict."""
    if noise is None:
        return {}
    if isinstance(noise, Noise):
        noise = {name: noise}
    elif isinstance(noise, (list, tuple)):
        noise = {f"{name}_{i}": n for i, n in enumerate(noise)}
    if not isinstance(noise, Mapping) or not all(isinstance(n, Noise) for n in noise.values()):
        raise InputError(f"{name} is {noise!r}; expected zoo.Normal(...) or zoo.Uniform(...), or several in a tuple.")
    return dict(noise)


def called(given: Any) -> Any:
    """The callables of a function, or of the parts of a call or loop."""
    return [getattr(given, f.name) for f in dataclasses.fields(given)] if isinstance(given, (Call, Loop)) else given


def read_latent(latent: Any) -> tuple[int, ...] | None:
    if latent is None:
        return None
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    if not all(isinstance(d, int) and d > 0 for d in shape):
        raise InputError(f"latent is {latent!r}; expected an integer, or the shape of one latent.")
    return shape


def title(given: Mapping[str, Any]) -> str:
    """A display name: the class of a module, or a function's own name."""
    for function in given.values():
        name = getattr(function, "__name__", None) or type(function).__name__
        if name not in ("<lambda>", "Call", "Loop", "partial"):
            return str(name)
    return "wrapped"
