"""The comparison of artifact and source: what it lets pass, and what not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.artifact import Artifact
from zoo.errors import ExportError
from zoo.parity import another, check, difference, make_cases, only_rounding, pack, unpack
from zoo.signature import Option


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
    assert not only_rounding(a.astype(np.int64), b.astype(np.int64))  # tokens and counts have no neighbours


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
    cases = list(make_cases(zoo.create("realnvp", zoo.Image(4, 4, levels=3))))
    again = {(c.method, c.kind): c for c in unpack(pack(cases))}
    assert len(again) == len(cases) == 12
    for case in cases:
        other = again[case.method, case.kind]
        assert [other.seed.tolist(), other.index.tolist()] == [case.seed.tolist(), case.index.tolist()]
        for group in ("inputs", "options", "outputs"):
            mine, theirs = getattr(case, group), getattr(other, group)
            assert mine.keys() == theirs.keys()
            assert all(np.array_equal(mine[k], theirs[k]) for k in mine)


class Otherwise:
    """A model, but for what it draws in some rows of random inputs."""

    def __init__(self, source, rows):
        self.source, self.rows, self.name, self.signature = source, rows, "otherwise", source.signature

    def run(self, method, inputs, *, seed, index, **more):
        out = self.source.run(method, inputs, seed=seed, index=index, **more)
        if method == "sample":
            changed = np.isin(index, self.rows) & (seed == 0)
            out["x"][changed] = (out["x"][changed] + 1) % 4
        return out


def test_one_row_of_a_sampler_may_be_drawn_otherwise_and_no_more():
    source = zoo.create("made", zoo.Discrete(6, levels=4))
    cases = list(make_cases(source))
    assert check(Otherwise(source, []), cases)["sample"]["random"] == 0
    assert check(Otherwise(source, [0]), cases)["sample"]["random"] == 1  # all of the one row at batch 1: it is told
    with pytest.raises(ExportError, match="values differ"):
        check(Otherwise(source, [0, 4]), cases)


class Cumulative(Artifact):
    """A model of which each row depends on those before it, so that the first rows of a batch are the same in any."""

    def _execute(self, *given):
        return {name: array.cumsum(0) for name, array in super()._execute(*given).items()}


def test_rows_that_depend_on_those_before_them_are_seen():
    model = Cumulative(zoo.open("realnvp.moons", device="cpu").folder, "cpu")
    with pytest.raises(ExportError, match=r"rows 4 to 6 alone.*Do rows depend on those before them"):
        check(model, list(make_cases(model)))


def test_where_the_source_itself_gives_nan_far_out_there_is_nothing_to_compare(artifact_folder):
    """Rows of tail inputs may be NaN in the source; the others are compared still, and random inputs may not be."""
    model = zoo.open(artifact_folder, device="cpu")
    cases = [c for c in make_cases(model) if c.method == "log_prob"]
    for spoilt, kind in ((0, "tail"), (1, "boundary")):
        case = next(c for c in cases if c.kind == kind)
        case.outputs["log_prob"][spoilt] = np.nan
    check(model, cases)
    tail = next(c for c in cases if c.kind == "tail").outputs["log_prob"]
    tail[3] *= 1.01
    with pytest.raises(ExportError, match="tail"):
        check(model, cases)
    tail[:] = np.nan
    assert set(check(model, cases)["log_prob"]) == {"random", "boundary"}


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
