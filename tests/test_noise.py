"""The reference random numbers: a function of seed, index, stream, step and element, distributed as they say."""

from __future__ import annotations

import hashlib
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from zoo import load_dataset
from zoo.noise import (
    CACHED,
    GOLDEN,
    WORDS,
    counters,
    derive_seed,
    draw,
    permutation,
    row_keys,
    shuffled,
    squares,
    stream_offset,
)
from zoo.signature import Noise

MASK = 2**64 - 1
KINDS = st.sampled_from(["normal", "uniform"])
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, MASK)
UNIFORM = Noise("uniform")


# ---- the same in Python's integers ---------------------------------------------------------------------------------


def rounds(y: int, z: int, count: int) -> list[int]:
    """The sums in the rounds of Squares, as the paper prints them."""
    x, sums = y, []
    for addend in (y, z, y, z, y)[:count]:
        sums.append(x * x + addend & MASK)
        x = (sums[-1] >> 32 | sums[-1] << 32) & MASK
    return sums


def reference_squares(counter: int, key: int) -> int:
    y = counter * key & MASK
    return rounds(y, y + key & MASK, 4)[-1] >> 32


def reference_key(seed: int, index: int, stream: str) -> int:
    y, z = (seed * a + index * b + c & MASK for a, b, c in WORDS)
    *_, fourth, fifth = rounds(y, z, 5)
    name = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
    return 2 * (fourth + (fifth >> 32)) + (name | 1) & MASK


def reference_uniform(seed: int, index: int, stream: str, step: int, element: int) -> float:
    bits = reference_squares(step * GOLDEN + element + 1 & MASK, reference_key(seed, index, stream))
    return ((bits >> 9) + 0.5) / 2**23


@given(UINT64, UINT64)
def test_squares_is_the_paper_s(counter, key):
    assert int(squares(np.array([counter], np.uint64), np.array([key], np.uint64))[0]) == reference_squares(
        counter, key
    )


@given(INT64, st.integers(0, 2**63 - 1), st.text(max_size=20), st.integers(0, 2**31 - 1))
def test_a_number_is_a_function_of_seed_index_stream_step_and_element(seed, index, stream, step):
    (row,) = draw(Noise("uniform", (2, 3)), np.array([index]), seed=seed, stream=stream, step=step)
    assert row.ravel().tolist() == [reference_uniform(seed, index, stream, step, e) for e in range(6)]
    (cosine, sine) = draw(Noise("normal", (2,)), np.array([index]), seed=seed, stream=stream, step=step)[0]
    u, v = row.ravel()[:2].astype(float)
    expected = np.sqrt(-2 * np.log(u)) * np.array([np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)])
    np.testing.assert_allclose([cosine, sine], expected, rtol=1e-5, atol=5e-6)


