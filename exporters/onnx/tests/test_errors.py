"""Code that cannot be traced raises an error with the operation, the line, and a workaround."""

from __future__ import annotations

import math
import random
import re
import runpy
import warnings

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn
from zoo_onnx.tracing import translations
from zoo_onnx.tracing.trace import trace

import zoo
from zoo.errors import ExportError
from zoo.signature import Option, Tensor
from zoo.wrapping.calling import of_user

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
    "rows left out": (lambda x: x[x[:, 0] > -2.6] * 2, "shape depends on values", r"torch.where\(mask"),
    "rows left out and reshaped": (lambda x: x[x[:, 0] > 0].reshape(-1, 2, 2), "shape depends on values", "mask"),
    "rows": (rows, "fixed number of rows, 3", "whole-batch operations"),
    "batch": (lambda x: x + torch.zeros(3, 1), "fixed number of rows, 3", r"x.shape\[0\]"),
    "numpy": (sorted_by_numpy, "(torch.sort|numpy)", ""),
    "randn": (draws, r"torch.randn_like \(test_errors.py:\d+\)", "noise=zoo.Normal"),
    "distribution": (samples, r"draws random numbers itself \(torch.\w+ \(test_errors.py:\d+\)\)", "noise=zoo.Normal"),
    "dropout": (lambda x: nn.functional.dropout(x), r"draws random numbers itself .*dropout", "evaluation mode"),
    "multinomial": (lambda x: x.abs().multinomial(1), "torch.multinomial", "zoo.Uniform"),
    "generator": (lambda x: x + torch.randn(x.shape, generator=torch.Generator()), "itself .torch.randn ", "noise="),
    "no operator": (lambda x: x.median(1)[0], r"torch.median \(test_errors.py:\d+\), for which", "write"),
    "matrix": (lambda x: x @ torch.linalg.inv(NETWORK.weight), r"torch.linalg.inv \(test_errors", "outside"),
    "gradient": (lambda x: torch.func.grad(lambda v: (v**3).sum())(x), "takes a gradient", r"zoo_torch.layers"),
    "autograd": (langevin, r"takes a gradient \(test_errors.py:\d+\)", r"gradient\(module, x\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_the_operation_and_the_way_around(case):
    function, names, way = CASES[case]
    with pytest.raises(ExportError, match=f"(?s)^Mine: sample cannot be .*{names}.*Workaround.*{way}") as caught:
        graph(function)
    assert len(str(caught.value)) < 600  # one thing to read, not torch's report


class Generator(nn.Module):
    def forward(self, x):
        raise ValueError("a Generator fails")


def test_a_class_called_generator_draws_nothing():
    with pytest.raises(ExportError, match=r"\(test_errors.py:\d+\) fails with ValueError: a Generator fails"):
        graph(Generator())


def test_a_user_s_folder_called_zoo_is_theirs(tmp_path):
    (tmp_path / "zoo" / "wrapping").mkdir(parents=True)
    for path in (tmp_path / "zoo" / "mine.py", tmp_path / "zoo" / "wrapping" / "mine.py"):
        path.write_text("def branch(x):\n    return x if x.sum() > 3 else -x\n")
        theirs = runpy.run_path(str(path))
        with pytest.raises(ExportError, match=r"\(mine.py:2\) needs the value"):
            graph(theirs["branch"])
        assert of_user(str(path))
    assert not any(map(of_user, (zoo.__file__, translations.__file__, torch.__file__, random.__file__, "<string>")))


LIBRARY = """
import torch
from torch import nn


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("ready", torch.tensor(True))

    def forward(self, x):
        if not self.ready:
            return x
        return x * 2


lazy = Lazy()


def masked(x):
    return x[x[:, 0] > 0] * 2


def bfloat16(x):
    y = x.bfloat16()
    return (y * 2).float()


def half(x):
    y = x.half()
    return y.exp().float()


def autocast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = x @ torch.ones(4, 4)
    return y.float()


def drawn(x):
    return x + torch.randn_like(x)


def median(x):
    return x.median(1)[0]
"""
# the line to blame, what is said of it, and the workaround
BLAMED = {
    "lazy": ("if not self.ready:", "needs the value of a tensor", "is made a bool before"),
    "masked": ("return x[x[:, 0] > 0] * 2", "creates a tensor whose shape depends on values", "torch.where"),
    "bfloat16": ("return (y * 2).float()", "computes in bfloat16", r"model.float\(\)"),
    "half": ("return y.exp().float()", "computes in float16", "made float32 before"),
    "autocast": ("y = x @ torch.ones(4, 4)", "computes in bfloat16", "without autocast"),
    "drawn": ("return x + torch.randn_like(x)", "draws random numbers itself", "noise=zoo.Normal"),
    "median": ("return x.median(1)[0]", "uses torch.median", "write it in operations"),
}


@pytest.mark.parametrize("name", BLAMED)
def test_the_line_of_a_library_is_named(name, tmp_path):
    folder = tmp_path / "site-packages" / "layers"
    folder.mkdir(parents=True)
    (folder / "flow.py").write_text(LIBRARY)
    function = runpy.run_path(str(folder / "flow.py"))[name]
    code, said, way = BLAMED[name]
    (number,) = (i for i, line in enumerate(LIBRARY.splitlines(), 1) if line.strip() == code)
    with pytest.raises(ExportError, match=f"(?s){said}.*Workaround.*{way}") as caught:
        graph(lambda x: function(x))
    assert re.search(rf"\(layers/flow.py:{number}, called at test_errors.py:\d+\)", str(caught.value))
    assert f"`{code}`" in str(caught.value) or name in ("drawn", "median")  # which name the operation


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_line_that_computes_with_weights_of_few_bits_is_named(dtype):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.few = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).to(dtype)

        def forward(self, x):
            few = x.to(dtype)
            few = self.few(few)
            return few.float()

    net = Net()
    with pytest.raises(ExportError, match=r"`few = self.few\(few\)` \(test_errors.py:\d+\) computes in b?float16"):
        trace(net, net, X, "Mine: sample", {})


