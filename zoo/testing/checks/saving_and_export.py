"""Checks of what happens to a trained model: it is saved and read, and it is exported."""

from __future__ import annotations

import tempfile
from pathlib import Path

import zoo
from zoo import checkpoint, registry, spaces
from zoo.api import MODEL, Record
from zoo.artifact import MANIFEST
from zoo.eager import EagerModel
from zoo.errors import ExportError
from zoo.model import Model
from zoo.spaces import Labels
from zoo.spec import PresetSpec
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.checks.rows import equal, full
from zoo.testing.subject import Subject


@check(full)
def a_checkpoint_restores_the_model(subject: Subject) -> None:
    """A model that is saved and read again, into a network made from its own description, answers the same."""
    network = subject.network
    meta = {"architecture": subject.spec.name, **network.describe()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), MODEL, meta, network.arrays())
        read, arrays = checkpoint.load(Path(folder), MODEL)
    record = checkpoint.convert(read, Record, Path(MODEL))
    classes = Labels(tuple(record.classes)) if record.classes else None
    twin = type(network).create(spaces.from_json(record.space), record.config, classes, seed=1)
    twin.load_arrays(arrays)
    again = EagerModel(twin, subject.label)
    for method in subject.model.signatures:
        inputs = subject.inputs(method, 5)
        expected = subject.call(method, 5)
        got = again.run(method, inputs, count=None if inputs else 5, seed=0)
        for name in expected:
            require(
                equal(method, expected[name], got[name]),
                f"{name} of {method} is another after saving and reading. Is something that adapt or training changes "
                "not among its arrays, or not among its settings?",
            )


@check(full)
def an_export_gives_the_same_answers(subject: Subject) -> None:
    """The exporters' artifacts give what the model gives: all methods, seeds and options. Those of genzoo and of the
    model's own plugin are asked, as far as they take the model: those of others are not its author's business."""
    if isinstance(subject.spec, PresetSpec) and subject.spec.artifact:
        zoo.verify(subject.spec.name, device="cpu")
        _same_rows(subject, zoo.open(subject.spec.name, device="cpu"))
        return
    exporters = [e for e in registry.exporters() if e.plugin in (*registry.FIRST_PARTY, subject.spec.plugin)]
    if not exporters:
        raise NotApplicable("no exporter is installed: pip install genzoo-onnx")
    refusals = {exporter.name: registry.refusal(exporter, subject.eager) for exporter in exporters}
    if all(refusals.values()):
        raise NotApplicable("; ".join(f"{name}: {why}" for name, why in refusals.items()))
    for exporter in (e for e in exporters if not refusals[e.name]):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "artifact"
            try:
                zoo.export(subject.eager, out, to=exporter.name)
            except ExportError as error:
                require(False, f"{exporter.name}: {error}")
            if exporter.verify:
                zoo.verify(out)
            if (out / MANIFEST).exists():
                _same_rows(subject, zoo.open(out, device="cpu"))


def _same_rows(subject: Subject, artifact: Model) -> None:
    """The artifact has the methods of the model, and gives its rows from somewhere in the middle of a seed."""
    require(
        set(artifact.signatures) == set(subject.spec.methods),
        f"the artifact has {sorted(artifact.signatures)}, the spec declares {sorted(subject.spec.methods)}.",
    )
    for method in artifact.signatures:
        inputs = subject.inputs(method, 5)
        count = None if inputs else 5
        ours, theirs = (m.run(method, inputs, count=count, seed=3, start=100) for m in (subject.model, artifact))
        for name in ours:
            require(equal(method, ours[name], theirs[name]), f"{name} of {method} differs between model and artifact.")