def fraction_of_pi(bits: int) -> int:
    one = 1 << bits + 64  # Machin: pi / 4 = 4 arctan 1/5 - arctan 1/239

    def arctan(n: int) -> int:
        return sum((-1) ** k * one // ((2 * k + 1) * n ** (2 * k + 1)) for k in range(bits))

    return (4 * (4 * arctan(5) - arctan(239)) - 3 * one) >> 64


def fraction_of_e(bits: int) -> int:
    term, total = 1 << bits + 64, 0
    for k in range(2, bits):
        term //= k
        total += term
    return total >> 64


def test_the_constants_are_what_is_said_of_them():
    digits = [[f >> 64 * place & MASK for place in (2, 1, 0)] for f in (fraction_of_pi(192), fraction_of_e(192))]
    (a, b, c), (d, e, f) = digits
    assert ((a, b | 1, c), (d | 1, e & ~1, f)) == WORDS
    assert (math.isqrt(5 << 128) - 2**64) // 2 == GOLDEN


def test_seed_and_index_make_words_one_to_one():
    (a, b, _), (d, e, _) = WORDS
    assert (a * e - b * d) % 2 == 1  # so the matrix has an inverse modulo 2**64


def test_steps_share_no_counter():
    """Multiples of GOLDEN are nearest to each other at the denominators of its continued fraction."""
    rest, before, denominators = (2**64, GOLDEN), 0, [1]
    while rest[1]:
        quotient, remainder = divmod(*rest)
        rest, (before, last) = (rest[1], remainder), (denominators[-1], quotient * denominators[-1] + before)
        denominators.append(last)
    gaps = [min(n * GOLDEN & MASK, -n * GOLDEN & MASK) for n in denominators if n < 2**31]
    assert min(gaps) > 2**32
    halves = [int(counters(step, 1)[0]) % 2**32 for step in range(1000)]
    assert len(set(halves)) == 1000  # all bits of a counter change


# ---- rows, steps and options ---------------------------------------------------------------------------------------


@given(KINDS, st.integers(1, 9), st.lists(st.tuples(INT64, INT64), min_size=2, max_size=6), st.integers(1, 5))
def test_a_row_does_not_depend_on_its_chunk(kind, size, rows, cut):
    noise, (seed, index) = Noise(kind, (size,)), np.array(rows).T
    whole = draw(noise, index, seed=seed, stream="s", step=2)
    parts = [draw(noise, index[part], seed=seed[part], stream="s", step=2) for part in (slice(cut), slice(cut, None))]
    assert np.array_equal(whole, np.concatenate(parts))
    alone = draw(noise, index[:1], seed=int(seed[0]), stream="s", step=2)
    assert np.array_equal(whole[:1], alone)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_a_row_is_the_same_in_a_draw_that_is_made_in_parts(kind):
    noise, index = Noise(kind, (CACHED // 3 - 1,)), np.arange(10)
    alone = [draw(noise, index[i : i + 1], seed=4, stream="s") for i in index]
    assert np.array_equal(draw(noise, index, seed=4, stream="s"), np.concatenate(alone))


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("shape", [("samples",), ("samples", 5), (2, "samples", 3)], ids=str)
def test_the_first_groups_are_the_same_however_many_there_are(kind, shape):
    few, many = (
        draw(Noise(kind, shape), np.arange(4), seed=0, stream="s", options={"samples": n}).reshape(4, -1)
        for n in (5, 16)
    )
    assert few.shape[1] < many.shape[1]
    assert np.array_equal(few, many[:, : few.shape[1]])


def test_no_rows_share_numbers_whatever_their_options():
    """Runs of three uniforms, of 69 bits, of rows that were related when there was one key for each seed: rows e and
    2e, 16e and e + 2**58, seeds s and s + 2**63, and more."""
    indices = [*range(64), *(e << k for e in range(1, 4) for k in range(4, 60, 6)), 2**58 + 1, 2**62 + 1, 2**63 - 1]
    seeds = [0, 1, 2, -1, -2, 2**31, 2**32, 2**32 + 1, -(2**63), -(2**63) + 1, 2**63 - 1]
    grid = [(s, i) for s in seeds for i in indices]
    seed, index = np.array(sorted(set(grid)), dtype=np.int64).T
    each = {"seed": seed, "stream": "s"}
    rows = [draw(Noise("uniform", (6,)), index, step=step, **each) for step in range(20)]
    rows.append(draw(Noise("uniform", ("samples",)), index, options={"samples": 16}, **each)[:, 6:])
    runs = np.concatenate([np.lib.stride_tricks.sliding_window_view(r, 3, axis=1) for r in rows], axis=1)
    runs = np.ascontiguousarray(runs).reshape(-1, 3)
    assert len(np.unique(runs.view("V12"))) == len(runs)


def correlation(a, b) -> float:
    """In standard deviations of that of independent numbers."""
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1] * np.sqrt(np.size(a)))


def test_rows_are_independent_at_other_numbers_of_steps():
    noise, index = Noise("normal", (64,)), np.arange(1, 21)
    twenty = np.stack([draw(noise, index, seed=3, stream="s", step=t) for t in range(20)], axis=1)
    ten = [np.stack([draw(noise, 2 * index + k, seed=3, stream="s", step=t) for t in range(10)], 1) for k in (0, 1)]
    for k in (0, 1):
        assert abs(correlation(twenty[:, :10], ten[k])) < 4
        assert abs(correlation(twenty[:, 10:], ten[k])) < 4
        assert abs(correlation(twenty[:, k::2], ten[k])) < 4


def test_samples_of_a_row_are_not_those_of_other_rows():
    noise, index = Noise("normal", ("samples", 32)), np.arange(1, 41)
    many = draw(noise, index, seed=3, stream="s", options={"samples": 16})
    ones = draw(noise, np.arange(16, 16 * 41), seed=3, stream="s", options={"samples": 1})
    assert abs(correlation(many, ones.reshape(many.shape))) < 4


@pytest.mark.parametrize("shift", [1, 2, 2**31, 2**32, 2**58, 2**62, -(2**63)])
@pytest.mark.parametrize("what", ["seed", "index"])
def test_rows_of_related_seeds_and_indices_are_independent(what, shift):
    seed, index = np.arange(500), np.arange(500)[::-1].copy()
    moved = {"seed": seed, "index": index}
    moved[what] = moved[what] + np.int64(shift)
    a, b = (draw(Noise("normal", (16,)), stream="s", **rows) for rows in ({"seed": seed, "index": index}, moved))
    assert abs(correlation(a, b)) < 4
    assert abs(correlation(np.abs(a), np.abs(b))) < 4


def test_seeds_are_not_those_of_their_negatives():
    seed = np.arange(1, 4000)
    a, b = (draw(Noise("normal"), np.zeros_like(seed), seed=s, stream="s") for s in (seed, -seed))
    assert abs(correlation(a, b)) < 4


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_streams_are_independent(kind):
    noise, index = Noise(kind), np.arange(5000)
    streams = [draw(noise, index, seed=0, stream=s) for s in ("sample/z", "sample/u", "encode/z", "")]
    derived = [draw(noise, index, seed=derive_seed(0, s), stream="sample/z") for s in ("a", "b", "")]
    twice = [derive_seed(derive_seed(0, one), other) for one, other in ("ab", "ba")]
    columns = [*streams, *derived, *(draw(noise, index, seed=s, stream="sample/z") for s in twice)]
    upper = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert np.abs(upper).max() * np.sqrt(len(index)) < 4


def test_names_are_told_apart_where_their_crc32_is_one():
    assert stream_offset("plumless") != stream_offset("buckeroo")


@given(INT64, st.text(max_size=20))
def test_keys_are_odd_and_derived_seeds_are_int64(seed, name):
    assert int(row_keys(seed, np.arange(2), name)[1]) % 2 == 1
    assert -(2**63) <= derive_seed(seed, name) < 2**63
    assert derive_seed(seed, name) == derive_seed(seed, name)


# ---- distribution --------------------------------------------------------------------------------------------------

COUNT = 20_000
STREAMS = ("sample/z", "encode/z", "loss/z", "x")


def laid_out(kind: str, layout: str) -> np.ndarray:
    """Numbers that follow one another as samplers take them."""
    one, few, many = Noise(kind), Noise(kind, (2,)), Noise(kind, (64,))
    if layout == "elements":
        return draw(Noise(kind, (COUNT,)), np.arange(1), seed=3, stream="s")
    if layout == "indices":
        return draw(one, np.arange(COUNT), seed=3, stream="s")
    if layout == "seeds":
        return draw(one, np.zeros(COUNT, np.int64), seed=np.arange(COUNT), stream="s")
    if layout == "steps":  # of each row, two elements of each step
        return np.stack([draw(few, np.arange(10), seed=3, stream="s", step=t) for t in range(COUNT // 20)], axis=1)
    if layout == "rows":  # eight of each seed
        row = np.arange(COUNT // 64)
        return draw(many, row % 8, seed=row // 8, stream="s")
    return np.stack([draw(one, np.arange(COUNT // 4), seed=3, stream=s) for s in STREAMS], axis=1)


@pytest.mark.parametrize(("kind", "law"), [("normal", stats.norm), ("uniform", stats.uniform)])
@pytest.mark.parametrize("layout", ["elements", "indices", "seeds", "steps", "rows", "streams"])
def test_the_numbers_follow_their_law(kind, law, layout):
    x = laid_out(kind, layout).ravel().astype(float)
    assert stats.kstest(x, law.cdf).pvalue > 1e-3
    cells = np.bincount((law.cdf(x) * 256).astype(int).clip(0, 255), minlength=256)
    assert stats.chisquare(cells).pvalue > 1e-3
    for y in (x - x.mean(), np.abs(x - x.mean()) - np.abs(x - x.mean()).mean()):
        spectrum = np.abs(np.fft.rfft(y)[1:]) ** 2 / (y**2).sum()
        assert spectrum.max() < np.log(len(spectrum) / 1e-3)  # an exponential variable at each frequency
        for lag in (1, 2, 4, 64):
            assert abs(correlation(y[:-lag], y[lag:])) < 4


def test_uniforms_are_inside_the_open_interval_and_exact():
    # the extreme counters of 23 bits: (0 + 1/2) / 2**23 and (2**23 - 1/2) / 2**23
    assert np.float32((2**23 - 1 + 0.5) * 2.0**-23) == 1 - 2.0**-24
    x = draw(Noise("uniform", (10**6,)), np.arange(1), seed=0, stream="s")
    assert x.min() > 0
    assert x.max() < 1
    assert (x.astype(np.float64) * 2**24 % 2 == 1).all()  # odd multiples of 2**-24


def test_normals_are_finite_and_reach_into_the_tails():
    x = draw(Noise("normal", (10**6,)), np.arange(1), seed=0, stream="s")
    assert 4.5 < np.abs(x).max() <= np.sqrt(48 * np.log(2)) * (1 + 1e-6)  # where the uniform is 2**-24


# ---- orders and data -----------------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.integers(0, 1000))
@example(63**2, 0)
@example(64**2, 0)
def test_a_permutation_has_every_row_once(count, seed):
    assert sorted(permutation(count, seed=seed, stream="order")) == list(range(count))


@given(st.integers(1, 2**62), st.integers(0, 1000), st.data())
def test_places_of_an_order_are_found_without_the_others(count, seed, data):
    places = np.array(data.draw(st.lists(st.integers(0, count - 1), unique=True, max_size=20)), dtype=np.int64)
    found = shuffled(places, count, seed=seed, stream="order")
    assert len(set(found.tolist())) == len(places)
    assert ((found >= 0) & (found < count)).all()
    assert np.array_equal(shuffled(places[::-1], count, seed=seed, stream="order"), found[::-1])


def test_all_orders_of_four_rows_are_as_frequent():
    number = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    drawn = [tuple(permutation(4, seed=n // 20, stream=f"order/{n % 20}").tolist()) for n in range(1200)]
    assert stats.chisquare(np.bincount([number[order] for order in drawn], minlength=24)).pvalue > 0.01


def test_a_row_stands_at_all_places_of_its_epochs_as_often():
    orders = np.array([permutation(15, seed=5, stream=f"order/{epoch}") for epoch in range(1000)])
    assert stats.chisquare([np.bincount(column) for column in orders.T], axis=None).pvalue > 0.01
    pairs = orders[:, 0] * 15 + orders[:, 1]  # neighbors in the order: each pair of different rows
    seen = np.bincount(pairs, minlength=225).reshape(15, 15)
    assert not np.diag(seen).any()
    assert stats.chisquare(seen[~np.eye(15, dtype=bool)]).pvalue > 0.01


def test_to_look_up_an_order_takes_no_memory_for_the_rest():
    tracemalloc.start()
    shuffled(np.arange(1000), 10**12, seed=0, stream="order")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_permutations_of_two_streams_are_not_turned_copies():
    first, second = (permutation(1000, seed=3, stream=s) for s in ("order/0", "order/1"))
    turns = (np.argsort(first)[second] - np.arange(1000)) % 1000
    assert np.bincount(turns).max() < 12  # one in the mean
    assert abs(correlation(first, second)) < 4


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("digits", "fbd52edbddb7edcab6122c972173e1ab0ab71c643b81916c4d9726a530389765"),
        ("moons", "8d3d6a177a0fb556ecb6f3b395be71e8fd1ce4e7c9772b49c035c3a65e74a5bf"),
        ("names", "466916a24be77e88a3558e61ba167bad5eb3c35a177baea030f501d9b1d41a1e"),
    ],
)
def test_data_sets_and_their_splits_stay_as_they_were(name, digest):
    if name == "names":
        pytest.importorskip("names")
    assert load_dataset(name).digest == digest
