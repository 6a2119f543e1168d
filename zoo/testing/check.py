"""What a check is: a named function of a subject that raises `Nonconformance` with an explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.testing.subject import Subject


class Nonconformance(AssertionError):
    """A model that does not keep the contract: what was found, what was expected, and where to look."""


class NotApplicable(Exception):
    """This check has nothing to say of this model: the reason."""


@dataclass(frozen=True)
class Check:
    """`applies` decides from a subject's spec and space alone, before the model is made."""

    name: str
    function: Callable[[Subject], None]
    applies: Callable[[Subject], bool]

    def __call__(self, subject: Subject) -> None:
        try:
            self.function(subject)
        except Nonconformance as error:
            raise Nonconformance(f"{subject.label}: {self.name}: {error}") from error.__cause__


CHECKS: dict[str, Check] = {}


def check(
    applies: Callable[[Subject], bool] = lambda subject: True,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Makes a function a check of its name."""

    def register(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        CHECKS[function.__name__] = Check(function.__name__, function, applies)
        return function

    return register


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Nonconformance(message)
