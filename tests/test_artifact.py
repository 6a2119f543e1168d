"""Artifacts: the source's rows whatever the chunk, nothing is half written, and alterations are detected."""

from __future__ import annotations

import copy as copy_module
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from zoo.artifact import MANIFEST
from zoo.artifact.sessions import COPIES, SESSION, Sessions
from zoo.artifact.threads import PART, SHARED, UNCOUNTED
from zoo.errors import CorruptFile, ExportError, InputError, OutputError, UnknownMethod, ZooError
from zoo.noise import derive_seed
from zoo.parity.cases import another, make_inputs
from zoo.signature import Window


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


def test_rows_have_their_own_seeds_and_indices(source, artifact):
    seeds, indices = [3, 9, 3, -(2**63)], [0, 2**53 + 1, 5, 2**63 - 1]
    for model in (source, artifact):
        mixed = model.sample(seed=seeds, index=indices)
        alone = [model.sample(1, seed=s, start=min(i, 2**63 - 2)) for s, i in zip(seeds[:3], indices[:3], strict=True)]
        np.testing.assert_allclose(mixed[:3], np.concatenate(alone), rtol=1e-5)
        np.testing.assert_array_equal(model.sample(seed=seeds)[0], mixed[0])  # without an index, each has index 0
        np.testing.assert_allclose(model.sample(seed=3, index=[5, 0]), mixed[[2, 0]], rtol=1e-5)
    np.testing.assert_allclose(source.sample(seed=seeds, index=indices), mixed, rtol=1e-4, atol=1e-5)


def test_a_stream_is_independent_of_others_of_the_same_seed(artifact):
    plain, one, other = (artifact.sample(5, seed=7, **more) for more in ({}, {"stream": "a"}, {"stream": "b"}))
    assert not np.isclose(plain, one).any()
    assert not np.isclose(other, one).any()
    np.testing.assert_array_equal(artifact.sample(seed=[7] * 5, index=range(5), stream="a"), one)
    np.testing.assert_array_equal(artifact.sample(5, seed=derive_seed(7, "a")), one)


def test_an_artifact_survives_pickle_copy_and_fork(artifact):
    expected = artifact.sample(3, seed=1)
    for other in (pickle.loads(pickle.dumps(artifact)), copy_module.deepcopy(artifact)):
        np.testing.assert_array_equal(other.sample(3, seed=1), expected)
    if hasattr(os, "fork"):
        code = f"""
import os, numpy as np, zoo
artifact = zoo.open({str(artifact.folder)!r})
x = artifact.sample(5000, seed=1)
run = artifact.bind("sample", 3)
run(1)
child = os.fork()
if not child:
    same = np.array_equal(artifact.sample(5000, seed=1), x)
    try:
        run(1)
    except zoo.errors.InputError:
        os._exit(0 if same else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_copy_goes_on_after_its_folder_is_replaced_and_a_pickle_does_not(copy):
    artifact = zoo.open(copy, device="cpu")
    expected, data = artifact.sample(3, seed=1), pickle.dumps(artifact)
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps(manifest | {"name": "another"}))
    for twin in (copy_module.copy(artifact), copy_module.deepcopy(artifact)):
        assert twin.sessions.open is not artifact.sessions.open
        np.testing.assert_array_equal(twin.sample(3, seed=1), expected)
    with pytest.raises(CorruptFile, match="has changed since it was pickled"):
        pickle.loads(data)


def test_copies_and_pickles_take_the_same_steps_of_a_loop():
    artifact = zoo.open("ebm.moons", device="cpu").windowed("sample", Window(0, 2))
    for other in (artifact, copy_module.copy(artifact), pickle.loads(pickle.dumps(artifact))):
        assert other.sessions.windows == {"sample": Window(0, 2)}


def test_options_as_constants_leave_inputs_with_rows_alone(tmp_path):
    model = zoo.load("vae.digits")
    zoo.export(model, tmp_path / "fixed", options={"samples": 3})
    fixed, free = zoo.open(tmp_path / "fixed", device="cpu"), zoo.open("vae.digits", device="cpu")
    assert not any(s.options for s in fixed.signatures.values())
    x = free.space.examples("random", 5)
    np.testing.assert_allclose(fixed.log_prob(x, seed=2), free.log_prob(x, seed=2, samples=3), rtol=1e-5)
    with pytest.raises(InputError, match=r"no option .sample.; .*Did you mean .samples."):
        zoo.export(model, tmp_path / "no", options={"sample": 3})


def test_without_a_seed_every_call_differs(artifact):
    assert not np.array_equal(artifact.sample(4), artifact.sample(4))


def test_an_example_does_not_depend_on_its_neighbors(artifact):
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
    def interrupt(stage, done, total):
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
@pytest.mark.parametrize("name", ["sample.onnx", "examples.safetensors"])
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
        ({"space": {"type": "cube"}}, CorruptFile, "unknown sample space"),
        ({"methods": 3}, CorruptFile, "damaged"),
        ({"schema": 2}, InputError, "Export the checkpoint again"),
        ({"schema": 1, "files": None}, InputError, "Export the checkpoint again"),
        ({"schema": True}, CorruptFile, "has no schema number"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(copy, change, error, message):
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(error, match=message):
        zoo.open(copy)


@pytest.mark.parametrize("name", ["../a", "a/b", "a\\b", "c:a", "..", ".", "", "a\0b", "\ud800", "/etc/passwd"])
def test_a_manifest_names_files_of_its_folder_only(copy, name):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = manifest["files"]["sample.onnx"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptFile, match="names a file outside its folder"):
        zoo.open(copy)


def test_verify_needs_no_framework(artifact_folder):
    code = f"""
