"""GANs: images of any size, and rows that do not depend on their neighbors."""

from __future__ import annotations

import numpy as np
import pytest

import zoo


@pytest.mark.parametrize("size", [(8, 8, 1), (28, 28, 1), (7, 5, 3)], ids=str)
def test_images_of_any_size(size, make):
    space = zoo.Image(*size)
    model = make("dcgan", space, channels=8)
    x = space.check(model.sample(5, seed=0))
    assert x.std() > 0
    p = model.predict(x)
    assert p.shape == (5,)
    assert ((p > 0) & (p < 1)).all()


def test_the_two_sides_train_their_own_weights(tmp_path):
    model = zoo.train("dcgan", "digits", tmp_path / "run", epochs=2, config={"channels": 8})
    x = zoo.load_dataset("digits").test
    assert np.isfinite(model.predict(x)).all()
    objectives = model.network.objectives()
    assert {name: o.parameters for name, o in objectives.items()} == {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }
