"""The functions of `import zoo` other than the registry: create, load, open, export and verify models."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from zoo import checkpoint, spaces
from zoo.errors import CorruptFile, ExportError, InputError, PluginError, ZooError, did_you_mean
from zoo.signature import Signature, Tensor, within
from zoo.spaces import Labels, Space
from zoo.spec import PRECISIONS, Density, ExporterSpec, ModelSpec, PresetSpec
from zoo.system.files import refuse_file
from zoo.system.memory import at_most, available, gib, is_shortage

if TYPE_CHECKING:
    from zoo.artifact import Artifact, Limits
    from zoo.eager import EagerModel
    from zoo.model import Model
    from zoo.network import Network
    from zoo.parity.budget import Check
    from zoo.parity.cases import Case, Progress

EXPORT_ARGUMENTS = (
    "weights",
    "options",
    "limit",
    "check",
    "force",
    "progress",
)  # what an exporter may be given by name
MODEL = "model"  # the checkpoint `model.json` of a run or a preset
FAULTS = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AttributeError)  # of settings
# creating a network takes at most this multiple of the bytes of its weights, plus a constant and a share per core. That
# includes what other threads allocate meanwhile; the presets take 8 MiB
COPIES, ROOM, THREAD = 8, 2**28, 2**24
TRAINED = 4  # memory of a network in training, as a multiple of its weights, at least: weights, gradients, two moments


class Reading(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to read data, as stored in a file and as `load_dataset` takes it."""

    split: str | None = None
    size: int | str | list[int] | None = None
    types: dict[str, str] | str | None = None
    inputs: list[str] | str | None = None


class TrainedOn(msgspec.Struct, frozen=True):
    """The data of a model, as stated in its card."""

    data: str | None = None
    label: str | None = None
    reading: Reading = Reading()

    @property
    def text(self) -> str | None:
        """The column of a table that held the strings, if it was named."""
        from zoo.data.column_inference import parse_types

        return next((name for name, kind in parse_types(self.reading.types).items() if kind == "text"), None)


class OptionFacts(msgspec.Struct):
    """An option, for display."""

    default: float | int | bool | str
    low: float | None
    high: float | None
    choices: list[str]
    help: str


class MethodFacts(msgspec.Struct):
    """A method, for display: its tensors in words, and the number of steps of its loop, or the option that sets it."""

    inputs: dict[str, str]
    outputs: dict[str, str]
    options: dict[str, OptionFacts]
    random: bool
    steps: int | str | None

    @classmethod
    def of(cls, signature: Signature) -> MethodFacts:
        def words(tensors: Mapping[str, Tensor]) -> dict[str, str]:
            return {name: in_words(tensor) for name, tensor in tensors.items()}

        options = {
            name: OptionFacts(o.default, o.low, o.high, list(o.choices), o.help)
            for name, o in signature.options.items()
        }
        return cls(words(signature.inputs), words(signature.outputs), options, signature.random, signature.length)


def in_words(t: Tensor) -> str:
    bounds = within(t.low, t.high)
    return f"{t.dtype} (N{''.join(f', {d}' for d in t.shape)}){f',{bounds}' if bounds else ''}"


class Record(msgspec.Struct, kw_only=True):
    """The description of a network that is stored next to its weights: enough to rebuild it, and what it is."""

    architecture: str
    plugin: str | None = None
    space: dict[str, Any]
    classes: list[str] | None
    categories: dict[str, list[str]] = {}  # the names of the values of inputs that are words
    config: dict[str, Any]
    density: Density | None = None
    methods: dict[str, MethodFacts] = {}
    card: dict[str, Any] = {}

    @property
    def spec(self) -> ModelSpec:
        from zoo import registry

        return registry.recorded(self.architecture, self.plugin)

    def network(self, *, seed: int = 0, device: str = "cpu", weights: int | None = None) -> Network:
        """The network, on a device. `weights` is the number of bytes of its weights, if known: settings that ask for
        far more must have been tampered with, and are rejected before they fill the memory. So are settings of a
        network to train that need more than is available."""
        from zoo import registry

        classes = Labels(tuple(self.classes)) if self.classes else None
        cls = registry.network_class(self.spec)
        most = available()
        if device == "cpu":  # CUDA allocates much memory when it starts
            share = most // TRAINED if weights is None else COPIES * weights
            most = min(most, share + ROOM + THREAD * (os.cpu_count() or 1))
        with made_from(f"{self.architecture} with the settings {self.config}", most):
            return cls.create(spaces.from_json(self.space), self.config, classes, seed=seed, device=device)


