"""The counted work of a method is the number of multiplications in its layers."""

from __future__ import annotations

import onnx_ir as ir
import pytest
import torch
from torch import nn
from zoo_onnx.compose import compose
from zoo_onnx.multiplications import multiplications_per_row

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
    assert multiplications_per_row(compose(net, "encode", Call(lambda x: net(x), {"x": X}, out)))[0] == expected


def test_operators_are_counted_too():
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, 3))
    call = Call(lambda x: net(x), {"x": X}, {"y": Tensor("float32", (3,))})
    assert multiplications_per_row(compose(net, "encode", call)) == (32 * 7 + 7 * 3, 2)


def test_a_product_of_two_activations():
    call = Call(lambda x: x @ x.mT, {"x": X}, {"y": X})
    assert multiplications_per_row(compose(nn.Identity(), "encode", call)) == (2 * 4 * 4 * 4, 1)


# of two, three or one operands of (2, 4, 4) for each row
EINSUMS = {
    "b c i j, b d i j -> b c d i j": (2 * 2 * 4 * 4, 1),
    "b c i j, b c k j -> b c i k": (2 * 4 * 4 * 4, 1),
    "b c i j, b d k j -> b c i k": (2 * 4 * 4 * 4, 1),  # d is summed before
    "bcij,bckj": (2 * 4 * 4 * 4, 1),  # the sum over b makes one row of them all
    "...ij,...jk->...ik": (2 * 4 * 4 * 4, 1),
    "...ij,...jk": (2 * 4 * 4 * 4, 1),
    "b...j,b...j->b...": (2 * 4 * 4, 1),
    "bcij,bcjk,bckl->bcil": (2 * (2 * 4 * 4 * 4), 1),
    "b c i j, b c i j, b c i j -> b": (2 * (2 * 4 * 4), 1),
    "bcij->bcji": (0, 0),
    "bcij->bc": (0, 0),
    "bcii->bci": (0, 0),
    "...->...": (0, 0),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_an_einsum(equation):
    def function(x):
        y = torch.einsum(equation, *[x] * (equation.count(",") + 1))
        return y if "->" in equation or "..." in equation else x + y.sum()

    one = function(torch.ones(1, 2, 4, 4))
    call = Call(function, {"x": X}, {"y": Tensor("float32", tuple(one.shape[1:]))})
    assert multiplications_per_row(compose(nn.Identity(), "encode", call)) == EINSUMS[equation]


def test_an_einsum_of_unknown_shapes_is_unknown():
    def einsum(equation, *shapes):
        values = [ir.Value(name=f"x{i}", shape=None if s is None else ir.Shape(s)) for i, s in enumerate(shapes)]
        return ir.Model(ir.Graph(values, [], nodes=[ir.node("Einsum", values, {"equation": equation})]), ir_version=10)

    assert multiplications_per_row(einsum("ij,jk->ik", [3, 4], [4, 5])) == (60, 1)
    assert multiplications_per_row(einsum("ij,jk->ik", [3, 4], None)) == (None, None)
    assert multiplications_per_row(einsum("ij,jk->ik", [3, 4], [4, 5, 6])) == (None, None)
    assert multiplications_per_row(einsum("ij->ji", [3])) == (None, None)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_multiplies_in_each_step(kind, gates):
    net = kind(4, 5, batch_first=True)
    call = Call(lambda x: net(x.flatten(1, 2))[0], {"x": X}, {"y": Tensor("float32", (8, 5))})
    assert multiplications_per_row(compose(net, "encode", call))[0] == 8 * gates * 5 * (4 + 5)


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
        assert multiplications_per_row(compose(net, "sample", loop)) == (9, 1)
