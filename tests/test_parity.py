"""The comparison of artifact and source: what it accepts and what it rejects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.artifact import Artifact
from zoo.eager import EagerModel
from zoo.errors import ExportError
from zoo.parity.budget import Cost, Run
from zoo.parity.cases import another, empty_case, make_case, make_cases, movement, pack, unpack
from zoo.parity.comparison import Comparison, affordable, check
from zoo.parity.differences import TOLERANCE, difference, only_rounding
from zoo.signature import Option, Window
from zoo.spaces import KINDS


def test_floats_are_relative_to_the_row_so_that_a_large_one_hides_no_other():
    a = np.array([[1e6, 1e6], [1.0, 1.0]], dtype=np.float32)
    assert difference(a, a + np.float32([[0], [0.01]])) == pytest.approx(0.01, rel=1e-3)
    assert difference(a, a) == 0
    assert difference(a, np.where(a > 1, np.nan, a)) == np.inf
    assert difference(a, a.astype(np.float64)) == np.inf


def test_nats_and_probabilities_near_zero_are_compared_in_absolute_terms():
    a = np.array([1e-9, -6.0], dtype=np.float32)
    assert difference(a, a * 2, scale=1.0) == pytest.approx(1.0)
    assert difference(a[:1], a[:1] * 2, scale=1.0) < 1e-8


@pytest.mark.parametrize(
    ("changed", "by", "passes"), [(0, 0, True), (1, 1, True), (5, 1, True), (6, 1, False), (1, 2, False), (1, -1, True)]
)
def test_levels_may_differ_as_rounding_does_and_no_more(changed, by, passes):
    a = np.full((5, 1000), 100, dtype=np.uint8)
    b = a.copy()
    b.flat[:changed] += np.uint8(by % 256)
    assert only_rounding(a, b) is passes
    assert not only_rounding(a.astype(np.int64), b.astype(np.int64))  # tokens and counts have no neighbors


@given(st.floats(-5, 5), st.floats(0, 3), st.floats(0, 3), st.sampled_from(["random", "boundary", "tail"]))
def test_another_value_of_an_option_is_within_its_bounds(default, below, above, kind):
    option = Option(default, low=default - below, high=default + above)
    assert option.low <= another(option, kind) <= option.high


def test_options_are_moved_from_their_defaults():
    assert another(Option(50, low=1), "boundary") == 52
    assert another(Option(1, low=1), "tail") == 3
    assert another(Option(0.0, low=0.0, high=1.0), "tail") == 0.3
    assert another(Option(0.0, low=0.0, high=1.0), "random") == 0.0
    assert another(Option(2, low=1, high=2), "tail") == 1
    assert another(Option(1, low=1, high=2), "boundary") == 2


def test_cases_survive_the_file_that_carries_them():
    source = zoo.create("made", zoo.Discrete(6, levels=4))
    plans = {"sample": [Run("random", 3), Run("boundary", 2, Window(1, 2))], "log_prob": [Run("tail", 7)]}
    cases = [replace(case, tolerance={"x": 2e-4}) for case in make_cases(source, plans)]
    again = unpack(pack(cases))
    assert len(again) == len(cases) == 3
    for case, other in zip(cases, again, strict=True):
        for group in ("method", "kind", "window", "tolerance"):
            assert getattr(case, group) == getattr(other, group)
        for name in ("seed", "index"):
            assert np.array_equal(getattr(case, name), getattr(other, name))
        for group in ("inputs", "options", "outputs"):
            mine, theirs = getattr(case, group), getattr(other, group)
            assert mine.keys() == theirs.keys()
            assert all(np.array_equal(mine[k], theirs[k]) for k in mine)


class Changed(EagerModel):
    """A model, but for the outputs of a method, which `change` alters, given its inputs and the indices of its rows."""

    def __init__(self, source, method, change):
        super().__init__(source.network, source.name)
        self.method, self.change = method, change

    def _execute(self, method, inputs, seed, index, options):
        out = super()._execute(method, inputs, seed, index, options)
        return {n: self.change(a, inputs, index) for n, a in out.items()} if method == self.method else out


def drawn_otherwise(rows):
    return lambda x, inputs, index: np.where(np.isin(index, rows)[:, None], (x + 1) % 4, x)


def test_one_row_of_a_sampler_may_be_drawn_otherwise_and_no_more():
    source = zoo.create("made", zoo.Discrete(6, levels=4))
    cases = list(make_cases(source))
    found = check(Changed(source, "sample", drawn_otherwise([])), cases)["sample"]
    assert (found.difference["random"], found.rows, found.batches) == (0, 7, [1, 2, 3, 7])
    told = check(Changed(source, "sample", drawn_otherwise([1])), cases)["sample"]
    assert told.difference["random"] == 1 / 2  # of two rows
    with pytest.raises(ExportError, match="values differ"):
        check(Changed(source, "sample", drawn_otherwise([1, 4])), cases)
    plans = {method: [Run("random", 2)] for method in source.signatures}
    with pytest.raises(ExportError, match="values differ"):  # where there are few rows, none may
        check(Changed(source, "sample", drawn_otherwise([1])), list(make_cases(source, plans)))


def test_never_nothing():
    """A comparison without cases of a method, or with NaN alone, is not a comparison."""
    source = zoo.create("made", zoo.Discrete(6, levels=4))
    cases = list(make_cases(source))
    with pytest.raises(ExportError, match="nothing to compare log_prob with"):
        check(source, [case for case in cases if case.method != "log_prob"])
    for case in cases:
        for value in case.outputs.values():
            if case.method == "log_prob":
                value[:] = np.nan
    with pytest.raises(ExportError, match="nothing to compare log_prob with"):
        check(source, cases)


def test_with_little_time_fewer_rows_are_compared():
    source = zoo.create("made", zoo.Discrete(6, levels=4))
    cases = list(make_cases(source))
    signature, cost = source.signature("log_prob"), Cost(0.0, 1.0)  # a second a row
    mine = [case for case in cases if case.method == "log_prob"]
    rows = {seconds: [c.rows for c in affordable(mine, signature, cost, seconds)] for seconds in (60, 20, 10, 3, 0.1)}
    assert rows == {60: [7] * 3, 20: [3] * 3, 10: [2] * 3, 3: [1] * 3, 0.1: [1]}
    found = check(source, cases, seconds=1e-9)
    assert [c.rows for c in found.values()] == [1, 1]


def wide_flow(seed):
    source = zoo.create("realnvp", zoo.Real(784), config={"hidden": 512}, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in source.network.parameters():
            weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))
    return source


@pytest.mark.parametrize("seed", range(16))
def test_inputs_so_far_out_that_no_digits_are_left_come_nearer(seed):
    """The source itself moves by more than tolerance may follow on such rows: they say nothing about an artifact."""
    source = wide_flow(seed)
    far = empty_case(source, "decode", Run("tail", 7)).inputs["z"]
    case = make_case(source, "decode", Run("tail", 7))
    assert case.tolerance.get("x", TOLERANCE) <= 10 * TOLERANCE
    assert movement(case, source, source)["x"].max() <= 10 * TOLERANCE
    share = case.inputs["z"] / far
    assert ((share == 1) | (share == 0.5) | (share == 0.25)).all()
    assert np.abs(case.inputs["z"]).max() > 5  # still far out


@pytest.mark.parametrize("seed", range(4))
def test_tolerance_follows_how_far_the_source_moves(seed):
    """Far out, a flow of 784 dimensions turns the last bits of its inputs into 1e-4 of its latents. What computes it
    otherwise, and as well, passes; the same difference on ordinary inputs, or a larger one, does not.
    """
    source = wide_flow(seed)
    cases = [make_case(source, "encode", Run(kind, 7)) for kind in KINDS]
    tolerances = {case.kind: case.tolerance.get("z", TOLERANCE) for case in cases}
    assert tolerances["random"] == tolerances["boundary"] == TOLERANCE
    assert 2 * TOLERANCE < tolerances["tail"] <= 10 * TOLERANCE

    def off_by(size, kind):
        def change(z, inputs, index):
            return z * (1 + size) if (np.abs(inputs["x"]).max() > 5) == (kind == "tail") else z

        return Comparison(Changed(source, "encode", change), "encode")

    size = 0.8 * tolerances["tail"]
    found = off_by(size, "tail").run(cases)
    assert found.difference["tail"] == pytest.approx(size, rel=0.2)
    assert found.tolerance == {"tail": tolerances["tail"]}
    for kind, times in (("random", 1), ("tail", 1.7)):
        with pytest.raises(ExportError, match=f"on {kind} inputs"):
            off_by(times * size, kind).run(cases)


class Cumulative(Artifact):
    """A model of which each row depends on those before it, so that the first rows of a batch are the same in any."""

    def _execute(self, *given):
        return {name: array.cumsum(0) for name, array in super()._execute(*given).items()}


def test_rows_that_depend_on_those_before_them_are_seen(artifact_folder):
    model = Cumulative(artifact_folder, "cpu")
    with pytest.raises(ExportError, match=r"rows 4 to 6 alone.*Do rows depend on those before them"):
        check(model, list(make_cases(model)))


def test_where_the_source_itself_gives_nan_far_out_there_is_nothing_to_compare(artifact_folder):
    """Rows of tail inputs may be NaN in the source; the others are compared still, and random inputs may not be."""
    model = zoo.open(artifact_folder, device="cpu")
    cases = [c for c in make_cases(model) if c.method == "log_prob"]
    for spoilt, kind in ((0, "tail"), (1, "boundary")):
        case = next(c for c in cases if c.kind == kind)
        case.outputs["log_prob"][spoilt] = np.nan
    Comparison(model, "log_prob").run(cases)
    tail = next(c for c in cases if c.kind == "tail").outputs["log_prob"]
    tail[3] *= 1.01
    with pytest.raises(ExportError, match="tail"):
        Comparison(model, "log_prob").run(cases)
    tail[:] = np.nan
    assert set(Comparison(model, "log_prob").run(cases).difference) == {"random", "boundary"}


@pytest.mark.parametrize(("kind", "rows", "fine"), [("tail", 1, True), ("tail", 7, True), ("random", 1, False)])
def test_a_source_of_nan(artifact_folder, kind, rows, fine):
    class Spoilt(zoo.open(artifact_folder, device="cpu").__class__):
        def _execute(self, method, inputs, seed, index, options):
            out = super()._execute(method, inputs, seed, index, options)
            if method == "log_prob" and (np.abs(inputs["x"]).max() > 5) == (kind == "tail"):
                out["log_prob"][:rows] = np.nan
            return out

    source = Spoilt(artifact_folder, device="cpu")
    if fine:
        assert len(list(make_cases(source))) == 3 * len(source.signatures)
    else:
        with pytest.raises(ExportError, match=f"itself gives NaN in log_prob on {kind}"):
            list(make_cases(source))
