"""What cannot be traced gets an error that names the operation, the line, and the way around."""

from __future__ import annotations

import math
import random
import warnings

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn
from zoo_onnx import translations
from zoo_onnx.trace import trace

from zoo.errors import ExportError
from zoo.signature import Option, Tensor

X = {"x": Tensor("float32", (4,))}
TABLE = torch.linspace(0, 1, 20)
NETWORK = nn.Linear(4, 4)


def graph(function, **more):
    return trace(NETWORK, function, {**more, **X}, "Mine: sample", {})


def run(model, *arrays, tmp_path):
    import onnx_ir

    onnx_ir.save(model, tmp_path / "piece.onnx")
    session = ort.InferenceSession(str(tmp_path / "piece.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})[0]


def branch(x):
    if x.sum() > 3:
        return x
    return -x


def until(x):
    while (x.abs() > 1).any():
        x = x / 2
    return x


def count_to(x):
    for _ in range(int(x.sum())):
        x = x + 1
    return x


def masked(x):
    kept = x[x > 0]
    if len(kept) > 2:
        return x
    return -x


def rows(x):
    return torch.stack([row * 2 for row in x])


def sorted_by_numpy(x):
    return torch.from_numpy(np.sort(x.detach().numpy()))


def draws(x):
    return x + torch.randn_like(x)


def samples(x):
    return torch.distributions.Normal(x, 1.0).rsample()


def langevin(x):
    with torch.enable_grad():
        y = x.detach().requires_grad_(True)
        return x - torch.autograd.grad((NETWORK(y) ** 2).sum(), y)[0]


CASES = {
    "if": (branch, r"`if x.sum\(\) > 3:` \(test_errors.py:\d+\) needs the value", "torch.where"),
    "while": (until, r"`while \(x.abs\(\) > 1\).any\(\):` \(test_errors.py:\d+\) needs the value", "until="),
    "loop": (count_to, r"`for _ in range\(int\(x.sum\(\)\)\):`", "until="),
    "math": (lambda x: x * math.exp(x.mean()), r"math.exp\(x.mean\(\)\).*\(test_errors.py:\d+\)", "torch.where"),
    "mask": (masked, r"`if len\(kept\) > 2:` .*shape depends on values", r"torch.where\(mask"),
    "rows": (rows, "fixed number of rows, 3", "whole-batch operations"),
    "batch": (lambda x: x + torch.zeros(3, 1), "fixed number of rows, 3", r"x.shape\[0\]"),
    "numpy": (sorted_by_numpy, "(torch.sort|numpy)", ""),
    "randn": (draws, r"torch.randn_like \(test_errors.py:\d+\)", "noise=zoo.Normal"),
    "distribution": (samples, r"draws random numbers itself \(torch.\w+ \(test_errors.py:\d+\)\)", "noise=zoo.Normal"),
    "dropout": (lambda x: nn.functional.dropout(x), r"draws random numbers itself .*dropout", "evaluation mode"),
    "multinomial": (lambda x: x.abs().multinomial(1), "torch.multinomial", "zoo.Uniform"),
    "generator": (lambda x: x + torch.randn(x.shape, generator=torch.Generator()), "draws random numbers", "noise="),
    "no operator": (lambda x: x.median(1)[0], r"torch.median \(test_errors.py:\d+\), for which", "write"),
    "matrix": (lambda x: x @ torch.linalg.inv(NETWORK.weight), r"torch.linalg.inv \(test_errors", "outside"),
    "gradient": (lambda x: torch.func.grad(lambda v: (v**3).sum())(x), "takes a gradient", r"zoo_torch.gradient"),
    "autograd": (langevin, r"takes a gradient \(test_errors.py:\d+\)", r"gradient\(module, x\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_the_operation_and_the_way_around(case):
    function, names, way = CASES[case]
    with pytest.raises(ExportError, match=f"(?s)^Mine: sample cannot be .*{names}.*Way around.*{way}") as caught:
        graph(function)
    assert len(str(caught.value)) < 600  # one thing to read, not torch's report


def test_a_number_from_python_s_random_module_is_not_noticed_here_but_by_the_comparison():
    graph(lambda x: x + random.random())  # a constant by now: source and artifact differ


def test_what_looks_impossible_and_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)  # zuko turns it off for all
    model = graph(lambda i, x: x * TABLE[i], i=Option(0))  # a table read at the step
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(run(model, np.array(7), x, tmp_path=tmp_path), x * TABLE[7].numpy(), rtol=1e-6)
    model = graph(lambda x: torch.distributions.Normal(x, 1.0).log_prob(x).sum(1))  # checks its arguments elsewhere
    assert run(model, x, tmp_path=tmp_path).shape == (2,)
    assert torch.distributions.Distribution._validate_args  # as before
    model = graph(lambda x: nn.Dropout(0.5).eval()(x))
    assert np.array_equal(run(model, x, tmp_path=tmp_path), x)


def test_a_draw_that_nothing_uses_is_no_draw():
    def function(x):
        torch.randn_like(x)
        return x * 2

    assert [n.op_type for n in graph(function).graph] == ["Mul"]


LOWER = torch.eye(4) + 0.3 * torch.ones(4, 4).tril(-1)
WRITTEN_OUT = {
    "searchsorted": lambda x: torch.searchsorted(TABLE, x.contiguous()).float(),
    "searchsorted right": lambda x: torch.searchsorted(x.sort(1)[0], x, right=True).float(),
    "solve_triangular": lambda x: torch.linalg.solve_triangular(LOWER, x.T, upper=False).T,
    "solve from the right": lambda x: torch.linalg.solve_triangular(LOWER.T, x, upper=True, left=False),
    "solve unit": lambda x: torch.linalg.solve_triangular(LOWER * 2, x.T, upper=False, unitriangular=True).T,
    "lgamma": lambda x: torch.lgamma(x * 3),
    "erfinv": lambda x: torch.erfinv(x / 4),
    "icdf": lambda x: torch.distributions.Normal(0.0, 1.0).icdf(x.sigmoid()),
    "cumprod": lambda x: x.cumprod(1),
    "cdist": lambda x: torch.cdist(x, LOWER),
    "hypot": lambda x: torch.hypot(x, x + 1),
    "amax": lambda x: x - x.amax(),
    "student": lambda x: torch.distributions.StudentT(3.0).log_prob(x).sum(1),
    "mixture": lambda x: torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=torch.arange(3.0)),
        torch.distributions.Independent(torch.distributions.Normal(LOWER[:3], 0.5), 1),
    ).log_prob(x),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_functions_without_an_operator_are_written_out(name, tmp_path):
    function = WRITTEN_OUT[name]
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    got = run(graph(function), x.numpy(), tmp_path=tmp_path)
    np.testing.assert_allclose(got, function(x), rtol=1e-5, atol=1e-6)


def test_triangular_solve_as_nflows_calls_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, which torch says once a process
        expected = torch.triangular_solve(LOWER, LOWER.T, upper=True)[0]
    torch.testing.assert_close(translations.triangular_solve(LOWER, LOWER.T, upper=True)[0], expected)
