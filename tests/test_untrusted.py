"""Malicious graphs: `zoo.open(..., trust=False)` gives the usual results, and survives harmful graphs."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

import zoo
from zoo.artifact import EXAMPLES, Limits
from zoo.cli import main
from zoo.errors import CorruptFile, InputError, ZooError
from zoo.parity import comparison
from zoo.parity.cases import unpack

sys.path.append(str(Path(__file__).parent / "robustness"))
from graphs import ENDLESS, LARGE, OTHER_SHAPE, RANDOM, ZEROS, body, make, node

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of processes")
SHORT = Limits(seconds=1, memory=2**30)


# ---- the same rows ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trusted(artifact_folder):
    return zoo.open(artifact_folder)


@pytest.fixture(scope="module")
def untrusted(artifact_folder):
    artifact = zoo.open(artifact_folder, trust=False)
    yield artifact
    artifact.release()


def test_methods_give_what_they_give_elsewhere(trusted, untrusted):
    x = trusted.sample(50, seed=7)
    z = trusted.encode(x)
    for call in (
        lambda model: model.sample(50, seed=7),
        lambda model: model.sample(50, seed=7, chunk=13),
        lambda model: model.sample(seed=[7, 7], index=[3, 40]),
        lambda model: model.sample(5, seed=7, stream="other", start=3),
        lambda model: [c["x"] for c in model.stream("sample", count=50, seed=7, chunk=25)],
        lambda model: model.log_prob(x),
        lambda model: model.encode(x),
        lambda model: model.decode(z),
    ):
        np.testing.assert_array_equal(call(untrusted), call(trusted))


def test_classes_and_options_of_loops_arrive(untrusted):
    given = {"label": 3, "steps": 2, "guidance": 2.5}
    pictures = [zoo.open("ddpm.digits", trust=trust).sample(2, seed=1, **given) for trust in (True, False)]
    np.testing.assert_array_equal(*pictures)
    with pytest.raises(InputError, match="has no option"):
        untrusted.sample(2, steps=2)


def test_a_comparison_of_parts_of_a_loop_passes():
    artifact = zoo.open("ddpm.digits", trust=False)
    assert zoo.verify("ddpm.digits", trust=False, check="quick").keys() == artifact.signatures.keys()
    window = next(c for c in unpack(artifact.files.read(EXAMPLES)) if c.method == "sample")
    comparison.check(artifact, [window.first(1)])


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of JAX, where another test has imported it
def test_copies_threads_and_forks_have_processes_of_their_own(untrusted):
    expected = untrusted.sample(3, seed=1)
    twins = [untrusted, pickle.loads(pickle.dumps(untrusted)), copy.deepcopy(untrusted)]
    assert all(twin.limits == untrusted.limits for twin in twins)
    with ThreadPoolExecutor(4) as pool:
        for rows in pool.map(lambda model: model.sample(3, seed=1), twins * 2):
            np.testing.assert_array_equal(rows, expected)
    child = os.fork()
    if not child:
        signal.alarm(60)
        with suppress(BaseException):
            os._exit(0 if np.array_equal(untrusted.sample(3, seed=1), expected) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(untrusted.sample(3, seed=1), expected)


def test_what_cannot_be_run_elsewhere_is_said(artifact_folder, run, untrusted):
    with pytest.raises(InputError, match="cannot be bound"):
        untrusted.bind("sample", 3)
    with pytest.raises(InputError, match=r"CUDA|on the CPU"):
        zoo.open(artifact_folder, trust=False, device="cuda")
    with pytest.raises(InputError, match="limits are for"):
        zoo.open(artifact_folder, limits=SHORT)
    with pytest.raises(InputError, match="has no manifest"):  # a run has no graph; it is not run here instead
        zoo.open(run, trust=False)


# ---- graphs that mean harm -------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(artifact_folder, tmp_path):
    """A function that makes an artifact of this graph."""

    def made(graph):
        folder = tmp_path / "hostile"
        shutil.copytree(artifact_folder, folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["sample.onnx"] = {"sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph)}
        (folder / "sample.onnx").write_bytes(graph)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return made


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (ENDLESS, "takes longer than the 1 s"),
        (LARGE, "needs more than the 1.0 GiB"),
        (OTHER_SHAPE, r"gives x as float32 \(3, 5\); expected float32 \(3, 2\)"),
    ],
    ids=["endless", "large", "of another shape"],
)
def test_a_graph_that_does_not_behave_is_a_sentence_and_the_next_call_works(hostile, trusted, graph, says):
    artifact = zoo.open(hostile(graph), trust=False, limits=SHORT)
    for _ in range(2):
        with pytest.raises(ZooError, match=says):
            artifact.sample(3, seed=1)
        assert artifact.sessions.child is None
    x = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(artifact.log_prob(x), trusted.log_prob(x))


FUNCTION = helper.make_function(
    "own", "Harmless", ["like"], ["made"], [node("RandomNormalLike", ["like"], ["made"])], [helper.make_opsetid("", 20)]
)
THEN = body([node("RandomUniform", [], ["made"], shape=[3, 2])], [], [("made", onnx.TensorProto.FLOAT, [3, 2])])
REFUSED = {
    "random": (RANDOM, "RandomNormalLike"),
    "random in a subgraph": (
        make([node("If", ["true"], ["x"], then_branch=THEN, else_branch=THEN)], true=True),
        "RandomUniform",
    ),
    "random in a function": (
        make([ZEROS, node("Harmless", ["zeros"], ["x"], domain="own")], functions=[FUNCTION], domains=["own"]),
        "RandomNormalLike",
    ),
    "multinomial": (make([ZEROS, node("Multinomial", ["zeros"], ["x"], sample_size=2)]), "Multinomial"),
    "bernoulli": (make([ZEROS, node("Bernoulli", ["zeros"], ["x"])]), "Bernoulli"),
    "dropout": (make([ZEROS, node("Dropout", ["zeros", "", "on"], ["x"])], on=True), "Dropout"),
    "another domain": (
        make([ZEROS, node("Gelu", ["zeros"], ["x"], domain="com.microsoft")], domains=["com.microsoft"]),
        "com.microsoft.Gelu",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_operators_that_are_not_onnx_s_own_are_refused(hostile, what):
    graph, operator = REFUSED[what]
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=False)
    with pytest.raises(InputError, match=r"sample\.onnx has the operator .*an untrusted graph may only have"):
        zoo.open(hostile(graph), trust=False)
    assert operator in zoo.artifact.onnx_file.read_model_file(graph, "it").unusual


def test_presets_have_usual_operators_only():
    """What this genzoo exports can be opened without trust."""
    for name in zoo.list_models("*.*"):
        zoo.open(name, trust=False)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_crashes_is_a_sentence_and_the_next_call_starts_another(hostile, trusted, number):
    artifact = zoo.open(hostile(ENDLESS), trust=False)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(artifact.sample, 3, seed=1)
        child = wait_for(lambda: artifact.sessions.child)
        wait_for(lambda: processor_time(child.process.pid) > 1.5)  # the graph runs
        os.kill(child.process.pid, number)
        says = "was killed" if number == signal.SIGKILL else f"crashed the process that ran it .{number.name}"
        with pytest.raises(ZooError, match=says):
            call.result(20)
    x = np.zeros((3, 2), np.float32)
    np.testing.assert_array_equal(artifact.log_prob(x), trusted.log_prob(x))


def test_a_process_that_cannot_start_is_said(artifact_folder, monkeypatch):
    artifact = zoo.open(artifact_folder, trust=False)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ZooError, match=r"could not be started \(exit code 1\)"):
        artifact.sample(3, seed=1)


def test_an_idle_process_that_is_gone_is_started_again(untrusted):
    expected = untrusted.sample(3, seed=1)
    first = untrusted.sessions.child.process
    first.kill()
    first.wait()
    np.testing.assert_array_equal(untrusted.sample(3, seed=1), expected)
    assert untrusted.sessions.child.process.pid != first.pid


def test_files_that_change_after_opening_are_refused(hostile):
    folder = hostile(OTHER_SHAPE)
    artifact = zoo.open(folder, trust=False)
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + "\n")
    for count in (3, 100_000):  # it is refused before the rows have gone to the other process
        with pytest.raises(CorruptFile, match="has changed since it was opened"):
            artifact.sample(count, seed=1, chunk=count)


# ---- the command line ------------------------------------------------------------------------------------------------


def fails(*args, says):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == 2, f"{args}: {result.stderr}\n{result.exception!r}"
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_commands_run_untrusted_artifacts(artifact_folder, hostile, run, tmp_path):
    data = tmp_path / "x.csv"
    for words in (
        ["sample", artifact_folder, "-n", "3", "--seed", "1", "--out", data],
        ["score", artifact_folder, "--data", data],
        ["verify", artifact_folder, "--check", "quick"],
        ["inspect", artifact_folder / "sample.onnx", "--check"],
        ["bench", artifact_folder, "--method", "sample", "--batch", "1", "--seconds", "0.1"],
    ):
        result = CliRunner().invoke(main, [str(a) for a in (*words, "--untrusted")])
        assert result.exit_code == 0, f"{words}: {result.stderr}\n{result.exception!r}"
    folder, limit = hostile(ENDLESS), ["--untrusted", "--time-limit", "0.5"]
    fails("sample", folder, *limit, says="takes longer than the 0.5 s")
    fails("verify", folder, *limit, says="takes longer than the 0.5 s")
    fails("sample", run, "--untrusted", says="has no manifest.json")
    fails("sample", artifact_folder, "--time-limit", "1", says="are for --untrusted")


def with_graph(path, graph, folder):
    """A copy of a file in `folder` that says the same of itself, and has another graph."""
    model = onnx.load(path)
    model.graph.CopyFrom(onnx.load_from_string(graph).graph)
    model.opset_import[0].version = 20
    onnx.save(model, folder / path.name)
    return folder / path.name


def test_a_known_answer_is_checked_elsewhere(artifact_folder, tmp_path):
    path = with_graph(artifact_folder / "sample.onnx", ENDLESS, tmp_path)
    words = ["inspect", path, "--check", "--untrusted", "--time-limit", "1"]
    fails(*words, says="takes longer than the 1 s")
    with_graph(artifact_folder / "sample.onnx", REFUSED["random"][0], tmp_path)
    fails(*words, says="has the operator RandomNormalLike")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_child_too(hostile, number):
    command = [sys.executable, "-m", "zoo", "sample", str(hostile(ENDLESS)), "--untrusted"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        child = wait_for(lambda: next(iter(children(process.pid)), None))
        wait_for(lambda: processor_time(child) > 1.5)  # the graph runs
        process.send_signal(number)
        process.wait(10)
        said = process.stderr.read()
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in said
    wait_for(lambda: not (Path("/proc") / str(child)).exists())


def children(process):
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def processor_time(process):
    """Seconds of it that a process has had."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition, seconds=20):
    """The first value of a condition that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
