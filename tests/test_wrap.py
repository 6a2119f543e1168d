"""The parts of `wrap` shared by all frameworks."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

import zoo
from zoo.errors import InputError
from zoo.signature import Tensor
from zoo.wrapping import Wrap, WrapArguments


def test_wrap_is_the_same_in_every_framework():
    wraps = [pytest.importorskip(f"zoo_{framework}").wrap for framework in ("torch", "keras")]
    assert {type(wrap) for wrap in wraps} == {Wrap}
    parameters = {p.name: p.default for p in inspect.signature(wraps[0]).parameters.values()}
    assert parameters.pop("model") is None
    assert parameters == {
        f.name: inspect.Parameter.empty if f.name == "space" else f.default for f in dataclasses.fields(WrapArguments)
    }


@pytest.mark.parametrize(
    ("dtype", "way"),
    [
        *[(dtype, "Declare int64 and cast inside") for dtype in ("int8", "int32", "uint16")],
        *[(dtype, "Declare float32 and cast inside") for dtype in ("float16", "float64", "bfloat16")],
        ("complex64", "bool.$"),
    ],
)
def test_a_dtype_that_no_artifact_takes_is_refused_where_it_is_declared(dtype, way):
    with pytest.raises(InputError, match=f"'{dtype}'; expected one of float32.*{way}"):
        Tensor(dtype, (2,))


def test_a_call_uses_a_name_once():
    with pytest.raises(ValueError, match="a call uses the name 'u' twice"):
        zoo.Call(lambda u: u, {}, {}, {"u": zoo.Uniform()}, {"u": zoo.Option(1)})
