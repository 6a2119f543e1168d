"""How much `wrap` runs of a slow model, by a clock that the model itself advances."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from zoo_torch import wrap

import zoo
from zoo.errors import InputError
from zoo.wrapping import probe

IMAGE, NOISE = zoo.Image(4, 4, 1), zoo.Normal(1, 4, 4)
SIGNAL = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


class Slow:
    """Counts rows and passes, and moves the clock by `seconds` a row."""

    def __init__(self, seconds):
        self.seconds, self.now, self.rows, self.passes = seconds, 0.0, 0, 0

    def __call__(self, y):
        self.now, self.rows, self.passes = self.now + self.seconds * len(y), self.rows + len(y), self.passes + 1
        return y


@pytest.fixture
def slow(monkeypatch):
    def make(seconds):
        made = Slow(seconds)
        monkeypatch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: made.now))
        return made

    return make


def sampler(slow, **more):
    def step(i, x):
        return slow(0.9 * x + 0.01 * i)

    return wrap(
        init=lambda z: z, step=step, finish=torch.tanh, length=50, noise=NOISE, space=IMAGE, **more
    ).network.config  # fmt: skip


def denoiser(slow, **more):
    return wrap(
        denoiser=lambda x, t: slow(0.5 * x), schedule=SIGNAL, finish=torch.sigmoid, length=50, space=IMAGE, **more
    ).network.config


@pytest.mark.parametrize(("seconds", "draws"), [(0.001, "4 draws"), (0.03, "3 draws"), (0.09, "1 draw")])
def test_a_sampler_is_run_to_its_end_for_as_many_draws_as_are_affordable(slow, seconds, draws):
    clock = slow(seconds)
    assert f"inferred from {draws} of sample," in sampler(clock).values_from
    assert clock.now < 10


def test_where_one_draw_takes_long_wrap_asks_and_says_how_long(slow):
    clock = Slow(1.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "time", SimpleNamespace(perf_counter=lambda: clock.now))
        with pytest.raises(
            InputError, match=r"would take about 75 s \(50 steps of 1.5 s\). Give them: values=\(low, high"
        ):
            sampler(clock)
    assert clock.rows == 6  # the step itself, looked at twice


def test_a_denoiser_is_run_in_fewer_steps(slow):
    clock = slow(0.25)
    config = denoiser(clock)
    assert config.values == (0.0, 1.0)
    assert config.values_from.startswith("inferred from 1 draw of sample in 20 steps,")
    assert clock.now < 12
    with pytest.raises(
        InputError, match=r"about 50 s \(50 steps of 1 s\)"
    ):  # and not in so few that they make no image
        denoiser(slow(1.0))


def test_a_call_that_takes_long(slow):
    def generator(slow):
        return wrap(sample=lambda z: slow(z).sigmoid(), noise=NOISE, space=IMAGE).network.config

    assert generator(slow(0.01)).values_from.startswith("inferred from 32 draws of sample,")
    assert generator(slow(1.0)).values_from.startswith("inferred from 5 draws of sample,")
    with pytest.raises(InputError, match=r"about 6 s \(one call\)"):
        generator(slow(6.0))
    clock = slow(6.0)
    with pytest.raises(InputError, match=r"decode gives floats.* about 6 s \(one call\)"):
        wrap(decode=lambda z: clock(z).sigmoid(), latent=16, space=IMAGE)


def a_loop(slow):
    x = zoo.Tensor("float32", (2,))
    loop = zoo.Loop(
        50, lambda index, z: {"x": z}, lambda i, s: {"x": slow(s["x"] + i)}, lambda s: s["x"], {"x": x}, {}, {"x": x},
        init_noise={"z": zoo.Normal(2)},
    )  # fmt: skip
    return wrap(sample=loop, space=zoo.Real(2))


@pytest.mark.parametrize("way", [sampler, denoiser, a_loop])
def test_long_steps_are_probed_once(way, slow):
    """Of one row, half a second: of three, more than what counts as long. All compared runs take the same steps."""
    rows = {}
    for seconds in (0.001, 0.5):
        clock = slow(seconds)
        way(clock, **({} if way is a_loop else {"values": (0, 1)}))
        rows[seconds] = clock.rows
    assert rows[0.5] == 6 + 5  # one step: looked at twice, and three rows beside the first and the last alone
    assert rows[0.001] > rows[0.5]


def test_rows_that_mix_are_seen_in_long_steps(slow):
    clock = slow(2.0)
    net = nn.Linear(2, 2)
    with pytest.raises(InputError, match="sample mixes rows"):
        wrap(
            init=lambda z: z, step=lambda i, x: clock(net(x) - x.mean(0)), length=9, noise=zoo.Normal(2),
            space=zoo.Real(2),
        )  # fmt: skip
