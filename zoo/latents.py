"""Paths through the latent space of a model: between latents, over a grid of two coordinates, and along the direction
of an attribute.

Latents are taken to be standard normal, as those of flows, variational autoencoders and most GANs are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import noise
from zoo.data.sources import Source, blocks
from zoo.errors import InputError, did_you_mean
from zoo.model import Array, Model, check_tensor
from zoo.rows import check_count
from zoo.signature import Noise

PATHS = ("linear", "spherical")
STEPS = 8
GRID = 12
STRENGTHS = (-2.0, -1.0, 0.0, 1.0, 2.0)
OPPOSITE = 1e-3  # radians short of a half turn: there is no shortest arc between opposite latents


def latent_shape(model: Model) -> tuple[int, ...]:
    """The shape of a latent of the model, without the batch; `InputError` if it has no `decode`."""
    if "decode" not in model.signatures:
        methods = ", ".join(model.signatures)
        raise InputError(
            f"{model.name} has no latent space: it has {methods}, and no decode. Models that have: zoo list --method "
            "decode."
        )
    return tuple(int(d) for d in model.signature("decode").inputs["z"].shape)


def latents_of_seeds(model: Model, seeds: Any) -> Array:
    """Latents from the prior, one for each seed, (E, *latent): those of `model.sample(seed=seeds)` where its only
    noise, or its first, is a standard normal `z`, as here."""
    given = np.asarray(seeds)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise InputError(f"seeds are {seeds!r}; expected integers, one for each latent.")
    index = np.zeros(len(given), dtype=np.int64)
    return noise.draw(Noise("normal", latent_shape(model)), index, seed=given.astype(np.int64), stream="sample/z")


def interpolate(
    model: Model,
    x: Any = None,
    *,
    seeds: Any = None,
    z: Any = None,
    steps: int = STEPS,
    path: str = "linear",
    label: Any = None,
    seed: int = 0,
    **options: Any,
) -> Array:
    """Observations on the path from one latent to the next, including the ends: (E - 1, steps, *space.shape).

    The E latents are those of the observations `x` (E, *space.shape), drawn with `seeds` (E integers), or given as `z`
    (E, *latent). On the "linear" `path` each coordinate moves evenly; on "spherical" the direction turns evenly
    (Shoemake, "Animating rotation with quaternion curves", 1985; White, "Sampling Generative Networks", arXiv
    1609.04468), so that the path between two normal draws passes through latents of similar norm. `label` is the
    class of all, `options` are those of `decode`, and `seed` is for methods that are random.

    >>> import zoo
    >>> zoo.interpolate(zoo.open("vae.digits"), seeds=[3, 9], steps=5).shape
    (1, 5, 8, 8, 1)
    """
    shape, steps = latent_shape(model), check_count(steps, "steps")
    if steps < 2:
        raise InputError(f"steps is {steps}; expected at least 2, the two ends.")
    if path not in PATHS:
        raise InputError(f"path is {path!r}; expected {' or '.join(PATHS)}.{did_you_mean(path, PATHS)}")
    classes = {} if label is None else {"label": label}
    ends = _latents(model, x, seeds, z, seed, classes)
    if len(ends) < 2:
        raise InputError("one latent is given; expected at least two, to go from one to the next.")
    flat = ends.reshape(len(ends), -1).astype(np.float64)
    if path == "spherical" and flat.shape[1] == 1:
        raise InputError(f"latents of {model.name} have one dimension, and a direction that cannot turn: use linear.")
    way = {"linear": linear, "spherical": spherical}[path]
    points = np.stack([way(*pair, np.linspace(0, 1, steps)) for pair in pairwise(flat)])
    return _decoded(model, points.reshape(len(ends) - 1, steps, *shape), 2, seed, classes | options)


def linear(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], t: npt.NDArray[np.float64]) -> Array:
    """Points (T, D) on the straight line from `a` (D,) to `b`, where `t` (T,) goes from 0 to 1."""
    return np.asarray((1 - t)[:, None] * a + t[:, None] * b)


def spherical(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], t: npt.NDArray[np.float64]) -> Array:
    """Points (T, D) on the arc from `a` (D,) to `b` about the origin, where `t` (T,) goes from 0 to 1."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = float(np.arccos(np.clip(a @ b / lengths, -1, 1))) if lengths else 0.0
    if angle > np.pi - OPPOSITE:
        raise InputError("two latents are opposite, and no arc between them is the shortest: use linear.")
    if np.sin(angle) < 1e-6:  # of one direction
        return linear(a, b, t)
    return np.asarray((np.sin((1 - t) * angle)[:, None] * a + np.sin(t * angle)[:, None] * b) / np.sin(angle))


