"""Calls a user's function: tensors by position; options, conditions and the class by keyword if it takes them."""

from __future__ import annotations

import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoo.errors import InputError, ZooError

OURS = ("zoo", "zoo_torch", "zoo_keras", "zoo_onnx")
FRAMEWORKS = ("torch", "keras", "numpy", "onnx", "onnx_ir", "onnxscript", "onnxruntime")
# PyTorch's names of floats other than float32
OTHER_FLOATS = {"BFloat16": "bfloat16", "Half": "float16", "Double": "float64", "double": "float64"}
# common names of the class of an example
LABELS = ("label", "labels", "class_labels", "class_label", "classes", "y")


class Given:
    """A function as given by the user. `what` is the argument of `wrap` that held it, for messages."""

    def __init__(self, what: str, function: Any) -> None:
        if not callable(function):
            raise InputError(f"{what} is {type(function).__name__}, which cannot be called; give a function or module.")
        self.what = what
        self.function: Callable[..., Any] = function
        self.keywords: dict[str, str] = {}  # our name -> its name

    def bind(self, tensors: Iterable[str], names: Sequence[str], conditional: bool) -> None:
        """Decide which of `names` to pass by keyword; `InputError` if the function cannot be called so."""
        positional = list(tensors)
        signature = _signature(self.function)
        if signature is None:
            return
        several = getattr(self.function, "inputs", None)  # of a functional Keras model
        if hasattr(self.function, "call") and isinstance(several, (list, tuple)) and len(several) > 1:
            raise InputError(
                f"{self.what} is a model that takes {len(several)} inputs in one list; adapt it, as in "
                f"{self.what}=lambda z, label: model([z, label])."
            )
        parameters = list(signature.parameters.values())
        # Keras's own layers take **kwargs and pass them on to layers that do not
        spread = any(p.kind is p.VAR_KEYWORD for p in parameters) and not _is_module(self.function)
        filled = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        free = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        free -= set(filled[: len(positional)])
        self.keywords = {name: name for name in names if name in free or spread}
        if conditional:
            theirs = next((n for n in LABELS if n in free), "label" if spread else None)
            if theirs:
                self.keywords["label"] = theirs
        try:
            signature.bind(*positional, **dict.fromkeys(self.keywords.values()))
        except TypeError as error:
            known = {*names, *(LABELS if conditional else ())}
            order = sorted(filled, key=known.__contains__)  # stable: positional ones first
            if order != filled and known & set(filled[: len(positional)]):
                raise InputError(
                    f"{self.what}{signature} cannot be called: noise comes before inputs, options and the class, which "
                    f"are passed by keyword: {self.what}({', '.join(order)})."
                ) from None
            classes = "" if conditional else ", with classes= their names or number"
            takes = ", ".join(positional) or "nothing"
            more = f" and by keyword {', '.join(self.keywords.values())}" if self.keywords else ""
            raise InputError(
                f"{self.what}{signature} cannot be called with {takes}{more}: {error}. Noise is passed by position "
                "(noise=zoo.Normal(...), or several in a tuple), options and other inputs (inputs={'prompt': "
                "zoo.Tensor('float32', (77, 768))}) by keyword. A class is passed by a keyword label, labels, "
                f"class_labels or y{classes}: {self.what}=lambda {takes}, label: net({takes}, label)."
            ) from None

    def __call__(self, *tensors: Any, **named: Any) -> Any:
        return self.function(
            *tensors, **{theirs: named[ours] for ours, theirs in self.keywords.items() if ours in named}
        )


def _signature(function: Any) -> inspect.Signature | None:
    if _is_module(function):  # Keras layers have both methods, PyTorch modules the second
        function = getattr(function, "call", None) or function.forward
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # implemented in C
        return None


def _is_module(function: Any) -> bool:
    return hasattr(function, "parameters") and (hasattr(function, "call") or hasattr(function, "forward"))


