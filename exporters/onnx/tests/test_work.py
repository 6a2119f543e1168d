"""What is counted of a method's work is what its layers multiply."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo_onnx.compose import compose
from zoo_onnx.work import products

from zoo.signature import Call, Loop, Noise, Tensor

X = Tensor("float32", (2, 4, 4))
LAYERS = {
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(32, 7)), 32 * 7),
    "convolution": (nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.Flatten()), 16 * 5 * 2 * 9),
    "strided": (nn.Sequential(nn.Conv2d(2, 5, 2, stride=2), nn.Flatten()), 4 * 5 * 2 * 4),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(2, 5, 3), nn.Flatten()), 16 * 2 * 5 * 9),
    "transposed, in phases": (
        nn.Sequential(nn.ConvTranspose2d(2, 16, 2, stride=2), nn.Flatten()),
        16 * 2 * 16 * 4,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    net, expected = LAYERS[name]
    out = {"y": Tensor("float32", tuple(net(torch.zeros(1, 2, 4, 4)).shape[1:]))}
    assert products(compose(net, "encode", Call(lambda x: net(x), {"x": X}, out)))[0] == expected


def test_operators_are_counted_too():
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, 3))
    call = Call(lambda x: net(x), {"x": X}, {"y": Tensor("float32", (3,))})
    assert products(compose(net, "encode", call)) == (32 * 7 + 7 * 3, 2)


def test_a_product_of_two_activations():
    call = Call(lambda x: x @ x.mT, {"x": X}, {"y": X})
    assert products(compose(nn.Identity(), "encode", call)) == (2 * 4 * 4 * 4, 1)


@pytest.mark.parametrize(
    ("equation", "expected"),
    [("b c i j, b d i j -> b c d i j", 2 * 2 * 4 * 4), ("b c i j, b c k j -> b c i k", 2 * 4 * 4 * 4)],
)
def test_an_einsum(equation, expected):
    y = Tensor("float32", (2, 2, 4, 4) if " d " in equation else (2, 4, 4))
    call = Call(lambda x: torch.einsum(equation, x, x), {"x": X}, {"y": y})
    assert products(compose(nn.Identity(), "encode", call)) == (expected, 1)


def test_what_an_einsum_sums_before_it_multiplies():
    call = Call(lambda x: torch.einsum("b c i j, b d k j -> b c i k", x, x), {"x": X}, {"y": X})
    assert products(compose(nn.Identity(), "encode", call)) == (2 * 4 * 4 * 4, 1)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_multiplies_in_each_step(kind, gates):
    net = kind(4, 5, batch_first=True)
    call = Call(lambda x: net(x.flatten(1, 2))[0], {"x": X}, {"y": Tensor("float32", (8, 5))})
    assert products(compose(net, "encode", call))[0] == 8 * gates * 5 * (4 + 5)


def test_a_loop_counts_once_whatever_it_draws():
    net = nn.Linear(3, 3)

    def init(index):
        return {"y": torch.zeros(index.shape[0], 3)}

    row = Tensor("float32", (3,))
    for width in (1, 200):  # all noise at once, and in blocks
        loop = Loop(
            length=5,
            init=init,
            step=lambda i, state, z: {"y": net(state["y"] + z[:, :1])},
            finish=lambda state: state["y"],
            state={"y": row},
            outputs={"x": row},
            noise={"z": Noise("normal", (width,))},
        )
        assert products(compose(net, "sample", loop)) == (9, 1)
