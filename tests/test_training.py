"""Training is a function of its seed: killed and resumed, or not, it ends with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import zoo
from zoo import checkpoint
from zoo.data import load_dataset
from zoo.errors import CorruptFile, InputError, OutputError, ZooError
from zoo.training import Interrupted

SMALL = {"layers": 2, "hidden": 8}

KILLS = """
# Imports once, then trains in forked processes: one undisturbed, then eleven, of which ten are killed.
import os, random, signal, sys, time
import zoo, zoo_torch.learner
folder, data = sys.argv[1:]

def start(run):
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, os.fdopen(reader)
    say = lambda status: os.write(writer, f"{status.step} {status.steps}\\n".encode())
    try:
        small = {"layers": 2, "hidden": 8}
        zoo.train("realnvp", data, run, epochs=30, batch_size=32, ema=0.9, config=small, progress=say, save_every=0.05)
    except zoo.errors.OutputError:
        zoo.resume(run, progress=say, save_every=0.05)
    os._exit(0)

moments = random.Random(0)
for kill in range(-1, 11):
    process, steps = start(f"{folder}/whole" if kill < 0 else f"{folder}/killed")
    print(steps.readline().strip(), flush=True)  # the training has begun, or gone on
    if 0 <= kill < 10:
        time.sleep(0.3 * moments.random())
        os.kill(process, signal.SIGKILL)
    for line in steps:
        pass
    os.waitpid(process, 0)
