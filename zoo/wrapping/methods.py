"""Builds the methods other than sampling from a user's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from zoo.errors import InputError
from zoo.signature import Call, Loop, Method, Tensor
from zoo.wrapping import probe
from zoo.wrapping.builder import Builder
from zoo.wrapping.calling import Given
from zoo.wrapping.units import Units, View, rows


def log_prob(b: Builder, given: Given) -> Method:
    inputs, named = on_x(b, given)
    x = named.pop("x")
    y = b.probe.run("log_prob", lambda: given(x, **named), "It receives raw observations of the space.")
    b.probe.check("log_prob", y, outside=True)
    shape = tuple(y.shape[1:])
    if shape not in ((), (1,)):
        raise InputError(
            f"log_prob gives {rows(shape)}; expected one number per example, (N,): sum over the other axes."
        )

    def function(x: Any, **named: Any) -> Any:
        return b.network.cast(given(x, **named).reshape(-1), "float32")

    return Call(function, inputs, {"log_prob": Tensor("float32")}, options=b.taken(given))


def encode(b: Builder, given: Given) -> Method:
    raw, inputs, y = of_observations(b, given)
    b.latent = b.latent or tuple(y.shape[1:])
    if tuple(y.shape[1:]) != b.latent:
        raise InputError(f"encode gives {rows(tuple(y.shape[1:]))}; a latent is {rows(b.latent)}.")
    return Call(
        lambda **named: b.network.cast(raw(**named), "float32"),
        inputs,
        {"z": Tensor("float32", b.latent)},
        options=b.taken(given),
    )


def decode(b: Builder, given: Given) -> Method:
    if b.latent is None and isinstance(b.given.get("encode"), Call | Loop):
        b.latent = tuple(int(d) for d in b.given["encode"].outputs["z"].shape)
    elif b.latent is None and "sample" not in b.network.made and len(b.noise) == 1:  # samples are decoded noise
        (b.latent,) = (tuple(int(d) for d in n.shape) for n in b.noise.values())
    elif b.latent is None and "encode" in b.given:
        b.latent = latent_of_encoder(b)
    if b.latent is None:
        raise InputError("decode= alone does not determine the shape of a latent: give latent=16, or encode= too.")
    b.bound(given, ("z",), b.network.classes is not None)
    inputs = {"z": Tensor("float32", b.latent)} | b.conditions(given)
    named = b.probe.arguments("decode", inputs, {})
    z = named.pop("z")
    y = b.probe.run("decode", b.probe.timed(lambda: given(z, **named)))
    view = b.view("decode", y)

    def function(z: Any, **named: Any) -> Any:
        return b.units.observe(given(z, **named), view)

    return Call(function, inputs, {"x": b.arguments.space.tensor}, options=b.taken(given))


def latent_of_encoder(b: Builder) -> tuple[int, ...]:
    """The shape of a latent, which does not depend on the range of an image's floats."""
    units, adapted, views = b.units, list(b.adapted), dict(b.views)
    guessed = units.image is not None and units.values is None
    try:
        try:
            y = of_observations(b, Given("encode", b.given["encode"]))[2]
        except InputError:
            if not guessed:
                raise
            units.values = (0.0, 1.0)
            y = of_observations(b, Given("encode", b.given["encode"]))[2]
    finally:
        if guessed:
            units.values = None
        b.adapted, b.views = adapted, views
    return tuple(y.shape[1:])


def predict(b: Builder, given: Given) -> Method:
    raw, inputs, y = of_observations(b, given)
    classes, shape = b.network.classes, tuple(y.shape[1:])
    probe.check_prediction(b.probe.array(y), classes)
    out = () if shape == (1,) else shape
    return Call(
        lambda **named: b.network.cast(raw(**named).reshape(-1, *out), "float32"),
        inputs,
        {"y": Tensor("float32", out)},
        options=b.taken(given),
    )


def on_x(b: Builder, given: Given) -> tuple[dict[str, Tensor], dict[str, Any]]:
    b.bound(given, ("x",), b.network.classes is not None and given.what != "predict")
    inputs = {"x": b.arguments.space.tensor} | b.conditions(given)
    return inputs, b.probe.arguments(given.what, inputs, {})


def of_observations(b: Builder, given: Given) -> tuple[Callable[..., Any], dict[str, Tensor], Any]:
    """A function of observations in its own units, with its inputs and output on examples."""
    inputs, arguments = on_x(b, given)
    x = arguments.pop("x")
    units = b.units
    scaled = units.image is not None and units.values is not None
    views = [View(layout) for layout in units.layouts()] if scaled else [View()]
    views.sort(key=lambda v: v.layout not in {seen.layout for seen in b.views.values()})
    hint = "" if scaled or not units.image else (
        "It receives raw observations, uint8 with channels last; with values=(0, 1) or (-1, 1) it receives floats "
        "in the layout of the framework."
    )  # fmt: skip
    failed: InputError | None = None
    for view in views:
        try:
            y = b.probe.run(given.what, partial(_presented, given, units, view, x, arguments), hint)
            break
        except InputError as error:
            failed = failed or error
    else:
        assert failed
        raise failed
    b.probe.check(given.what, y)
    b.views[given.what] = view
    return lambda x, **named: given(units.present(x, view), **named), inputs, y


def _presented(given: Given, units: Units, view: View, x: Any, more: Mapping[str, Any]) -> Any:
    return given(units.present(x, view), **more)


MADE: Mapping[str, Callable[[Builder, Given], Method]] = {
    "log_prob": log_prob,
    "encode": encode,
    "decode": decode,
    "predict": predict,
}
