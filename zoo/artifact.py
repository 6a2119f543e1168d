"""An artifact: a folder that onnxruntime alone can run. One `.onnx` a method, one shared weights file, `manifest.json`.

Every file is checked against the SHA-256 in the manifest before anything parses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from zoo import spaces
from zoo.checkpoint import convert, read_json
from zoo.errors import CorruptFile, InputError, MissingDependency
from zoo.files import sha256
from zoo.interrupts import stoppable
from zoo.memory import is_shortage
from zoo.model import Array, Model, check_count, network_rows
from zoo.parts import cores, cut, together
from zoo.signature import Signature
from zoo.spaces import Labels
from zoo.spec import Density
from zoo.validation import check_manifest

if TYPE_CHECKING:
    import onnxruntime as ort

    from zoo.binding import Bound

SCHEMA = 2
MANIFEST = "manifest.json"
EXAMPLES = "examples.safetensors"
WEIGHTS = "weights.bin"
DEVICES = ("auto", "cpu", "cuda")
PART = 3_000_000  # multiplications that are worth a thread of their own
SHARED = 1_000_000  # multiplications of one operator, in the mean, that are worth all threads
UNCOUNTED = 32  # rows that are taken to be worth a thread where nobody counted their work
COPIES = 2**27  # bytes of all sessions of a method: weights, as float32, and SESSION
SESSION = 2**22  # allowed for what a session holds beside weights
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    bytes: int


class MethodEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`work` is the multiplications of one row in matrix products and convolutions, in one step where it has a loop,
    `operators` how many of these there are; None where nobody counted them."""

    file: str
    signature: Signature
    work: int | None = None
    operators: int | None = None


class Precision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the files hold the weights in: float32, float16 or int8 (which the graph restores to float32).

    `share` of the numbers are held so; the rest, which are small or no weights, in float32. `difference` is what
    rounding them has changed, the largest for each method and kind of input: nats of log_prob, elsewhere relative for
    floats (of probabilities absolute), for integers the share that differs.
    """

    weights: str = "float32"
    share: float = 1.0
    difference: dict[str, dict[str, float]] = {}


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`manifest.json`. `parity` holds the largest difference from the source for each method and kind of input. Where
    `precision` is not float32, that source is the network with its weights rounded."""

    schema: int
    name: str
    architecture: str
    family: str
    framework: str
    space: dict[str, Any]
    classes: list[str] | None
    density: Density | None
    config: dict[str, Any]
    opset: int
    methods: dict[str, MethodEntry]
    files: dict[str, FileEntry]
    versions: dict[str, str]
    card: dict[str, Any] = {}
    precision: Precision = Precision()
    parity: dict[str, Any] = {}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact, its types checked."""
    path = folder / MANIFEST
    data = read_json(path, SCHEMA)
    manifest = convert(data, Manifest, path)
    check_manifest(manifest, path)
    used = [EXAMPLES, *(m.file for m in manifest.methods.values()), *([WEIGHTS] if (folder / WEIGHTS).exists() else [])]
    for name in (*manifest.files, *used):
        if Path(name).name != name:
            raise CorruptFile(f"{path} names a file outside its folder: {name}.")
        if name not in manifest.files:
            raise CorruptFile(f"{path} has no hash of {name}. Export the model again.")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Every file is there, and is what was written; `CorruptFile` names one that is not."""
    for name, entry in manifest.files.items():
        try:
            size, digest = (folder / name).stat().st_size, sha256(folder / name)
        except OSError as error:
            raise CorruptFile(f"{folder / name} cannot be read: {error.strerror}. Export the model again.") from None
        if size != entry.bytes or digest != entry.sha256:
            what = "truncated" if size < entry.bytes else "altered"
            raise CorruptFile(f"{folder / name} is {what} (SHA-256 differs from the manifest). Export the model again.")


