"""IDX files, the format of MNIST and its kin: a magic number, big-endian sizes, then bytes. Gzip or not."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import CorruptFile
from zoo.system.files import read_bytes

UNSIGNED_BYTE = 8
MOST = 2**28  # bytes; those of MNIST and its kin have 47 million


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes with so many dimensions."""

    def corrupt(why: str) -> CorruptFile:
        return CorruptFile(f"{path} is not the IDX file that was published: {why}. Delete it and fetch it again.")

    try:
        data: Any = read_bytes(path, MOST)
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MOST)
    except (OSError, EOFError, zlib.error) as error:
        raise corrupt(getattr(error, "strerror", None) or str(error)) from None
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise corrupt(f"it starts with {data[:4].hex(' ') or 'nothing'}; expected 00 00 08 {dimensions:02x}")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    if len(data) - head != math.prod(shape):
        raise corrupt(f"it has {len(data) - head} bytes of data; expected {math.prod(shape)} for shape {shape}")
    return np.frombuffer(data, dtype=np.uint8, offset=head).reshape(shape)
