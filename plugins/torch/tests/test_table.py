"""`table`: bins of columns, conditionals of columns, and a sampler that follows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_torch.layers.bins import FEWEST, Bins, lower_ends

import zoo
from zoo.artifact.inspection import inspect
from zoo.columns import Boolean, Category, Datetime, Integer, Real

SMALL = {"hidden": 8, "embedding": 4, "layers": 1, "bumps": 2, "bins": 16}
MIXED = zoo.Table(
    [
        Category(name="city", values=("Basel", "Zug"), missing=True),
        Integer(name="n", low=-5, high=70_000, missing=True),
        Datetime(name="at", low=0, high=2**61, unit="us"),
        Real(name="w", edges=(0.0, 2.0, 10.0), atoms=(5.0,), missing=True),
        Boolean(name="b"),
    ]
)
# columns of as many levels, which the suite can go through
EQUAL = zoo.Table(
    [
        Category(name="a", values=("p", "q", "r", "s")),
        Integer(name="n", low=0, high=3),
        Category(name="c", values=("u", "v", "w"), missing=True, ordered=True),
    ]
)


def disturbed(space=MIXED, spread=0.1, **config):
    model = zoo.create("table", space, config={**SMALL, **config}, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight += spread * torch.randn(weight.shape, generator=generator)
    return model


# ---- bins


def test_codes_come_back_from_bins_and_offsets():
    bins, codes = Bins(MIXED, 16), torch.from_numpy(MIXED.examples("random", 500))
    codes = codes[bins.log_volume(codes, bins(codes)[0]).isfinite().all(1)]  # integers beyond the range have codes too
    assert len(codes) > 200
    found, offset = bins(codes)
    assert (found < bins.levels).all()
    assert torch.equal(bins.codes(found, offset), codes)


def test_codes_that_there_are_not_become_the_nearest():
    bins = Bins(MIXED, 16)
    found, _ = bins(torch.full((1, MIXED.size), 999))
    assert torch.equal(found[0], bins.levels - 1)


def test_a_value_that_many_rows_share_has_a_bin_to_itself():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.integers(0, 10**6, 3000), np.full(500, 4242), np.full(FEWEST - 1, 77)])
    ends = lower_ends(values, 10**6, 64).tolist()
    assert len(ends) <= 64
    assert ends[0] == 0
    assert {4242, 4243} <= set(ends)
    counts = np.histogram(values, [*ends, 10**6])[0]
    assert counts[counts > 0].min() >= FEWEST, "no bin repeats the values of a few rows"


def test_bins_of_columns_without_values():
    assert lower_ends(np.array([], np.int64), 1000, 16).tolist() == [0]
    space = zoo.Table([Category(name="none", values=(), missing=True), Real(name="w", atoms=(1.0, 2.0))])
    model = zoo.create("table", space, config=SMALL)
    model.network.adapt(space.examples("random", 20))
    assert set(model.sample(50, seed=0)["w"].to_pylist()) == {1.0, 2.0}
    assert model.sample(3, seed=0)["none"].null_count == 3


@pytest.mark.parametrize("total", [3, 1000, 2**61])
def test_offsets_in_a_bin_are_equally_likely(total):
    bins = Bins(zoo.Table([Integer(name="n", low=0, high=total - 1)]), 1)
    u = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0))
    drawn = bins.draw(torch.tensor([0]), torch.zeros(4000, dtype=torch.int64), u).numpy()
    assert drawn.max() < total
    counts = np.histogram(drawn / total, 3, (0, 1))[0]
    assert np.abs(counts - 4000 / 3).max() < 4 * (4000 * 2 / 9) ** 0.5
    if total > 2**50:
        assert len(np.unique(drawn // 2**20 % 2**16)) > 3000, "the lower digits are random, too"


# ---- the density


def test_a_column_depends_on_those_before_it_and_on_those_given():
    net = disturbed().network
    x = torch.from_numpy(MIXED.examples("random", 40))
    other = x.roll(1, 0)
    given = torch.zeros(40, 5, dtype=torch.bool)
    base = net.conditionals(x)
    torch.testing.assert_close(net.conditionals(x, given), base)
    for place in range(1, 5):  # columns from `place` on change
        changed = torch.where(torch.arange(MIXED.size) < int(net.bins.first[place]), x, other)
        torch.testing.assert_close(net.conditionals(changed)[:, :place], base[:, :place])
    given[:, 3] = True
    assert (net.conditionals(x, given)[:, 0] != base[:, 0]).any()
    torch.testing.assert_close(net.conditionals(x, given)[:, 4], base[:, 4]), "it sees that column anyway"


def test_only_integers_of_the_range_have_a_probability():
    model = disturbed(zoo.Table([Integer(name="n", low=0, high=300)]))  # 17 x 18 codes
    rows = np.array([(i, j) for i in range(17) for j in range(18)])
    p = np.exp(model.log_prob(rows).astype(np.float64))
    assert p.sum() == pytest.approx(1, abs=1e-5)
    assert (p[301:] == 0).all()
    assert (p[:301] > 0).all()


def test_bumps_are_densities_over_the_positions():
    net = zoo.create("table", EQUAL, config={**SMALL, "bumps": 2}).network
    position = torch.linspace(-40, 40, 80_001)[None, None]
    weight, center, narrow = (torch.tensor(v)[None, None] for v in ([0.0, 2.0], [-0.15, 0.05], [1.0, 0.0]))
    density = net.log_bumps(position, weight, center, narrow).exp()[0, 0]
    area = float(density.sum() * 0.001)
    assert area == pytest.approx(torch.pi / 2, rel=1e-3), "of each bump; the softmax over bins takes it out"
    assert float(position[0, 0, density.argmax()]) == pytest.approx(0.8, abs=0.01)


# ---- sampling


def test_samples_are_drawn_from_the_conditionals():
    model = disturbed(spread=0.4)
    codes = model.run("sample", count=20_000, seed=3)["x"]
    x = torch.from_numpy(codes[:4000])
    net = model.network
    bins, _ = net.bins(x)
    with torch.no_grad():
        expected = torch.zeros(5, net.bins.width)
        seen = torch.nn.functional.embedding(bins + net.order * net.bins.width, net.embeddings().flatten(0, 1))
        for column in range(5):
            shown = torch.where(net.order[:, None] < column, seen, 0.0).flatten(1)
            p = torch.softmax(net.logits((shown @ net.inner[column])[None], torch.tensor([column]))[0], 1)
            expected[column] = p.mean(0)
    counts = torch.stack([torch.bincount(b, minlength=net.bins.width) for b in bins.T]) / 4000
    error = (expected * (1 - expected) / 4000).sqrt()
    assert ((counts - expected).abs() <= 4.5 * error + 3 / 4000).all()


def test_temperature_makes_likely_rows():
    model = disturbed(EQUAL, spread=0.5)
    cold, warm = (model.log_prob(model.sample(300, seed=0, temperature=t)).mean() for t in (0.3, 1.0))
    assert cold > warm + 0.2


def test_an_artifact_draws_and_scores_the_same_rows(tmp_path):
    model = disturbed()
    zoo.export(model, tmp_path / "art")
    artifact = zoo.open(tmp_path / "art")
    rows = model.sample(60, seed=5)
    assert artifact.sample(60, seed=5).equals(rows)
    given = {"city": ["Zug", None], "w": [None, 5.0]}
    assert artifact.sample(given=given, seed=5).equals(model.sample(given=given, seed=5))
    np.testing.assert_allclose(artifact.log_prob(rows), model.log_prob(rows), rtol=1e-4)
    described = inspect(tmp_path / "art" / "sample.onnx").description
    assert described is not None
    assert "others are ignored" in described.inputs["given"].meaning
    assert described.inputs["known"].meaning.endswith(", ".join(model.space.names))


# ---- given columns


def test_given_columns_stay_and_the_others_follow(tmp_path):
    model = disturbed(spread=0.3)
    given = {"n": 123, "w": 5.0}
    rows = model.sample(50, seed=1, given=given)
    assert set(rows["n"].to_pylist()) == {123}
    assert set(rows["w"].to_pylist()) == {5.0}
    assert model.sample(50, seed=1, given={}).equals(model.sample(50, seed=1)), "nothing is given"
    free, told = (
        model.sample(4000, seed=1, given=given)["b"].to_pylist().count(True)
        for given in ({"city": "Zug"}, {"city": "Basel"})
    )
    assert free != told, "what is given changes what is drawn"
    each = {"city": ["Zug", None, "Basel"], "n": [None, 7, 8]}
    rows = model.sample(given=each, seed=2)
    assert rows["city"].to_pylist()[::2] == ["Zug", "Basel"]
    assert rows["n"].to_pylist()[1:] == [7, 8]
    assert rows.slice(1, 1).equals(model.sample(1, seed=2, start=1, given={"n": 7})), "rows do not depend on others"


def test_columns_that_come_later_may_be_given():
    """The first column is drawn given the last as the network says."""
    model = disturbed(EQUAL, spread=0.7)
    net, codes = model.network, torch.tensor([[k, 0, 1] for k in range(4)])
    given = torch.tensor([[False, False, True]]).expand(4, 3)
    p = net.conditionals(codes, given)[:, 0].exp().detach().numpy()
    assert np.abs(p - net.conditionals(codes)[:, 0].exp().detach().numpy()).max() > 0.05
    drawn = model.run("sample", {"given": np.array([0, 0, 1]), "known": np.array([0, 0, 1])}, count=20_000, seed=0)["x"]
    assert (drawn[:, 2] == 1).all()
    assert np.abs(np.bincount(drawn[:, 0], minlength=4) / 20_000 - p).max() < 0.02


def test_missing_values_are_left_out_on_request():
    model = disturbed(EQUAL, spread=0.3)
    assert model.sample(300, seed=0)["c"].null_count
    assert not model.sample(300, seed=0, missing="never")["c"].null_count


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"town": "Zug"}, "given has a column 'town'; those of the model are city, n, at, w, b"),
        ({"city": "Rome"}, "column 'city' is none of the 2 values of 'city': 'Rome'"),
        ({"n": 10**9, "b": "perhaps"}, "has 2 problems"),
        ([1, 2], "given is a list"),
    ],
)
def test_errors_of_given_columns(given, words):
    with pytest.raises(zoo.errors.InputError, match=words):
        disturbed().sample(2, given=given)
