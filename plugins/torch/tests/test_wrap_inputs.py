"""Inputs other than observations, latents and classes, of every dtype: prompts, conditions, switches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from zoo_torch import wrap

import zoo
from zoo import noise as reference
from zoo.errors import InputError

TWO, REAL = zoo.Normal(2), zoo.Real(2)
INPUTS = {
    "prompt": zoo.Tensor("int64", (8,), low=10, high=99),
    "strength": zoo.Tensor("float32", low=0.5, high=2.0),
    "pixels": zoo.Tensor("uint8", (2,)),
    "flip": zoo.Tensor("bool"),
}
SIGNAL = np.cumprod(1 - np.linspace(1e-3, 0.2, 40))


class Conditional(nn.Module):
    """Fails for a prompt that is out of range or of another dtype, and needs all of its conditions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.net = nn.Embedding(90, 2), nn.Linear(2, 2)

    def condition(self, prompt, pixels):
        assert (prompt.dtype, pixels.dtype) == (torch.int64, torch.uint8)
        return self.table(prompt - 10).mean(1) + pixels.to(torch.float32) / 255

    def forward(self, x, prompt, strength, pixels, flip):
        y = self.net(x) * strength[:, None] + self.condition(prompt, pixels)
        return torch.where(flip[:, None], -y, y)


NET = Conditional()
CALL = zoo.Call(lambda z, **more: NET(z, **more), INPUTS, {"x": REAL.tensor}, {"z": TWO})
LOOP = zoo.Loop(
    3,
    lambda index, z, prompt, pixels, **more: {"x": z, "shift": NET.condition(prompt, pixels)},
    lambda i, state, shift, strength, flip, **more: {
        "x": torch.where(flip[:, None], state["x"] - shift, NET.net(state["x"]) * strength[:, None])
    },
    lambda state: state["x"],
    {"x": REAL.tensor},
    INPUTS,
    {"x": REAL.tensor},
    invariants={"shift": REAL.tensor},
    init_noise={"z": TWO},
)
WAYS = {
    "sample": {"sample": NET, "noise": TWO, "inputs": INPUTS},
    "step": {
        "init": lambda z, prompt: z + NET.table(prompt - 10)[:, 0],
        "step": lambda i, x, **more: NET(x, **more),
        "length": 3,
        "noise": TWO,
        "inputs": INPUTS,
    },
    "denoiser": {"denoiser": lambda x, t, **more: NET(x, **more), "schedule": SIGNAL, "length": 3, "inputs": INPUTS},
    "decode": {"decode": NET, "noise": TWO, "inputs": INPUTS},
    "a call": {"sample": CALL},
    "a loop": {"sample": LOOP},
}


def conditions(count):
    rng = np.random.default_rng(3)
    return {
        "prompt": rng.integers(10, 100, (count, 8)),
        "strength": rng.uniform(0.5, 2, count).astype(np.float32),
        "pixels": rng.integers(0, 256, (count, 2), dtype=np.uint8),
        "flip": np.arange(count) % 2 == 0,
    }


@pytest.mark.parametrize("way", WAYS)
def test_inputs_of_every_dtype_in_every_kind_of_sampler(way, tmp_path):
    model = wrap(**WAYS[way], space=REAL)
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    assert artifact.signatures["sample"].inputs == INPUTS  # bounds included
    given = conditions(5)
    rows = artifact.sample(5, seed=1, **given)
    np.testing.assert_allclose(rows, model.sample(5, seed=1, **given), rtol=1e-4, atol=1e-5)
    for name, array in given.items():  # each matters, and to its own row
        other = {**given, name: np.concatenate([array[:1], INPUTS_OF_ANOTHER[name](array[1:])])}
        changed = (artifact.sample(5, seed=1, **other) != rows).any(1)
        assert not changed[0], name
        assert changed[1:].any(), name


INPUTS_OF_ANOTHER = {
    "prompt": lambda a: 109 - a,
    "strength": lambda a: 2.5 - a,
    "pixels": lambda a: 255 - a,
    "flip": lambda a: ~a,
}


def test_rows_are_what_the_user_s_own_code_gives(tmp_path):
    model = wrap(**WAYS["sample"], space=REAL)
    given = conditions(4)
    z = torch.from_numpy(reference.draw(TWO, np.arange(4), seed=2, stream="sample/noise"))
    own = NET(z, **{name: torch.from_numpy(a) for name, a in given.items()})
    np.testing.assert_allclose(model.sample(4, seed=2, **given), own.detach(), rtol=1e-5)


