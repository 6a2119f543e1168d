"""The state that a function keeps between calls: attributes, buffers and variables that a call changes."""

from __future__ import annotations

import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.wrapping.calling import OURS
from zoo.wrapping.modules import attributes, parts, root

PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
STDLIB = sys.stdlib_module_names - {"builtins", "collections", "functools", "types"}  # such as loggers
LONG = 1000  # items; of larger containers only the length is compared
MOST = 100_000  # objects


class Memory:
    """A snapshot of everything that functions and modules can reach."""

    def __init__(self, *things: Any) -> None:
        self.things = things
        self.before = _variables(things)

    def changed(self) -> list[str]:
        """The variables that have changed since, such as `lstm.hidden`; an argument of a function has the name ""."""
        return _outermost({variable.name for variable, _ in self._changes()})

    def rewritten(self) -> set[str]:
        """The tensors that were written to in place since."""
        return {v.name for v, old in self._changes() if old and _is_tensor(v.value) and v.value is old.value}

    def kept(self) -> list[str]:
        """Those of `changed` that a later call may compute with: iterators, and tensors other than the weights that the
        first call of a layer creates."""
        changes = list(self._changes())
        kept = {
            v.name
            for v, old in changes
            if v.is_iterator or (_is_tensor(v.value) and (not _is_weight(v.value) or (old and v.value is old.value)))
        }
        return [n for n in _outermost({v.name for v, _ in changes}) if any(k == n or _is_in(k, n) for k in kept)]

    def _changes(self) -> Iterator[tuple[Variable, Variable | None]]:
        """The variables that have changed, each with its old value, if it existed."""
        for key, variable in _variables(self.things).items():
            old = self.before.get(key)
            if old is None or not variable.same(old):
                yield variable, old


@dataclass(frozen=True)
class Variable:
    """`version` counts the in-place changes of a tensor. The holder is kept alive, so that its id stays unique."""

    name: str
    value: Any
    version: int
    holder: Any

    @property
    def is_iterator(self) -> bool:
        return root(type(self.value)) in ("builtins", "itertools") and hasattr(type(self.value), "__next__")

    def same(self, other: Variable) -> bool:
        if self.is_iterator:
            return False  # its position is not visible; a function that reaches it takes the next item
        if isinstance(self.value, PLAIN):
            equal = self.value == other.value or self.value != self.value
            return type(self.value) is type(other.value) and bool(equal)
        return self.value is other.value and self.version == other.version


def _variables(things: Iterable[Any]) -> dict[tuple[int, str], Variable]:
    """Every variable that is reached, by the object that holds it."""
    found: dict[tuple[int, str], Variable] = {}
    # breadth first: short names; of our own objects, only the tensors that a function is given count
    waiting = deque((_name("", "", thing, True), True, thing) for thing in things)
    seen: dict[int, Any] = {id(thing): thing for thing in things}
    while waiting and len(seen) < MOST:
        path, ours, holder = waiting.popleft()
        if not isinstance(holder, (Mapping, list, tuple)):  # containers belong to their holder
            ours = root(holder if isinstance(holder, types.FunctionType) else type(holder)) in OURS
        for name, value in _parts(holder):
            full = _name(path, name, value, ours)
            if name and (not ours or _is_tensor(value)):
                found[id(holder), name] = Variable(full, value, value._version if _is_tensor(value) else 0, holder)
            if id(value) not in seen and _holds(value):
                seen[id(value)] = value
                waiting.append((full, ours, value))
    return found


def _holds(value: Any) -> bool:
    """Whether to look for variables in a value."""
    skipped = isinstance(value, (*PLAIN, type, types.ModuleType, types.BuiltinFunctionType)) or _is_tensor(value)
    return not skipped and root(type(value)) not in STDLIB


def _parts(holder: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(type(holder), "named_buffers"):  # a PyTorch module, which Keras layers are, too
        own = {"._modules", "._buffers", "._parameters", ".training"}
        for group in (holder._modules, holder._buffers, holder._parameters):
            yield from ((f".{name}", value) for name, value in group.items() if name != "_torch_params")
        yield from ((name, value) for name, value in attributes(holder) if name not in own and "hook" not in name)
        yield "", holder.forward
    elif root(type(holder)) == "keras" and hasattr(holder, "_value"):  # a variable
        yield ".value", holder._value
    elif isinstance(holder, (Mapping, list, tuple, deque)) and len(holder) > LONG:
        yield "[:]", len(holder)
    else:
        yield from parts(holder)


def _name(path: str, name: str, value: Any, ours: bool) -> str:
    """The name of a variable, starting at the user's variable or object that it is in."""
    if not name or ours:
        inner = "" if ours else path
        plain = isinstance(value, (Mapping, list, tuple, types.FunctionType, types.MethodType)) or _is_tensor(value)
        return inner or ("" if plain else type(value).__name__)
    return f"{path}{name}" if name.startswith((".", "[")) else name


def _outermost(names: set[str]) -> list[str]:
    """The variables that are not parts of others."""
    return sorted(name for name in names if not any(_is_in(name, other) for other in names))


def _is_in(name: str, other: str) -> bool:
    """Whether a variable is part of another."""
    return name.startswith((f"{other}.", f"{other}["))


def _is_weight(tensor: Any) -> bool:
    return type(tensor).__name__ == "Parameter"


def _is_tensor(value: Any) -> bool:
    return hasattr(type(value), "untyped_storage")  # of the type: some objects invent any attribute