def test_numbers_that_are_kept_in_few_bits_and_not_computed_with(tmp_path):
    weight, table = torch.randn(4, 4).bfloat16(), nn.Embedding(4, 4).half()

    def function(x):
        place = (x[:, 0] > 0).long()
        return x @ weight.T.float() + table(place).float() + table.weight[place].float()

    x = torch.randn(5, 4)
    got = run(graph(function), x.numpy(), tmp_path=tmp_path)
    np.testing.assert_allclose(got, function(x).detach(), rtol=1e-5, atol=1e-6)


def test_operations_are_located_by_one_more_trace():
    def count(draws):
        calls = []

        def function(x):
            calls.append(1)
            return sum((draw(x) for draw in draws), x)

        with pytest.raises(ExportError, match=r"test_errors.py:\d+"):
            graph(function)
        return len(calls)

    assert count([torch.randn_like, torch.rand_like, torch.bernoulli]) == count([torch.randn_like])


def test_an_export_leaves_the_global_random_state_and_its_errors_name_the_model(tmp_path):
    wrap = pytest.importorskip("zoo_torch.wrapping.wrap").wrap
    model = wrap(
        sample=lambda z: z * 2, predict=lambda x: x.median(1)[0], noise=zoo.Normal(4), space=zoo.Real(4), name="mine"
    )
    before = torch.get_rng_state()
    with pytest.raises(ExportError, match=r"^mine: predict cannot be traced"):
        zoo.export(model, tmp_path / "artifact")  # after sample
    assert torch.equal(torch.get_rng_state(), before)


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


@pytest.mark.parametrize("generator", [{}, {"generator": None}, {"generator": torch.Generator()}])
def test_a_draw_that_nothing_uses_is_no_draw(generator):
    def function(x):
        torch.randn_like(x)
        torch.rand(x.shape, **generator)
        x.clone().normal_(**generator)
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
    "cumprod of a number": lambda x: x + x.sum().cumprod(0),
    "cdist": lambda x: torch.cdist(x, LOWER),
    "cdist inf": lambda x: torch.cdist(x, LOWER, p=math.inf),
    "cdist 0": lambda x: torch.cdist(x.round(), LOWER.round(), p=0),
    "ndtri": lambda x: torch.special.ndtri(10 ** (-3 * x.abs())),
    "solve out": lambda x: torch.linalg.solve_triangular(LOWER, x.T, upper=False, out=torch.empty_like(x.T)).T,
    "solve many": lambda x: torch.linalg.solve_triangular(torch.stack([LOWER, LOWER * 2]), x.T, upper=False).sum(0).T,
    "poisson": lambda x: torch.distributions.Poisson(2.5).log_prob(x.abs().to(torch.int64)).sum(1),
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


