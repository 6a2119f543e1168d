"""What a check is: a claim about a model, by which it is named, and a function that raises where the claim is false."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from unittest import SkipTest

if TYPE_CHECKING:
    from zoo.testing.subject import Subject

Outcome = Literal["passed", "failed", "no power", "not applicable"]


class Nonconformance(AssertionError):
    """A model that does not keep the contract: what was found, what was expected, and where to look."""


class NotApplicable(SkipTest):
    """The claim is not about this model: the reason. A test framework counts it as skipped."""


class NoPower(SkipTest):
    """The claim is about this model, and the check could not have seen it broken: what was found, and why that says
    nothing. A test framework counts it as skipped, which is not passed."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no power: {reason}")


@dataclass(frozen=True)
class Check:
    """`applies` decides from a subject's spec and space alone, before the model is made. A `statistical` check draws
    conclusions from a sample: how large a fault it sees depends on the model, so it may have no power.

    Calling it gives what it has to say of a model that passes: figures, how much was compared.
    """

    name: str
    function: Callable[[Subject], str | None]
    applies: Callable[[Subject], bool]
    statistical: bool = False

    def __call__(self, subject: Subject) -> str:
        try:
            return self.function(subject) or ""
        except Nonconformance as error:
            raise Nonconformance(f"{subject.label}: {self.name}: {error}") from error.__cause__

    def run(self, subject: Subject) -> Result:
        """The outcome, whatever it is. What the model itself raises is a failure."""
        begin = time.perf_counter()
        outcome, said, error = self._outcome(subject)
        return Result(subject.label, self.name, outcome, said, time.perf_counter() - begin, error)

    def _outcome(self, subject: Subject) -> tuple[Outcome, str, Exception | None]:
        try:
            return "passed", self.function(subject) or "", None
        except Nonconformance as error:
            return "failed", str(error), error
        except NoPower as error:
            return "no power", str(error).removeprefix("no power: "), None
        except NotApplicable as error:
            return "not applicable", str(error), None
        except Exception as error:
            return "failed", f"it raised {type(error).__name__}: {error}", error


@dataclass(frozen=True)
class Result:
    """What a check found: `said` are figures, or what is wrong, or why nothing can be said. `error` is the exception of
    a check that failed."""

    subject: str
    check: str
    outcome: Outcome
    said: str
    seconds: float
    error: Exception | None = None

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"

    def __str__(self) -> str:
        said = f": {self.said}" if self.said else ""
        return f"{self.outcome:14}  {self.check} ({self.seconds:.1f} s){said}"


CHECKS: dict[str, Check] = {}


def check(
    applies: Callable[[Subject], bool] = lambda subject: True, *, statistical: bool = False
) -> Callable[[Callable[[Subject], str | None]], Callable[[Subject], str | None]]:
    """Makes a function a check of its name."""

    def register(function: Callable[[Subject], str | None]) -> Callable[[Subject], str | None]:
        CHECKS[function.__name__] = Check(function.__name__, function, applies, statistical)
        return function

    return register


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Nonconformance(message)
