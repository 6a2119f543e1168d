"""Rows, order and noise of a training are a function of the split and the step."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import checkpoint, noise, registry
from zoo.data import Dataset, load_dataset
from zoo.network import Objective, Recipe
from zoo.signature import Call, Noise, Tensor
from zoo.training import merge_recipe
from zoo.training.batches import Batches, epoch_order
from zoo.training.recipe import learning_rate


def loss(**noises):
    inputs = {"x": Tensor("float32", (2,)), "label": Tensor("int64")}
    return Objective(Call(lambda **given: given, inputs, {"loss": Tensor("float32")}, noise=noises))


@pytest.fixture(scope="module")
def data():
    x = np.arange(2 * 1100, dtype=np.float32).reshape(-1, 2)
    y = (np.arange(1100) % 3).astype(np.int64)
    parts = {"train": slice(50), "validation": slice(50, 1090), "test": slice(1090, None)}
    return Dataset(
        "numbers",
        zoo.Real(2),
        **{split: x[part] for split, part in parts.items()},
        labels={split: y[part] for split, part in parts.items()},
        classes=zoo.Labels(("a", "b", "c")),
    )


@pytest.fixture
def batches(data):
    return Batches(data, Recipe(batch_size=16, epochs=4, seed=3), {"nll": loss(z=Noise("uniform", (5,)))})


def test_an_epoch_has_each_row_once_but_for_those_that_fill_no_batch(batches, data):
    assert (batches.per_epoch, batches.steps) == (3, 12)
    orders = []
    for epoch in range(4):
        rows = np.concatenate([batches.rows("train", step)[0] for step in range(3 * epoch, 3 * epoch + 3)])
        assert len(set(rows)) == 48
        orders.append(tuple(rows))
    assert len(set(orders)) == 4


def test_a_step_is_the_same_whatever_was_made_before(batches, data):
    late = Batches(data, Recipe(batch_size=16, epochs=9, seed=3), batches.objectives)
    for step in (11, 0, 5):
        epoch_order.cache_clear()
        ((_, here),), ((_, there),) = batches.training(step), late.training(step)
        for part, other in zip(here, there, strict=True):
            assert part.keys() == other.keys()
            assert all(np.array_equal(part[name], other[name]) for name in part)


def test_steps_that_are_looked_up_together_have_the_rows_that_they_have_alone(data, monkeypatch):
    def rows(ordered):
        monkeypatch.setattr("zoo.training.batches.ORDERED", ordered)
        batches = Batches(data, Recipe(batch_size=7, epochs=2), {"nll": loss()})
        assert batches.per_epoch == 7
        return np.concatenate([batches.rows("train", step)[0] for step in range(14)])

    order = [noise.permutation(50, seed=0, stream=f"order/{epoch}")[:49] for epoch in range(2)]
    for ordered in (1, 22, 1000):  # one step, three of seven, all
        assert np.array_equal(rows(ordered), np.concatenate(order))


def test_data_and_noise_belong_to_the_rows_of_a_step(batches, data):
    ((name, batch),) = batches.training(4)
    rows, examples = batches.rows("train", 4)
    assert name == "nll"
    assert np.array_equal(batch.inputs["x"], data.train[rows])
    assert np.array_equal(batch.inputs["label"], data.labels["train"][rows])
    assert list(examples) == list(range(64, 80))
    drawn = noise.draw(Noise("uniform", (5,)), examples, seed=3, stream="train/nll/z")
    assert np.array_equal(batch.noise["z"], drawn)


def test_processes_share_a_step(batches):
    ((_, whole),) = batches.training(7)
    shares = [dict(batches.training(7, rank=rank, world_size=3))["nll"] for rank in range(3)]
    for rank, share in enumerate(shares):
        assert np.array_equal(share.inputs["x"], whole.inputs["x"][rank::3])
        assert np.array_equal(share.noise["z"], whole.noise["z"][rank::3])


def test_validation_is_all_rows_in_their_order_with_the_same_noise_each_time(batches, data):
    first, second = (list(batches.validation("nll")) for _ in range(2))
    assert [len(batch.inputs["x"]) for batch in first] == [347, 347, 346]
    assert np.array_equal(np.concatenate([batch.inputs["x"] for batch in first]), data.validation)
    assert all(np.array_equal(a.noise["z"], b.noise["z"]) for a, b in zip(first, second, strict=True))


def test_the_numbers_stay_as_they_are():
    """Whoever has a run of before goes on with it to the same weights."""
    order = epoch_order(1000, seed=7, epoch=2, low=0, high=1000)
    uniforms = noise.draw(Noise("uniform", (3,)), np.arange(5), seed=7, stream="train/nll/z")
    arrays = order.astype("<i8"), uniforms.astype("<f4")
    assert [hashlib.sha256(a.tobytes()).hexdigest()[:16] for a in arrays] == ["c0ac718271f7590a", "5aed16c7f2bdca37"]


@pytest.mark.parametrize(("architecture", "source"), [("realnvp", "moons"), ("mlp", "digits"), ("dcgan", "digits")])
def test_a_training_is_this_loop(architecture, source, tmp_path):
    """Written out, as it was in the first version: a framework's steps on rows in their order with their noise."""
    data = load_dataset(source)
    settings = {"epochs": 2, "batch_size": 400, "ema": 0.9}
    zoo.train(architecture, source, tmp_path, **settings)

    network_class = registry.network_class(registry.architecture(architecture))
    recipe = merge_recipe(network_class.recipe, settings)
    network = network_class.create(data.space, {}, data.classes, seed=0)
    network.adapt(data.train)
    learner = network.learner(recipe)
    per_epoch = len(data.train) // 400
    for step in range(2 * per_epoch):
        epoch, place = divmod(step, per_epoch)
        rows = noise.permutation(len(data.train), seed=0, stream=f"order/{epoch}")[place * 400 : place * 400 + 400]
        for name, objective in network.objectives().items():
            inputs = {"x": data.train[rows], "label": data.labels["train"][rows] if data.labels else None}
            inputs = {key: inputs[key] for key in objective.loss.inputs}
            fresh = {
                key: noise.draw(declared, np.arange(step * 400, step * 400 + 400), seed=0, stream=f"train/{name}/{key}")
                for key, declared in objective.loss.noise.items()
            }
            learner.step(name, inputs, fresh, learning_rate(recipe, step, 2 * per_epoch))

    ended = checkpoint.load(Path(tmp_path), "training")[1]
    for name, array in learner.state().items():
        assert np.array_equal(ended[f"now/{name}"], array), name
