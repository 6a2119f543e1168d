"""An artifact opens wherever its files end up, however they got there, with weights inside its files or beside them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import zoo_torch

import zoo
from zoo.artifact import MANIFEST, WEIGHTS, hashed_files
from zoo.cli import main
from zoo.errors import CorruptFile, InputError, OutputError
from zoo.signature import Call, Loop, Noise, Option

SPACE = zoo.Real(32)


def model():
    """A chain with a weight in its loop, which is where links matter, and a method of one pass."""
    torch.manual_seed(0)
    step, encoder = torch.nn.Linear(32, 32), torch.nn.Linear(32, 32)
    loop = Loop(
        length=5, init=lambda index, z0, scale: {"y": z0}, finish=lambda state: state["y"],
        step=lambda i, state, z, scale: {"y": torch.tanh(step(state["y"])) * scale + z}, state={"y": SPACE.tensor},
        outputs={"x": SPACE.tensor}, init_noise={"z0": Noise("normal", (32,))}, noise={"z": Noise("normal", (32,))},
        options={"scale": Option(0.5)},
    )  # fmt: skip
    encode = Call(lambda x: encoder(x), inputs={"x": SPACE.tensor}, outputs={"z": SPACE.tensor})
    return zoo_torch.wrap(sample=loop, encode=encode, space=SPACE, name="chain")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The artifact with its weights inside of its files, and beside them."""
    folder = tmp_path_factory.mktemp("exported")
    zoo.export(model(), folder / "inside")
    zoo.export(model(), folder / "beside", limit=0)
    assert not (folder / "inside" / WEIGHTS).exists()
    assert (folder / "beside" / WEIGHTS).exists()
    return folder


@pytest.fixture
def rows(exported):
    return zoo.open(exported / "inside").sample(4, seed=7)


@pytest.fixture(params=["inside", "beside"])
def source(request, exported, tmp_path):
    """A copy of each artifact, to be linked to. The cache of this user is empty."""
    return Path(shutil.copytree(exported / request.param, tmp_path / "source"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def hard_links(source, folder):
    folder.mkdir()
    for file in source.iterdir():
        os.link(file, folder / file.name)


def symbolic_links(source, folder):
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)


def linked_folder(source, folder):
    folder.symlink_to(source)


def hugging_face_cache(source, folder):
    """`folder` is a snapshot: files are links to contents, which are named by their hashes."""
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    folder.mkdir()
    for file in source.iterdir():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blobs / digest)
        (folder / file.name).symlink_to(Path("..", "blobs", digest))


def kubernetes_volume(source, folder):
    """Files are links through `..data`, which is swapped when the volume changes."""
    shutil.copytree(source, folder / "..2026_11_28")
    (folder / "..data").symlink_to("..2026_11_28")
    for file in source.iterdir():
        (folder / file.name).symlink_to(Path("..data", file.name))


def read_only(source, folder):
    shutil.copytree(source, folder)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555)


LAYOUTS = [hard_links, symbolic_links, linked_folder, hugging_face_cache, kubernetes_volume, read_only]


@pytest.mark.parametrize("lay", LAYOUTS)
def test_a_layout_opens(lay, source, tmp_path, rows):
    lay(source, tmp_path / "laid")
    artifact = zoo.open(tmp_path / "laid")
    np.testing.assert_array_equal(artifact.sample(4, seed=7), rows)
    assert artifact.encode(rows).shape == rows.shape
    assert set(zoo.verify(tmp_path / "laid")) == {"sample", "encode"}


@pytest.mark.parametrize("lay", LAYOUTS)
def test_with_its_weights_inside_a_file_opens_in_onnxruntime_alone(lay, exported, tmp_path, rows, monkeypatch):
    lay(shutil.copytree(exported / "inside", tmp_path / "source"), tmp_path / "laid")
    monkeypatch.chdir("/")
    path = tmp_path / "laid" / "sample.onnx"
    for opened in (str(path), path.read_bytes()):
        run = ort.InferenceSession(opened, providers=["CPUExecutionProvider"])
        given = {"seed": np.full(4, 7), "index": np.arange(4), "scale": np.array(0.5, np.float32)}
        np.testing.assert_array_equal(run.run(["x"], given)[0], rows)


def test_only_what_has_to_be_is_copied_and_once(exported, cache, tmp_path):
    for lay in (linked_folder, symbolic_links, kubernetes_volume, read_only):
        lay(exported / "beside", tmp_path / lay.__name__)
        zoo.open(tmp_path / lay.__name__).sample(1, seed=0)
    assert not cache.exists()
    hugging_face_cache(exported / "beside", tmp_path / "snapshot")
    zoo.open(tmp_path / "snapshot").sample(1, seed=0)
    (copy,) = (cache / "genzoo" / "artifacts").iterdir()
    made = (copy / WEIGHTS).stat().st_ino
    zoo.open(tmp_path / "snapshot").sample(1, seed=0)
    assert [copy] == list((cache / "genzoo" / "artifacts").iterdir())
    assert (copy / WEIGHTS).stat().st_ino == made
    data = bytearray((copy / WEIGHTS).read_bytes())
    data[0] ^= 1
    (copy / WEIGHTS).write_bytes(data)
    with pytest.raises(CorruptFile, match=r"is altered.*It is a copy of .*snapshot/weights.bin: remove it"):
        zoo.open(tmp_path / "snapshot")
    (copy / WEIGHTS).unlink()
    zoo.open(tmp_path / "snapshot").sample(1, seed=0)


