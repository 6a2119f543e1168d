"""Each figure is what its name says."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.data import Dataset, load_dataset
from zoo.evaluation import MEANING, evaluate, marginals, two_sample_accuracy


def test_two_samples_of_one_law_are_told_apart_by_chance_only():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 800, 2))
    assert two_sample_accuracy(a, b) == pytest.approx(0.5, abs=0.05)
    assert two_sample_accuracy(a, b + 100) == 1
    assert two_sample_accuracy(a, a + 1e-9) < 0.05  # copies are nearer than any neighbour: below chance


def test_marginals_are_the_cross_entropy_of_counted_levels():
    space = zoo.Discrete(2, levels=2)
    train = np.array([[0, 0], [0, 1]])
    # with one more of each: p = (3/4, 1/4) and (1/2, 1/2)
    expected = (-np.log2(3 / 4) + 1) / 2
    assert marginals(train, np.array([[0, 0], [0, 1]]), space) == pytest.approx(expected)


def test_likelihood_is_the_mean_over_the_split_in_nats_and_bits():
    model, data = zoo.open("made.digits", device="cpu"), load_dataset("digits")
    figures = evaluate(model, data)
    nats = -model.log_prob(data.test).mean()
    assert figures["nats"] == pytest.approx(nats, rel=1e-5)
    assert figures["bits_per_dim"] == pytest.approx(nats / 64 / np.log(2), rel=1e-5)
    assert figures["rows"] == len(data.test)
    assert set(figures) - {"split"} <= set(MEANING)


def test_accuracy_counts_right_answers():
    model, data = zoo.open("cnn.digits", device="cpu"), load_dataset("digits")
    right = model.predict(data.test).argmax(1) == data.labels["test"]
    assert evaluate(model, data)["accuracy"] == pytest.approx(right.mean())


def test_an_energy_without_dependence_has_an_auroc_of_one_half():
    data = load_dataset("moons")
    energy = zoo.create("ebm", data.space)
    last = [m for m in energy.network.modules() if hasattr(m, "weight")][-1]
    last.weight.data.zero_()
    small = Dataset("few", data.space, data.train[:200], data.validation[:200], data.test[:400])
    assert evaluate(energy, small)["energy_auroc"] == pytest.approx(0.5, abs=0.05)
    assert evaluate(zoo.open("ebm.digits", device="cpu"), "digits")["energy_auroc"] > 0.9


def test_an_encoder_that_is_told_the_class_is_not_probed_for_it():
    data = load_dataset("digits")
    model = zoo.create("vae", data.space, config={"conditional": True}, classes=data.classes)
    assert "linear_probe" not in evaluate(model, data)
    assert "linear_probe" in evaluate(zoo.open("vae.digits", device="cpu"), data)
