"""GANs: images of any size, and rows that do not depend on their neighbors."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import InputError


@pytest.mark.parametrize("halvings", [1, 2, 4])
@pytest.mark.parametrize("size", [(8, 8, 1), (28, 28, 1), (7, 5, 3)], ids=str)
def test_images_of_any_size(size, halvings, make):
    space = zoo.Image(*size)
    model = make("dcgan", space, channels=4, halvings=halvings)
    x = space.check(model.sample(5, seed=0))
    assert x.std() > 0
    p = model.predict(x)
    assert p.shape == (5,)
    assert ((p > 0) & (p < 1)).all()


def test_each_halving_has_twice_the_channels(make):
    net = make("dcgan", zoo.Image(64, 64, 3), channels=2, halvings=4).network
    shapes = {name: a.shape for name, a in net.arrays().items()}
    assert [shapes[f"discriminator.net.{i}.weight"][:2] for i in (0, 2, 5, 8)] == [(2, 3), (4, 2), (8, 4), (16, 8)]
    assert [shapes[f"generator.grow.{i}.weight"][:2] for i in (2, 5, 8, 11)] == [(16, 8), (8, 4), (4, 2), (2, 3)]
    assert shapes["generator.project.weight"] == (16 * 4 * 4, 32)
    with pytest.raises(InputError, match="halvings=0; expected at least 1"):
        make("dcgan", zoo.Image(8, 8), halvings=0)


def test_the_two_sides_train_their_own_weights(tmp_path):
    model = zoo.train("dcgan", "digits", tmp_path / "run", epochs=2, config={"channels": 8})
    x = zoo.load_dataset("digits").test
    assert np.isfinite(model.predict(x)).all()
    objectives = model.network.objectives()
    assert {name: o.parameters for name, o in objectives.items()} == {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
