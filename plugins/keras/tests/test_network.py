"""The base class and the learner, on the architectures at hand."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from zoo_keras.backend import keras, layers, ops
from zoo_keras.learner import KerasLearner
from zoo_keras.network import KerasNetwork, named_weights

import zoo
from zoo import noise
from zoo.errors import InputError
from zoo.network import Objective, Recipe
from zoo.signature import Call, Tensor
from zoo.spaces import Image, Labels, Real, Text

DIGITS = Labels(tuple("0123456789"))
IMAGE = Image(8, 8, 1, levels=17)
CASES = {
    "mlp": ("mlp", Real(4), Labels(("a", "b")), {}),
    "cnn": ("cnn", IMAGE, DIGITS, {}),
    "vae": ("vae", IMAGE, DIGITS, {"conditional": True}),
    "lstm": ("lstm", Text(5, "abc"), None, {}),
}


def network(case: str, seed: int = 0) -> KerasNetwork:
    name, space, classes, config = CASES[case]
    return zoo.create(name, space, config=config, classes=classes, seed=seed).network


def batch(net: KerasNetwork, objective: str, step: int, rows: int = 8) -> tuple[dict, dict]:
    call = net.objectives()[objective].loss
    inputs = {"x": net.space.examples("random", rows, seed=step)}
    if "label" in call.inputs:
        inputs["label"] = np.arange(rows) % len(net.classes)
    index = np.arange(rows) + rows * step
    return inputs, {n: noise.draw(d, index, seed=0, stream=n) for n, d in call.noise.items()}


def train(learner: KerasLearner, steps: range) -> None:
    for step in steps:
        for name in learner.objectives:
            learner.step(name, *batch(learner.network, name, step), 1e-3 * (step + 1))


def same(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("case", CASES)
def test_arrays_round_trip(case: str) -> None:
    one, other = network(case, seed=1), network(case, seed=2)
    arrays = one.arrays()
    assert list(arrays) == list(other.arrays())
    assert len(arrays) == len(one.weights)
    assert not same(arrays, other.arrays())
    assert all(a.flags.c_contiguous and a.flags.owndata for a in arrays.values())
    other.load_arrays(arrays)
    assert same(arrays, other.arrays())


def test_names_are_attribute_paths() -> None:
    assert list(network("cnn").arrays()) == [
        *(f"convolutions.{i}.{w}" for i in range(2) for w in ("kernel", "bias")),
        "head.kernel",
        "head.bias",
    ]
    assert {"base", "down.0.kernel", "posterior.bias", "up.1.bias"} <= set(network("vae").arrays())


def test_shared_layers_have_one_name() -> None:
    class Shared(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Dense(3)
            self.again = [self.first, layers.Dense(2)]
            self.rest = {"a": keras.Sequential([layers.Dense(4), layers.Dense(5)])}

    model = Shared()
    model.rest["a"](model.again[1](model.first(ops.zeros((1, 3)))))
    weights = named_weights(model)
    assert len(weights) == len(model.weights) == 8
    assert {n.rpartition(".")[0] for n in weights} == {"first", "again.1", "rest.a.0", "rest.a.1"}


def test_create_leaves_random_state_alone() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), float(torch.rand(()))

    def seed() -> None:
        random.seed(5), np.random.seed(5), torch.manual_seed(5)

    seed()
    expected = draws()
    seed()
    one = network("vae", seed=3).arrays()
    assert draws() == expected
    assert same(one, network("vae", seed=3).arrays())  # and does not depend on it


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_learner_goes_on_bit_for_bit(case: str, ema: float) -> None:
    recipe = Recipe(weight_decay=0.01, clip=1.0, ema=ema)
    whole = network(case).learner(recipe)
    train(whole, range(6))
    first = network(case).learner(recipe)
    train(first, range(3))
    state = first.state()
    train(first, range(3, 4))  # the state is a copy
    second = network(case, seed=9).learner(recipe)
    second.load_state(state)
    train(second, range(3, 6))
    assert same(whole.state(), second.state())
    assert same(whole.weights(), second.weights())
    assert same(whole.weights(), whole.network.arrays()) is (ema == 0)
    name = next(iter(whole.objectives))
    given = batch(whole.network, name, 99)
    assert same(whole.evaluate(name, *given), second.evaluate(name, *given))


def test_evaluate_uses_the_weights_that_are_kept() -> None:
    learner = network("cnn").learner(Recipe(ema=0.9))
    train(learner, range(3))
    given = batch(learner.network, "cross_entropy", 50)
    now, loss = learner.network.arrays(), learner.evaluate("cross_entropy", *given)["loss"]
    assert loss.shape == (8,)
    assert loss.dtype == np.float32
    assert same(now, learner.network.arrays())
    kept = network("cnn")
    kept.load_arrays(learner.weights())
    assert np.array_equal(loss, kept.learner(Recipe()).evaluate("cross_entropy", *given)["loss"])


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_ships_float32(precision: str) -> None:
    for case in CASES:
        net = network(case)
        learner = net.learner(Recipe(), precision=precision)
        before = net.arrays()
        name = next(iter(learner.objectives))
        losses = [learner.step(name, *batch(net, name, 0), 1e-3)["loss"] for _ in range(12)]
        assert losses[-1] < losses[0]
        assert not same(before, net.arrays())
        assert {a.dtype for a in net.arrays().values()} == {np.dtype("float32")}
        assert all(layer.compute_dtype == "float32" for layer in net._flatten_layers())


def test_what_keras_cannot_do() -> None:
    with pytest.raises(InputError, match="one device"):
        network("cnn").learner(Recipe(), devices=2)
    with pytest.raises(InputError, match="precision"):
        network("cnn").learner(Recipe(), precision="8-bit")


class Two(KerasNetwork):
    """Two objectives for two parts, as in a GAN."""

    Config = type("Config", (), {"__dataclass_fields__": {}})
    spaces = (Real,)

    def __init__(self, space: Real, config: object, classes: Labels | None = None) -> None:
        super().__init__(space, config, classes)
        self.left, self.right = layers.Dense(1), layers.Dense(1)

    def methods(self) -> dict:
        return {}

    def objectives(self) -> dict[str, Objective]:
        def call(layer: layers.Dense) -> Call:
            def error(x: torch.Tensor) -> torch.Tensor:
                return ops.mean((layer(x) - 1) ** 2, axis=1)

            return Call(error, {"x": self.space.tensor}, {"loss": Tensor("float32")})

        return {"a": Objective(call(self.left), ("left",)), "b": Objective(call(self.right), ("right",))}


def test_objectives_train_their_own_parts() -> None:
    net = Two(Real(3), None)
    net.build()
    learner, before = net.learner(Recipe(ema=0.5)), net.arrays()
    learner.step("a", {"x": net.space.examples("random", 4)}, {}, 0.1)
    after = net.arrays()
    assert [n for n in before if not np.array_equal(before[n], after[n])] == ["left.kernel", "left.bias"]
    learner.step("b", {"x": net.space.examples("random", 4)}, {}, 0.1)
    assert not np.array_equal(net.arrays()["right.kernel"], before["right.kernel"])


def in_new_process(code: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


def test_specs_import_no_keras() -> None:
    code = """
import os, sys, zoo_keras
list(zoo_keras.zoo_architectures())
print("keras" in sys.modules, "torch" in sys.modules, "KERAS_BACKEND" in os.environ)
"""
    assert in_new_process(code).stdout.split() == ["False"] * 3


def test_another_backend_is_refused() -> None:
    code = """
import sys, types
keras = types.ModuleType("keras")
keras.backend = types.SimpleNamespace(backend=lambda: "jax")
keras.layers = keras.ops = None
sys.modules["keras"] = keras
import zoo_keras.backend
"""
    result = in_new_process(code)
    assert "ZooError" in result.stderr
    assert "KERAS_BACKEND=torch" in result.stderr
