"""`manifest.json`: what an artifact is, its methods and its files. Readers ignore unknown fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from zoo.artifact.validation import check_manifest
from zoo.checkpoint import convert, read_json
from zoo.errors import CorruptFile, InputError
from zoo.signature import Signature
from zoo.spec import Density

SCHEMA = 3
MANIFEST = "manifest.json"
EXAMPLES = "examples.safetensors"
# scalar inputs of a file with a loop: the number of its first step, and the largest number of steps to take
FIRST_STEP, MOST_STEPS = "first_step", "most_steps"
WEIGHTS = "weights.bin"  # the weights of all methods, if they are too large for the .onnx files


class FileEntry(msgspec.Struct, frozen=True):
    sha256: str
    bytes: int


class MethodEntry(msgspec.Struct, frozen=True):
    """`weights` is the bytes of the weights in the precision of computation. `work` is the number of multiplications
    per row in matrix products and convolutions, in one step if there is a loop; `operators` is the number of these
    operators. None if they were not counted."""

    file: str
    signature: Signature
    weights: int
    work: int | None = None
    operators: int | None = None


class Precision(msgspec.Struct, frozen=True):
    """The type in which files store weights: float32, float16 or int8 (which the graph restores to float32).

    `share` of the numbers are stored so; the rest, small tensors and constants, in float32. `difference` is the largest
    effect of rounding for each method and kind of input: in nats for log_prob, otherwise relative for floats (absolute
    for probabilities), and the share that differs for integers.
    """

    weights: str = "float32"
    share: float = 1.0
    difference: dict[str, dict[str, float]] = {}


class Steps(msgspec.Struct, frozen=True):
    """`count` steps from `first` on, in a loop of `of` steps."""

    first: int
    count: int
    of: int

    def __str__(self) -> str:
        if self.count >= self.of:
            return f"all {self.of}"
        if self.count == 1:
            return f"{self.first} of {self.of}"
        return f"{self.first} to {self.first + self.count - 1} of {self.of}"


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """How a method was compared with its source. `difference` is the largest for each kind of input: the share of
    unequal values for integers, otherwise relative (`zoo.parity.differences`). `tolerance` is listed for kinds of input
    that the source itself is sensitive to. `rows` and `batches`, the sizes of the calls, are the largest of all kinds;
    of a long loop only some `steps` were run, each time from the initial state. `seconds` is the time taken."""

    difference: dict[str, float]
    tolerance: dict[str, float] = {}
    rows: int
    batches: list[int]
    steps: list[Steps] = []
    seconds: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`parity` holds what was compared of each method with the source. Where `precision` is not float32, that source is
    the network with its weights rounded."""

    schema: int
    name: str
    architecture: str
    family: str
    framework: str
    space: dict[str, Any]
    classes: list[str] | None
    categories: dict[str, list[str]] = {}  # the names of the values of inputs that are words
    density: Density | None
    config: dict[str, Any]
    opset: int
    methods: dict[str, MethodEntry]
    files: dict[str, FileEntry]
    versions: dict[str, str]
    card: dict[str, Any] = {}
    precision: Precision = Precision()
    parity: dict[str, Compared] = {}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact, its types checked."""
    path = folder / MANIFEST
    data = read_json(path, SCHEMA)
    if data["schema"] < SCHEMA:
        raise InputError(
            f"{path} has schema {data['schema']}; this version reads schema {SCHEMA} only. Export the checkpoint "
            "again: zoo export CHECKPOINT --out FOLDER."
        )
    manifest = convert(data, Manifest, path)
    check_manifest(manifest, path)
    used = [EXAMPLES, *(m.file for m in manifest.methods.values()), *([WEIGHTS] if (folder / WEIGHTS).exists() else [])]
    for name in (*manifest.files, *used):
        if not is_plain(name):
            raise CorruptFile(f"{path} names a file outside its folder: {name!r}. Export the model again.")
        if name not in manifest.files:
            raise CorruptFile(f"{path} has no hash of {name}. Export the model again.")
    return manifest


def is_plain(name: str) -> bool:
    """Whether a name can only refer to a file in the folder itself, on any system."""
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and file systems cannot
        return False
    return name not in ("", ".", "..") and not any(letter in name for letter in "/\\:\0")
