"""Energies: the gradient that is exported is autograd's, and Langevin steps follow it."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn
from zoo_torch.layers.gradient import gradient

import zoo


class Energy(nn.Module):
    """Every operation whose gradient `zoo_torch.layers.gradient` writes out, in one network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=2),
            nn.LeakyReLU(0.1),
            nn.BatchNorm2d(8),
            nn.Flatten(),
            nn.Linear(8 * 2 * 3, 1),
        )

    def forward(self, x):
        return self.net(x).squeeze(1) + (x * x).flatten(1).mean(1).tanh()


class Gradient(nn.Module):
    def __init__(self, energy) -> None:
        super().__init__()
        self.energy = energy

    def forward(self, x):
        return gradient(self.energy, x)


@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about its own insides
def test_exported_gradient_is_that_of_autograd(tmp_path):
    torch.manual_seed(0)
    module = Gradient(Energy()).eval()
    x = torch.randn(5, 2, 8, 12)
    program = torch.onnx.export(
        module, (x[:3],), dynamo=True, verbose=False, dynamic_shapes=({0: "batch"},), opset_version=20
    )
    program.save(tmp_path / "gradient.onnx")
    session = ort.InferenceSession(tmp_path / "gradient.onnx", providers=["CPUExecutionProvider"])
    y = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(module.energy(y).sum(), y)
    torch.testing.assert_close(module(x), expected)
    for count in (1, 5):
        (got,) = session.run(None, {session.get_inputs()[0].name: x[:count].numpy()})
        np.testing.assert_allclose(got, expected[:count].numpy(), atol=1e-6)


@pytest.mark.parametrize("space", [zoo.Real(3), zoo.Image(8, 8, 1, levels=17)], ids=str)
def test_cold_langevin_steps_go_downhill(space, make):
    model = make("ebm", space, spread=0.02, channels=16, hidden=16)
    score = [model.log_prob(model.sample(20, seed=0, steps=s, temperature=0.0)).mean() for s in (1, 30, 200)]
    assert score[0] < score[1] < score[2]


def test_training_lowers_the_energy_of_data(tmp_path):
    model = zoo.train("ebm", "moons", tmp_path / "run", epochs=1, batch_size=128, config={"steps": 5, "hidden": 32})
    x = zoo.load_dataset("moons").test
    assert model.log_prob(x).mean() > model.log_prob(x + 4).mean()
