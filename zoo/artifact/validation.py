"""Checks that the methods of a manifest make sense before anything is run: the file may have been tampered with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import spaces
from zoo.errors import CorruptFile, InputError
from zoo.signature import Option, Signature

if TYPE_CHECKING:
    from zoo.artifact.manifest import Manifest

LARGEST = 2**31  # dimension of a shape, and number of steps of a loop


def check_manifest(manifest: Manifest, path: Path) -> None:
    """`CorruptFile` for the first problem found."""
    problem = next(_problems(manifest), "")
    if problem:
        raise CorruptFile(f"{path} is altered or damaged: {problem}. Export the model again.")


def _problems(manifest: Manifest) -> Iterator[str]:
    from zoo.model import FIRST_OUTPUT

    try:
        spaces.from_json(manifest.space)
    except InputError as error:
        yield str(error).rstrip(".")
    if not manifest.methods:
        yield "it has no methods"
    for name, entry in manifest.methods.items():
        signature, first = entry.signature, FIRST_OUTPUT.get(name)
        if not signature.outputs or (first and first not in signature.outputs):
            yield f"{name} does not give {first or 'anything'}"
        if "label" in signature.inputs and not manifest.classes:
            yield f"{name} takes a label and there are no classes"
        yield from (
            f"{name} takes {tensor.describe()} as {key}, and there are names for it"
            for key, tensor in signature.conditions.items()
            if key in manifest.categories and (tensor.shape or tensor.dtype == "float32")
        )
        if min(entry.weights, entry.work or 0, entry.operators or 0) < 0:
            yield f"the work of {name} is negative"
        yield from (f"{problem} of {name}" for problem in _of_signature(signature))


def _of_signature(signature: Signature) -> Iterator[str]:
    for name, option in signature.options.items():
        low, high = (d if b is None else b for b, d in ((option.low, -math.inf), (option.high, math.inf)))
        if not math.isfinite(option.number) or not low <= option.number <= high:
            yield f"the option {name}={option.default}"
    if signature.length is not None and not _counts(signature.length, signature.options):
        yield f"the steps {signature.length!r}"
    for name, tensor in (*signature.inputs.items(), *signature.outputs.items()):
        if not all(_counts(size, signature.options) for size in tensor.shape):
            yield f"the shape {tensor.shape} of {name}"


def _counts(size: int | str, options: Mapping[str, Option]) -> bool:
    """Whether a size is a number of at least 1, or the name of an option that is one."""
    if isinstance(size, str):
        return size in options and options[size].dtype == "int64"
    return 1 <= size < LARGEST
