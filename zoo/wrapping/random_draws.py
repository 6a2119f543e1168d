"""Finds the operations of a function that drew random numbers on which its result depends.

The framework's plugin records every operation on tensors. Dependence on a draw is tracked by storage, which views
share, so a draw whose numbers are unused is distinguished from one that a caller would see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.wrapping.calling import user_line


class Draws:
    """The draws of one call. Tensors that depend on one are kept alive until its end: storages are identified by
    address."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.used: set[int] = set()
        self._draws_of: dict[int, set[int]] = {}  # by storage
        self._kept: list[Any] = []

    def note(self, operation: str, arguments: Mapping[str, Any], result: Any, random: bool) -> None:
        """Record an operation. `random` is whether it may draw; it does not if its arguments disable that."""
        follows = self._draws_behind(arguments.values())
        if random and not _told_not_to(arguments):
            follows = {*follows, len(self.names)}
            name = "dropout" if "attention" in operation else operation  # the only thing it draws for
            line = user_line()
            self.names.append(f"{name} ({line})" if line else name)
        if not follows:
            return
        made = list(_tensors(result))
        if not made:  # a number or a decision, which may go anywhere
            self.used |= follows
        for tensor in made:
            self._draws_of.setdefault(_storage(tensor), set()).update(follows)
            self._kept.append(tensor)

    def reach(self, result: Any) -> None:
        """Record a result, or a tensor that leaves the framework."""
        self.used |= self._draws_behind([result])

    def found(self) -> list[str]:
        """The draws that results depend on, as `name (file:line)`, each once."""
        return list(dict.fromkeys(name for i, name in enumerate(self.names) if i in self.used))

    def _draws_behind(self, things: Any) -> set[int]:
        return {draw for tensor in _tensors(things) for draw in self._draws_of.get(_storage(tensor), ())}


def _told_not_to(arguments: Mapping[str, Any]) -> bool:
    """Whether an operation is in evaluation mode, or its dropout is zero."""
    modes = [arguments[name] for name in ("train", "training") if name in arguments]
    rates = [arguments[name] for name in ("p", "dropout", "dropout_p") if name in arguments]
    return False in modes or 0 in [rate for rate in rates if isinstance(rate, (int, float))]


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(thing: Any) -> Iterator[Any]:
    """The tensors in lists, tuples and dicts."""
    if hasattr(thing, "untyped_storage"):
        yield thing
    elif isinstance(thing, Mapping):
        yield from _tensors(thing.values())
    elif isinstance(thing, (list, tuple, type({}.values()))):
        for part in thing:
            yield from _tensors(part)
