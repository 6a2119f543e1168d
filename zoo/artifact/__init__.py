"""An artifact: a folder that onnxruntime alone can run. One self-contained `.onnx` file a method, `manifest.json`.

Every file is checked against the SHA-256 in the manifest before anything parses it. What runs are the bytes that were
checked: a file that has changed since is refused, also after a run that may have read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import spaces
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
from zoo.artifact.stored import StoredFiles
from zoo.artifact.threads import cut, together
from zoo.errors import CorruptFile
from zoo.files import sha256
from zoo.interrupts import stoppable
from zoo.model import Array, Model
from zoo.rows import Numbers, check_count
from zoo.signature import Window
from zoo.spaces import Labels

if TYPE_CHECKING:
    import onnxruntime as ort

    from zoo.artifact.binding import Bound


class Artifact(Model):
    """An artifact, opened. `device` is "auto" (CUDA where onnxruntime has it, else CPU), "cpu" or "cuda".

    It can be pickled, copied and used after a fork. Unpickling opens the folder again, and raises `CorruptFile` if
    another artifact lies there by then; a copy shares the files and has sessions of its own.
    """

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.folder, self.asked = Path(folder).absolute(), device  # the working directory may change
        self.manifest = read_manifest(self.folder)
        self.digest = sha256(self.folder / MANIFEST)  # which has the hashes of all other files
        self.files = StoredFiles(self.folder, self.manifest)
        self.sessions = Sessions(self.files, self.manifest, device)
        self.name = self.manifest.name
        self.space = spaces.from_json(self.manifest.space)
        self.classes = Labels(tuple(self.manifest.classes)) if self.manifest.classes else None
        self.density = self.manifest.density
        self.signatures = {name: entry.signature for name, entry in self.manifest.methods.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.folder, self.asked, self.digest, self.sessions.windows)

    def __copy__(self) -> Artifact:
        return self._with(self.sessions.twin())

    def __deepcopy__(self, memo: dict[int, Any]) -> Artifact:
        return self.__copy__()  # files and manifest never change

    def windowed(self, method: str, window: Window) -> Artifact:
        return self._with(self.sessions.windowed(method, window))

    def _with(self, sessions: Sessions) -> Artifact:
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

        `given` are its options, which stay, and inputs: arrays, which are copied, or what lies on the artifact's device
        already, which is used where it is: an output of another bound method, or a tensor of PyTorch or JAX. Inputs
        that are left out are given in each call. On CUDA a method without a loop is captured as a CUDA graph; where
        that is refused, it runs without, and `refusal` says why. A bound method has one set of buffers: each thread
        binds its own.
        """
        from zoo.artifact.binding import Arguments, Bound

        signature, count = self.signature(method), check_count(count)
        self._check_memory(signature, count, bound=True)
        arguments = Arguments(self, method, count, given)
        refusal = ""
        if self.device == "cuda" and signature.length is None:
            try:
                return Bound([self.sessions.create(method, captured=True)], arguments, captured=True)
            except Exception as error:  # by the graph's nodes or by what they do; onnxruntime has many errors
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
        signature, rows = self.signatures[method], len(index)
        scalars: dict[str, Array] = {name: np.asarray(v) for name, v in options.items()}
        arrays = {**inputs, "seed": seed, "index": index}
        arrays = {name: np.ascontiguousarray(arrays[name]) for name in signature.row_inputs}
        outputs = list(signature.outputs)
        sessions = self.sessions.of(method, rows, options)

        def run(session: ort.InferenceSession, feed: Mapping[str, Array]) -> list[Array]:
            results: list[Array] = stoppable(partial(session.run, outputs, feed))
            return results

        if len(sessions) == 1:
            result = run(sessions[0], scalars | arrays)
            self.files.check_weights()
            return dict(zip(outputs, result, strict=True))
        feeds = [scalars | {n: a[low:high] for n, a in arrays.items()} for low, high in cut(rows, len(sessions))]
        results = together([partial(run, *part) for part in zip(sessions, feeds, strict=True)])
        self.files.check_weights()
        return {name: np.concatenate(found) for name, found in zip(outputs, zip(*results, strict=True), strict=True)}


def _reopen(kind: type[Artifact], folder: Path, device: str, digest: str, windows: Mapping[str, Window]) -> Artifact:
    """An artifact that was pickled, if its folder still holds the same one."""
    artifact = kind(folder, device)
    if artifact.digest != digest:
        raise CorruptFile(f"{folder} has changed since it was pickled. Open it again: zoo.open(...), and pickle that.")
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
    "Manifest",
    "MethodEntry",
    "Precision",
    "choose_device",
    "read_manifest",
]