@contextmanager
def made_from(what: str, most: int | None = None) -> Iterator[None]:
    """Turn whatever a framework raises while it creates a network or its training into an `InputError`. `most` is the
    number of bytes of memory that this may take."""
    try:
        with at_most(most) if most is not None else nullcontext():
            yield
    except ZooError:
        raise
    except (MemoryError, *FAULTS) as error:
        if is_shortage(error):
            room = gib(available() if most is None else most)
            raise InputError(
                f"{what} cannot be made: it needs more than the {room} of memory that it may take."
            ) from error
        from zoo.plugins.failures import blame

        said = " ".join(blame(error) or (str(error),))
        raise InputError(f"{what} cannot be made: {said}") from error


def create(
    architecture: str,
    space: Space,
    *,
    config: Mapping[str, Any] | None = None,
    classes: Labels | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> EagerModel:
    """An untrained model of an architecture for a sample space, with weights initialized from `seed`."""
    from zoo import registry
    from zoo.eager import EagerModel

    spec = registry.architecture(architecture)
    with at_most(available()):
        network = registry.network_class(spec).create(space, config, classes, seed=seed, device=device)
    return EagerModel(network, spec.name, {"architecture": spec.name, "family": spec.family})


def load(name: str | Path, *, device: str = "cpu") -> EagerModel:
    """A trained model in its framework: a preset by name, or the folder of a run or checkpoint."""
    from zoo.eager import EagerModel

    _, label = _folder(name, "checkpoint", f"{MODEL}.json")
    record, arrays, meta = read_checkpoint(name)
    network = record.network(device=device, weights=sum(array.nbytes for array in arrays.values()))
    with made_from(f"{label} of its weights"):
        network.load_arrays(arrays)
    return _licensed(EagerModel(network, label, meta), _license(name, label))


def read_checkpoint(name: str | Path) -> tuple[Record, checkpoint.Arrays, dict[str, Any]]:
    """The description of the network of a preset or a folder, its weights, and all of its JSON."""
    folder, _ = _folder(name, "checkpoint", f"{MODEL}.json")
    meta, arrays = checkpoint.load(folder, MODEL)
    return checkpoint.convert(meta, Record, folder / f"{MODEL}.json"), arrays, meta


def open(name: str | Path, *, device: str = "auto", trust: bool = True, limits: Limits | None = None) -> Artifact:
    """An artifact: a preset by name, or a folder that `export` wrote. Needs onnxruntime and no framework.

    A graph can crash the process that runs it, loop forever or exhaust the memory. With `trust=False` a child process
    runs it within `limits` (`zoo.artifact.Limits`: 60 seconds per chunk, 4 GiB), and graphs with nonstandard or random
    operators are rejected. Methods give the same results; `bind` is not available.
    """
    from zoo.artifact import MANIFEST, Artifact, Limits

    if trust and limits is not None:
        raise InputError("limits are for trust=False: a trusted artifact runs in this process.")
    folder, _ = _folder(name, "artifact", MANIFEST)
    return Artifact(folder, device, None if trust else limits or Limits())


def load_or_open(name: str | Path, *, device: str = "auto", trust: bool = True, limits: Limits | None = None) -> Model:
    """Load or open `name`: an artifact, a preset (its artifact, which is faster, if it has one), or a run. Only an
    artifact may be untrusted."""
    from zoo.artifact import MANIFEST

    if not trust:
        return open(name, device=device, trust=False, limits=limits)
    path = Path(name)
    if path.is_dir():
        return open(path, device=device) if (path / MANIFEST).exists() else load(path, device=_eager(device))

    refuse_file(path)
    from zoo import registry  # an artifact's folder is run without plugins

    spec = registry.model(str(name)) if not _looks_like_path(name) else None
    if isinstance(spec, PresetSpec) and spec.artifact:
        return open(name, device=device)
    return load(name, device=_eager(device))


def _eager(device: str) -> str:
    return "cpu" if device == "auto" else device


def _looks_like_path(name: str | Path) -> bool:
    return isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).endswith("/")


