"""MLP and CNN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_keras.backend import keras

import zoo
from zoo.eager import EagerModel
from zoo.errors import InputError
from zoo.spaces import Discrete, Image, Labels, Real

DIGITS = Labels(tuple("0123456789"))


BOOK = {
    "filters": (32, 32, 64, 64),
    "kernels": (3, 3, 3, 3),
    "strides": (1, 2, 1, 2),
    "norm": True,
    "slope": 0.3,
    "hidden": 128,
    "dropout": 0.5,
}


def test_the_first_network_of_the_book() -> None:
    """Foster, *Generative Deep Learning*, ch. 2: layer shapes and number of weights on 32x32x3 images."""
    net = zoo.create("cnn", Image(32, 32, 3), classes=DIGITS).network
    shapes = {name: a.shape for name, a in net.arrays().items()}
    assert shapes == {
        "convolutions.0.kernel": (4, 4, 3, 10),
        "convolutions.0.bias": (10,),
        "convolutions.1.kernel": (3, 3, 10, 20),
        "convolutions.1.bias": (20,),
        "head.kernel": (1280, 10),
        "head.bias": (10,),
    }
    assert net.count_params() == 490 + 1820 + 12810 == 15120
    h = torch.zeros(2, 3, 32, 32)
    for layer, shape in zip(net.convolutions, [(2, 10, 16, 16), (2, 20, 8, 8)], strict=True):
        h = layer(h)
        assert tuple(h.shape) == shape


def test_cnn_equals_a_plain_keras_model() -> None:
    """The same weights in the book's channels-last model give the same probabilities."""
    model = zoo.create("cnn", Image(32, 32, 3), classes=DIGITS)
    plain = keras.Sequential(
        [
            keras.layers.Conv2D(10, 4, strides=2, padding="same", activation="relu", data_format="channels_last"),
            keras.layers.Conv2D(20, 3, strides=2, padding="same", activation="relu", data_format="channels_last"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    plain.build((None, 32, 32, 3))
    arrays = list(model.network.arrays().values())
    arrays[4] = arrays[4].reshape(20, 8, 8, 10).transpose(1, 2, 0, 3).reshape(1280, 10)
    plain.set_weights(arrays)
    x = model.space.examples("random", 4)
    with torch.no_grad():
        expected = plain(torch.from_numpy(x).float() / 255).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4, atol=1e-6)


def test_the_second_network_of_the_book() -> None:
    """Foster, ch. 2, as printed: the same weights give the same probabilities, in training mode too."""
    like = {"padding": "same", "data_format": "channels_first"}
    book = keras.Sequential()
    for filters, strides in ((32, 1), (32, 2), (64, 1), (64, 2)):
        book.add(keras.layers.Conv2D(filters, 3, strides=strides, **like))
        book.add(keras.layers.BatchNormalization(axis=1))
        book.add(keras.layers.LeakyReLU())
    book.add(keras.layers.Flatten())
    book.add(keras.layers.Dense(128))
    book.add(keras.layers.BatchNormalization())
    book.add(keras.layers.LeakyReLU())
    book.add(keras.layers.Dropout(0.5))
    book.add(keras.layers.Dense(10, activation="softmax"))
    book.build((None, 3, 32, 32))
    model = zoo.create("cnn", Image(32, 32, 3), classes=DIGITS, config=BOOK)
    assert model.network.count_params() == book.count_params() == 592_554
    moved = {n: a + 0.1 * np.arange(a.size).reshape(a.shape) / a.size for n, a in model.network.arrays().items()}
    model.network.load_arrays(moved)  # so that no average is 0 and no scale is 1
    book.set_weights(list(moved.values()))
    x = model.space.examples("random", 4)
    pixels = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(x), book(pixels).numpy(), rtol=1e-4, atol=1e-6)
        model.network.train()
        features = model.network.features(torch.from_numpy(x))
        np.testing.assert_allclose(features, book.layers[-3](book_features(book, pixels)), rtol=1e-3, atol=1e-4)


def book_features(book: keras.Sequential, h: torch.Tensor) -> torch.Tensor:
    """What comes to the last activation, with the averages of the batch."""
    for layer in book.layers[:-3]:
        h = layer(h, training=True)
    return h


def test_dropout_leaves_out_what_the_noise_says() -> None:
    net = zoo.create("cnn", Image(8, 8), classes=DIGITS, config={"hidden": 4, "dropout": 0.5}).network
    loss = net.objectives()["cross_entropy"].loss
    assert loss.noise["drop"].shape == (4,)
    x = torch.from_numpy(Image(8, 8).examples("random", 2))
    given = {"x": x, "label": torch.tensor([3, 4])}
    none, some = torch.full((2, 4), 0.9), torch.tensor([[0.9, 0.1, 0.9, 0.1]] * 2)
    whole = loss.function(**given, drop=some)
    assert whole.equal(loss.function(**given, drop=none)), "validation sees everything"
    net.train()
    kept = net.features(x) * torch.tensor([2.0, 0, 2.0, 0])
    expected = torch.nn.functional.cross_entropy(net.head(kept), given["label"], reduction="none")
    torch.testing.assert_close(loss.function(**given, drop=some), expected)
    wide = zoo.create("cnn", Image(7, 6), classes=DIGITS, config={"dropout": 0.5}).network
    assert wide.objectives()["cross_entropy"].loss.noise["drop"].shape == (wide.head.kernel.shape[0],)
    with pytest.raises(InputError, match="dropout=1; expected a share from 0 to below 1"):
        zoo.create("cnn", Image(8, 8), classes=DIGITS, config={"dropout": 1})


def test_cnn_settings() -> None:
    config = {"filters": "8,16,24", "kernels": (3, 3, 3), "strides": (1, 2, 2)}
    net = zoo.create("cnn", Image(8, 8), config=config, classes=DIGITS).network
    assert net.arrays()["head.kernel"].shape == (96, 10)
    with pytest.raises(InputError, match="differ in length"):
        zoo.create("cnn", Image(8, 8), config={"filters": (8,)}, classes=DIGITS)
    with pytest.raises(InputError, match="needs class labels"):
        zoo.create("cnn", Image(8, 8))


def test_blocks_begin_as_the_identity_and_averages_forget_places() -> None:
    config = {"filters": (8,), "kernels": (3,), "strides": (1,)}
    space = Image(8, 8)
    plain = zoo.create("cnn", space, config={**config, "average": True}, classes=DIGITS)
    deep = zoo.create("cnn", space, config={**config, "average": True, "blocks": 2}, classes=DIGITS)
    deep.network.load_arrays({**deep.network.arrays(), **shared(plain, deep)})
    x = np.zeros((2, 8, 8, 1), np.uint8)
    x[0, 2:4, 2:4], x[1, 4:6, 3:5] = 200, 200  # one shape at two places, away from the edges
    p = plain.predict(x)
    np.testing.assert_allclose(p, deep.predict(x), rtol=1e-5)
    np.testing.assert_allclose(p[0], p[1], rtol=1e-4)


def shared(plain: EagerModel, deep: EagerModel) -> dict[str, np.ndarray]:
    """The weights of a network without blocks under the names of one with them."""
    names = {"convolutions.0.kernel", "convolutions.0.bias", "head.kernel", "head.bias"}
    assert names <= deep.network.arrays().keys()
    return {name: a for name, a in plain.network.arrays().items() if name in names}


def test_training_images_are_moved_as_the_noise_says() -> None:
    net = zoo.create("cnn", Image(5, 6), config={"flip": True, "shift": 1}, classes=DIGITS).network
    x = torch.arange(30, dtype=torch.uint8).reshape(1, 5, 6, 1)
    still, left, mirrored = [0.5, 0.5, 0.9], [0.5, 0.9, 0.9], [0.5, 0.5, 0.1]
    moved = net.moved(x.repeat(3, 1, 1, 1), torch.tensor([still, left, mirrored]))[..., 0]
    assert moved[0].equal(x[0, :, :, 0])
    assert moved[1].equal(x[0, :, [1, 2, 3, 4, 5, 5], 0])
    assert moved[2].equal(x[0, :, :, 0].flip(1))
    given = {"x": x, "label": torch.tensor([3]), "move": torch.tensor([mirrored])}
    loss = net.objectives()["cross_entropy"].loss.function
    unmoved = loss(**{**given, "move": torch.tensor([still])})
    assert loss(**given).equal(unmoved), "validation images stay as they are"
    net.train()
    assert not loss(**given).equal(unmoved)


@pytest.mark.parametrize("space", [Real(5), Image(4, 4, 1, levels=3), Discrete(6, 4)])
def test_mlp_gives_probabilities(space: zoo.spaces.Space) -> None:
    model = zoo.create("mlp", space, classes=DIGITS)
    p = model.predict(space.examples("random", 7))
    assert p.shape == (7, 10)
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


def test_mlp_standardizes_and_keeps_constant_columns() -> None:
    net = zoo.create("mlp", Real(3), classes=DIGITS).network
    x = Real(3).examples("random", 200) * [1, 100, 0] + [0, 5, 7]
    net.adapt(x.astype(np.float32))
    arrays = net.arrays()
    np.testing.assert_allclose(arrays["mean"], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(arrays["scale"], [x[:, 0].std(), x[:, 1].std(), 1], rtol=1e-4)
    recipe = net.recipe
    assert {id(v) for v in net.learner(recipe).trained["cross_entropy"]}.isdisjoint({id(net.mean), id(net.scale)})