class Artifact(Model):
    """An artifact, opened. `device` is "auto" (CUDA where onnxruntime has it, else CPU), "cpu" or "cuda"."""

    def __init__(self, folder: str | Path, device: str = "auto") -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        check_files(self.folder, self.manifest)
        self.name = self.manifest.name
        self.space = spaces.from_json(self.manifest.space)
        self.classes = Labels(tuple(self.manifest.classes)) if self.manifest.classes else None
        self.density = self.manifest.density
        self.signatures = {name: entry.signature for name, entry in self.manifest.methods.items()}
        self.asked, self.device = device, choose_device(device)
        self._sessions: dict[tuple[str, int, int], ort.InferenceSession] = {}  # by method, threads and part

    def bind(self, method: str, count: int, **given: Any) -> Bound:
        """A method for repeated calls with `count` rows: `run = art.bind("sample", 64, steps=20)`, `run(seed=7)`.

        `given` are its options, which stay, and inputs: arrays, which are copied, or what lies on the artifact's device
        already, which is used where it is: an output of another bound method, or a tensor of PyTorch or JAX. Inputs
        that are left out are given in each call. On CUDA a method without a loop is captured as a CUDA graph; where
        that is refused, it runs without, and `refusal` says why.
        """
        from zoo.binding import Arguments, Bound

        signature, count = self.signature(method), check_count(count)
        self._decide_device(method)
        arguments = Arguments(self, method, count, given)
        self._check_memory(signature, count)
        refusal = ""
        if self.device == "cuda" and signature.length is None:
            try:
                return Bound([self._open(method, captured=True)], arguments, captured=True)
            except Exception as error:  # by the graph's nodes or by what they do; onnxruntime has many errors
                refusal = str(error)
        sessions = self._sessions_of(method, *self._plan(method, count, arguments.options))
        return Bound(sessions, arguments, refusal=refusal)

    def _decide_device(self, method: str) -> None:
        """Whether there is a GPU that can be used shows when the first session is opened."""
        if self.device == "cuda":
            self._session(method, 0)

    def _plan(self, method: str, rows: int, options: Mapping[str, np.generic]) -> tuple[int, int]:
        """Into how many parts to cut a batch, each for a thread of its own, and how many threads share each operator:
        one, or all (0). Rows do not depend on each other, so threads of parts meet once, at the end, and not in each
        operator: these are shared only where there are fewer rows than cores, and operators are large."""
        if self.device != "cpu":
            return 1, 0
        entry = self.manifest.methods[method]
        if entry.work is None:
            parts = min(rows // UNCOUNTED, cores())
            return (parts, 1) if parts > 1 else (1, 0)
        work, length = entry.work * rows * network_rows(entry.signature, options), entry.signature.length
        steps = int(options[length]) if isinstance(length, str) else length or 1
        parts, large = min(rows, work * steps // PART), work >= SHARED * (entry.operators or 1)
        if parts < 2 and not large:
            return 1, 1
        return (1, 0) if large and rows < cores() else (max(1, min(parts, cores())), 1)

    def _sessions_of(self, method: str, parts: int, threads: int) -> list[ort.InferenceSession]:
        """A session for each part, or, with large weights, some for all. Runs of one session wait for each other where
        they take memory from it, which loops do in every step; cores that share no cache wait longer."""
        if parts == 1:
            return [self._session(method, threads)]
        weights = self.manifest.files[WEIGHTS].bytes if WEIGHTS in self.manifest.files else 0
        size = {"float16": 2, "int8": 4}.get(self.manifest.precision.weights, 1) * weights + SESSION
        numbers = [n % max(1, COPIES // size) for n in range(parts)]
        new = [n for n in sorted(set(numbers)) if (method, threads, n) not in self._sessions]
        if new:
            together([partial(self._session, method, threads, n) for n in new])
        return [self._sessions[method, threads, n] for n in numbers]

    def _session(self, method: str, threads: int, part: int = 0) -> ort.InferenceSession:
        """What runs a method, with one thread, which is the caller's, or all."""
        key = method, threads, part
        if key not in self._sessions:
            import onnxruntime as ort

            path, session, problem = self.folder / self.manifest.methods[method].file, None, None
            try:
                session = self._open(method, threads=threads)
            except Exception as error:  # onnxruntime's own exceptions share no base class
                if is_shortage(error):
                    raise MemoryError(str(error)) from error
                if self.device == "cpu":
                    raise CorruptFile(f"{path} cannot be opened by onnxruntime {ort.__version__}: {error}") from error
                problem = error
            # without CUDA's libraries onnxruntime goes on with the CPU and only logs it; without a GPU it raises
            if self.device == "cuda" and (session is None or CUDA not in session.get_providers()):
                if self.asked == "auto":
                    self.device = "cpu"
                    return self._session(method, threads, part)
                raise InputError(
                    "onnxruntime could not start its CUDA provider. Check the driver and pip install 'genzoo[gpu]', "
                    "or use the CPU: --device cpu."
                ) from problem
            self._sessions[key] = session
        return self._sessions[key]

    def _open(self, method: str, *, threads: int = 0, captured: bool = False) -> ort.InferenceSession:
        """A session of a method with so many threads (0: all). `captured`: its kernels are recorded as a CUDA graph, or
        it is refused."""
        import onnxruntime as ort

        options, more = ort.SessionOptions(), {}
        options.log_severity_level = 4 if captured else 3  # a refusal is no error
        options.intra_op_num_threads = threads
        # threads would go on for some 40 ms after a call, looking for work, and keep whatever runs then from the cores
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers: list[Any] = [CPU]
        if self.device == "cuda":
            ort.preload_dlls()  # CUDA and cuDNN as pip installs them
            cuda = {"use_tf32": "0", "enable_cuda_graph": str(int(captured))}  # full float32, as parity asks
            providers = [(CUDA, cuda), CPU]
            more = {"enable_fallback": 0}  # else it prints what goes wrong, then or later, and goes on with the CPU
        path = self.folder / self.manifest.methods[method].file
        return ort.InferenceSession(str(path), options, providers=providers, **more)

    def _execute(
        self,
        method: str,
        inputs: Mapping[str, Array],
        index: npt.NDArray[np.int64],
        seed: int,
        options: Mapping[str, np.generic],
    ) -> dict[str, Array]:
        signature, rows = self.signatures[method], len(index)
        whole: dict[str, Array] = {name: np.asarray(v) for name, v in options.items()}
        if signature.random:
            whole["seed"] = np.asarray(seed, dtype=np.int64)
        outputs = list(signature.outputs)

        self._decide_device(method)
        sessions = self._sessions_of(method, *self._plan(method, rows, options))

        def run(session: ort.InferenceSession, low: int, high: int) -> list[Array]:
            feed = {**whole, **{name: array[low:high] for name, array in inputs.items()}}
            if signature.random:
                feed["start"] = index[low : low + 1].reshape(())
            if not inputs:
                feed["count"] = np.asarray(high - low, dtype=np.int64)
            results: list[Array] = stoppable(partial(session.run, outputs, feed))
            return results

        if len(sessions) == 1:
            return dict(zip(outputs, run(sessions[0], 0, rows), strict=True))
        parts = zip(sessions, cut(rows, len(sessions)), strict=True)
        results = together([partial(run, session, *part) for session, part in parts])
        return {name: np.concatenate(found) for name, found in zip(outputs, zip(*results, strict=True), strict=True)}


def choose_device(device: str) -> str:
    """ "cpu" or "cuda" for what was asked and what onnxruntime has."""
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}; expected one of {', '.join(DEVICES)}.")
    try:
        import onnxruntime as ort
    except ImportError:
        raise MissingDependency(
            "running an artifact needs onnxruntime. Install it: pip install 'genzoo[cpu]' (or 'genzoo[gpu]')."
        ) from None
    if CUDA in ort.get_available_providers():
        return "cpu" if device == "cpu" else "cuda"
    if device == "cuda":
        raise InputError(
            "CUDA was asked for and this onnxruntime has no CUDA provider. Install it: pip install 'genzoo[gpu]', "
            "or use the CPU: --device cpu."
        )
    return "cpu"
