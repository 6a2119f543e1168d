"""Finding the modules and tensors that a function uses, so that they are exported and evaluated with it."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any

LIBRARIES = {"torch", "keras", "numpy", "builtins", "zoo"}  # their functions own no module of the user's
DEPTH = 12  # objects in objects


def find(things: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """The objects of type `kind` that functions reach, each once, in order: the function itself, the object of a bound
    method and its attributes, closures, arguments of a partial, defaults, and the globals that its code names.

    Inside a found object nothing is looked for: it brings its own parts.
    """
    found: dict[int, Any] = {}
    seen: dict[int, Any] = {}  # keeps the objects alive: an id is one's own only as long as it lives

    def visit(thing: Any, depth: int) -> None:
        if id(thing) in seen or depth > DEPTH:
            return
        seen[id(thing)] = thing
        if isinstance(thing, kind):
            found[id(thing)] = thing
            return
        for part in _parts(thing):
            visit(part, depth + 1)

    visit(things, 0)
    return list(found.values())


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, (str, bytes, int, float, complex, type, types.ModuleType)) or thing is None:
        return
    if isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from thing
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, types.MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, types.FunctionType):
        yield from _of_function(thing)
    elif type(thing).__module__.split(".")[0] not in LIBRARIES - {"zoo"}:
        yield from vars(thing).values() if hasattr(thing, "__dict__") else ()
        slots = (s for cls in type(thing).__mro__ for s in getattr(cls, "__slots__", ()))
        yield from (getattr(thing, slot) for slot in slots if isinstance(slot, str) and hasattr(thing, slot))
        call = vars(type(thing)).get("__call__")  # what an object's own code names in its module
        if isinstance(call, types.FunctionType):
            yield call


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is not bound yet
            continue
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__
    if (function.__module__ or "").split(".")[0] in LIBRARIES:  # such as what torch.no_grad() makes of a function
        return
    names = set(_names(function.__code__))
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] not in LIBRARIES:
            yield from (vars(value)[n] for n in sorted(names & vars(value).keys()))
        else:
            yield value


def _names(code: types.CodeType) -> Iterator[str]:
    """The globals and attributes that code names, that of functions inside it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