def _license(name: str | Path, label: str) -> str | None:
    """That of a preset: its checkpoint does not know it."""
    if Path(name).expanduser().is_dir():
        return None
    from zoo import registry

    spec = registry.model(label)
    return spec.card.get("license") if isinstance(spec, PresetSpec) else None


def _licensed(model: EagerModel, license: str | None) -> EagerModel:
    """The model with this license in its card."""
    if license is None:
        return model
    model = copy.copy(model)
    model.meta = {**model.meta, "card": {**model.meta.get("card", {}), "license": license}}
    return model


def _folder(name: str | Path, what: str, marker: str) -> tuple[Path, str]:
    """The folder of a checkpoint or artifact, and what to call the model."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / marker).exists():
            other = (
                "a run or checkpoint: use zoo.load"
                if (path / f"{MODEL}.json").exists()
                else "nothing that genzoo wrote"
            )
            if what == "checkpoint":
                other = "nothing trained yet, and no artifact: those have a manifest.json"
                if (path / "manifest.json").exists():
                    other = "an artifact: use zoo.open"
            raise InputError(f"{path} has no {marker}; it is {other}.")
        return path, path.name
    refuse_file(path)
    if _looks_like_path(name):
        raise InputError(
            f"{path} is not a folder; expected a run, a checkpoint or an artifact, or the name of a preset."
        )

    from zoo import registry

    spec = registry.model(str(name))
    if isinstance(spec, ModelSpec):
        presets = registry.list_models(f"{spec.name}.*")
        use = f"Use its presets: {', '.join(presets)}; or train" if presets else "Train"
        raise InputError(f"{name} is an architecture without weights. {use} it: zoo train {name} --data digits.")
    found = spec.checkpoint if what == "checkpoint" else spec.artifact
    if found is None:
        raise InputError(f"{name} has no {what}; it has {'an artifact' if spec.artifact else 'a checkpoint'}.")
    return Path(found), spec.name


def export(
    model: EagerModel | str | Path,
    folder: str | Path,
    *,
    to: str = "onnx",
    weights: str = "float32",
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    check: Check = None,
    license: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Any:
    """Export a model to a format such as `onnx`; it is verified against its source, or nothing is written.

    `weights` "float16" or "int8" makes the files smaller: the weights are rounded, the artifact is verified against the
    rounded source, and the manifest states the effect of rounding. It still computes in float32.

    With `options`, all options become constants, with defaults for those that are not given: `options={}`,
    `options={"steps": 10}`. Then every input has a row axis, as servers with batching need. `limit` is the largest
    number of bytes of weights stored inside the files (256 MiB).

    `license` is the license of the weights, such as "CC-BY-4.0", stated in manifest and files. A preset has its own.

    `check` is how much to compare with the source: a number of seconds for each method (40), "full" or "quick".
    `progress(what, done, total)` is called during the work; `total` is 0 if it is unknown.
    """
    from zoo import registry
    from zoo.parity.budget import seconds_of
    from zoo.parity.cases import silent
    from zoo.parity.loop_states import check_loop_states
    from zoo.plugins.loading import NewerCoreNeeded, call_with
    from zoo.system.files import check_output_folder

    if weights not in PRECISIONS:
        raise InputError(
            f"unknown weights {weights!r}; expected one of {', '.join(PRECISIONS)}.{did_you_mean(weights, PRECISIONS)}"
        )
    seconds_of(check)
    spec = registry.exporter(to)
    check_output_folder(folder, force, marker=spec.marker)
    function = registry.import_target(spec, f"export to {to}")
    chosen: dict[str, Any] = {"weights": weights if weights != "float32" else None, "options": options}
    chosen |= {"limit": limit, "check": check}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    for name, value in chosen.items():
        if not _takes(function, name):
            raise InputError(f"the exporter {to} has no choice of {name}; got {value!r}. Leave it out.")
    source = _licensed(load(model) if isinstance(model, (str, Path)) else model, license)
    check_loop_states(source)
    if why := registry.refusal(spec, source):
        raise ExportError(f"the format {to} cannot hold {source.name}: {why.rstrip('.')}.")
    chosen |= {"weights": weights, "force": force, "progress": progress or silent}
    try:
        return call_with(function, chosen, source, Path(folder))
    except NewerCoreNeeded as error:
        raise PluginError(f"the exporter {to} of {spec.plugin} {error}.") from None


def _takes(function: Callable[..., Any], argument: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == argument or p.kind is p.VAR_KEYWORD for p in parameters)


def _other_format(folder: Path) -> ExporterSpec | None:
    """The exporter of a folder that is no artifact and has its marker."""
    from zoo import registry
    from zoo.artifact import MANIFEST

    if not folder.is_dir() or (folder / MANIFEST).exists():
        return None
    return next((spec for spec in registry.exporters() if (folder / spec.marker).is_file()), None)


def _verify_other(spec: ExporterSpec, folder: Path, given: Mapping[str, Any], trust: bool) -> Any:
    from zoo import registry
    from zoo.plugins.loading import call_with

    if not spec.verify:
        raise InputError(f"{folder} is an export to {spec.name} of {spec.plugin}, which has no verification.")
    if not trust:
        raise InputError(
            f"{spec.name} of {spec.plugin} verifies {folder} in this process; trust=False is for artifacts."
        )
    return call_with(registry.import_target(spec, f"verify of {spec.name}", spec.verify), given, folder)


def check_cases(artifact: Artifact, cases: list[Case]) -> None:
    """`CorruptFile` for cases that are none of this artifact's methods, or for nothing to compare."""
    from zoo.parity.budget import BATCHES

    path = artifact.folder / "examples.safetensors"
    for case in cases:
        signature = artifact.signature(case.method)
        numbers = {f"{array.dtype} {array.shape}" for array in (case.seed, case.index)}
        if case.rows not in BATCHES or numbers != {f"int64 ({case.rows},)"}:
            raise CorruptFile(
                f"{path}: a case of {case.method} has {case.rows} rows, and seeds and indices of {sorted(numbers)}; "
                f"expected {', '.join(map(str, BATCHES))} rows with an int64 each. Export the model again."
            )
        steps = case.steps(signature)
        if case.window and not (steps and steps.first >= 0 and steps.count > 0):
            raise CorruptFile(
                f"{path}: a case of {case.method} takes steps that it does not have. Export the model again."
            )
        for given, known, rows in (
            (case.inputs, signature.inputs, True),
            (case.options, signature.options, False),
            (case.outputs, signature.outputs, True),
        ):
            if set(given) != set(known) or (rows and any(len(array) != len(case.seed) for array in given.values())):
                raise CorruptFile(
                    f"{path}: a case of {case.method} has {', '.join(given) or 'nothing'}; expected "
                    f"{', '.join(known) or 'nothing'}, of {len(case.seed)} rows. Export the model again."
                )
    missing = set(artifact.signatures) - {case.method for case in cases}
    if missing:
        raise CorruptFile(f"{path} has nothing to compare {', '.join(sorted(missing))} with. Export the model again.")