def check_taken(options: Iterable[str], inputs: Iterable[str], conditional: bool, given: Iterable[Given]) -> None:
    """`InputError` for an option, an input or a class that no function takes."""
    functions = list(given)
    taken = {name for g in functions for name in g.keywords}
    names = ", ".join(g.what for g in functions)
    for kind, name in (*(("option", n) for n in options), *(("input", n) for n in inputs)):
        if name not in taken:
            raise InputError(f"no function takes the {kind} {name!r} by keyword (looked at {names}).")
    if conditional and "label" not in taken:
        raise InputError(
            f"classes= was given, but none of {names} takes a keyword {' or '.join(map(repr, LABELS[:3]))}."
        )


def running(what: str, call: Callable[[], Any], hint: str | Callable[[Exception], str] = "") -> Any:
    """The result of `call()`; errors of the user's code become an `InputError` with their place. `hint` is appended to
    the message."""
    try:
        return call()
    except ZooError:
        raise
    except Exception as error:
        hint = hint if isinstance(hint, str) else hint(error)
        if found := re.search("|".join(OTHER_FLOATS), str(error)):
            hint = f"The network computes in {OTHER_FLOATS[found.group()]}; give model.float()."
        where = user_line(error)
        raise InputError(
            f"{what} fails on examples: {type(error).__name__}: {said(error)}"
            f"{f' ({where})' if where else ''}.{' ' + hint if hint else ''}"
        ) from error


def said(error: Exception) -> str:
    """The first informative line of an error: Keras begins with the place, and prints the rest in bold."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return telling[0].rstrip(".") if telling else ""


def user_line(error: BaseException | None = None) -> str:
    """`file.py:12` of the user's innermost line, in an error or in the running code, preceded by the line of the
    library that it calls, `library/file.py:34, called at file.py:12`; "" if all frames are of frameworks."""
    return described(lines_to_blame(error))


def lines_to_blame(error: BaseException | None = None) -> list[tuple[str, int]]:
    """The relevant files and lines, in an error or in the running code."""
    if error is not None:
        frames = [(f, line) for f, line in traceback.walk_tb(error.__traceback__)][::-1]
    else:
        frames = list(traceback.walk_stack(None))
    inside = []
    for frame, line in frames:
        if frame.f_code is running.__code__ or frame.f_globals.get("__name__") == "zoo_onnx.tracing.trace":
            break  # the rest are the callers of wrap or export
        inside.append((frame.f_code.co_filename, line))
    return to_blame(inside)


def to_blame(frames: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The relevant files and lines, of those with the innermost first: the library's, if in one, and the user's."""
    library: list[tuple[str, int]] = []
    for filename, line in frames:
        if of_user(filename):
            return [*library, (filename, line)]
        if not library and of_library(filename):
            library = [(filename, line)]
    return library


def described(places: Iterable[tuple[str, int]]) -> str:
    return ", called at ".join(f"{_short(filename)}:{line}" for filename, line in places)


def _short(filename: str) -> str:
    *_, path = re.split(r"(?:site|dist)-packages/", filename.replace("\\", "/"))
    return path if of_library(filename) else path.rsplit("/", 1)[-1]


def of_library(filename: str) -> bool:
    """Whether a file of code belongs to a library of models, not to a framework."""
    found = re.search(r"(?:site|dist)-packages/(\w+)", filename.replace("\\", "/"))
    return found is not None and found.group(1) not in (*OURS, *FRAMEWORKS)


def of_user(filename: str) -> bool:
    """Whether a file of code is the user's own: neither a library's nor from these packages."""
    ours = [folder for name in OURS if name in sys.modules for folder in sys.modules[name].__path__]
    folders = tuple(f"{folder}{os.sep}" for folder in (*ours, sysconfig.get_path("stdlib")))
    return "site-packages" not in filename and not filename.startswith(("<frozen", "<string>", *folders))


__all__ = [
    "FRAMEWORKS",
    "LABELS",
    "OURS",
    "Given",
    "check_taken",
    "described",
    "lines_to_blame",
    "of_user",
    "running",
    "to_blame",
    "user_line",
]
