"""WGAN: images of any size, and any number of halvings."""

from __future__ import annotations

import pytest

import zoo


@pytest.mark.parametrize("filters", [(4,), (4, 8), (4, 8, 8, 8)], ids=len)
@pytest.mark.parametrize("size", [(8, 8, 1), (7, 5, 3)], ids=str)
def test_images_of_any_size(size: tuple[int, int, int], filters: tuple[int, ...]) -> None:
    space = zoo.Image(*size)
    model = zoo.create("wgan", space, config={"filters": filters, "latent": 4})
    x = space.check(model.sample(5, seed=0))
    assert x.std() > 0
    p = model.predict(x)
    assert ((p > 0) & (p < 1)).all()
    critic = [a.shape for n, a in model.network.arrays().items() if n.startswith("critic") and a.ndim == 4]
    assert [shape[2:] for shape in critic] == list(zip((size[2], *filters), filters, strict=False))
