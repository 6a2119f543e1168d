"""Turns the three functions of an iterative sampler into the parts of a `Loop`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.errors import InputError, did_you_mean
from zoo.model import check_option
from zoo.signature import DTYPES, Noise, Option, Tensor, advised
from zoo.wrapping.calling import Given
from zoo.wrapping.probe import LONG, ROWS, TURNED, Probe, dtype_name

BARE = "state"  # the name of a state that is a single tensor


@dataclass
class Parts:
    """The user's functions and their arguments. `bare` is whether the state is a single tensor, not a dict."""

    init: Given
    step: Given
    finish: Given | None
    until: Given | None
    noise: tuple[str, ...]
    fresh: tuple[str, ...]
    bare: bool = True

    def first(self, index: Any, **named: Any) -> dict[str, Any]:
        return self.pack(self.init(*(named[n] for n in self.noise), index=index, **named))

    def next(self, i: Any, state: Mapping[str, Any], **named: Any) -> dict[str, Any]:
        return self.pack(self.step(i, self.unpack(state), *(named[n] for n in self.fresh), **named))

    def last(self, state: Mapping[str, Any]) -> Any:
        return self.finish(self.unpack(state)) if self.finish else self.unpack(state)

    def stop(self, state: Mapping[str, Any]) -> Any:
        assert self.until
        return self.until(self.unpack(state))

    def unpack(self, state: Mapping[str, Any]) -> Any:
        return state[BARE] if self.bare else dict(state)

    def pack(self, state: Any) -> dict[str, Any]:
        return {BARE: state} if self.bare else dict(state)


def read_length(length: Any, options: Mapping[str, Option]) -> int | str:
    """The number of steps, or the option that holds it."""
    if length is None and "steps" in options:
        length = "steps"
    if isinstance(length, str):
        if length not in options or options[length].dtype != "int64":
            raise InputError(
                f"length is {length!r}; expected a number of steps, or an integer option such as "
                f"options={{{length!r}: 50}}.{did_you_mean(length, options)}"
            )
        return length
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise InputError(f"length is {length!r}; expected the number of steps, at least 1, or the name of an option.")
    return length


def bounded(name: str, option: Option) -> Option:
    """The option that holds the number of steps, with a lower bound of 1 unless it has another."""
    option = replace(option, low=1) if option.low is None else option
    check_option(name, option, option.default)
    return option


def try_out(
    parts: Parts,
    probe: Probe,
    inputs: Mapping[str, Tensor],
    noise: Mapping[str, Noise],
    fresh: Mapping[str, Noise],
    steps: int,
) -> tuple[dict[str, Tensor], Any]:
    """The state of the loop, and the output of its last function, after one step on examples.
    Unless steps are slow, the last step is run as well, only to detect random draws and remembered state."""
    named = probe.arguments("sample", inputs, {**noise, **fresh})
    index = named.pop("index")
    made = probe.run("init", lambda: parts.init(*(named[n] for n in noise), index=index, **named))
    if isinstance(made, (tuple, list)):
        raise InputError(
            f"init gives a {type(made).__name__} of {len(made)}; a state is one tensor or a dict of tensors, such as "
            "{'x': x, 'v': v}, which step also takes and returns."
        )
    parts.bare = not isinstance(made, Mapping)
    first = parts.pack(made)
    state = {name: _tensor(probe, "init", name, t) for name, t in first.items()}

    def step(i: int, state: Mapping[str, Any]) -> Any:
        return parts.step(probe.network.tensor(np.asarray(i)), parts.unpack(state), *(named[n] for n in fresh), **named)

    made = probe.run("step", probe.timed(lambda: step(0, first)))
    if isinstance(made, Mapping) == parts.bare or (not parts.bare and set(made) != set(first)):
        raise InputError(
            f"step gives {_names(made)}; expected a state like that of init: {_names(parts.unpack(first))}."
        )
    after = parts.pack(made)
    for name, t in after.items():
        if (got := _tensor(probe, "step", name, t)) != state[name]:
            raise InputError(
                f"step turns {name} from {state[name].dtype} {state[name].shape} into {got.dtype} {got.shape}; a state "
                "keeps its shape and dtype. Give it its full length from the start, and update it with torch.where."
            )
    if probe.seconds * ROWS < LONG:
        if steps > 1:
            probe.run("step", lambda: step(steps - 1, after))
        turned = {
            n: t[list(TURNED)] if t.ndim else t for n, t in {**named, "index": index}.items()
        }  # options have no rows

        def others() -> None:
            state = parts.init(*(turned[n] for n in noise), **turned)
            parts.step(probe.network.tensor(np.asarray(0)), state, *(turned[n] for n in fresh), **turned)

        probe.undisturbed("step", lambda: step(steps - 1, after), others)
    if parts.until:
        done = probe.run("until", lambda: parts.stop(after))
        if dtype_name(done) != "bool" or tuple(done.shape) != ():
            raise InputError(
                f"until gives {dtype_name(done)} of shape {tuple(done.shape)}; expected one bool, as from .all()."
            )
    return state, probe.run("finish", lambda: parts.last(after))


def _tensor(probe: Probe, what: str, name: str, t: Any) -> Tensor:
    probe.check(f"{what}, of the state {name!r}," if name != BARE else what, t)
    dtype = dtype_name(t)
    if dtype not in DTYPES:
        raise InputError(
            f"{what} gives the state {name!r} as {dtype}; expected one of {', '.join(DTYPES)}.{advised(dtype, 'Keep')}"
        )
    return Tensor(dtype, tuple(int(d) for d in t.shape[1:]))


def _names(state: Any) -> str:
    return f"a dict of {', '.join(map(repr, state))}" if isinstance(state, Mapping) else "one tensor"


__all__ = ["Parts", "bounded", "read_length", "try_out"]