def test_one_condition_stands_for_every_row():
    model = wrap(**WAYS["sample"], space=REAL)
    given = conditions(4)
    one = {"prompt": given["prompt"][1], "strength": 1.5, "pixels": [3, 4], "flip": True}
    rows = {name: np.repeat(np.asarray(value)[None], 4, axis=0) for name, value in one.items()}
    assert np.array_equal(model.sample(4, seed=2, **one), model.sample(4, seed=2, **rows))
    assert model.run("sample", {**one, "prompt": given["prompt"]}, seed=2)["x"].shape == (4, 2)


def test_methods_of_observations_take_conditions(tmp_path):
    class Scored(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(100, 2)

        def score(self, x, prompt):
            return -((x - self.table(prompt).mean(1)) ** 2).sum(1)

        def forward(self, x, prompt):
            return x - self.table(prompt).mean(1)

        def classes(self, x, prompt):
            return self(x, prompt).softmax(-1)

    net, tokens = Scored(), {"prompt": zoo.Tensor("int64", (3,), low=0, high=99)}
    model = wrap(log_prob=net.score, encode=net, predict=net.classes, classes=2, inputs=tokens, space=REAL)
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    x, prompt = np.ones((4, 2), np.float32), np.arange(12).reshape(4, 3)
    own = net.score(torch.from_numpy(x), torch.from_numpy(prompt))
    np.testing.assert_allclose(artifact.log_prob(x, prompt=prompt), own.detach(), rtol=1e-4)
    assert artifact.encode(x, prompt=prompt).shape == artifact.predict(x, prompt=prompt).shape == (4, 2)


def test_integers_without_bounds_and_a_shape_that_an_option_names(tmp_path):
    table = nn.Embedding(7, 2)
    inputs = {"token": zoo.Tensor("int64"), "weights": zoo.Tensor("float32", ("terms", 2))}

    def sample(z, token, weights, terms):
        return z + table(token) + (weights * z[:, None]).sum(1) / terms

    call = zoo.Call(sample, inputs, {"x": REAL.tensor}, {"z": TWO}, {"terms": zoo.Option(3, low=2)})
    model = wrap(sample=call, space=REAL)
    zoo.export(model, tmp_path / "artifact")
    artifact = zoo.open(tmp_path / "artifact", device="cpu")
    given = {"token": [0, 6, 3], "weights": np.ones((3, 5, 2)), "terms": 5}
    np.testing.assert_allclose(artifact.sample(3, seed=1, **given), model.sample(3, seed=1, **given), rtol=1e-4)
    with pytest.raises(InputError, match=r"weights has shape \(3, 5, 2\); expected \(N, 3, 2\)"):
        artifact.sample(3, seed=1, **{**given, "terms": 3})


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_unet_of_diffusers_with_the_states_of_a_text_encoder(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8,), norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",), mid_block_type=None,
        cross_attention_dim=6, attention_head_dim=4,
    )  # fmt: skip
    encoder = nn.Embedding(20, 6)
    ways = {
        "encoder_hidden_states": (unet, zoo.Tensor("float32", (5, 6)), lambda tokens: encoder(tokens).detach().numpy()),
        "prompt": (
            lambda x, t, prompt: unet(x, t, encoder_hidden_states=encoder(prompt)),
            zoo.Tensor("int64", (5,), low=0, high=19),
            lambda tokens: tokens.numpy(),
        ),
    }
    tokens, rows = torch.arange(15).reshape(3, 5), {}
    for name, (denoiser, tensor, given) in ways.items():
        model = wrap(
            denoiser=denoiser, schedule=diffusers.DDIMScheduler(), inputs={name: tensor}, length=3,
            space=zoo.Image(8, 8, 1), family="diffusion",
        )  # fmt: skip
        zoo.export(model, tmp_path / name)
        artifact = zoo.open(tmp_path / name, device="cpu")
        rows[name] = artifact.sample(3, seed=1, steps=4, **{name: given(tokens)})
        gap = np.abs(rows[name].astype(int) - model.sample(3, seed=1, steps=4, **{name: given(tokens)}))
        assert gap.max() <= 1
        assert (gap > 0).mean() < 0.01
        other = artifact.sample(3, seed=1, steps=4, **{name: given(tokens.flip(0))})
        assert (other[0] != rows[name][0]).any()
        assert np.array_equal(other[1], rows[name][1])
    assert np.abs(rows["prompt"].astype(int) - rows["encoder_hidden_states"]).max() <= 1
    bounds = json.loads((tmp_path / "prompt" / "manifest.json").read_text())
    prompt = bounds["methods"]["sample"]["signature"]["inputs"]["prompt"]
    assert (prompt["low"], prompt["high"]) == (0, 19)


