"""The files of an artifact, hashed once when it is opened. Results come from the hashed bytes, or not at all.

Small files are kept in memory. Large ones are reopened on disk, and rejected if they are no longer the same file.
External weights stay on disk: onnxruntime maps them into memory, where a later write to the file is visible, so they
are also checked after each run.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from zoo.artifact.links import real_files
from zoo.artifact.manifest import WEIGHTS, FileEntry, Manifest
from zoo.artifact.onnx_file import Buffer, ModelFile, read_model_file
from zoo.errors import CorruptFile, InputError
from zoo.system.files import Identity, identity, open_regular, sha256, sha256_of
from zoo.system.memory import check_fits

KEPT = 2**26  # bytes of an artifact whose files stay in memory
AGAIN = "Export the model again."


class StoredFiles:
    """The files of `folder` that `manifest` lists. Raises `CorruptFile` for one that was changed, and `InputError` for
    an untrusted graph with operators that `check_standard` rejects."""

    def __init__(self, folder: Path, manifest: Manifest, trust: bool = True) -> None:
        entries, self.trust = manifest.files, trust
        for name, entry in entries.items():  # before hashing, which may take long
            check_fits(entry.bytes, str(folder / name), "Open the artifact where there is more.")
        self.external = WEIGHTS in entries
        self.given, self.folder = folder, real_files(folder, entries) if self.external else folder
        self.kept: dict[str, bytes] = {}
        self.identities: dict[str, Identity] = {}
        keep = sum(entry.bytes for entry in entries.values()) <= KEPT
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            largest = sorted(entries, key=lambda name: -entries[name].bytes)  # first, so that no long one starts late
            list(pool.map(lambda name: self._check(name, entries[name], keep), largest))
        self.models = {m.file for m in manifest.methods.values()}
        for name in self.kept.keys() & self.models:
            self._check_model(name, self.kept[name])

    def _check(self, name: str, entry: FileEntry, keep: bool) -> None:
        path = self.folder / name
        try:
            with open_regular(path) as file:
                self.identities[name] = identity(file.fileno())
                size = os.fstat(file.fileno()).st_size
                if size != entry.bytes:
                    digest = ""
                elif keep:
                    self.kept[name] = file.read()
                    digest = sha256(self.kept[name])
                else:
                    digest = sha256_of(file)
        except OSError as error:
            raise CorruptFile(f"{path} cannot be read: {error.strerror}. {AGAIN}") from None
        if digest != entry.sha256:
            what = "truncated" if size < entry.bytes else "altered"
            copied = not path.samefile(self.given / name)
            advice = (
                f"It is a copy of {self.given / name}: remove it, and open the artifact again." if copied else AGAIN
            )
            raise CorruptFile(f"{path} is {what} (SHA-256 differs from the manifest). {advice}")

    def _check_model(self, name: str, data: Buffer) -> None:
        """Weights must be in the files of this artifact; an untrusted graph may have standard operators only."""
        found = read_model_file(data, str(self.folder / name))
        if not found.operators:
            raise CorruptFile(f"{self.folder / name} is not an ONNX model: it has no operators. {AGAIN}")
        outside = found.locations - ({WEIGHTS} if self.external else set())
        if outside:
            raise CorruptFile(
                f"{self.folder / name} takes weights from {sorted(outside)[0]!r}, which is not a file of the artifact."
            )
        if not self.trust:
            check_standard(found, self.folder / name)

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        if name in self.kept:
            return self.kept[name]
        with self.unchanged(name) as path:
            return path.read_bytes()

    @contextmanager
    def source(self, name: str) -> Iterator[bytes | str]:
        """What onnxruntime opens: bytes, or the path of a file that is checked to be unchanged before and after."""
        if name in self.kept and not self.external:
            yield self.kept[name]
            return
        with self.unchanged(name) as path:
            if name not in self.kept:
                with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    self._check_model(name, data)
            if self.external:
                with self.unchanged(WEIGHTS):
                    yield str(path)
            else:
                yield str(path)

    @contextmanager
    def unchanged(self, name: str) -> Iterator[Path]:
        """The path of a file; `CorruptFile` if it is not the file that was hashed, on entry or on exit."""
        path = self.folder / name
        self._same(path)
        yield path
        self._same(path)

    def check_weights(self) -> None:
        """`CorruptFile` if external weights, which open sessions read from the file, have changed since it was hashed.

        Called after a run, it detects every change before the end of the run, at the cost of one `stat`.
        """
        if self.external:
            self._same(self.folder / WEIGHTS)

    def _same(self, path: Path) -> None:
        try:
            same = identity(path) == self.identities[path.name]
        except OSError:
            same = False
        if not same:
            raise CorruptFile(f"{path} has changed since the artifact was opened. Open it again: zoo.open(...).")


def check_standard(found: ModelFile, path: Path) -> None:
    """`InputError` for a graph with operators that an untrusted graph may not have."""
    if found.unusual:
        raise InputError(
            f"{path} has the operator {found.unusual[0]}; an untrusted graph may only have operators of the ONNX "
            "standard that draw no random numbers. If you trust its author, open it without --untrusted (trust=True)."
        )