def walk(
    model: Model,
    dims: Sequence[int] | None = None,
    *,
    steps: int = GRID,
    at: Any = None,
    label: Any = None,
    seed: int = 0,
    **options: Any,
) -> Array:
    """Observations over a grid of two latent coordinates: (steps, steps, *space.shape).

    Row i and column j have the coordinates `dims` at the quantiles (i + 1/2) / steps and (j + 1/2) / steps of a
    standard normal (Kingma, Welling, arXiv 1312.6114, fig. 4), the others as in the latent `at` (default: zeros, the
    center of the prior). Without `dims` they are those of `moving_dims`. `label`, `seed` and `options` are as in
    `interpolate`.

    >>> import zoo
    >>> zoo.walk(zoo.open("vae.digits"), (0, 1), steps=5).shape
    (5, 5, 8, 8, 1)
    """
    shape, steps = latent_shape(model), check_count(steps, "steps")
    middle = start(model, at)
    if dims is None:
        dims = moving_dims(model, at=at, label=label, seed=seed, **options)
    first, second = check_dims(dims, middle.size)
    down, across = np.meshgrid(quantiles(steps), quantiles(steps), indexing="ij")
    points = np.tile(middle, (steps, steps, 1))
    points[..., first], points[..., second] = down, across
    classes = {} if label is None else {"label": label}
    return _decoded(model, points.reshape(steps, steps, *shape), 2, seed, classes | options)


def moving_dims(model: Model, *, at: Any = None, label: Any = None, seed: int = 0, **options: Any) -> tuple[int, int]:
    """The two latent coordinates that change observations most around the latent `at`, one at a time, from the lower
    to the upper quartile of a standard normal: many coordinates of an autoencoder have no effect."""
    middle = start(model, at)
    check_dims((0, 1), middle.size)
    points = np.tile(middle, (2, middle.size, 1))
    each = np.arange(middle.size)
    points[0, each, each], points[1, each, each] = quantiles(2)
    classes = {} if label is None else {"label": label}
    lower, upper = _decoded(model, points.reshape(2, -1, *latent_shape(model)), 2, seed, classes | options)
    change = np.abs(upper.astype(np.float64) - lower).reshape(middle.size, -1).mean(1)
    first, second = np.argsort(-change, kind="stable")[:2]
    return int(first), int(second)


def attribute_vector(model: Model, x: Source, has: Any, *, label: Any = None, seed: int = 0) -> npt.NDArray[np.float64]:
    """The direction of an attribute among latents, (*latent): the mean latent of the rows of `x` (N, *space.shape) that
    have it minus the mean of those that do not (White, "Sampling Generative Networks", arXiv 1609.04468; Foster's
    "smile vector", *Generative Deep Learning*, 2nd ed., ch. 3).

    `has` (N,) is true where a row has the attribute. `label` is the class of all rows or of each, for an `encode` that
    takes one, and `seed` is for an `encode` that is random. `InputError` unless there are rows of both kinds.
    """
    shape, owns = latent_shape(model), np.asarray(has)
    x = np.asarray(x) if isinstance(x, (list, tuple)) else x
    model.signature("encode")
    if owns.shape != (len(x),) or owns.dtype.kind != "b":
        raise InputError(
            f"has is an array of {owns.dtype} of shape {owns.shape}; expected true or false for each of {len(x)} rows."
        )
    if owns.all() or not owns.any():
        who = "all" if owns.any() else "none"
        raise InputError(f"{who} of the {len(x)} rows have the attribute; expected some that have it and some without.")
    totals = {True: np.zeros(shape), False: np.zeros(shape)}
    for rows in blocks(x):
        classes = {} if label is None else {"label": label if np.ndim(label) == 0 else label[rows]}
        z = model.encode(x[rows], seed=seed, start=rows.start, **classes).astype(np.float64)
        for side, total in totals.items():
            total += z[owns[rows] == side].sum(0)
    return np.asarray(totals[True] / owns.sum() - totals[False] / (~owns).sum())