import sys
sys.modules["torch"] = sys.modules["keras"] = sys.modules["onnx"] = None
import zoo
report = zoo.verify({str(artifact_folder)!r})
assert max(max(compared.difference.values()) for compared in report.values()) < 1e-4
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(0), "at least 1"),
        (lambda m: m.sample(-3), "at least 1"),
        (lambda m: m.sample(2.5), "integer"),
        (lambda m: m.sample(10**12), "in chunks"),
        (lambda m: m.sample(3, start=-1), "start"),
        (lambda m: m.sample(3, seed="a"), "seed"),
        (lambda m: m.sample(3, seed=2**64), "seed"),
        (lambda m: m.sample(), "give count, or one seed or index for each row"),
        (lambda m: m.sample(3, start=2**63 - 2), r"from 0 to 2\*\*63 - 1 - count, where count is 3"),
        (lambda m: m.run("log_prob", {"x": np.zeros((3, 2))}, start=2**63 - 2), "where count is 3"),
        (lambda m: m.sample(3, start=True), "start is True"),
        (lambda m: m.sample(3, chunk=True), "chunk is True"),
        (lambda m: m.sample(3, stream=5), "stream is 5; expected a name"),
        (lambda m: m.sample(3, stream=b"x"), "stream is b'x'"),
        (lambda m: m.sample(3, stream="\ud800"), "stream is"),
        (
            lambda m: m.sample(seed=[*range(999), 2**63]),
            r"seed is 9223372036854775808 in row 999; .* from -2\*\*63 to 2",
        ),
        (lambda m: m.sample(seed=[1, 2.5]), r"seed is 2\.5 in row 1;"),
        (lambda m: m.sample(index=np.array([3, 4, -1])), r"index is -1 in row 2; expected an integer from 0 to 2"),
        (lambda m: m.sample(3, seed="a" * 999), r"seed is 'a+\.\.\.a+';"),
        (lambda m: m.sample(seed=[1, "a"]), "seed"),
        (lambda m: m.sample(seed=[]), "seed"),
        (lambda m: m.sample(seed=[[1], [2]]), "seed"),
        (lambda m: m.sample(3, seed=[1, 2]), "count is for 3 rows and seed is for 2 rows"),
        (lambda m: m.sample(seed=[1, 2, 3], index=[0, 1]), "seed is for 3 rows and index is for 2 rows"),
        (lambda m: m.sample(index=[0, -1]), "index"),
        (lambda m: m.sample(index=[0, 1], start=1), "leave out start"),
        (lambda m: m.log_prob([[0.0, 0.0]], seed=[1, 2]), "inputs have 1 rows"),
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


def test_arrays_without_axes_are_numbers(artifact):
    rows = artifact.sample(np.array(2), np.array(7), start=np.array(3))
    np.testing.assert_array_equal(rows, artifact.sample(2, 7, start=3))


def test_a_row_that_does_not_fit_into_memory_names_its_option(monkeypatch):
    model = zoo.open("vae.digits", device="cpu")
    x = np.zeros((2, 8, 8, 1), np.uint8)

    def shortage(*more):
        raise MemoryError("[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc:360")

    monkeypatch.setattr(model, "_execute", shortage)
    with pytest.raises(InputError, match=r"2 rows with samples=9. Give fewer samples or a smaller chunk\.$"):
        model.log_prob(x, samples=9)
    with pytest.raises(InputError, match=r"not enough memory for 1 row\. One row alone does not fit\.$"):
        model.log_prob(x, chunk=1)
    monkeypatch.setattr("zoo.model.available", lambda: 100)
    with pytest.raises(InputError, match=r"Give a smaller chunk, of at most 12 rows\.$"):
        model.log_prob(np.repeat(x, 100, 0))


