"""Checks of options: each has an effect, and temperature and guidance have it in the direction of their names."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from zoo.estimate import Estimate
from zoo.model import Array
from zoo.signature import Option
from zoo.testing.check import NoPower, NotApplicable, check, require
from zoo.testing.checks.rows import full
from zoo.testing.subject import Subject

ROWS = 40
MOST = 5000  # rows of a comparison
SURE = 4.0  # standard errors
MATTERS = 1e-3  # of a distance: less is not what an option is for


@check(full)
def options_change_the_answer(subject: Subject) -> str:
    """Each option of a method, moved away from its default, changes what the method gives."""
    said = []
    for method, signature in subject.model.signatures.items():
        for name, option in signature.options.items():
            first, tried = subject.call(method, ROWS), list(_moved(option, name == signature.length))
            require(
                any(_differ(first, subject.call(method, ROWS, **{name: value})) for value in tried),
                f"{method} gives the same for {name}={option.default} and "
                f"{', '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in tried)}. Is the option used?",
            )
            said.append(f"{method}/{name}")
    if not said:
        raise NotApplicable("no method has options")
    return ", ".join(said)


def _moved(option: Option, slow: bool) -> Iterator[float | int | str]:
    """Other values of an option. Of a loop's length, which costs, near ones."""
    if option.choices:
        yield from (choice for choice in option.choices if choice != option.default)
        return
    value = float(option.number)
    away = (value + 2, value - 2, value + 1, value - 1) if slow else (4 * value, value / 4, value + 1, value - 1)
    low, high = (b if b is not None else s * math.inf for b, s in ((option.low, -1), (option.high, 1)))
    for other in dict.fromkeys(away):
        other = round(other) if option.dtype == "int64" else other
        if low <= other <= high and other != value:
            yield other


def _differ(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return any(not np.array_equal(a[name], b[name]) for name in a)


# ---- directions ----------------------------------------------------------------------------------------------------


@check(lambda s: full(s) and s.has("sample"), statistical=True)
def a_lower_temperature_narrows_samples(subject: Subject) -> str:
    """Below the default temperature draws are closer to each other than above it."""
    low, high = _low_and_high(subject, "temperature", 10)
    rows = min(MOST, subject.draws_of_a_class)
    cold, warm = (subject.each_class[0].sample(rows, temperature=t) for t in (low, high))
    return _judge(
        _growth(_apart(cold[:-1], cold[1:]), _apart(warm[:-1], warm[1:])),
        f"from temperature {low:g} to {high:g} the distance between draws",
        "A lower temperature is for likelier and more similar samples: divide the logits by it, or multiply the noise.",
    )


@check(lambda s: full(s) and s.has("sample"), statistical=True)
def guidance_separates_the_classes(subject: Subject) -> str:
    """With more guidance the samples of two classes, of the same noise, are further apart."""
    low, high = _low_and_high(subject, "guidance", 3)
    if len(subject.each_class) < 2:
        raise NotApplicable("sample takes no class")
    rows, first, second = min(MOST, subject.draws_of_a_class), *subject.each_class[:2]
    little, much = (_apart(*(view.sample(rows, guidance=g) for view in (first, second))) for g in (low, high))
    return _judge(
        _growth(little, much),
        f"from guidance {low:g} to {high:g} the distance between samples of classes 0 and 1",
        "More guidance is for samples that are more typical of their class.",
    )


def _low_and_high(subject: Subject, name: str, times: float) -> tuple[float, float]:
    """An option of `sample` at its default divided, and multiplied, by so much, as far as it goes."""
    option = subject.model.signature("sample").options.get(name)
    if option is None or option.choices:
        raise NotApplicable(f"sample has no option {name!r}")
    value = float(option.number) or 1.0
    low, high = (b if b is not None else s * math.inf for b, s in ((option.low, -1), (option.high, 1)))
    return max(value / times, low), min(value * times, high)


def _apart(a: Array, b: Array) -> list[Array]:
    """How far rows are from each other, each (N,): the distance of vectors, and of integers also the share of values
    that differ, for these may be names."""
    gap = (a.astype(np.float64) - b).reshape(len(a), -1)
    shares = [] if a.dtype.kind == "f" else [(gap != 0).mean(1)]
    return [*shares, np.sqrt((gap**2).sum(1))]


def _growth(little: list[Array], much: list[Array]) -> list[Estimate]:
    """How much distances grow, as a share of them: the mean of paired differences, for each measure."""
    found = []
    for a, b in zip(little, much, strict=True):
        gain = (b - a) / max((a.mean() + b.mean()) / 2, 1e-30)
        found.append(Estimate(float(gain.mean()), float(gain.std(ddof=1) / math.sqrt(len(gain))), len(gain)))
    return found


def _judge(growth: list[Estimate], what: str, otherwise: str) -> str:
    """Pass if distances clearly grow by any measure; fail if they clearly shrink by one and grow by none; without power
    if they do neither."""
    seen = [max(SURE * (f.error or 0.0), MATTERS) for f in growth]
    for f, least in zip(growth, seen, strict=True):
        if f.value > least:
            return f"{what} grows by a share of {f}"
    for f, least in zip(growth, seen, strict=True):
        require(f.value >= -least, f"{what} shrinks by a share of {Estimate(-f.value, f.error)}. {otherwise}")
    raise NoPower(f"{what} changes by a share of {growth[0]}: a direction would be seen from {min(seen):.2g} on")