POINTS = torch.tensor([[0.3, 1.0, 2.0, -1.5], [4.0, 0.0, -2.0, 7.25], [0.5, -0.5, 30.0, 1e-3]])
FAR = torch.tensor([math.inf, -math.inf, math.nan, 1e30, 3e38, -1.0, -2.5, 171.0, 1e-30, 2.0])
UNIT = torch.tensor([0.0, 1.0, -1.0, 0.5, -0.999999, 1.5, math.nan])
PROBABILITIES = torch.tensor([0.0, 1.0, 0.5, 1e-3, 1e-6, 1e-8, 3e-9, 1e-20, 1e-37, 0.999999, 1.5, math.nan])
SORTED = POINTS[1].sort()[0]
LIKE_TORCH = {
    "lgamma": (torch.lgamma, (POINTS,), {}),
    "lgamma far": (torch.lgamma, (FAR,), {}),
    "erfinv": (torch.erfinv, (UNIT,), {}),
    "ndtri": (torch.special.ndtri, (PROBABILITIES,), {}),
    "cumprod": (torch.cumprod, (POINTS, -1), {}),
    "cumprod of a number": (torch.cumprod, (POINTS[0, 0], 0), {}),
    "cumprod of nothing": (torch.cumprod, (POINTS[:0], 0), {}),
    "cumprod dtype": (torch.cumprod, (POINTS, 0), {"dtype": torch.float64}),
    **{f"cdist {p}": (torch.cdist, (POINTS, LOWER, p), {}) for p in (0.0, 1.0, 1.5, 2.0, math.inf)},
    "hypot": (torch.hypot, (POINTS, POINTS.flip(0)), {}),
    "hypot far": (torch.hypot, (FAR, 2.0 * FAR.sign()), {}),
    **{f"amax {d}": (torch.amax, (POINTS, *d), {}) for d in ((), (0,), ((0, 1),), ([],))},
    "amin": (torch.amin, (POINTS,), {}),
    "searchsorted": (torch.searchsorted, (SORTED, POINTS), {}),
    "searchsorted far": (torch.searchsorted, (SORTED, FAR), {"right": True}),
    "searchsorted number": (torch.searchsorted, (SORTED, 4.0), {"out_int32": True}),
    "searchsorted sorter": (torch.searchsorted, (POINTS, POINTS), {"sorter": POINTS.argsort(1), "side": "right"}),
    "solve": (torch.linalg.solve_triangular, (LOWER, POINTS.T), {"upper": False}),
    "solve many": (
        torch.linalg.solve_triangular,
        (torch.stack([LOWER, LOWER * 2]), POINTS),
        {"upper": False, "left": False, "unitriangular": True},
    ),
}
DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
)


@pytest.mark.parametrize("name", LIKE_TORCH)
def test_what_is_written_out_gives_what_torch_gives_in_every_dtype_that_it_takes(name):
    function, arguments, named = LIKE_TORCH[name]
    compared = 0
    for dtype in DTYPES:
        given = [cast(a, dtype) for a in arguments]
        try:
            expected = function(*given, **named)
        except (RuntimeError, NotImplementedError):  # a dtype that torch does not take
            continue
        tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(dtype, 2e-6)
        got = translations.WRITTEN_OUT[function](*given, **named)
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        compared += 1
    assert compared >= 2


def cast(value, dtype):
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    return value.to(dtype) if dtype.is_floating_point else value.nan_to_num(0).clamp(0, 100).to(dtype)


def test_triangular_solve_as_nflows_calls_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, which torch says once a process
        expected = torch.triangular_solve(LOWER, LOWER.T, upper=True)[0]
    torch.testing.assert_close(translations.triangular_solve(LOWER, LOWER.T, upper=True)[0], expected)
