"""The suite as pytest tests."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.errors import InputError, MissingDependency, did_you_mean
from zoo.spaces import Space
from zoo.testing import density, rows, upkeep  # each registers its checks
from zoo.testing.check import CHECKS, Check, Nonconformance, NotApplicable
from zoo.testing.subject import Subject, find_plugin, subjects

MODULES = (rows, density, upkeep)


def conformance(
    plugin: str,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    spaces: Mapping[str, Sequence[Space]] | None = None,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
) -> Callable[..., None]:
    """A pytest test function over every architecture and preset of a distribution and every check that applies.

    >>> test_conformance = conformance("my-plugin")

    An architecture is tested untrained, with disturbed weights, on a small space of each type that it takes;
    `spaces` names others, `{"mine": [zoo.Real(4)]}`; `settings` are those of `--set`, `{"mine": {"hidden": 16}}`.
    `expected_failures` are checks that a model is known to fail, each with the reason:
    `{"mine": {"sampler_matches_density": "a short chain"}}`. The key is an architecture or preset, or one test's own
    `mine[real-2]`. Such a check must then fail: one that passes is an error.
    """
    missing = [name for name in ("pytest", "scipy", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"the conformance suite needs {', '.join(missing)}. Install it: pip install 'genzoo[testing]'"
        )
    import pytest

    found = find_plugin(plugin)
    expected = expected_failures or {}
    tested = list(subjects(found, settings or {}, spaces or {}))
    if not tested and not any(p.problems for p in found):
        raise InputError(f"plugin {plugin} offers no architecture and no preset; there is nothing to test.")
    for given, what in ((settings, "settings"), (spaces, "spaces"), (expected, "expected_failures")):
        known = {name for s in tested for name in (s.label, s.spec.name)}
        for name in given or {}:
            if name not in known:
                raise InputError(f"{what} names {name!r}; {plugin} has {', '.join(sorted(known))}.")
    cases: list[Any] = [pytest.param(None, lambda s, p=p: _loads(p), id=f"{p.entry}-loads") for p in found]
    for subject in tested:
        reasons = {**expected.get(subject.spec.name, {}), **expected.get(subject.label, {})}
        for name, reason in reasons.items():
            if name not in CHECKS:
                raise InputError(
                    f"there is no check {name!r}; there are {', '.join(CHECKS)}.{did_you_mean(name, CHECKS)}"
                )
            if not reason.strip():
                raise InputError(f"{subject.spec.name} is expected to fail {name}; say why.")
        for check in CHECKS.values():
            if check.applies(subject):
                why = reasons.get(check.name)
                marks = [pytest.mark.xfail(reason=why, strict=True, raises=Nonconformance)] if why else []
                cases.append(pytest.param(subject, check, id=f"{subject.label}-{check.name}", marks=marks))

    @pytest.mark.parametrize(("subject", "check"), cases)
    def test_conformance(subject: Subject, check: Check) -> None:
        try:
            check(subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))

    return test_conformance


def _loads(plugin: Any) -> None:
    if plugin.problems:
        raise Nonconformance("; ".join(str(problem) for problem in plugin.problems))
