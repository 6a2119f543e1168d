"""An artifact: a folder that onnxruntime alone can run, with one self-contained `.onnx` file per method and
`manifest.json`.

Every file is checked against the SHA-256 in the manifest before anything parses it, and only the checked bytes are run:
a file that has changed since is rejected, even after a run that may have read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import spaces
from zoo.artifact.hashed_files import StoredFiles
from zoo.artifact.limits import Limits
from zoo.artifact.manifest import (
    EXAMPLES,
    FIRST_STEP,
    MANIFEST,
    MOST_STEPS,
    SCHEMA,
    WEIGHTS,
    FileEntry,
    Manifest,
    MethodEntry,
    Precision,
    read_manifest,
)
from zoo.artifact.sessions import CPU, CUDA, DEVICES, Sessions, choose_device
from zoo.errors import CorruptFile, InputError
from zoo.model import Array, Model
from zoo.rows import Numbers, check_count
from zoo.signature import Window
from zoo.spaces import Labels
from zoo.system.files import sha256

if TYPE_CHECKING:
    from zoo.artifact.binding import Bound
    from zoo.artifact.isolation import IsolatedSessions


class Artifact(Model):
    """An open artifact. `device` is "auto" (CUDA if onnxruntime has it, else CPU), "cpu" or "cuda".

    With `limits` its graphs are not trusted: a child process runs them, on the CPU (see `zoo.artifact.isolation`).

    It can be pickled, copied and used after a fork. Unpickling reopens the folder, and raises `CorruptFile` if it now
    holds another artifact; a copy shares the files but has its own sessions.
    """

    sessions: Sessions | IsolatedSessions

    def __init__(self, folder: str | Path, device: str = "auto", limits: Limits | None = None) -> None:
        self.folder, self.asked = Path(folder).absolute(), device  # the working directory may change
        self.limits = limits
        self.manifest = read_manifest(self.folder)
        self.digest = sha256(self.folder / MANIFEST)  # covers all other files: the manifest holds their hashes
        self.files = StoredFiles(self.folder, self.manifest, trust=limits is None)
        self.sessions = self._isolated(limits) if limits else Sessions(self.files, self.manifest, device)
        self.name = self.manifest.name
        self.space = spaces.from_json(self.manifest.space)
        self.classes = Labels(tuple(self.manifest.classes)) if self.manifest.classes else None
        self.categories = spaces.categories_of(self.manifest.categories)
        self.density = self.manifest.density
        self.signatures = {name: entry.signature for name, entry in self.manifest.methods.items()}

    def _isolated(self, limits: Limits) -> IsolatedSessions:
        from zoo.artifact.isolation import IsolatedSessions

        choose_device(self.asked)  # raises if something is missing
        if self.asked == "cuda":
            raise InputError("untrusted graphs run on the CPU, where memory can be limited; got device 'cuda'.")
        return IsolatedSessions(self.folder, self.manifest, self.digest, limits)

    def __reduce__(self) -> tuple[Any, ...]:
        how = self.folder, self.asked, self.limits
        return _reopen, (type(self), how, self.digest, self.sessions.windows)

    def __copy__(self) -> Artifact:
        return self._with(self.sessions.twin())

    def __deepcopy__(self, memo: dict[int, Any]) -> Artifact:
        return self.__copy__()  # files and manifest never change

    def windowed(self, method: str, window: Window) -> Artifact:
        return self._with(self.sessions.windowed(method, window))

    def _with(self, sessions: Sessions | IsolatedSessions) -> Artifact:
        """The same artifact with other sessions."""
        twin = object.__new__(type(self))
        twin.__dict__ |= self.__dict__
        twin.sessions = sessions
        return twin

    def release(self) -> None:
        self.sessions.close()

    @property
    def device(self) -> str:
        """ "cpu" or "cuda"."""
        return self.sessions.device

    def bind(self, method: str, count: int, **given: Any) -> Bound:
        """A method for repeated calls with `count` rows: `run = art.bind("sample", 64, steps=20)`, `run(seed=7)`.

        `given` are its options, which become fixed, and inputs. Arrays are copied; values already on the artifact's
        device, such as an output of another bound method or a PyTorch or JAX tensor, are used in place. Inputs that are
        not bound are passed in each call. On CUDA a method without a loop is captured as a CUDA graph; if capture
        fails, it runs without one, and `refusal` says why. A bound method has one set of buffers, so each thread binds
        its own.
        """
        from zoo.artifact.binding import Arguments, Bound

        signature, count = self.signature(method), check_count(count)
        if not isinstance(self.sessions, Sessions):
            raise InputError(f"{self.name} is not trusted, so its methods cannot be bound. Call them: run, sample, ...")
        self._check_memory(signature, count, bound=True)
        arguments = Arguments(self, method, count, given)
        refusal = ""
        if self.device == "cuda" and signature.length is None:
            try:
                return Bound([self.sessions.create(method, captured=True)], arguments, captured=True)
            except Exception as error:  # onnxruntime has many errors, raised by nodes or by what they do
                refusal = str(error)
        return Bound(self.sessions.of(method, count, arguments.options), arguments, refusal=refusal)

    def _execute(
        self,
        method: str,
        inputs: Mapping[str, Array],
        seed: Numbers,
        index: Numbers,
        options: Mapping[str, np.generic],
    ) -> dict[str, Array]:
        arrays = {**inputs, "seed": seed, "index": index}
        arrays = {name: np.ascontiguousarray(arrays[name]) for name in self.signatures[method].row_inputs}
        found = self.sessions.run(method, arrays, options)
        self.files.check_weights()
        return found


def _reopen(kind: type[Artifact], how: tuple[Any, ...], digest: str, windows: Mapping[str, Window]) -> Artifact:
    """Unpickle an artifact, if its folder still holds the same one."""
    artifact = kind(*how)
    if artifact.digest != digest:
        raise CorruptFile(
            f"{artifact.folder} has changed since it was pickled. Open it again: zoo.open(...), and pickle that."
        )
    artifact.sessions.windows |= windows
    return artifact


__all__ = [
    "CPU",
    "CUDA",
    "DEVICES",
    "EXAMPLES",
    "FIRST_STEP",
    "MANIFEST",
    "MOST_STEPS",
    "SCHEMA",
    "WEIGHTS",
    "Artifact",
    "FileEntry",
    "Limits",
    "Manifest",
    "MethodEntry",
    "Precision",
    "choose_device",
    "read_manifest",
]