def arithmetic(
    model: Model,
    direction: Any,
    x: Any = None,
    *,
    seeds: Any = None,
    z: Any = None,
    strengths: Sequence[float] = STRENGTHS,
    label: Any = None,
    seed: int = 0,
    **options: Any,
) -> Array:
    """Observations of latents to which a `direction` (*latent) is added, such as an `attribute_vector`, at each of the
    `strengths`: (E, strengths, *space.shape). At 0 a latent stays as it is; 1 takes the mean latent of rows without the
    attribute to that of rows with it.

    The E latents are given as in `interpolate`: by observations `x`, `seeds` or `z`. `label` is the class of all or of
    each; `seed` and `options` are as in `interpolate`.

    >>> import zoo
    >>> data, model = zoo.load_dataset("digits"), zoo.open("vae.digits")
    >>> seven = zoo.attribute_vector(model, data.train, data.labels["train"] == 7)
    >>> zoo.arithmetic(model, seven, data.test[:3], strengths=[0, 0.5, 1]).shape
    (3, 3, 8, 8, 1)
    """
    shape = latent_shape(model)
    by, way = np.asarray(strengths), np.asarray(direction)
    if by.ndim != 1 or by.size == 0 or by.dtype.kind not in "iuf" or not np.isfinite(by).all():
        raise InputError(f"strengths are {strengths!r}; expected numbers, such as 0, 1, 2.")
    if way.shape != shape or way.dtype.kind not in "iuf" or not np.isfinite(way).all():
        raise InputError(f"direction has shape {way.shape}; expected finite numbers of shape {shape}, as a latent.")
    classes = {} if label is None else {"label": label}
    starts = _latents(model, x, seeds, z, seed, classes).astype(np.float64)
    moved = starts[:, None] + by.reshape(-1, *[1] * len(shape)) * way
    if np.ndim(label) > 0:
        classes = {"label": np.repeat(label, by.size)}
    return _decoded(model, moved, 2, seed, classes | options)


def quantiles(count: int) -> npt.NDArray[np.float64]:
    """Quantiles of a standard normal at the midpoints of `count` parts of equal probability."""
    return np.array([NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])


def start(model: Model, at: Any) -> npt.NDArray[np.float64]:
    """The latent `at`, or zeros, as a vector."""
    shape = latent_shape(model)
    if at is None:
        return np.zeros(int(np.prod(shape)))
    checked = check_tensor(np.asarray(at)[None], model.signature("decode").inputs["z"], "at", {})
    return checked.reshape(-1).astype(np.float64)


def check_dims(dims: Any, size: int) -> tuple[int, int]:
    if size < 2:
        raise InputError("latents have one dimension; expected at least two, for a grid. Interpolate instead.")
    chosen = np.asarray(dims)
    if chosen.dtype.kind not in "iu" or chosen.shape != (2,) or not 0 <= chosen.min() < chosen.max() < size:
        raise InputError(f"dims are {dims}; expected two different coordinates from 0 to {size - 1}.")
    return int(chosen[0]), int(chosen[1])


def _latents(model: Model, x: Any, seeds: Any, z: Any, seed: int, classes: dict[str, Any]) -> Array:
    """Latents (E, *latent) of observations `x`, of `seeds`, or `z` itself: exactly one is given."""
    given = [name for name, value in (("x", x), ("seeds", seeds), ("z", z)) if value is not None]
    if len(given) != 1:
        raise InputError(f"{' and '.join(given) or 'nothing'} given; expected observations x, seeds or latents z.")
    if x is not None:
        return model.encode(x, seed=seed, **classes)
    if z is not None:
        return check_tensor(z, model.signature("decode").inputs["z"], "z", {})
    return latents_of_seeds(model, seeds)


def _decoded(model: Model, z: Array, axes: int, seed: int, given: dict[str, Any]) -> Array:
    """Observations of latents (*before, *latent) with `axes` leading axes: (*before, *space.shape)."""
    before, rows = z.shape[:axes], z.reshape(-1, *z.shape[axes:]).astype(np.float32)
    return model.decode(rows, seed=seed, **given).reshape(*before, *model.space.shape)


__all__ = ["arithmetic", "attribute_vector", "interpolate", "latents_of_seeds", "moving_dims", "walk"]