def test_a_bound_method_that_does_not_fit_into_memory_says_so(monkeypatch):
    from zoo.artifact import binding

    run = zoo.open("vae.digits", device="cpu").bind("log_prob", 2, x=np.zeros((2, 8, 8, 1), np.uint8), samples=9)

    def shortage(runs):
        raise MemoryError("[ONNXRuntimeError] : 1 : FAIL : bfc_arena.cc:360")

    monkeypatch.setattr(binding, "together", shortage)
    with pytest.raises(InputError, match=r"2 rows with samples=9. Give fewer samples or fewer rows\.$"):
        run()


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
        assert not any(value.name in {i.name for i in model.graph.initializer} for value in model.graph.input)


def test_a_method_gives_a_row_for_each_example(artifact_folder):
    """A graph may drop rows, by a boolean mask; then row i of a seed would be another in another chunk."""

    class Drops(zoo.open(artifact_folder, device="cpu").__class__):
        def _execute(self, method, inputs, seed, index, options):
            return {k: v[index % 5 != 3] for k, v in super()._execute(method, inputs, seed, index, options).items()}

    model = Drops(artifact_folder, device="cpu")
    with pytest.raises(ZooError, match=r"sample of .* gave 8 rows of x for 10 examples.*torch.where"):
        model.sample(10, seed=0)


# ---- bound methods -------------------------------------------------------------------------------------------------


def test_a_bound_method_gives_what_run_gives_for_every_seed(artifact):
    run = artifact.bind("sample", 64)
    for seed, start in ((7, 0), (8, 0), (8, 64), (7, 2**40), (-1, 0)):
        np.testing.assert_array_equal(run(seed, start=start)["x"].numpy(), artifact.sample(64, seed=seed, start=start))
    first = run()["x"].numpy().copy()
    assert not np.array_equal(run()["x"].numpy(), first)  # as sample() does without a seed


@pytest.mark.parametrize("name", ["ddpm.digits", "ebm.moons", "lstm.names", "vae.digits"])
def test_every_method_can_be_bound(name):
    artifact = zoo.open(name, device="cpu")
    for method, signature in artifact.signatures.items():
        inputs = make_inputs(artifact, signature, "random", 3)
        options = {n: o.given(another(o, "boundary")) for n, o in signature.options.items()}
        options |= {n: 2 for n in options if n == signature.length}
        count = None if inputs else 3
        expected = artifact.run(method, inputs, count=count, seed=5, **options)
        for arguments in ({**inputs, **options}, options):  # inputs when bound, or in the call
            got = artifact.bind(method, 3, **arguments)(seed=5, **({} if arguments is not options else inputs))
            assert {n: v.numpy().tolist() for n, v in got.items()} == {n: v.tolist() for n, v in expected.items()}


def test_a_bound_method_keeps_its_buffers(artifact):
    x = artifact.space.examples("random", 4)
    run = artifact.bind("encode", 4, x=x)
    outputs = run()
    address, before = outputs["z"].data_ptr(), outputs["z"].numpy().copy()
    np.testing.assert_array_equal(run()["z"].numpy(), before)
    assert run(x=x + 1) is outputs
    assert outputs["z"].data_ptr() == address
    assert not np.array_equal(outputs["z"].numpy(), before)


