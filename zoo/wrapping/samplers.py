"""Samplers from a user's functions: one call, an iteration, a denoiser, or decoded noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from zoo.errors import InputError
from zoo.signature import Call, Loop, Method
from zoo.wrapping import loops
from zoo.wrapping.builder import Builder
from zoo.wrapping.diffusion import denoising


def sampler(b: Builder) -> Method | None:
    given = b.given
    ways = [w for w in ("sample", "step", "denoiser") if w in given]
    if len(ways) > 1:
        raise InputError(f"{' and '.join(f'{w}=' for w in ways)} are two samplers; give one.")
    if "denoiser" in given:
        return denoiser(b)
    if "step" in given:
        return loop(b)
    if "sample" not in given or isinstance(given["sample"], (Call, Loop)):
        return given.get("sample")
    if not b.noise:
        raise InputError(
            "sample= needs noise=: the noise of one example, such as noise=zoo.Normal(128). Do not draw "
            "inside: an exported model derives its noise from a seed."
        )
    sample = b.bind("sample", b.noise)
    inputs = b.conditions(sample)
    arguments = b.probe.arguments("sample", inputs, b.noise)

    def hint(error: Exception) -> str:
        counted = isinstance(error, TypeError) or "single element" in str(error) or "converted to" in str(error)
        return "It receives the noise of a batch as tensors, not a number of rows." if counted else ""

    def raw(**named: Any) -> Any:
        return sample(*(named[n] for n in b.noise), **named)

    view = b.view("sample", b.probe.run("sample", b.probe.timed(lambda: raw(**arguments)), hint))

    def function(**named: Any) -> Any:
        return b.units.observe(raw(**named), view)

    return Call(function, inputs, {"x": b.arguments.space.tensor}, b.noise, b.taken(sample))


def loop(b: Builder) -> Loop:
    if "init" not in b.given:
        raise InputError("an iterative sampler needs init= and step=, and finish= if its state is not an observation.")
    length = loops.read_length(b.arguments.length, b.options)
    if isinstance(length, str):
        b.options[length] = loops.bounded(length, b.options[length])
    b.used.add(str(length))
    fresh = b.fresh
    init = b.bind("init", b.noise, extra=("index",))
    step = b.bind("step", ("i", "state", *fresh))
    finish, until = b.after("finish"), b.after("until")
    inputs = b.conditions(init, step)
    parts = loops.Parts(init, step, finish, until, tuple(b.noise), tuple(fresh))
    steps = length if isinstance(length, int) else int(b.options[length].number)
    state, y = loops.try_out(parts, b.probe, inputs, b.noise, fresh, steps)
    view = b.view("finish" if finish else "step", y)
    options = {n: o for n, o in b.options.items() if n in init.keywords or n in step.keywords or n == length}
    return Loop(
        length,
        parts.first,
        parts.next,
        lambda state: b.units.observe(parts.last(state), view),
        state,
        inputs,
        {"x": b.arguments.space.tensor},
        init_noise=b.noise,
        noise=fresh,
        options=options,
        until=parts.stop if until else None,
    )


def denoiser(b: Builder) -> Loop:
    schedule, space = b.arguments.schedule, b.arguments.space
    if schedule is None:
        raise InputError("denoiser= needs schedule=: the noise levels of its training, or a scheduler.")
    image = b.units.image is not None
    shape: tuple[Any, ...] = b.units.layouts()[b.units.layout or b.network.first] if image else space.shape
    if b.noise:
        kinds = [n.kind for n in b.noise.values()]
        if kinds != ["normal"]:
            raise InputError(f"a denoiser starts from one noise, zoo.Normal(...), not from {' and '.join(kinds)}.")
        (shape,) = (n.shape for n in b.noise.values())
    denoiser = b.bind("denoiser", ("x_t", "t"))
    finish = b.after("finish")
    if image and b.units.values is None and finish is None:
        b.units.values = (-1.0, 1.0)  # the usual range in training
        b.inferred = "the usual range of a denoiser"
    inputs = b.conditions(denoiser)
    length = b.arguments.length
    b.used |= {"steps", "order", "eta"}
    loop = denoising(b.network, denoiser, schedule, shape, inputs, length, b.options)
    y = b.probe.loop(loop, "denoiser", inputs)
    if finish:
        y = b.probe.run("finish", partial(finish, y))
    view = b.view("finish" if finish else "denoiser", y)

    def observe(state: Mapping[str, Any]) -> Any:
        return b.units.observe(finish(state["x"]) if finish else state["x"], view)

    return replace(loop, finish=observe, outputs={"x": space.tensor})


def decoded_noise(b: Builder, decode: Method) -> Method:
    """`sample` as `decode` of noise, for a decoder whose latents have a prior."""
    ((name, noise),) = b.noise.items()
    if noise.shape != decode.inputs["z"].shape:
        raise InputError(f"noise has shape {noise.shape}, but a latent has {decode.inputs['z'].shape}.")
    if not isinstance(decode, Call):
        raise InputError("noise= needs sample= if decode= is a loop.")
    inner = decode.function
    inputs = {n: t for n, t in decode.inputs.items() if n != "z"}
    noises = {**decode.noise, **b.noise}
    return replace(decode, function=lambda **named: inner(z=named.pop(name), **named), inputs=inputs, noise=noises)
