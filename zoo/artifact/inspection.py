"""The metadata of an `.onnx` file of an artifact, and whether a runtime reproduces its known answer.

Only the file itself is read, without its folder; reading the metadata needs no runtime.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.artifact.hashed_files import check_standard
from zoo.artifact.links import copy_advice, is_link, real_files
from zoo.artifact.manifest import MANIFEST, WEIGHTS, read_manifest
from zoo.artifact.onnx_file import ModelFile, read_model_file
from zoo.checkpoint import convert
from zoo.errors import CorruptFile, ExportError, InputError, MissingDependency, ZooError
from zoo.spec import Density
from zoo.system.files import open_regular, parse_json
from zoo.system.interrupts import stoppable, unstoppable
from zoo.system.memory import check_fits, is_shortage

if TYPE_CHECKING:
    import onnxruntime as ort

    from zoo.model import Array

PREFIX = "genzoo."  # of metadata keys
TEXT = ("model", "method", "architecture", "family", "density", "license")  # metadata that is not JSON
TOLERANCE = 1e-3  # of the known answer's floats, relative to the largest of an output: a long chain amplifies rounding
TYPES = {"float32": "tensor(float)", "float64": "tensor(double)"}  # onnxruntime's names of the others are the same
Number = float | int | bool


class Value(msgspec.Struct, frozen=True):
    """An input, output or option. Its first dimension, if any, is the batch; options are scalars."""

    dtype: str
    shape: list[int | str]
    meaning: str = ""
    unit: str = ""
    low: Number | None = None
    high: Number | None = None
    default: Number | None = None
    choices: list[str] = []


class KnownAnswer(msgspec.Struct, frozen=True):
    """Inputs of one row, each filled with one number, and the first numbers of each resulting output."""

    inputs: dict[str, Number]
    options: dict[str, Number]
    outputs: dict[str, list[Number]]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """One method of a model. `loop` is the number of its steps, or the option that sets it; `classes`, and
    the `categories` of inputs by name, are in the order of their numbers."""

    schema: int
    model: str
    method: str
    inputs: dict[str, Value] = {}
    outputs: dict[str, Value] = {}
    options: dict[str, Value] = {}
    architecture: str = ""
    family: str = ""
    density: Density | None = None
    loop: int | str | None = None
    space: dict[str, Any] = {}
    classes: list[str] | None = None
    categories: dict[str, list[str]] = {}
    license: str | None = None
    versions: dict[str, str] = {}
    known_answer: KnownAnswer | None = None


class Inspected(msgspec.Struct, frozen=True):
    """`description` is None if the file has no metadata of genzoo; `beside` are files that hold its weights."""

    file: str
    bytes: int
    summary: str
    description: Description | None
    beside: list[str]
    operators: list[str]


def inspect(path: str | Path) -> Inspected:
    """The metadata of a file; `InputError` or `CorruptFile` if it is not a readable ONNX model."""
    path = Path(path)
    size, found = _read(path)
    return Inspected(
        file=str(path),
        bytes=size,
        summary=found.description,
        description=_describe(found.metadata, path),
        beside=sorted(found.locations),
        operators=sorted(f"{domain}.{kind}" if domain else kind for domain, kind in found.operators),
    )


def _read(path: Path) -> tuple[int, ModelFile]:
    """The size of a file and its contents."""
    if path.is_dir():
        files = sorted(file.name for file in path.glob("*.onnx"))
        raise InputError(f"{path} is a folder; give one of its files: {', '.join(files) or 'it has no .onnx file'}.")
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise CorruptFile(f"{path} is empty.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found = read_model_file(data, str(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not found.operators:
        raise CorruptFile(f"{path} is not an ONNX model: it has no operators.")
    return size, found


def _describe(metadata: dict[str, str], path: Path) -> Description | None:
    own = {key.removeprefix(PREFIX): text for key, text in metadata.items() if key.startswith(PREFIX)}
    if not own:
        return None
    try:
        values = {key: text if key in TEXT else parse_json(text) for key, text in own.items()}
    except ValueError as error:
        raise CorruptFile(f"the metadata of {path} is damaged: {error}. Export the model again.") from None
    description = convert(values, Description, path)
    if problem := next(_problems(description), ""):
        raise CorruptFile(f"the metadata of {path} is damaged: {problem}. Export the model again.")
    return description


def _problems(description: Description) -> Iterator[str]:
    """The inconsistencies of a known answer."""
    known = description.known_answer
    if known is None:
        return
    if not known.outputs or not all(known.outputs.values()):
        yield "its known answer has no numbers"
    for kind in ("inputs", "options", "outputs"):
        if unknown := sorted(getattr(known, kind).keys() - getattr(description, kind).keys()):
            yield f"its known answer has the {kind} {unknown}, which the method does not have"


def check(inspected: Inspected, trust: bool = True) -> dict[str, float]:
    """Run the known answer of a file with onnxruntime. Returns, for each output, the largest difference relative to its
    largest number, or the share of integers that differ. `ExportError` if the answer is wrong.

    Without `trust` only standard operators are allowed. `zoo.artifact.isolation.check_file` runs it in a child
    process."""
    description = inspected.description
    known = description.known_answer if description else None
    if description is None or known is None:
        raise InputError(f"{inspected.file} has no known answer to check this runtime by.")
    if outside := set(inspected.beside) - {WEIGHTS}:
        raise CorruptFile(f"{inspected.file} takes weights from {sorted(outside)[0]!r}; expected {WEIGHTS} or none.")
    if not trust:
        check_standard(_read(Path(inspected.file))[1], Path(inspected.file))
    differences = {}
    for name, got in _run(_runnable(inspected), description, known).items():
        expected = known.outputs[name]
        differences[name] = difference = _difference(expected, got)
        if not difference <= (TOLERANCE if got.dtype.kind == "f" else 0):
            shown, right = (", ".join(f"{number:g}" for number in numbers) for numbers in (got, expected))
            raise ExportError(
                f"this runtime does not reproduce {description.method} of {description.model}: for the known answer "
                f"{name} begins with {shown}; expected {right}."
            )
    return differences


def _runnable(inspected: Inspected) -> str:
    """The file; if its weights are a link and its folder is an artifact, its counterpart in a folder of real files."""
    path = Path(inspected.file)
    if inspected.beside and is_link(path.parent / WEIGHTS) and (path.parent / MANIFEST).is_file():
        return str(real_files(path.parent, read_manifest(path.parent).files) / path.name)
    return inspected.file


def _run(path: str, description: Description, known: KnownAnswer) -> dict[str, Array]:
    """The first numbers of each output, as many as are known."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingDependency("checking a file needs onnxruntime. Install it: pip install 'genzoo[cpu]'.") from None
    import numpy as np

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        with unstoppable():
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        outputs: list[Array] = stoppable(partial(session.run, list(known.outputs), _feeds(session, description, known)))
    except (ZooError, MemoryError):
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class; metadata may hold anything
        if is_shortage(error):
            raise MemoryError(str(error)) from error
        beside = Path(path).parent
        advice = f" Its weights are a link: {copy_advice(beside)}" if is_link(beside / WEIGHTS) else ""
        said = f"onnxruntime {ort.__version__} cannot run the known answer of {path}: {error}{advice}"
        raise CorruptFile(said) from error
    return {n: np.ravel(a)[: len(e)] for a, (n, e) in zip(outputs, known.outputs.items(), strict=True)}