print(line.strip())
"""


def ctrl_c_at(step):
    """A progress callback that presses Ctrl-C at a step."""
    return lambda status: signal.raise_signal(signal.SIGINT) if status.step == step else None


def weights(run):
    return checkpoint.load(run, "model")[1]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    x = load_dataset("moons").train[:1500]
    path.write_text("x,y\n" + "\n".join(f"{a},{b}" for a, b in x))
    return path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_killed_at_ten_random_moments_ends_with_the_same_bits(table, tmp_path):
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads would not survive the fork
    script = subprocess.run(
        [sys.executable, "-c", KILLS, tmp_path, table], check=True, capture_output=True, text=True, env=one_thread
    )
    firsts = [int(line.split()[0]) for line in script.stdout.splitlines()[1:-1]]
    last, total = map(int, script.stdout.splitlines()[-1].split())
    assert firsts[1] > firsts[0], "no kill came after a save"
    assert firsts[-1] < total == last, "the training was over before it was killed ten times"
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(np.array_equal(whole[k], killed[k]) for k in whole)


def test_a_kill_between_model_and_state_loses_nothing(tmp_path, monkeypatch):
    def train(run):
        return zoo.train("realnvp", "moons", run, epochs=2, batch_size=1000, config=SMALL)

    def killed(folder, name, meta, arrays, save=checkpoint.save):
        if name == "training" and meta["position"]["done"]:
            raise SystemExit
        save(folder, name, meta, arrays)

    train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(SystemExit):
            train(tmp_path / "killed")
    zoo.resume(tmp_path / "killed")
    whole, again = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(np.array_equal(whole[k], again[k]) for k in whole)


def test_the_average_of_weights_leaves_integers_alone():
    from zoo.network import Recipe

    data = load_dataset("digits")
    network = zoo.create("maf", data.space).network
    learner = network.learner(Recipe(ema=0.997))
    ((name, objective),) = network.objectives().items()
    for step in range(60):
        noise = {n: zoo.noise.draw(d, np.arange(8), seed=step, stream=n) for n, d in objective.loss.noise.items()}
        learner.step(name, {"x": data.train[:8]}, noise, 1e-3)
    averaged = dict(learner.average.module.named_buffers())
    for name, buffer in network.named_buffers():
        if not buffer.is_floating_point():
            assert (averaged[name] == buffer).all(), name


def averaged(kind, ema, values):
    """What a learner evaluates and keeps of a weight that takes these values, one after each step."""
    from zoo.network import Recipe

    data = load_dataset("digits")
    network = zoo.create(kind, data.space, classes=data.classes).network
    learner = network.learner(Recipe(ema=ema))
    ((name, objective),) = network.objectives().items()
    inputs = {"x": data.train[:4], "label": data.labels["train"][:4]}
    noise = {n: zoo.noise.draw(d, np.arange(4), seed=0, stream=n) for n, d in objective.loss.noise.items()}
    weight = next(reversed(network.arrays()))
    for value in values:
        network.load_arrays({n: np.full_like(a, value) for n, a in network.arrays().items()})
        learner.step(name, {n: inputs[n] for n in objective.loss.inputs}, noise, 1e-30)
    return learner.weights()[weight].flat[0]


@pytest.mark.parametrize("kind", ["maf", "mlp"])
def test_an_average_warms_up_with_the_step(kind):
    values, expected = [5.0, 1.0, 2.0, 3.0], 5.0
    for count, value in enumerate(values[1:], start=1):
        decay = min(0.3, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * value
    assert averaged(kind, 0.3, values) == pytest.approx(expected, rel=1e-5)
    assert averaged(kind, 0.001, values) == pytest.approx(3.0, rel=1e-2)


def test_the_seed_decides(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        zoo.train("realnvp", "moons", tmp_path / name, epochs=1, batch_size=1000, seed=seed, config=SMALL)
    a, b, c = (weights(tmp_path / n) for n in "abc")
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert any(not np.array_equal(a[k], c[k]) for k in a)


def test_early_stopping_keeps_the_best_weights(tmp_path):
    data = load_dataset("moons")
    small = zoo.data.Dataset("few", data.space, data.train[:64], data.validation[:64], data.test[:64])
    model = zoo.train(
        "realnvp",
        small,
        tmp_path / "run",
        epochs=400,
        batch_size=32,
        learning_rate=0.03,
        patience=5,
        schedule="constant",
    )
    history = checkpoint.load(tmp_path / "run", "training")[0]["position"]["history"]
    best = min(row["validation"]["value"] for row in history)
    assert len(history) < 400
    assert model.meta["card"]["validation"]["nll"]["value"] == best
    assert -model.log_prob(small.validation).mean() == pytest.approx(best, rel=1e-5)


def test_resuming_a_finished_run_changes_nothing(run):
    before = weights(run)
    after = zoo.resume(run).network.arrays()
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_data_that_changed_is_noticed(table, tmp_path):
    copy = tmp_path / "rows.csv"
    copy.write_text(table.read_text())
    with pytest.raises(Interrupted):
        zoo.train("realnvp", copy, tmp_path / "run", epochs=2, config=SMALL, progress=ctrl_c_at(3))
    copy.write_text(copy.read_text().replace("\n", "\n0.5,0.5\n", 1) + "\n1.0,1.0")
    with pytest.raises(InputError, match="has changed"):
        zoo.resume(tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    with pytest.raises(ZooError, match="lower learning rate"):
        zoo.train("realnvp", "moons", tmp_path / "run", epochs=50, learning_rate=1e18, clip=0, config=SMALL)


def test_mistakes_are_told_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    for wrong, message in (
        ({"config": {"layer": 3}}, "Did you mean 'layers'"),
        ({"config": {"layers": "many"}}, "expected a value like"),
        ({"epochs": 0}, "at least 1"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": 1e300}, "learning_rate is 1e.300; expected at least 1e-12 and at most 1e.20"),
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"schedule": "linear"}, "cosine"),
        ({"ema": 2}, "at most"),
        ({"betas": (0.9, 1.5)}, "betas"),
        ({"config": {"layers": -1}}, "cannot be made"),
        ({"batch_size": 1, "devices": 2}, "one row for each"),
        ({"device": "cuda"}, "CUDA"),
    ):
        with pytest.raises(ZooError, match=message):
            zoo.train("realnvp", "moons", out, **wrong)
        assert not out.exists()
    with pytest.raises(InputError, match="models"):
        zoo.train("realnvp", zoo_names(), out)
    out.mkdir()
    (out / "precious.txt").write_text("keep")
    for force in (False, True):
        with pytest.raises(OutputError):
            zoo.train("realnvp", "moons", out, force=force)
    assert [p.name for p in out.iterdir()] == ["precious.txt"]


def zoo_names():
    space = zoo.Text(4, "ab")
    x = space.encode(["a", "ab", "b", "ba"] * 5)
    return zoo.data.Dataset("strings", space, x, x, x)


def test_an_altered_or_truncated_checkpoint_is_named(run, tmp_path):
    for harm in ("altered", "truncated", "json"):
        copy = tmp_path / harm
        shutil.copytree(run, copy)
        (weights_file,) = copy.glob("model-*.safetensors")
        data = bytearray(weights_file.read_bytes())
        if harm == "altered":
            data[-5] ^= 1
        elif harm == "truncated":
            del data[-100:]
        else:
            (copy / "model.json").write_text('{"schema": 1, ')
        weights_file.write_bytes(bytes(data))
        with pytest.raises(CorruptFile, match="model"):
            zoo.load(copy)


def test_a_checkpoint_of_a_newer_schema_asks_for_an_upgrade(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    meta = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**meta, "schema": 99}))
    with pytest.raises(InputError, match="Upgrade"):
        zoo.load(copy)


def test_data_parallel_training_on_two_processes(tmp_path):
    code = """
