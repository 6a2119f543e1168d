"""Reads the metadata of an `.onnx` file from its bytes, before any runtime parses it.

The format is protocol buffers: fields of a number and a value, in nested messages. Only a few fields of `onnx.proto`
are read; weights are skipped, so large files cost little. onnx itself is not a dependency of the core.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo.errors import CorruptFile

Buffer = bytes | bytearray | memoryview | mmap.mmap

# fields of onnx.proto that hold nested messages, by message: {field number: message}
MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, SPARSE, FUNCTION, TRAINING, ENTRY = range(9)
INSIDE = {
    MODEL: {7: GRAPH, 14: ENTRY, 20: TRAINING, 25: FUNCTION},
    GRAPH: {1: NODE, 5: TENSOR, 15: SPARSE},
    NODE: {5: ATTRIBUTE},
    ATTRIBUTE: {5: TENSOR, 6: GRAPH, 10: TENSOR, 11: GRAPH, 22: SPARSE, 23: SPARSE},
    TENSOR: {13: ENTRY},
    SPARSE: {1: TENSOR, 2: TENSOR},
    FUNCTION: {7: NODE, 11: ATTRIBUTE},
    TRAINING: {1: GRAPH, 2: GRAPH},
}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
NUMBER_SIZE, TAG_SIZE = 10, 5  # largest varints in bytes; tags and lengths have 32 bits
MAX_TAG, MAX_LENGTH = 2**32 - 1, 2**31 - 1
DEPTH = 100  # of nested messages, as protocol buffers allow
MAX_FIELDS = 2**21  # in all messages: a model has about ten per node and weight, and two million take seconds
MAX_TEXT = 2**26  # bytes of text to keep
ORT_FORMAT = b"ORTM"  # marks onnxruntime's own format, at byte 4
KEY, VALUE = 1, 2  # fields of an entry
IR_VERSION, DESCRIPTION = 1, 6  # fields of a model
KIND, DOMAIN = 4, 7  # fields of a node
STANDARD = ("", "ai.onnx")  # two names of the domain of the ONNX standard
RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout")  # prefixes of operators that draw random numbers


@dataclass
class ModelFile:
    """`locations` are the files that hold weights, including those of subgraphs; `operators` are (domain, kind)."""

    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    locations: set[str] = field(default_factory=set)
    operators: set[tuple[str, str]] = field(default_factory=set)
    fields: int = 0  # number of fields read

    @property
    def unusual(self) -> list[str]:
        """The operators that an untrusted graph may not have: those outside the ONNX standard, and random ones, which
        abort the process for some arguments. Includes those in functions and subgraphs."""
        return sorted(
            f"{domain}.{kind}" if domain else kind
            for domain, kind in self.operators
            if domain not in STANDARD or kind.startswith(RANDOM)
        )


def read_model_file(data: Buffer, name: str) -> ModelFile:
    """Parse the bytes of a file; `CorruptFile` if they are not an ONNX model. `name` is for messages."""
    found, problem = ModelFile(), ""
    try:
        with memoryview(data) as view:
            if view[4:8] == ORT_FORMAT:
                raise ValueError
            _message(view, MODEL, found, 0)
    except (IndexError, ValueError):  # truncated data, text that is not UTF-8, nesting that is too deep
        # raised below: an exception chained to this one would hold views of `data`, which could then not be closed
        with memoryview(data) as view:
            if found.fields > MAX_FIELDS:
                problem = f"has more than {MAX_FIELDS:,} fields; no model has that many. Export it again."
            elif _is_cut_off(view):
                problem = "is truncated. Copy or export it again."
            else:
                problem = "is not an ONNX model, or it is damaged. Expected an .onnx file."
    if problem:
        raise CorruptFile(f"{name} {problem}")
    return found


def _is_cut_off(model: memoryview) -> bool:
    """Whether it begins like a model and ends within a field."""
    numbers = set()
    try:
        for number, _ in _fields(model, ModelFile()):
            numbers.add(number)
    except IndexError:
        return IR_VERSION in numbers
    except ValueError:
        pass
    return False


def _message(data: memoryview, kind: int, found: ModelFile, depth: int) -> None:
    if depth > DEPTH:
        raise ValueError
    own: dict[int, str] = {}
    for number, value in _fields(data, found):
        inside = INSIDE[kind].get(number)
        if inside == ENTRY and value is not None:
            entry = {n: _text(v) for n, v in _fields(value, found) if v is not None and n in (KEY, VALUE)}
            key, text = entry.get(KEY, ""), entry.get(VALUE, "")
            if kind == MODEL:
                found.metadata[key] = text
            elif key == "location":
                found.locations.add(text)
        elif inside is not None and value is not None:
            _message(value, inside, found, depth + 1)
        elif value is not None and (kind, number) in ((MODEL, DESCRIPTION), (NODE, KIND), (NODE, DOMAIN)):
            own[number] = _text(value)
    if kind == MODEL:
        found.description = own.get(DESCRIPTION, "")
    if kind == NODE:
        found.operators.add((own.get(DOMAIN, ""), own.get(KIND, "")))


def _text(data: memoryview) -> str:
    if len(data) > MAX_TEXT:
        raise ValueError
    return str(data, "utf-8")


def _fields(data: memoryview, found: ModelFile) -> Iterator[tuple[int, memoryview | None]]:
    """The number of each field and its bytes, None for a number. `IndexError` if `data` ends within a field. Fields are
    counted in `found`.

    Parsers disagree on malformed tags and lengths: the C++ parser truncates a tag to 32 bits, and so reads a field that
    others skip. Malformed ones are rejected: onnxruntime must not read what is not read here.
    """
    place = 0
    while place < len(data):
        tag, place = _varint(data, place, TAG_SIZE)
        number, kind = tag >> 3, tag & 7
        found.fields += 1
        if number == 0 or tag > MAX_TAG or found.fields > MAX_FIELDS:
            raise ValueError
        if kind == BYTES:
            size, place = _varint(data, place, TAG_SIZE)
            if size > MAX_LENGTH:
                raise ValueError
            if place + size > len(data):
                raise IndexError
            yield number, data[place : place + size]
            place += size
        elif kind == VARINT:
            _, place = _varint(data, place, NUMBER_SIZE)
            yield number, None
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
            yield number, None
        else:
            raise ValueError
    if place != len(data):
        raise IndexError


def _varint(data: memoryview, place: int, most: int) -> tuple[int, int]:
    """A varint (7 bits per byte) of at most `most` bytes, and the position after it."""
    number = 0
    for i in range(most):
        byte = data[place + i]
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, place + i + 1
    raise ValueError