def _feeds(session: ort.InferenceSession, description: Description, known: KnownAnswer) -> dict[str, Array]:
    """The inputs of the known answer. Sizes come from metadata: nothing is allocated before the graph agrees."""
    import numpy as np

    values = {name: (description.inputs[name], number) for name, number in known.inputs.items()}
    values |= {name: (description.options[name], number) for name, number in known.options.items()}
    shapes = {
        name: [1, *(int(known.options[d]) if isinstance(d, str) else d for d in value.shape[1:])] if value.shape else []
        for name, (value, _) in values.items()
    }
    taken = {found.name: found for found in session.get_inputs()}
    if taken.keys() != values.keys():
        raise ValueError(f"it gives {sorted(values)}, and the graph takes {sorted(taken)}")
    for name, (value, _) in values.items():
        found, shape = taken[name], shapes[name]
        fixed = len(found.shape) == len(shape) and all(
            size == expected for size, expected in zip(shape, found.shape, strict=True) if isinstance(expected, int)
        )
        if found.type != TYPES.get(value.dtype, f"tensor({value.dtype})") or not fixed:
            raise ValueError(f"{name} is {value.dtype} {shape}, and the graph takes {found.type} {found.shape}")
    need = sum(math.prod(shapes[name]) * np.dtype(value.dtype).itemsize for name, (value, _) in values.items())
    check_fits(need, "the known answer", "Check the file where there is more.")
    return {name: np.full(shapes[name], number, value.dtype) for name, (value, number) in values.items()}


def _difference(expected: Sequence[Number], got: Array) -> float:
    import numpy as np

    right = np.asarray(expected, got.dtype)
    if got.shape != right.shape:
        return float("inf")
    if got.dtype.kind != "f":
        return float((got != right).mean())
    return float(np.abs(got - right).max() / max(np.abs(right).max(), 1e-30))