import sys, zoo
small = {"layers": 2, "hidden": 8}
zoo.train("realnvp", "moons", sys.argv[1], epochs=1, batch_size=512, devices=2, config=small)
"""
    script = tmp_path / "two.py"
    script.write_text(code)
    subprocess.run([sys.executable, script, tmp_path / "two"], check=True, capture_output=True, timeout=120)
    zoo.train("realnvp", "moons", tmp_path / "one", epochs=1, batch_size=512, config=SMALL)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:  # the same gradients, summed in another order
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("architecture", "data"), [("mlp", "digits"), ("realnvp", "moons"), ("dcgan", "digits")])
def test_stopped_by_ctrl_c_and_resumed_it_ends_with_the_same_bits(architecture, data, tmp_path):
    recipe = {"epochs": 3, "batch_size": 400 if data == "digits" else 2000, "ema": 0.9}

    zoo.train(architecture, data, tmp_path / "whole", **recipe)
    with pytest.raises(Interrupted, match="--resume"):
        zoo.train(architecture, data, tmp_path / "stopped", progress=ctrl_c_at(4), **recipe)
    zoo.resume(tmp_path / "stopped")
    whole, again = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert whole.keys() == again.keys()
    assert all(np.array_equal(whole[k], again[k]) for k in whole)


# ---- nothing lost


def test_force_keeps_the_old_run_until_the_new_one_is_saved(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    before = weights(folder)

    def fails(status):
        assert status.record.recipe.epochs == 7
        raise RuntimeError

    with pytest.raises(RuntimeError):
        zoo.train("realnvp", "moons", folder, force=True, epochs=7, config=SMALL, progress=fails)
    assert all(np.array_equal(a, before[k]) for k, a in weights(folder).items())
    with pytest.raises(Interrupted, match=f"--resume {folder}"):
        zoo.train("realnvp", "moons", folder, force=True, epochs=7, config=SMALL, progress=ctrl_c_at(2))
    assert checkpoint.load(folder, "training")[0]["position"]["step"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".json", ".png", ".safetensors"]


def test_force_spares_what_others_put_beside_a_run(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    backup = folder / "model-backup.safetensors"
    backup.write_text("precious")
    with pytest.raises(OutputError, match=r"holds model-backup\.safetensors"):
        zoo.train("realnvp", "moons", folder, force=True, epochs=1, config=SMALL)
    checkpoint.save(folder, "model", {}, {"x": np.zeros(3)})
    assert backup.read_text() == "precious"
    backup.unlink()
    for changed in (*folder.glob("training-*.safetensors"), folder / "model.json"):
        before = changed.read_bytes()
        changed.write_bytes(b"{}")
        with pytest.raises(OutputError, match=f"holds {changed.name}, which"):
            zoo.train("realnvp", "moons", folder, force=True, epochs=1, config=SMALL)
        changed.write_bytes(before)
    (tmp_path / "recipe.json").write_text('{"schema": 1, "name": "Apple pie", "ingredients": ["apples"]}')
    with pytest.raises(OutputError, match="not replaced"):
        zoo.train("realnvp", "moons", tmp_path, force=True, epochs=1, config=SMALL)


def test_one_process_at_a_time_trains_in_a_folder(run, tmp_path):
    folder = tmp_path / "run"
    seen = []

    def others(status):
        if status.step == 1:
            for again in (zoo.resume, lambda out: zoo.train("realnvp", "moons", out, force=True)):
                with pytest.raises(OutputError, match=f"trained by process {os.getpid()} of ") as said:
                    again(folder)
                seen.append(str(said.value))
        ctrl_c_at(3)(status)

    with pytest.raises(Interrupted):
        zoo.train("realnvp", "moons", folder, epochs=2, config=SMALL, progress=others)
    assert len(seen) == 2
    assert not (folder / "training.lock").exists()
    (folder / "training.lock").write_text("process 1, which was killed")
    with pytest.raises(Interrupted):
        zoo.resume(folder, progress=ctrl_c_at(5))


def test_half_precision_rounds_neither_observations_nor_noise():
    """Levels of noise are counted to 1,000, of which bfloat16 tells apart 256; float16 ends at 65,504."""
    from zoo.network import Recipe

    data = load_dataset("digits")
    network = zoo.create("ddpm", data.space, config={"channels": 16}).network
    learner = network.learner(Recipe(), precision="bf16-mixed")
    noise = {"z": np.zeros((2, *network.pixels.shape), np.float32), "u": np.full((2, 2), 0.9999999, np.float32)}
    learner.step("denoising", {"x": data.train[:2]}, noise, 1e-3)
    far = zoo.create("realnvp", zoo.Real(2), config=SMALL).network
    far.adapt(np.array([[1e5, 1e5], [1e5 + 1, 1e5 + 2]], dtype=np.float32))
    outputs = far.learner(Recipe(), precision="bf16-mixed").step(
        "nll", {"x": np.array([[1e5, 1e5 + 1]], np.float32)}, {}, 0
    )
    assert abs(outputs["loss"]) < 10