def test_where_nothing_can_be_copied_it_says_what_to_do(exported, cache, tmp_path):
    hugging_face_cache(exported / "beside", tmp_path / "snapshot")
    cache.write_text("a file where the cache should be")
    with pytest.raises(OutputError, match=r"weights.bin is a link, which onnxruntime rejects.* cp -rL "):
        zoo.open(tmp_path / "snapshot")


def test_the_working_directory_may_change(source, monkeypatch, tmp_path, rows):
    monkeypatch.chdir(source.parent)
    artifact = zoo.open(source.name)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(artifact.sample(4, seed=7), rows)


@pytest.fixture(scope="module")
def uv(tmp_path_factory):
    """The command uv, which links what it installs to its cache."""
    folder = tmp_path_factory.mktemp("uv")
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", folder, "uv"]
    done = subprocess.run(install, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"uv cannot be installed: {done.stderr.splitlines()[-1]}")
    return folder / "bin" / "uv"


PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "shipped"
version = "1.0"
[tool.setuptools]
packages = ["shipped"]
[tool.setuptools.package-data]
shipped = ["*/*"]
"""


def test_uv_pip_install(uv, exported, tmp_path, rows):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").write_text(PROJECT)
    shutil.copytree(exported, tmp_path / "project" / "shipped")
    (tmp_path / "project" / "shipped" / "__init__.py").touch()
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        "./project",
    ]
    subprocess.run(wheel, check=True, cwd=tmp_path, capture_output=True)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("UV_")}
    variables |= {"UV_CACHE_DIR": str(tmp_path / "uv-cache"), "UV_OFFLINE": "1", "UV_PYTHON": sys.executable}
    (file,) = tmp_path.glob("*.whl")
    for command in (["venv", tmp_path / "venv"], ["pip", "install", "-p", tmp_path / "venv", "--no-deps", file]):
        subprocess.run([uv, *command], check=True, env=variables, capture_output=True)
    (installed,) = (tmp_path / "venv").glob("lib/python*/site-packages/shipped")
    assert (installed / "beside" / WEIGHTS).stat().st_nlink > 1
    for name in ("inside", "beside"):
        np.testing.assert_array_equal(zoo.open(installed / name).sample(4, seed=7), rows)


def alter(folder: Path, name: str, data: bytes) -> None:
    """Write a file of an artifact, and its hash into the manifest."""
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("kept", [0, hashed_files.KEPT])
@pytest.mark.parametrize("location", ["/etc/passwd", "../../etc/passwd", "other.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_from_elsewhere_are_refused_in_subgraphs_too(kept, location, source, monkeypatch):
    monkeypatch.setattr(hashed_files, "KEPT", kept)
    proto = onnx.load(source / "sample.onnx", load_external_data=False)
    (loop,) = (node for node in proto.graph.node if node.op_type == "Loop")
    weight = max(loop.attribute[0].g.initializer, key=lambda tensor: np.prod(tensor.dims))
    weight.ClearField("raw_data")
    weight.ClearField("external_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    alter(source, "sample.onnx", proto.SerializeToString())
    with pytest.raises(CorruptFile, match=r"sample.onnx takes weights from .*, which is not a file of the artifact"):
        zoo.open(source).sample(1, seed=0)


@pytest.mark.parametrize("kept", [0, hashed_files.KEPT])
def test_replacing_the_folder_of_an_open_artifact_never_mixes_two(kept, source, monkeypatch, tmp_path, rows):
    """What was opened is what runs; where it is too large to be kept in memory, the change is said."""
    monkeypatch.setattr(hashed_files, "KEPT", kept)
    artifact = zoo.open(source)
    other = shutil.copytree(source, tmp_path / "other")
    proto = onnx.load(other / "sample.onnx", load_external_data=False)
    proto.producer_name = "another"
    alter(other, "sample.onnx", proto.SerializeToString())
    if (other / WEIGHTS).exists():
        alter(other, WEIGHTS, bytes((other / WEIGHTS).stat().st_size))
    source.rename(tmp_path / "old")
    other.rename(source)
    if kept and not (source / WEIGHTS).exists():
        np.testing.assert_array_equal(artifact.sample(4, seed=7), rows)
    else:
        with pytest.raises(CorruptFile, match=r"has changed since the artifact was opened. Open it again"):
            artifact.sample(4, seed=7)
    zoo.open(source).sample(4, seed=7)


@pytest.mark.parametrize("schema", [1, 2])
def test_earlier_schemas_are_refused_with_what_to_do(schema, source, capsys):
    manifest = json.loads((source / MANIFEST).read_text())
    (source / MANIFEST).write_text(json.dumps({"schema": schema, "name": manifest["name"], "methods": {}}))
    with pytest.raises(InputError, match=f"has schema {schema}; this version reads .* Export the checkpoint again"):
        zoo.open(source)
    for command in ("show", "verify", "sample"):
        with pytest.raises(SystemExit) as left:
            main([command, str(source), *(["-n", "1"] if command == "sample" else [])])
        assert left.value.code == 2
        assert f"has schema {schema}" in capsys.readouterr().err
