"""Checks of latents: a change of variables is exact both ways, and a decoder answers all of its latents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zoo.model import Array
from zoo.signature import Call, Noise
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.checks.rows import equal, full
from zoo.testing.subject import Subject

REACH = (3.0, 4.0, 4.8, 5.6)  # standard deviations; normal noise reaches 5.77 (docs/noise.md)
AXES = 32  # of latents, at most


def is_real_flow(subject: Subject) -> bool:
    exact = subject.spec.density == "exact" and not subject.space.discrete
    return exact and subject.spec.family == "flow" and subject.has("encode", "log_prob")


def has_normal_base(subject: Subject, method: str = "encode") -> bool:
    """Whether samples are made of standard normals of the shape of the latents, as `sample` declares."""
    drawn = subject.eager.methods["sample"] if subject.has("sample") else None
    noises: list[Noise] = [] if drawn is None else [*drawn.noises.values()]
    signature = subject.model.signature(method)
    latent = (signature.outputs if method == "encode" else signature.inputs)["z"].shape
    return [(n.kind, n.shape) for n in noises] == [("normal", latent)]


@check(lambda s: full(s) and s.spec.family == "flow" and s.has("encode", "decode"))
def decode_inverts_encode(subject: Subject) -> str:
    """decode undoes encode, and encode undoes decode, for latents as far out as noise reaches."""
    model, rows = subject.model, 60
    x = subject.sample(rows, seed=7) if subject.has("sample") else subject.space.examples("random", rows)
    back = model.decode(model.encode(x, seed=1, **subject.told("encode", rows)), **subject.told("decode", rows))
    if subject.space.discrete:
        share = float((back != x).mean())
        require(share < 0.01, f"decode(encode(x)) differs from x in {share:.1%} of the values.")
        return f"all but {share:.1%} of the values"
    spread, far = x.std(), np.abs(x).max()
    gap = np.abs(back - x).max()
    require(
        gap < 1e-3 * spread + 1e-5 * far, f"decode(encode(x)) differs from x by {gap:.2g} (x spreads {spread:.2g})."
    )
    for reach in (1.0, *REACH):
        z = _latents(subject, rows, reach)
        x = model.decode(z, **subject.told("decode", rows))
        again, far = model.encode(x, **subject.told("encode", rows)), np.abs(x).max()
        gap = np.abs(again - z).max()
        where = f" where a latent is {reach:g} standard deviations out" if reach > 1 else ""
        require(
            bool(gap < 1e-3 * np.abs(z).max() + 1e-5 * far / spread),
            f"encode(decode(z)) differs from z by {gap:.2g}{where}. Is something clipped, or rounded?",
        )
    return f"latents as far as {REACH[-1]:g} standard deviations"


def _latents(subject: Subject, rows: int, reach: float) -> Array:
    """Normal latents, (N, ...); beyond one standard deviation, one element of each so far out, either way."""
    z = subject.inputs("decode", rows)["z"]
    if reach > 1:
        flat = z.reshape(rows, -1)
        flat[np.arange(rows), np.arange(rows) // 2 % flat.shape[1]] = np.where(np.arange(rows) % 2, reach, -reach)
    return z


@check(lambda s: full(s) and is_real_flow(s))
def log_prob_is_the_change_of_variables(subject: Subject) -> str:
    """log_prob is the standard normal's at encode(x) plus log |det d encode / dx|, by automatic differentiation."""
    eager, rows = subject.eager, 30
    definition, x = eager.methods["encode"], subject.space.examples("random", rows)
    if not isinstance(definition, Call) or definition.noise:
        raise NotApplicable("encode is a loop or random: there is no Jacobian to take")
    if not has_normal_base(subject):
        raise NotApplicable("sample is not made of one standard normal of the latents' shape, so the base is not known")
    labels, codes = subject.told("encode", rows), subject.codes("encode", rows)
    given = {name: eager.network.tensor(np.asarray(o.number, o.dtype)) for name, o in definition.options.items()}
    given |= {name: eager.network.tensor(a) for name, a in codes.items()}

    def encode(rows: Any) -> Any:
        z = definition.function(x=rows, **given)
        return z["z"] if isinstance(z, dict) else z

    with eager.network.inference():
        jacobian = eager.network.jacobian(encode, x)
    z = eager.encode(x, **labels).astype(np.float64)
    base = -0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
    expected, got = base + np.linalg.slogdet(jacobian).logabsdet, subject.log_prob(x)
    gap = np.abs(expected - got)
    row = int(gap.argmax())
    require(
        bool(gap.max() < 2e-3 * max(1.0, np.abs(expected).max())),
        f"log_prob({x[row]}) is {got[row]:.5g}; the standard normal at encode(x) and the determinant of its Jacobian "
        f"give {expected[row]:.5g}.",
    )
    return f"to {gap.max():.1g} nats in {rows} rows"


@check(lambda s: full(s) and s.has("sample", "decode"))
def sample_decodes_its_noise(subject: Subject) -> None:
    """Where samples are made of normals of the latents' shape and nothing else, sample is decode of these."""
    eager, rows = subject.eager, 20
    if not has_normal_base(subject, "decode"):
        raise NotApplicable("sample takes other noise than one latent")
    for reach in (1.0, *REACH):
        z = _latents(subject, rows, reach)
        x, again = with_noise(subject, "sample", rows, z), eager.decode(z, **subject.told("decode", rows))
        where = f", where an element is {reach:g} standard deviations out" if reach > 1 else ""
        require(
            equal("sample", again, x),
            f"sample is not decode of the noise that it takes{where}. Is the noise scaled, cut or left out on the way?",
        )


def with_noise(subject: Subject, method: str, rows: int, z: Array) -> Array:
    """A method whose only noise is `z`."""
    eager = subject.eager
    inputs, options = eager._arguments(method, eager.signature(method), subject.told(method, rows), rows)
    return eager.compute(method, inputs, np.arange(rows), options, lambda declared, step=0: dict.fromkeys(declared, z))[
        "x"
    ]


@check(lambda s: full(s) and s.has("decode") and s.spec.family != "flow")
def decode_answers_far_latents(subject: Subject) -> str:
    """A latent's axis that matters near the middle matters as far out as noise reaches."""
    rows = 20
    base = subject.inputs("decode", rows)
    size = math.prod(base["z"].shape[1:])

    def decode(axis: int, value: float) -> Array:
        z = base["z"].copy()
        z.reshape(rows, -1)[:, axis] = value
        return subject.model.decode(z, **subject.told("decode", rows))

    alive, idle = 0, []
    for axis in range(min(size, AXES)):
        if np.array_equal(decode(axis, -2.0), decode(axis, 2.0)):
            continue  # it means nothing anywhere
        alive += 1
        if all(np.array_equal(decode(axis, way * REACH[-2]), decode(axis, way * REACH[-1])) for way in (-1, 1)):
            idle.append(axis)
    require(
        not alive or 2 * len(idle) <= alive,
        f"decode gives the same for {REACH[-2]:g} and {REACH[-1]:g} standard deviations on {len(idle)} of {alive} axes "
        "that matter nearer the middle. Is the latent clipped, or squashed?",
    )
    return f"{alive} axes that matter"
