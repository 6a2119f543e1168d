"""The suite over the models of a distribution, as pytest tests, and over one network, wherever it is."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import InputError, MissingDependency, did_you_mean
from zoo.network import Network
from zoo.plugins.checking import faults
from zoo.spaces import Labels, Space
from zoo.spec import ModelSpec, Spec
from zoo.testing.check import Check, Nonconformance, NoPower, Result
from zoo.testing.checks import CHECKS
from zoo.testing.subject import CLASSES, Subject, find_plugin, network_subject, subjects


@dataclass(frozen=True)
class Case:
    """A check of a subject. Calling it raises where the claim is false, and `unittest.SkipTest` where nothing can be
    said; otherwise it gives what there is to say. Its string names it."""

    check: Check
    subject: Subject

    def __call__(self) -> str:
        return self.check(self.subject)

    def run(self) -> Result:
        """The outcome, whatever it is."""
        return self.check.run(self.subject)

    def __str__(self) -> str:
        return self.check.name


# ---- one network ---------------------------------------------------------------------------------------------------


def network_checks(
    cls: type[Network],
    space: Space,
    *,
    family: str = "",
    settings: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = CLASSES.names,
) -> list[Case]:
    """The checks that apply to a network class on a sample space, to run one by one:

    >>> @pytest.mark.parametrize("case", network_checks(Mine, zoo.Real(2)), ids=str)
    ... def test_mine(case):
    ...     case()

    `family` is its place in the taxonomy, which says what its methods promise; without one it is guessed from them.
    `settings` are those of `--set`. `classes` are the names that a conditional model gets; None for data without.
    """
    needs("scipy", "sklearn")
    labels = None if classes is None else Labels(tuple(classes))
    network = cls.create(space, settings or {}, labels)
    methods = network.methods()
    spec = ModelSpec(
        name=re.sub(r"[^a-z0-9_-]", "", cls.__name__.lower()).lstrip("-_0123456789") or "network",
        target=f"{re.sub(r'[^.a-zA-Z0-9_]', '', cls.__module__) or 'main'}:{cls.__name__}",
        family=family or _family(network),
        framework=cls.framework,
        methods=tuple(methods),
        summary=cls.__name__,
        density=network.density if "log_prob" in methods else None,
    )
    subject = network_subject(cls, space, spec, settings or {}, classes=labels)
    return [Case(check, subject) for check in CHECKS.values() if check.applies(subject)]


def check_network(
    cls: type[Network],
    space: Space,
    *,
    family: str = "",
    settings: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = CLASSES.names,
    progress: Callable[[str], None] | None = print,
) -> list[Result]:
    """The outcome of every check that applies to a network class on a sample space, a line each as it comes.

    The class need not be installed, nor named in a spec. Arguments are those of `network_checks`; `progress` gets the
    lines, None is silent.

    >>> results = check_network(Mine, zoo.Real(2))
    >>> assert not [r for r in results if r.failed]
    """
    cases, results = network_checks(cls, space, family=family, settings=settings, classes=classes), []
    for number, case in enumerate(cases, 1):
        results.append(case.run())
        if progress:
            progress(f"{number:2}/{len(cases)}  {results[-1]}")
    return results


def _family(network: Network) -> str:
    """The family whose promises fit the methods."""
    methods = network.methods()
    if "sample" not in methods and "predict" in methods:
        return "classifier"
    if "log_prob" not in methods:
        return "gan" if "decode" in methods else "diffusion"
    if "conditionals" in methods["log_prob"].outputs:
        return "autoregressive"
    if network.density == "exact" and "encode" in methods:
        return "flow"
    return "vae" if network.density == "lower_bound" else "energy"


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependency(
            f"the conformance suite needs {', '.join(missing)}. Install it: pip install 'genzoo[testing]'"
        )


# ---- a distribution ------------------------------------------------------------------------------------------------


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
    `{"mine": {"samples_follow_the_density": "a short chain"}}`. The key is an architecture or preset, or one test's own
    `mine[real-2]`. Such a check must then fail: one that passes is an error.

    A check without power is skipped, and listed at the end of the run.
    """
    needs("pytest", "scipy", "sklearn")
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
    cases: list[Any] = [pytest.param(lambda p=p: _loads(p), id=f"{p.entry}-loads") for p in found]
    cases += [pytest.param(lambda s=s: _is_as_declared(s), id=f"{s.name}-is_there") for p in found for s in p.specs]
    for subject in tested:
        reasons = _reasons(subject, expected)
        for check in CHECKS.values():
            if check.applies(subject):
                why = reasons.get(check.name)
                marks = [pytest.mark.xfail(reason=why, strict=True, raises=Nonconformance)] if why else []
                cases.append(pytest.param(Case(check, subject), id=f"{subject.label}-{check.name}", marks=marks))

    def test_conformance(case: Case, request: pytest.FixtureRequest, record_property: Callable[..., None]) -> None:
        try:
            record_property("said", case())
        except NoPower as reason:
            record_property("outcome", "no power")
            _listed(request.config).append(f"{request.node.name}: {reason}")
            raise

    marked: Callable[..., None] = pytest.mark.parametrize("case", cases)(test_conformance)
    return marked


def _reasons(subject: Subject, expected: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The checks that a subject is expected to fail, with the reasons."""
    reasons = {**expected.get(subject.spec.name, {}), **expected.get(subject.label, {})}
    for name, reason in reasons.items():
        if name not in CHECKS:
            raise InputError(f"there is no check {name!r}; there are {', '.join(CHECKS)}.{did_you_mean(name, CHECKS)}")
        if not reason.strip():
            raise InputError(f"{subject.spec.name} is expected to fail {name}; say why.")
    return reasons


class _Summary:
    """A pytest plugin: lists at the end of the run what had no power."""

    NAME = "zoo-conformance"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.lines:
            terminalreporter.section("no power: neither passed nor failed")
            for line in self.lines:
                terminalreporter.write_line(line)


def _listed(config: Any) -> list[str]:
    """The lines of the summary of this run."""
    plugins = config.pluginmanager
    if not plugins.has_plugin(_Summary.NAME):
        plugins.register(_Summary(), _Summary.NAME)
    return plugins.get_plugin(_Summary.NAME).lines  # type: ignore[no-any-return]


def _loads(plugin: Any) -> str:
    if plugin.problems:
        raise Nonconformance("; ".join(str(problem) for problem in plugin.problems))
    return ""


def _is_as_declared(spec: Spec) -> str:
    """What a plugin offers is there, and is what its spec says."""
    if wrong := faults(spec):
        raise Nonconformance(f"{spec.name}: {' '.join(wrong)}")
    return ""