@pytest.mark.parametrize(("more", "message"), [
    ({"prompt": np.full((4, 8), 100)}, r"prompt has 100 in row 0; expected integers from 10 to 99"),
    ({"prompt": np.full((4, 8), 10.5)}, r"prompt has 10.5 in row 0; expected integers"),
    ({"prompt": np.full((4, 8), np.nan)}, "prompt has nan in row 0"),
    ({"prompt": np.full((4, 7), 10)}, r"prompt has shape \(4, 7\); expected \(N, 8\)"),
    ({"prompt": np.full((3, 8), 10)}, "prompt has 3 rows, and count is 4|3 rows and prompt|has 4 rows and prompt 3"),
    ({"prompt": [["a"] * 8] * 4}, "expected numbers"),
    ({"prompt": None}, "sample of .* needs prompt"),
    ({"strength": np.full(4, 3.0)}, r"strength has 3.0 in row 0; expected numbers from 0.5 to 2"),
    ({"strength": [1, 1, 1, np.inf]}, "strength has inf at row 3"),
    ({"strength": np.ones((4, 1))}, r"expected \(N,\)"),
    ({"pixels": np.full((4, 2), 256)}, "pixels has 256 in row 0; expected integers from 0 to 255"),
    ({"pixels": np.full((4, 2), -1)}, "pixels has -1 in row 0"),
    ({"flip": np.array([0, 1, 2, 0])}, "flip has 2 in row 2; expected true or false"),
    ({"promt": 3}, "Did you mean 'prompt'"),
])  # fmt: skip
def test_what_a_method_does_not_take(more, message):
    model = wrap(**WAYS["sample"], space=REAL)
    with pytest.raises(InputError, match=message):
        model.sample(4, seed=0, **{**conditions(4), **more})


def test_numbers_of_another_type_are_taken_where_they_mean_the_same():
    model = wrap(**WAYS["sample"], space=REAL)
    given = conditions(4)
    same = {
        "prompt": given["prompt"].astype(np.float64),
        "strength": given["strength"].tolist(),
        "pixels": given["pixels"].astype(np.int32),
        "flip": given["flip"].astype(np.int64),
    }
    assert np.array_equal(model.sample(4, seed=0, **same), model.sample(4, seed=0, **given))


TOKENS = {"prompt": zoo.Tensor("int64", (8,), low=0, high=9)}


@pytest.mark.parametrize(("more", "message"), [
    ({"inputs": {"prompt": 8}}, r"input 'prompt' is 8; expected zoo.Tensor\(dtype"),
    ({"inputs": TOKENS}, r"no function takes the input 'prompt' by keyword \(looked at sample\)"),
    ({"inputs": {"seed": TOKENS["prompt"]}}, "input 'seed' has a name that is taken"),
    ({"inputs": TOKENS, "options": {"prompt": 1}}, "input 'prompt' has a name that is taken"),
    ({"inputs": TOKENS, "sample": CALL, "noise": None}, "inputs= has no effect here"),
    ({"inputs": TOKENS, "sample": lambda z, prompt: nn.Embedding(5, 2)(prompt)[:, 0]}, "sample fails on examples: .*"),
    ({"sample": lambda z, prompt: z}, r"other inputs \(inputs=.* by keyword"),
])  # fmt: skip
def test_what_wrap_does_not_take(more, message):
    with pytest.raises(InputError, match=message):
        wrap(**{"sample": lambda z: z, "noise": TWO, "space": REAL, **more})


@pytest.mark.parametrize("bounds", [{"low": 5, "high": 4}, {"low": 0.5}, {"high": np.inf}, {"low": -(2**63) - 1}])
def test_bounds_that_are_none(bounds):
    with pytest.raises(InputError, match=r"not a bound of a tensor of int64|low to be the smaller"):
        zoo.Tensor("int64", (3,), **bounds)
