"""Methods as data: any name, inputs and outputs, options that are numbers or words, in Python and in the file."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import onnxruntime as ort
import pytest

import zoo
from zoo.artifact import read_manifest
from zoo.eager import EagerModel
from zoo.errors import ExportError, InputError, PluginError
from zoo.model import check_option
from zoo.numpy_network import NumpyNetwork
from zoo.signature import Call, Loop, Noise, Option, Tensor, fixed
from zoo.spec import ModelSpec

SPACE = zoo.Real(2)
WORDS = ("mean", "draw")


@dataclasses.dataclass(frozen=True)
class Config:
    pass


class World(NumpyNetwork):
    """A state that actions push, a step of a plan each, with noise; `observe` says whether samples are drawn."""

    Config, spaces, density = Config, (zoo.Real,), None

    def methods(self):
        tensors = {"state": Tensor("float32", (2,)), "plan": Tensor("float32", (4, 2))}
        rollout = Loop(
            length=4,
            init=lambda index, state, plan: {"now": state},
            step=lambda i, carried, state, plan, z: {"now": carried["now"] + plan[:, 0] + 0.1 * z},
            finish=lambda carried: {"last": carried["now"], "reward": carried["now"][:, 0]},
            state={"now": Tensor("float32", (2,))},
            inputs=tensors,
            outputs={"last": Tensor("float32", (2,)), "reward": Tensor("float32")},
            noise={"z": Noise("normal", (2,))},
        )
        observe = {"observe": Option("mean", choices=WORDS, help="the mean, or a draw about it")}
        sample = Call(
            lambda z, observe: 3 + z * (observe == 1),
            outputs={"x": SPACE.tensor},
            noise={"z": Noise("normal", (2,))},
            options=observe,
        )
        return {"sample": sample, "rollout": rollout}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    source = EagerModel(World.create(SPACE), "world")
    folder = tmp_path_factory.mktemp("artifacts") / "world"
    zoo.export(source, folder)
    return source, zoo.open(folder, device="cpu")


def test_a_method_of_another_name_has_any_inputs_and_outputs(models):
    state, plan = np.ones((3, 2), np.float32), np.full((3, 4, 2), 0.5, np.float32)
    found = [model.run("rollout", {"state": state, "plan": plan}, seed=[4, 5, 6]) for model in models]
    for one in found:
        assert {name: a.shape for name, a in one.items()} == {"last": (3, 2), "reward": (3,)}
        np.testing.assert_allclose(one["last"], 1 + 4 * 0.5, atol=1)
    np.testing.assert_allclose(found[0]["last"], found[1]["last"], rtol=1e-5)
    alone = models[1].run("rollout", {"state": state[:1], "plan": plan[:1]}, seed=6)
    np.testing.assert_allclose(alone["reward"], found[1]["reward"][2:], rtol=1e-5)


def test_an_option_may_be_a_word(models):
    for model in models:
        assert (model.sample(3, seed=0) == 3).all()
        assert (model.sample(3, seed=0, observe="mean") == 3).all()
        assert (model.sample(3, seed=0, observe="draw") != 3).all()
        with pytest.raises(InputError, match=r"observe='men'; expected one of mean, draw\. Did you mean 'mean'"):
            model.sample(3, seed=0, observe="men")
        with pytest.raises(InputError, match="expected one of mean, draw"):
            model.sample(3, seed=0, observe=1)
    bound = models[1].bind("sample", 3, observe="draw")
    np.testing.assert_array_equal(bound(0)["x"].numpy(), models[1].sample(3, seed=0, observe="draw"))


def test_the_words_of_an_option_stand_in_the_files(models):
    folder = models[1].folder
    assert read_manifest(folder).methods["sample"].signature.options["observe"].choices == WORDS
    session = ort.InferenceSession((folder / "sample.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    assert '"choices": ["mean", "draw"]' in session.get_modelmeta().custom_metadata_map["genzoo.options"]
    rows = {"seed": np.zeros(3, np.int64), "index": np.arange(3)}
    for number, word in enumerate(WORDS):
        (x,) = session.run(["x"], {**rows, "observe": np.asarray(number)})
        np.testing.assert_array_equal(x, models[1].sample(3, seed=0, observe=word))


def test_a_method_that_gives_another_dtype_than_it_declares_is_not_exported(tmp_path):
    class Wide(World):
        def methods(self):
            sample = super().methods()["sample"]
            return {"sample": dataclasses.replace(sample, function=lambda z, observe: z * np.float64(2)[None])}

    with pytest.raises(ExportError, match="wide: sample gives x as float64; it declares float32"):
        zoo.export(EagerModel(Wide.create(SPACE), "wide"), tmp_path / "wide")


def test_a_default_that_is_no_choice_is_refused():
    for default, choices in (("median", WORDS), ("mean", ())):
        with pytest.raises(InputError, match="expected one of them"):
            Option(default, choices=choices)


def test_specs_name_methods_of_their_own():
    spec = ModelSpec(name="world", target="w:W", family="vae", framework="numpy", methods=("rollout",), summary="")
    assert spec.methods == ("rollout",)
    with pytest.raises(PluginError, match="not lower case"):
        dataclasses.replace(spec, methods=("Roll out",))


def test_a_hundred_million_rows_cost_nothing_before_the_first_is_made():
    model = zoo.open("ddpm.digits", device="cpu")
    tracemalloc.start()
    try:
        chunks = model.stream("sample", count=10**8, seed=0, label=3, chunk=2, steps=1)
        assert next(chunks)["x"].shape == (2, 8, 8, 1)
        assert tracemalloc.get_traced_memory()[1] < 2**23  # imports included; labels of all rows would be 800 MB
    finally:
        tracemalloc.stop()
    with pytest.raises(InputError, match=r"rows need about [\d,]+\.\d GiB of memory and .* are free: \d+ rows fit"):
        model.bind("sample", 10**12, label=3)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (Option(1.0), 1e39, "too large; expected a number that float32 holds"),
        (Option(1.0), -1e300, "too large"),
        pytest.param(Option(1.0), 10**400, "expected a number", id="an int beyond float64"),
        (Option(1), 2**63, "too large; expected a number that int64 holds"),
        (Option(1, low=1.0, high=1000.0), 1001, r"expected an integer from 1 to 1000\."),
        (Option(0.5, low=0.25, high=1.0), 2, r"expected a number from 0\.25 to 1\.$"),
        (Option(1), True, "is not a number"),
        (Option(1.0), np.True_, "is not a number"),
    ],
)
def test_options_beyond_their_dtype_or_bounds_are_refused(option, value, message):
    with pytest.raises(InputError, match=message):
        check_option("guidance", option, value)


def test_options_in_any_shape_become_constants():
    """Inputs, state and invariants as well as outputs and noise."""
    wide = Tensor("float32", ("width",))
    loop = Loop(
        length=2,
        init=lambda index, x, width: {"now": x, "shift": x},
        step=lambda i, state, x, shift, z, width: {"now": state["now"] + shift + z},
        finish=lambda state: {"y": state["now"]},
        state={"now": wide},
        inputs={"x": wide},
        outputs={"y": wide},
        invariants={"shift": wide},
        noise={"z": Noise("normal", ("width",))},
        options={"width": Option(3)},
    )
    call = Call(lambda x, width: x, inputs={"x": wide}, outputs={"y": wide}, options={"width": Option(3)})
    for method in (fixed(loop, {"width": 3}), fixed(call, {"width": 3})):
        parts = ("inputs", "outputs", "state", "invariants", "noise")
        shapes = [t.shape for part in parts for t in getattr(method, part, {}).values()]
        assert set(shapes) == {(3,)}
