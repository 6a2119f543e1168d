"""Weights as safetensors, everything else as JSON: `NAME.json` beside `NAME-DIGEST.safetensors`.

The JSON names the weights file and its SHA-256 and is replaced in one step after the weights are on disk, so a
folder holds the old checkpoint or the new one whole, whenever the process dies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from zoo.errors import CorruptFile, InputError
from zoo.system.failpoints import failpoint
from zoo.system.files import MAX_JSON, atomic_write, parse_json, read_bytes, remove_temporaries, sha256
from zoo.system.memory import check_fits, is_shortage

SCHEMA = 1
T = TypeVar("T")
Arrays = dict[str, npt.NDArray[Any]]


class Weights(msgspec.Struct, frozen=True):
    """What the JSON says of the weights file."""

    file: str
    sha256: str
    bytes: int


def save(folder: Path, name: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write or replace the checkpoint `name` in `folder`."""
    from safetensors.numpy import save as serialize

    data = serialize({key: np.asarray(a, order="C") for key, a in arrays.items()})  # keeps scalars scalar
    digest = sha256(data)
    weights = f"{name}-{digest[:12]}.safetensors"
    named = digests(name)
    earlier = [path for path in folder.iterdir() if named.fullmatch(path.name)]
    with atomic_write(folder / weights, force=True, like=earlier[0] if earlier else folder) as file:
        file.write(data)
    failpoint("checkpoint.weights")
    record = {"schema": SCHEMA, **meta, "weights": {"file": weights, "sha256": digest, "bytes": len(data)}}
    with atomic_write(folder / f"{name}.json", force=True, like=folder) as file:
        file.write((json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    failpoint("checkpoint.record")
    for path in earlier:
        if path.name != weights:
            path.unlink(missing_ok=True)
    remove_temporaries(folder, named)
    failpoint("checkpoint.pruned")


def digests(name: str) -> re.Pattern[str]:
    """The names that weights files of the checkpoint `name` have; the group is how their SHA-256 begins."""
    return re.compile(rf"{re.escape(name)}-([0-9a-f]{{12}})\.safetensors")


def load(folder: Path, name: str) -> tuple[dict[str, Any], Arrays]:
    """The JSON and the arrays of a checkpoint; `CorruptFile` names a file that is not as it was written."""
    from safetensors.numpy import load as deserialize

    meta, entry = read_entry(folder, name)
    path = folder / entry.file
    check_fits(3 * entry.bytes, str(path), "Use a machine with more.")
    try:
        data = read_bytes(path, entry.bytes)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise CorruptFile(f"{path} cannot be read: {why}. Restore it from a copy or train again.") from None
    if sha256(data) != entry.sha256:
        raise CorruptFile(f"{path} is altered or truncated (SHA-256 differs). Restore it from a copy or train again.")
    try:
        return meta, deserialize(data)
    except Exception as error:  # numpy's own for types that it does not have
        if is_shortage(error):
            raise
        raise CorruptFile(f"{path} holds no arrays that numpy can read: {error}.") from None


def read_entry(folder: Path, name: str) -> tuple[dict[str, Any], Weights]:
    """The JSON of a checkpoint, and what it says of its weights file, which lies in the same folder."""
    record = folder / f"{name}.json"
    meta = read_json(record, SCHEMA)
    entry = convert(meta.get("weights"), Weights, record)
    if (folder / entry.file).parent != folder:
        raise CorruptFile(f"{record} names a weights file outside its folder: {entry.file}.")
    return meta, entry


def convert(data: Any, kind: type[T], path: Path) -> T:
    """JSON as an instance of `kind`, its types checked; `CorruptFile` says what is wrong with the file."""
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise CorruptFile(f"{path} is altered or damaged: {error}. Restore it from a copy, or make it again.") from None


def read_json(path: Path, schema: int) -> dict[str, Any]:
    """A JSON object of a known schema."""
    try:
        data = parse_json(read_bytes(path, MAX_JSON))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} is not readable JSON: {getattr(error, 'strerror', None) or error}.") from None
    if not isinstance(data, dict) or type(data.get("schema")) is not int:
        raise CorruptFile(f"{path} is not a genzoo file: it has no schema number.")
    if data["schema"] > schema:
        raise InputError(
            f"{path} has schema {data['schema']}; this genzoo reads up to {schema}. Upgrade it: pip install -U genzoo."
        )
    return data