def verify(
    folder: str | Path,
    *,
    device: str = "auto",
    trust: bool = True,
    limits: Limits | None = None,
    check: Check = None,
    progress: Progress | None = None,
) -> Any:
    """Verify an artifact: its hashes, and that it reproduces the results of its source; gives what was compared of each
    method. No framework is needed. A folder of another format is verified by the exporter that wrote it.

    `check` is how much to compare: a number of seconds for each method (40), "full", which is everything that the
    export stored, or "quick". `trust` and `limits` are as for `open`. Raises an `ExportError` if something differs, or
    if there is nothing to compare.
    """
    from zoo.artifact import EXAMPLES
    from zoo.parity import comparison
    from zoo.parity.budget import seconds_of
    from zoo.parity.cases import silent, unpack

    seconds, say = seconds_of(check), progress or silent
    if other := _other_format(Path(folder)):
        return _verify_other(other, Path(folder), {"device": device, "check": check, "progress": say}, trust)
    say("reading and hashing the files", 0, 0)
    artifact = open(folder, device=device, trust=trust, limits=limits)
    try:
        cases = unpack(artifact.files.read(EXAMPLES))
        check_cases(artifact, cases)
    except ZooError:
        raise
    except Exception as error:  # the file is as its hash says, and is not a file of cases
        if is_shortage(error):
            raise
        said = f"{type(error).__name__}: {error}"
        raise CorruptFile(
            f"{artifact.folder / EXAMPLES} holds no cases to compare with ({said}). Export the model again."
        ) from error
    return comparison.check(artifact, cases, seconds, say)
