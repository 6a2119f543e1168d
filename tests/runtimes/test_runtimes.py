"""Every method of every preset in other runtimes, using only its `.onnx` file: the rows equal those of `zoo.open`."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

import zoo
from zoo import registry
from zoo.parity.cases import another, make_inputs
from zoo.parity.differences import SCALES, difference

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PRESETS = zoo.list_models("*.*")
RUNTIMES = ("onnxruntime-node", "onnxruntime-web", "oldest onnxruntime", "newest onnxruntime", "onnx")
# rows of different seeds in one batch, with more digits than a float64 has
SEEDS, INDICES = [2**53 + 1, -5, 7], [3, 2**53 + 1, 0]
TOLERANCE = 1e-5
CHAINS = {("ebm.digits", "sample"): 1e-3, ("ebm.moons", "sample"): 1e-3}  # long Langevin chains amplify the last bit

# What a runtime has wrong, and its last version that was seen to: onnx's ReferenceEvaluator takes GatherElements along
# the last axis for one of a matrix by a column.
FAULTS = {
    ("onnx", f"{preset}/log_prob"): "1.23.2"
    for preset in ("lstm.names", "made.digits", "nsf.moons", "pixelcnn.digits", "transformer.names")
}
FAULTS |= {("onnx", f"nsf.moons/{method}"): "1.23.2" for method in ("sample", "encode", "decode")}


class Call:
    """One call of a method: inputs by name, as any runtime takes them, and the outputs of `zoo.open`."""

    def __init__(self, preset: str, method: str) -> None:
        artifact = zoo.open(preset, device="cpu")
        signature = artifact.signature(method)
        self.preset, self.method = preset, method
        self.model = artifact.folder / artifact.manifest.methods[method].file
        inputs = make_inputs(artifact, signature, "random", len(SEEDS))
        options = {name: another(o, "boundary") for name, o in signature.options.items()}
        rows = {"seed": np.array(SEEDS), "index": np.array(INDICES), **inputs}
        self.inputs = {name: rows[name] for name in signature.row_inputs}
        self.options = {name: np.array(v, signature.options[name].dtype) for name, v in options.items()}
        given = {name: signature.options[name].given(v) for name, v in options.items()}
        self.outputs = artifact.run(method, inputs, seed=SEEDS, index=INDICES, **given)

    def __repr__(self) -> str:
        return f"{self.preset}/{self.method}"

    def to_json(self) -> dict[str, object]:
        inputs = {name: encode(a) for name, a in (self.inputs | self.options).items()}
        return {"model": str(self.model), "inputs": inputs}

    def check(self, result: dict) -> None:
        assert "error" not in result, f"{self}: {result['error']}"
        assert result["outputs"].keys() == self.outputs.keys()
        for name, expected in self.outputs.items():
            error = difference(expected, decode(result["outputs"][name]), SCALES.get(self.method))
            tolerance = CHAINS.get((self.preset, self.method), TOLERANCE) if expected.dtype.kind == "f" else 0
            assert error <= tolerance, f"{self}: {name} differs by {error:.2g}"


def encode(array: np.ndarray) -> dict[str, object]:
    data = base64.b64encode(np.ascontiguousarray(array)).decode()
    return {"dtype": str(array.dtype), "shape": array.shape, "data": data}


def decode(array: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["data"]), array["dtype"]).reshape(array["shape"])


@pytest.fixture(scope="module")
def calls():
    return [Call(preset, method) for preset in PRESETS for method in registry.model(preset).methods]


@pytest.fixture(scope="module")
def oldest(tmp_path_factory):
    """The folder of the oldest onnxruntime that genzoo[cpu] admits."""
    (requirement,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cpu"]
    folder = tmp_path_factory.mktemp("oldest")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder]
    subprocess.run([*install, requirement.replace(">=", "==")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def results(calls, request, tmp_path_factory):
    """What a runtime gives for each call, by its name."""
    made = {}

    def get(runtime: str) -> dict[Call, dict]:
        if runtime not in made:
            file = tmp_path_factory.mktemp("calls") / "calls.json"
            file.write_text(json.dumps([call.to_json() for call in calls]))
            command, variables = [sys.executable, HERE / "run.py", runtime.split()[-1]], {}
            if runtime.startswith("onnxruntime-"):
                command = [node(), HERE / "run.mjs", runtime]
            if runtime.startswith("oldest"):
                variables = {"PYTHONPATH": str(request.getfixturevalue("oldest"))}
            done = subprocess.run([*command, file], env=os.environ | variables, check=False, capture_output=True)
            assert (done.returncode, done.stderr.decode()) == (0, ""), "a runtime that fails, or warns of a file"
            made[runtime] = dict(zip(calls, json.loads(done.stdout), strict=True))
        return made[runtime]

    return get


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no Node on this machine")
    if not (HERE / "node_modules").is_dir():
        pytest.skip("onnxruntime-node and onnxruntime-web are not installed: make test, or npm ci in tests/runtimes")
    return found


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_the_javascript_of_the_docs(package, tmp_path):
    command = node()
    _, _, rest = (ROOT / "docs" / "runtimes.md").read_text().partition("```js\n")
    (tmp_path / "sample.mjs").write_text(rest.partition("```")[0].replace('"onnxruntime-node"', f'"{package}"'))
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    artifact = zoo.open("ddpm.digits", device="cpu")
    shutil.copytree(artifact.folder, tmp_path / "out" / "digits")
    done = subprocess.run([command, "sample.mjs"], cwd=tmp_path, check=True, capture_output=True, text=True)
    x, options = json.loads(done.stdout), {"steps": 20, "order": 2, "eta": 0, "guidance": 1.25}
    expected = artifact.sample(seed=[7, 7, 2026], index=[0, 1, 0], label=[3, 3, 8], **options)
    np.testing.assert_array_equal(np.reshape(x["data"], x["shape"]), expected)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rows_are_those_of_python(runtime, preset, results):
    for call, result in results(runtime).items():
        if call.preset != preset:
            continue
        seen = FAULTS.get((runtime, str(call)))
        wrong = seen is not None and Version(version(runtime)) <= Version(seen)
        with pytest.raises(AssertionError) if wrong else contextlib.nullcontext():
            call.check(result)
