"""NumpyNetworks, written in the array API, can be exported: `array_api_compat` calls PyTorch for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from array_api_compat import array_namespace

import zoo
from zoo.eager import EagerModel
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Tensor

FUNCTIONS = {
    "max": lambda xp, x: xp.max(x, axis=1),
    "max of all": lambda xp, x: x[:, 0] - xp.max(x, axis=1, keepdims=True)[:, 0],
    "min": lambda xp, x: xp.min(x, axis=1),
    "sum": lambda xp, x: xp.sum(x, axis=1),
    "mean": lambda xp, x: xp.mean(x, axis=1),
    "prod": lambda xp, x: xp.prod(x, axis=1),
    "std": lambda xp, x: xp.std(x, axis=1),
    "any": lambda xp, x: xp.astype(xp.any(x > 0.5, axis=1), xp.float32),
    "all": lambda xp, x: xp.astype(xp.all(x > -0.5, axis=1), xp.float32),
    "argmax": lambda xp, x: xp.astype(xp.argmax(x, axis=1), xp.float32),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1)[:, 1],
    "logaddexp": lambda xp, x: xp.logaddexp(x[:, 0], x[:, 1]),
    "where": lambda xp, x: xp.where(x[:, 0] > 0, x[:, 1], x[:, 2]),
    "concat": lambda xp, x: xp.sum(xp.concat([x, 2 * x], axis=1), axis=1),
    "stack": lambda xp, x: xp.sum(xp.stack([x[:, 0], x[:, 1]], axis=1), axis=1),
    "matmul": lambda xp, x: (x @ xp.matrix_transpose(x[:3] * 0 + 1))[:, 0],
    "linalg.vector_norm": lambda xp, x: xp.linalg.vector_norm(x, axis=1),
}


@dataclass(frozen=True)
class Config:
    pass


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_exports(name, tmp_path):
    class Net(NumpyNetwork):
        def methods(self):
            def log_prob(x):
                return FUNCTIONS[name](array_namespace(x), x)

            return {"log_prob": Call(log_prob, {"x": self.space.tensor}, {"log_prob": Tensor("float32")})}

    model = EagerModel(Net(zoo.Real(3), Config()), "net")
    zoo.export(model, tmp_path / "artifact")  # compares
    x = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    np.testing.assert_allclose(zoo.open(tmp_path / "artifact").log_prob(x), model.log_prob(x), rtol=1e-5, atol=1e-6)
