"""Which operations of a function drew random numbers that its result depends on.

Every operation on tensors is noted by the framework's plugin. What follows from a draw is known by its storage, which
views share, so that a draw whose numbers nothing uses is told from one that a caller would see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo.wrapping.calling import user_line


class Draws:
    """The draws of one call. Tensors that follow from one are kept until the end of it: storages are told apart by
    their addresses."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.used: set[int] = set()
        self._draws_of: dict[int, set[int]] = {}  # by storage
        self._kept: list[Any] = []

    def note(self, operation: str, arguments: Mapping[str, Any], result: Any, random: bool) -> None:
        """An operation was called. `random` is whether it may draw; one that is told not to does not."""
        follows = self._draws_behind(arguments.values())
        if random and not _told_not_to(arguments):
            follows = {*follows, len(self.names)}
            name = "dropout" if "attention" in operation else operation  # which draws for nothing else
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
        """A result, or a tensor that leaves the framework."""
        self.used |= self._draws_behind([result])

    def found(self) -> list[str]:
        """The draws behind results, as `name (file:line)`, each once."""
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
