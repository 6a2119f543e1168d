"""Without a framework: genzoo[cpu], genzoo-data and genzoo-pretrained in a separate environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERYTHING = """
import importlib.util, json, sys
import numpy as np
import zoo
for framework in ("torch", "keras", "onnx", "sklearn", "scipy"):
    assert importlib.util.find_spec(framework) is None, framework
done = {}
for name in zoo.list_models("*.*"):
    assert zoo.show(name)["test"]
    model = zoo.open(name, device="cpu")
    given = {}
    if model.classes:
        given = {"label": 0}
    label = lambda method: given if "label" in model.signature(method).inputs else {}
    x = model.space.examples("random", 3)
    if "sample" in model.signatures:
        x = model.sample(3, seed=1, **label("sample"))
        model.space.check(x)
    if "log_prob" in model.signatures:
        assert np.isfinite(model.log_prob(x, **label("log_prob"))).all()
    if "predict" in model.signatures:
        assert np.isfinite(model.predict(x)).all()
    done[name] = sorted(model.signatures)
print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The Python of an environment with genzoo[cpu], its data sets and presets, and no framework."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]  # most is never imported
    plugins = [ROOT / "plugins" / "data", ROOT / "plugins" / "pretrained"]
    subprocess.run([*pip, f"{ROOT}[cpu]", *plugins], check=True, capture_output=True)
    return python


def test_every_preset_lists_shows_opens_samples_and_scores(bare, tmp_path):
    result = subprocess.run([bare, "-c", EVERYTHING], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    done = json.loads(result.stdout)
    assert {name.partition(".")[0] for name in done} >= {
        *("realnvp", "maf", "made", "transformer", "pixelcnn", "ebm", "ddpm", "dcgan"),
        *("mlp", "cnn", "vae", "lstm"),
    }


def test_embedded_data_sets_are_in_the_wheel_with_their_licenses(bare, tmp_path):
    code = """
from importlib import metadata, resources
import zoo
for name in ("digits", "emoji", "pixel-faces", "adult", "diamonds"):
    print(zoo.load_dataset(name).train.shape)
files = {file.name for file in resources.files("zoo_data").joinpath("files").iterdir()}
licenses = {file.name for file in metadata.files("genzoo-data") if "licenses" in file.parts}
there = {f"{name}.LICENSE" for name in ("emoji", "pixel-faces", "adult", "diamonds")}
assert there <= files & licenses, (files, licenses)
"""
    result = subprocess.run([bare, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    pictures = ["(1259, 8, 8, 1)", "(2854, 32, 32, 3)", "(14000, 16, 16, 3)"]
    assert result.stdout.splitlines() == [*pictures, "(22793, 20)", "(37758, 17)"]


def test_what_needs_a_framework_says_what_to_install(bare, tmp_path):
    def zoo(*words):
        return subprocess.run([bare.parent / "zoo", *words], capture_output=True, text=True, cwd=tmp_path, check=False)

    for words in (("train", "realnvp", "--data", "moons", "--out", "run"), ("export", "maf.digits", "--out", "out")):
        result = zoo(*words)
        assert result.returncode == 2
        assert "genzoo-" in result.stderr
        assert "Traceback" not in result.stderr
    result = zoo("new-plugin", "tiny", "--framework", "numpy", "--out", str(tmp_path / "a" / "tiny"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a" / "tiny" / "src" / "tiny" / "tiny.py").exists(), "the templates are in the wheel"
    shutil.rmtree(tmp_path / "a")
    result = zoo("sample", "lstm.names", "-n", "5", "--seed", "1")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) == 5
    assert list(tmp_path.iterdir()) == []
