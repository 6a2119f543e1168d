"""Artifacts: the source's rows whatever the chunk, nothing half written, and nothing altered goes unnoticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from zoo.errors import CorruptFile, ExportError, InputError, OutputError, UnknownMethod, ZooError


@pytest.fixture(scope="module")
def source(run):
    return zoo.load(run)


@pytest.fixture(scope="module")
def artifact(artifact_folder):
    return zoo.open(artifact_folder)


@pytest.fixture
def copy(artifact_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(artifact_folder, folder)
    return folder


def test_the_same_seed_gives_the_same_rows_in_any_chunks(source, artifact):
    whole = source.sample(1003, seed=7)
    assert whole.shape == (1003, 2)
    for model in (source, artifact):
        for chunk in (1, 2, 7, 1000):
            count = 23 if chunk < 7 else 1003
            rows = model.sample(count, seed=7, chunk=chunk)
            np.testing.assert_allclose(rows, whole[:count], rtol=1e-4, atol=1e-5)
    assert not np.allclose(artifact.sample(1003, seed=8), whole)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 2**40), seed=st.integers(-(2**63), 2**63 - 1), count=st.integers(1, 9))
def test_start_goes_on_where_another_left_off(source, artifact, start, seed, count):
    rows = artifact.sample(count + 3, seed=seed, start=start)
    np.testing.assert_allclose(artifact.sample(count, seed=seed, start=start + 3), rows[3:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(source.sample(count, seed=seed, start=start + 3), rows[3:], rtol=1e-4, atol=1e-5)


def test_without_a_seed_every_call_differs(artifact):
    assert not np.array_equal(artifact.sample(4), artifact.sample(4))


def test_an_example_does_not_depend_on_its_neighbours(artifact):
    x = artifact.space.examples("tail", 9)
    alone = np.concatenate([artifact.log_prob(row[None]) for row in x])
    np.testing.assert_allclose(artifact.log_prob(x), alone, rtol=1e-5)


def test_a_planted_weight_change_makes_the_export_fail_and_leaves_nothing(run, tmp_path, monkeypatch):
    import onnx_ir
    from zoo_onnx import export

    def altered(*given, compose=export.compose):
        model = compose(*given)
        value = max(model.graph.initializers.values(), key=lambda v: v.const_value.size)
        value.const_value = onnx_ir.tensor(value.const_value.numpy() * np.float32(1.01))
        return model

    monkeypatch.setattr(export, "compose", altered)
    with pytest.raises(ExportError, match="differs from its source"):
        zoo.export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_nothing(run, tmp_path):
    def interrupt(stage):
        if "log_prob" in stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.export(run, tmp_path / "out", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_kept(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    for force in (False, True):  # force replaces artifacts, not somebody's folder
        with pytest.raises(OutputError):
            zoo.export(run, tmp_path / "out", force=force)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("harm", ["altered", "truncated", "missing"])
@pytest.mark.parametrize("name", ["weights.bin", "sample.onnx", "examples.safetensors"])
def test_a_damaged_file_is_named_before_anything_parses_it(copy, name, harm):
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(data if harm == "altered" else data[:-10])
    with pytest.raises(CorruptFile, match=name):
        zoo.open(copy)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"schema": 99}, InputError, "Upgrade"),
        ({"space": {"type": "cube"}}, InputError, "unknown sample space"),
        ({"methods": 3}, CorruptFile, "damaged"),
        ({"surprise": 1}, CorruptFile, "surprise"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(copy, change, error, message):
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(error, match=message):
        zoo.open(copy)


def test_verify_needs_no_framework(artifact_folder):
    code = f"""
import sys
sys.modules["torch"] = sys.modules["keras"] = sys.modules["onnx"] = None
import zoo
report = zoo.verify({str(artifact_folder)!r})
assert max(max(kinds.values()) for kinds in report.values()) < 1e-4
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(0), "at least 1"),
        (lambda m: m.sample(-3), "at least 1"),
        (lambda m: m.sample(2.5), "whole number"),
        (lambda m: m.sample(10**12), "in chunks"),
        (lambda m: m.sample(3, start=-1), "start"),
        (lambda m: m.sample(3, seed="a"), "seed"),
        (lambda m: m.sample(3, seed=2**64), "seed"),
        (lambda m: m.sample(3, label=1), "not conditional"),
        (lambda m: m.sample(3, temprature=1), "no option"),
        (lambda m: m.log_prob([[0, 0, 0]]), "shape"),
        (lambda m: m.log_prob([0.0, 0.0]), "batch axis"),
        (lambda m: m.log_prob([[np.nan, 0]]), "finite"),
        (lambda m: m.log_prob([[1e60, 0]]), "finite"),
        (lambda m: m.log_prob([["a", "b"]]), "numbers"),
        (lambda m: m.log_prob(np.zeros((0, 2))), "empty"),
        (lambda m: m.decode([[0.0]]), "shape"),
        (lambda m: m.predict([[0.0, 0.0]]), "no method"),
    ],
)
def test_bad_arguments_get_a_clear_error_from_source_and_artifact_alike(source, artifact, call, message):
    for model in (source, artifact):
        with pytest.raises((InputError, UnknownMethod), match=message):
            call(model)


def test_cuda_asked_for_and_not_there(artifact_folder):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has the CUDA provider")
    with pytest.raises(InputError, match="no CUDA provider"):
        zoo.open(artifact_folder, device="cuda")


def test_the_files_say_what_they_are(artifact_folder):
    import onnx

    manifest = json.loads((artifact_folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {p.name for p in artifact_folder.iterdir()} - {"manifest.json"}
    assert set(manifest["parity"]) == {"sample", "log_prob", "encode", "decode"}
    for method in manifest["methods"]:
        path = artifact_folder / f"{method}.onnx"
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path, load_external_data=False)
        assert model.opset_import[0].version == manifest["opset"] == 20
        assert not any(node.metadata_props for node in model.graph.node)


def test_a_method_gives_a_row_for_each_example(artifact_folder):
    """A graph may drop rows, by a boolean mask; then row i of a seed would be another in another chunk."""

    class Drops(zoo.open(artifact_folder, device="cpu").__class__):
        def _execute(self, method, inputs, index, seed, options):
            return {k: v[index % 5 != 3] for k, v in super()._execute(method, inputs, index, seed, options).items()}

    model = Drops(artifact_folder, device="cpu")
    with pytest.raises(ZooError, match=r"sample of .* gave 8 rows of x for 10 examples.*torch.where"):
        model.sample(10, seed=0)