def test_a_bound_method_takes_what_another_gave_where_it_lies(artifact):
    import torch

    x = artifact.space.examples("random", 4)
    encode = artifact.bind("encode", 4)
    decode = artifact.bind("decode", 4, z=encode.outputs["z"])
    for shift in (0, 1):
        encode(x=x + shift)
        np.testing.assert_allclose(decode()["x"].numpy(), x + shift, rtol=1e-4, atol=1e-4)
    tensor = torch.from_dlpack(decode.outputs["x"])
    assert tensor.data_ptr() == decode.outputs["x"].data_ptr()
    with pytest.raises(InputError, match="bound to a value on the device"):
        decode(z=encode.outputs["z"])
    again = artifact.bind("encode", 4)(x=decode.outputs["x"])["z"]  # in a call it is copied
    np.testing.assert_allclose(again.numpy(), encode.outputs["z"].numpy(), rtol=1e-4, atol=1e-4)
    assert again.data_ptr() != encode.outputs["z"].data_ptr()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: a.bind("predict", 4), "no method"),
        (lambda a: a.bind("sample", 0), "at least 1"),
        (lambda a: a.bind("sample", "64"), "count is '64'"),
        (lambda a: a.bind("sample", True), "count is True"),
        (lambda a: a.bind("sample", 4, temprature=1), "no option"),
        (lambda a: a.bind("log_prob", 4, x=np.zeros((3, 2))), "3 rows; log_prob is bound to 4"),
        (lambda a: a.bind("log_prob", 4, x=np.zeros((4, 3))), "shape"),
        (lambda a: a.bind("log_prob", 4, x=np.full((4, 2), np.nan)), "finite"),
        (
            lambda a: a.bind("decode", 3, z=a.bind("encode", 4).outputs["z"]),
            r"\(4, 2\) on cpu; expected .*\(3, 2",
        ),
        (lambda a: a.bind("log_prob", 4)(), "needs x"),
        (lambda a: [run := a.bind("log_prob", 4), run(x=np.zeros((4, 2))), run()], "needs x"),
        (lambda a: a.bind("log_prob", 4)(x=np.zeros((1, 2))), "1 rows"),
        (lambda a: a.bind("log_prob", 4)(y=np.zeros((4, 2))), "no option 'y'; it takes x"),
        (lambda a: a.bind("sample", 4)(seed="a"), "seed"),
        (lambda a: a.bind("sample", 4)(seed=2**63), "seed"),
        (lambda a: a.bind("sample", 4)(seed=True), "seed"),
        (lambda a: a.bind("sample", 4)(start=-1), "start"),
        (lambda a: a.bind("sample", 4)(start=2**63 - 2), "start"),
    ],
)
def test_bad_arguments_of_a_bound_method_get_a_clear_error(artifact, call, message):
    with pytest.raises((InputError, UnknownMethod), match=message):
        call(artifact)


def test_a_bound_method_belongs_to_one_thread(artifact):
    run = artifact.bind("sample", 64)
    run(1)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(InputError, match="Bind sample once in each thread"):
            pool.submit(run, 2).result()
        other = pool.submit(artifact.bind, "sample", 64).result()  # bound here or there, called there
        there = pool.submit(other, 2).result()["x"].numpy()
    np.testing.assert_array_equal(run(2)["x"].numpy(), there)


@pytest.mark.parametrize("duplicate", [copy_module.copy, copy_module.deepcopy, pickle.dumps])
def test_a_bound_method_is_neither_copied_nor_pickled(artifact, duplicate):
    run = artifact.bind("sample", 4)
    with pytest.raises(InputError, match=r"Bind it again: artifact.bind\('sample', 4"):
        duplicate(run)


def test_options_are_fixed_by_binding():
    run = zoo.open("ebm.moons", device="cpu").bind("sample", 2, steps=3)
    with pytest.raises(InputError, match="steps is fixed by bind"):
        run(steps=4)


def threads_of(artifact):
    """How many each of its sessions has; 0 is all."""
    return [s.get_session_options().intra_op_num_threads for s in artifact.sessions.open.values()]


@pytest.fixture
def three_cores(monkeypatch):
    monkeypatch.setattr("zoo.artifact.threads.cores", lambda: 3)


class Watched:
    """A session that writes down its runs."""

    def __init__(self, session, runs):
        self.session, self.runs = session, runs

    def run(self, outputs, feed, options):
        self.runs.append((self, *((int(feed["index"][0]), len(feed["index"])) if "index" in feed else ())))
        return self.session.run(outputs, feed, options)

    def run_with_iobinding(self, binding, options):
        self.runs.append((self,))
        self.session.run_with_iobinding(binding, options)

    def __getattr__(self, name):
        return getattr(self.session, name)


@pytest.fixture
def runs(three_cores, monkeypatch):
    found, create = [], Sessions.create
    monkeypatch.setattr(Sessions, "create", lambda *given, **more: Watched(create(*given, **more), found))
    return found


