"""Finds the modules and tensors that a function uses, so that they are exported and evaluated with it."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

LIBRARIES = {"torch", "keras", "numpy", "builtins", "zoo"}  # their functions hold no modules of the user
LEAVES = (type(None), str, bytes, int, float, complex, np.generic, type, types.ModuleType)
DEPTH = 12  # of nested objects


def find(things: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """The objects of type `kind` that functions reach, each once, in order: the function itself, the object of a bound
    method and its attributes, closures, arguments of a partial, defaults, the globals that its code names, and the same
    for the methods that it names of its own object or of one that it reaches.

    A found object is not searched: it brings its own parts.
    """
    found: dict[int, Any] = {}
    seen: dict[int, Any] = {}  # keeps the objects alive: an id is unique only among live objects

    def visit(thing: Any, depth: int) -> None:
        if id(thing) in seen or depth > DEPTH:
            return
        seen[id(thing)] = thing
        if isinstance(thing, kind):
            found[id(thing)] = thing
            return
        for _, part in parts(thing):
            if not isinstance(part, LEAVES):
                visit(part, depth + 1)

    visit(things, 0)
    return list(found.values())


def parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """The references of an object or function: attributes as `.name`, items as `[key]`, and the variables of a function
    by name. Those without a name, such as a function's defaults, have the name ""."""
    if isinstance(thing, Mapping):
        yield from ((f"[{key!r}]", value) for key, value in thing.items())
    elif isinstance(thing, (list, tuple, deque)):
        yield from ((f"[{i}]", value) for i, value in enumerate(thing))
    elif isinstance(thing, (set, frozenset)):
        yield from (("", value) for value in thing)
    elif isinstance(thing, functools.partial):
        yield from (("", value) for value in (thing.func, *thing.args, *thing.keywords.values()))
    elif isinstance(thing, types.MethodType):
        yield from (("", thing.__self__), ("", thing.__func__))
        if isinstance(thing.__func__, types.FunctionType):
            yield from _methods(thing.__self__, _names(thing.__func__.__code__))
    elif isinstance(thing, types.FunctionType):
        names = set(_names(thing.__code__))
        for name, part in _of_function(thing, names):
            yield name, part
            yield from _methods(part, names)
    elif root(type(thing)) not in LIBRARIES - {"zoo"}:
        yield from attributes(thing)
        yield from _methods(thing, ["__call__"])


def attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from ((f".{name}", value) for name, value in getattr(thing, "__dict__", {}).items())
    slots = (s for cls in type(thing).__mro__ for s in getattr(cls, "__slots__", ()))
    yield from ((f".{s}", getattr(thing, s)) for s in slots if isinstance(s, str) and hasattr(thing, s))


def _methods(thing: Any, names: Iterable[str]) -> list[tuple[str, types.FunctionType]]:
    """The methods of an object with these names, and those that they name in turn."""
    found: list[types.FunctionType] = []
    waiting = set(names) if root(type(thing)) not in LIBRARIES else set()
    while waiting:
        method = getattr(type(thing), waiting.pop(), None)
        method = getattr(method, "fget", None) or getattr(method, "__func__", method)  # a property, a class method
        if isinstance(method, types.FunctionType) and method not in found and root(method) not in LIBRARIES:
            found.append(method)
            waiting |= set(_names(method.__code__))
    return [("", method) for method in found]


def root(thing: Any) -> str:
    """The top-level package of a class or function."""
    return (thing.__module__ or "").split(".")[0]


def _of_function(function: types.FunctionType, names: set[str]) -> Iterator[tuple[str, Any]]:
    yield from (("", value) for value in function.__defaults__ or ())
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue
    if hasattr(function, "__wrapped__"):
        yield "", function.__wrapped__
    if root(function) in LIBRARIES:  # such as a function wrapped by torch.no_grad()
        return
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] not in LIBRARIES:
            yield from ((f"{name}.{n}", vars(value)[n]) for n in sorted(names & vars(value).keys()))
        else:
            yield name, value


def _names(code: types.CodeType) -> Iterator[str]:
    """The globals and attributes that code names, including those of nested functions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
