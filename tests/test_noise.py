"""The reference random numbers: counter-based, chunk-invariant, and distributed as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo.noise import draw, key, permutation, squares
from zoo.signature import Noise

KINDS = st.sampled_from(["normal", "uniform"])


def reference_squares(counter: int, key: int) -> int:
    """Squares32 as printed in the paper, in Python integers."""
    mask = (1 << 64) - 1
    x = y = counter * key & mask
    z = y + key & mask
    for addend in (y, z, y):
        x = x * x + addend & mask
        x = (x >> 32 | x << 32) & mask
    return (x * x + z & mask) >> 32


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_squares_is_the_paper_s(counter, k):
    assert int(squares(np.array([counter], np.uint64), k)[0]) == reference_squares(counter, k)


@given(KINDS, st.integers(1, 9), st.integers(0, 2**40), st.integers(-(2**63), 2**63 - 1), st.integers(1, 6))
def test_an_example_does_not_depend_on_its_chunk(kind, size, start, seed, cut):
    noise, index = Noise(kind, (size,)), np.arange(start, start + 7)
    whole = draw(noise, index, seed=seed, stream="s", step=2, steps=5)
    parts = [draw(noise, i, seed=seed, stream="s", step=2, steps=5) for i in (index[:cut], index[cut:])]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(("kind", "law"), [("normal", stats.norm), ("uniform", stats.uniform)])
@pytest.mark.parametrize("layout", ["elements", "examples", "steps", "seeds"])
def test_the_numbers_follow_their_law(kind, law, layout):
    count = 20_000
    if layout == "elements":
        x = draw(Noise(kind, (count,)), np.arange(1), seed=3, stream="s")
    elif layout == "examples":
        x = draw(Noise(kind, ()), np.arange(count), seed=3, stream="s")
    elif layout == "steps":
        x = np.stack(
            [draw(Noise(kind, (2,)), np.arange(10), seed=3, stream="s", step=t, steps=1000) for t in range(1000)]
        )
    else:
        x = np.stack([draw(Noise(kind, (2,)), np.arange(1), seed=s, stream="s") for s in range(count // 2)])
    assert stats.kstest(x.ravel(), law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(x.ravel()[:-1], x.ravel()[1:])[0, 1]) < 4 / np.sqrt(x.size)


def test_uniforms_are_inside_the_open_interval_and_exact():
    # the extreme counters of 23 bits: (0 + 1/2) / 2**23 and (2**23 - 1/2) / 2**23
    assert np.float32((2**23 - 1 + 0.5) * 2.0**-23) == 1 - 2.0**-24
    x = draw(Noise("uniform", (10**6,)), np.arange(1), seed=0, stream="s")
    assert x.min() > 0
    assert x.max() < 1
    assert (x.astype(np.float64) * 2**24 % 2 == 1).all()  # odd multiples of 2**-24


def test_streams_and_seeds_are_independent():
    index = np.arange(5000)
    a, b, c = (
        draw(Noise("normal"), index, seed=s, stream=t) for s, t in [(0, "sample/z"), (0, "encode/z"), (1, "sample/z")]
    )
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.06
    assert abs(np.corrcoef(a, c)[0, 1]) < 0.06
    assert key(0) % 2 == 1


@given(st.integers(1, 300), st.integers(0, 1000))
def test_a_permutation_has_every_row_once(count, seed):
    assert sorted(permutation(count, seed=seed, stream="order")) == list(range(count))


def test_noise_of_a_shape_that_an_option_names():
    noise = Noise("normal", ("samples", 3))
    assert draw(noise, np.arange(4), seed=0, stream="s", options={"samples": 5}).shape == (4, 5, 3)