@pytest.mark.parametrize(("copies", "sessions"), [(COPIES, 3), (2 * SESSION, 1)])
def test_a_large_batch_is_cut_into_parts_with_a_thread_and_a_session_each(runs, monkeypatch, copies, sessions):
    monkeypatch.setattr("zoo.artifact.sessions.COPIES", copies)  # large weights: one session for all
    artifact = zoo.open("realnvp.digits", device="cpu")
    rows = 4 * PART // artifact.manifest.methods["sample"].work // 3 * 3
    whole = artifact.sample(rows, seed=5, start=7, chunk=rows)
    assert sorted(run[1:] for run in runs) == [(7 + n * rows // 3, rows // 3) for n in range(3)]
    assert len({run[0] for run in runs}) == sessions
    assert threads_of(artifact) == [1] * sessions
    few = zoo.open("realnvp.digits", device="cpu")
    np.testing.assert_array_equal(whole[-5:], few.sample(5, seed=5, start=7 + rows - 5))
    assert (len(runs), threads_of(few)) == (4, [1])


def test_what_nobody_counted_the_work_of_is_cut_too(three_cores):
    artifact = zoo.open("realnvp.moons", device="cpu")
    entries = artifact.manifest.methods
    entries["sample"] = msgspec.structs.replace(entries["sample"], work=None)
    x = artifact.sample(2 * UNCOUNTED, seed=1)
    assert threads_of(artifact) == [1] * 2
    np.testing.assert_allclose(artifact.sample(2, seed=1), x[:2], rtol=1e-5)
    assert threads_of(artifact) == [1] * 2 + [0]


def test_a_bound_method_is_cut_too(runs):
    artifact = zoo.open("maf.digits", device="cpu")
    rows = 4 * PART // artifact.manifest.methods["encode"].work
    sample, whole = artifact.bind("sample", rows), artifact.sample(rows, seed=5, start=7, chunk=rows)
    for start in (0, 7):
        x = sample(5, start=start)["x"]
    np.testing.assert_array_equal(x.numpy(), whole)
    encode = artifact.bind("encode", rows, x=x)
    np.testing.assert_allclose(encode(3)["z"].numpy(), artifact.encode(whole, seed=3, chunk=rows), rtol=1e-5)
    np.testing.assert_array_equal(encode.outputs["z"].numpy()[-1], encode(3)["z"].numpy()[-1])
    runs.clear()
    terms = artifact.bind("log_prob", rows)(x=whole[::-1])["log_prob"].numpy()
    assert len({session for (session,) in runs}) == 3
    np.testing.assert_allclose(terms, artifact.log_prob(whole[::-1]), rtol=1e-5)


def test_threads_that_share_operators_sleep_after_a_call(three_cores):
    artifact, spent = zoo.open("ddpm.digits", device="cpu"), 0.0
    for _ in range(5):
        artifact.sample(1, label=3, seed=0, steps=1)
        begin = time.process_time()
        time.sleep(0.05)
        spent += time.process_time() - begin
    assert threads_of(artifact) == [0]
    assert spent < 0.05


def test_a_loop_is_as_much_work_as_its_steps(three_cores):
    artifact = zoo.open("ebm.moons", device="cpu")
    rows = 4 * PART // artifact.manifest.methods["sample"].work // 20
    artifact.sample(rows, seed=0, steps=1)
    assert threads_of(artifact) == [1]
    x = artifact.sample(rows, seed=0, steps=20)
    assert threads_of(artifact) == [1] * 3
    np.testing.assert_allclose(x[-1:], artifact.sample(1, seed=0, start=rows - 1, steps=20), rtol=1e-4, atol=1e-5)


def test_threads_share_operators_where_rows_are_few(monkeypatch):
    monkeypatch.setattr("zoo.artifact.threads.cores", lambda: 100)
    artifact = zoo.open("ddpm.digits", device="cpu")
    artifact.sample(2, label=3, seed=0, steps=1)
    assert threads_of(artifact) == [0]


def test_what_fails_in_a_part_is_said(monkeypatch):
    monkeypatch.setattr("zoo.artifact.threads.cores", lambda: 2)
    artifact = zoo.open("realnvp.digits", device="cpu")

    class Full:
        start = 0

        def run(self, outputs, feed, options):
            if feed["index"][0] == self.start:
                raise RuntimeError("no memory")
            return [np.zeros((len(feed["index"]), *artifact.space.shape), artifact.space.dtype)]

    rows = 3 * PART // artifact.manifest.methods["sample"].work
    monkeypatch.setattr(artifact.sessions, "create", lambda method, threads: Full())
    for full in (0, rows // 2):
        monkeypatch.setattr(Full, "start", full)
        with pytest.raises(ZooError, match="no memory"):
            artifact.sample(rows, seed=0)


def test_the_samples_of_a_bound_are_work_too(three_cores):
    artifact = zoo.open("vae.digits", device="cpu")
    artifact.bind("log_prob", 2, samples=1)
    artifact.bind(
        "log_prob",
        2,
        samples=SHARED * artifact.manifest.methods["log_prob"].operators // artifact.manifest.methods["log_prob"].work,
    )
    assert threads_of(artifact) == [1, 0]
