"""Each figure detects its fault, gives no false alarm on real data, and has a correct standard error."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data import Dataset, load_dataset, split_rows
from zoo.errors import InputError
from zoo.estimate import Estimate, figures_of
from zoo.evaluation import Report, evaluate, meaning, two_sample, vectors
from zoo.evaluation.compare import compare as comparison
from zoo.evaluation.coverage import density_and_coverage, spread
from zoo.evaluation.estimates import RunningMean, below, jackknife, mean, ratio, share
from zoo.evaluation.judge import frechet_distance
from zoo.evaluation.memorization import nearer_than_held_out, nearer_to_training
from zoo.evaluation.reference_densities import references
from zoo.evaluation.samples import compare
from zoo.evaluation.scikit_learn import single_threaded
from zoo.evaluation.task import Task
from zoo.model import Model
from zoo.signature import Signature, Tensor
from zoo.spaces import Labels, Real, Text

DIGITS, CLASSIFIER = load_dataset("digits"), "cnn.digits"
FOREST = "ensemble.RandomForestClassifier"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A smaller forest sees the same faults."""
    monkeypatch.setattr(two_sample, "TREES", 30)


class Scripted(Model):
    """A model whose samples and densities are functions of numpy."""

    name, density, classes = "scripted", "exact", None

    def __init__(self, data, sample=None, log_prob=None, conditional=False):
        self.space, self.sampler, self.scorer = data.space, sample, log_prob
        x, label = {"x": data.space.tensor}, {"label": Tensor("int64")} if conditional else {}
        self.classes = data.classes if conditional else None
        self.signatures = {}
        if sample:
            self.signatures["sample"] = Signature(label, x, {}, True)
        if log_prob:
            self.signatures["log_prob"] = Signature(x, {"log_prob": Tensor("float32")}, {}, False)

    def _execute(self, method, inputs, seed, index, options):
        if method == "log_prob":
            return {"log_prob": self.scorer(inputs["x"]).astype(np.float32)}
        return {"x": self.sampler(index, *inputs.values())}


def compared(data, made, labels=None, judge=None):
    """The report of samples that are given."""
    x, y = data.split("test")
    report = Report("given", data.name, "test", len(x), 0)
    compare(Task(Scripted(data), data, x, y, report, judge), made, labels)
    return report


def sigmas(figure):
    """How far a figure is from that of real data, in standard errors of the difference."""
    return (figure.value - figure.real.value) / np.hypot(figure.error, figure.real.error)


def unseen(data, seed=0):
    """Half of the training rows, which are real data in place of samples; the data without them; and their classes."""
    order = np.random.default_rng(seed).permutation(len(data.train))
    taken, left = np.split(order, [len(order) // 3])
    labels = dict(data.labels, train=data.labels["train"][left]) if data.labels else None
    rest = Dataset(data.name, data.space, data.train[left], data.validation, data.test, labels, data.classes)
    return data.train[taken], rest, None if labels is None else data.labels["train"][taken]


@pytest.fixture(scope="module")
def judge():
    return zoo.open(CLASSIFIER, device="cpu")


# ---- estimates ------------------------------------------------------------------------------------------------------


def test_a_running_mean_is_the_mean_of_all_values():
    values = np.random.default_rng(0).normal(1000, 1, 1001).astype(np.float32)
    running = RunningMean()
    for part in np.split(values, [1, 5, 900]):
        running.add(part)
    found, whole = running.figure(), mean(values)
    assert (found.value, found.error) == pytest.approx((whole.value, whole.error), rel=1e-12)
    assert found.rows == whole.rows
    alone = RunningMean()
    alone.add(values[:1])
    assert alone.figure() == mean(values[:1])


def test_a_figure_is_printed_with_two_digits_of_its_error():
    assert str(Estimate(1.09023, 0.016416, 2000)) == "1.090 ± 0.016"
    assert str(Estimate(0.5, 0.000998)) == "0.5000 ± 0.0010"
    assert str(Estimate(1234.5, 56.7)) == "1234 ± 57"
    assert str(Estimate(1.864e-07, 2.4e-09)) == "1.864e-07 ± 2.4e-09"
    assert str(Estimate(0.123456789)) == "0.12346"


def test_figures_survive_json_and_old_cards_are_read():
    figure = Estimate(0.5, 0.1, 9).beside(Estimate(0.4, None, 8))
    assert Estimate.from_json(json.loads(json.dumps(figure.to_json()))) == figure
    old = {"split": "test", "rows": 20, "nats": 1.5, "nats_standard_error": 0.25, "accuracy": 0.5}
    assert figures_of(old) == {"nats": Estimate(1.5, 0.25, 20), "accuracy": Estimate(0.5, None, 20)}
    assert figures_of({"figures": {"nats": figure.to_json()}}) == {"nats": figure}


@pytest.mark.parametrize(
    "estimate",
    [
        lambda rng: mean(rng.exponential(size=200)),
        lambda rng: ratio(*(rng.exponential(size=(2, 200)) + 1)),
        lambda rng: share(rng.uniform(size=200) < 0.3),
        lambda rng: share(np.repeat(rng.uniform(size=100) < 0.3, 2), np.repeat(np.arange(100), 2)),
        lambda rng: below(rng.normal(size=150), rng.normal(1, 2, size=90)),
        lambda rng: below(rng.integers(3, size=150), rng.integers(4, size=90)),
        lambda rng: spread(rng.normal(size=(100, 2)), 3 * rng.exponential(size=(150, 2))),
        lambda rng: jackknife(lambda a, b: a.mean() * b.mean(), *rng.exponential(size=(2, 200))),
        lambda rng: frechet_distance(rng.normal(size=(300, 3)), rng.normal(1, 2, size=(300, 3))),
    ],
    ids=["mean", "ratio", "share", "grouped", "below", "ties", "spread", "jackknife", "frechet"],
)
def test_a_standard_error_is_the_spread_over_repetitions(estimate):
    found = [estimate(np.random.default_rng(seed)) for seed in range(300)]
    spread = np.std([figure.value for figure in found])
    assert np.sqrt(np.mean([figure.error**2 for figure in found])) == pytest.approx(spread, rel=0.15)


def test_ties_are_halves_and_none_of_few_is_not_certainty():
    assert below(np.array([1, 1]), np.array([1, 1])).value == 0.5
    assert below(np.array([0, 1]), np.array([1, 2])).value == pytest.approx(7 / 8)
    none = share(np.zeros(10))
    assert none.value == 0
    assert none.error == pytest.approx(np.sqrt(1 / 12 * 11 / 12 / 12))
    assert below(np.zeros(10), np.ones(10)).error > 0.05


# ---- the same figures everywhere ------------------------------------------------------------------------------------


def test_figures_do_not_depend_on_threads_or_batches(monkeypatch, judge):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    made, rest, y = unseen(load_dataset("moons"))
    reports = []
    for threads, batch in ((1, 170), (2, 2000)):
        monkeypatch.setattr(vectors, "ROWS", batch)
        with threadpoolctl.threadpool_limits(threads):
            inside = single_threaded(threadpoolctl.threadpool_info)()
            reports.append(compared(rest, made[:100], y[:100]).to_json())
        assert {pool["num_threads"] for pool in inside} == {1}
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    ("name", "fitted"),
    [
        ("vae.digits", ["cluster.KMeans", "ensemble.RandomForestClassifier", "linear_model.LogisticRegression"]),
        (
            "nsf.moons",
            ["mixture.GaussianMixture", "ensemble.RandomForestClassifier", "linear_model.LogisticRegression"],
        ),
        ("mlp.digits", ["ensemble.RandomForestClassifier"]),
    ],
)
def test_whatever_is_fitted_is_fitted_on_one_thread(monkeypatch, name, fitted):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    threads = {}

    def watch(estimator):
        module, _, kind = estimator.rpartition(".")
        cls = getattr(importlib.import_module(f"sklearn.{module}"), kind)
        fit = cls.fit

        def watched(self, *args, **more):
            threads.setdefault(estimator, set()).update(p["num_threads"] for p in threadpoolctl.threadpool_info())
            return fit(self, *args, **more)

        monkeypatch.setattr(cls, "fit", watched)

    for estimator in fitted:
        watch(estimator)
    data = load_dataset(name.partition(".")[2])
    labels = {split: y[:n] for (split, y), n in zip(data.labels.items(), (300, 100, 100), strict=True)}
    few = Dataset("few", data.space, *(data.split(s)[0][: len(y)] for s, y in labels.items()), labels, data.classes)
    with threadpoolctl.threadpool_limits(2):
        evaluate(zoo.open(name, device="cpu"), few)
    assert threads == {estimator: {1} for estimator in fitted}


# ---- two samples ----------------------------------------------------------------------------------------------------


def table_of(count, seed, *, wrong=False):
    """Six columns on scales from 1 to 100,000; three are `wrong`: they keep their marginals, but depend on nothing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6))
    x[:, 1:4] = x[:, :1] + 0.3 * x[:, 1:4]
    if wrong:
        x[:, 1:4] = rng.permuted(x[:, 1:4], axis=0)
    return (x * 10.0 ** np.arange(6)).astype(np.float32)


def test_the_two_sample_test_sees_wrong_columns_whatever_their_units():
    data = split_rows("table", Real(6), table_of(3000, 0))
    assert compared(data, table_of(600, 1))["c2st_accuracy"].value == pytest.approx(0.5, abs=0.05)
    report = compared(data, table_of(600, 2, wrong=True))
    wrong = report["c2st_accuracy"]
    assert wrong.value > 0.8
    assert abs(wrong.real.value - 0.5) < 3 * wrong.real.error
    assert sigmas(wrong) > 10
    assert sigmas(report["nearer_than_held_out"]) < -10


def test_noise_of_three_levels_is_seen_by_the_forest_and_by_distances():
    made, rest, _ = unseen(DIGITS)
    assert abs(sigmas(compared(rest, made)["c2st_accuracy"])) < 3
    noisy = np.clip(made + np.random.default_rng(0).integers(-3, 4, made.shape), 0, 16).astype(np.uint8)
    report = compared(rest, noisy)
    assert report["c2st_accuracy"].value > 0.95
    assert sigmas(report["nearer_than_held_out"]) < -5


def test_text_is_compared_by_its_ngrams():
    data = load_dataset("names")
    made, rest, _ = unseen(data)
    assert abs(sigmas(compared(rest, made)["c2st_accuracy"])) < 3
    shuffled = ["".join(np.random.default_rng(i).permutation(list(s))) for i, s in enumerate(data.space.decode(made))]
    report = compared(rest, data.space.encode(shuffled))
    assert sigmas(report["c2st_accuracy"]) > 10
    assert sigmas(report["nearer_than_held_out"]) < -5


def test_a_label_that_is_not_that_of_its_sample_is_seen_without_a_classifier():
    made, rest, y = unseen(DIGITS)
    right, wrong = (compared(rest, made, labels)["c2st_accuracy"] for labels in (y, (y + 1) % 10))
    assert abs(sigmas(right)) < 3
    assert sigmas(wrong) > 4


# ---- memorization ---------------------------------------------------------------------------------------------------


def test_copies_of_training_rows_are_seen_by_both_figures_of_memorization():
    made, rest, _ = unseen(DIGITS)
    honest, copied = compared(rest, made), compared(rest, rest.train)
    assert abs(sigmas(copied["c2st_accuracy"])) < 3, "which is blind to them"
    assert (honest["copies"].value, copied["copies"].value) == (0, 1)
    assert abs(honest["nearer_to_training"].value - 0.5) < 3 * honest["nearer_to_training"].error
    for name in ("nearer_to_training", "nearer_than_held_out"):
        assert abs(sigmas(honest[name])) < 3
        assert sigmas(copied[name]) > 3
    near = np.clip(rest.train + np.random.default_rng(0).integers(-1, 2, rest.train.shape), 0, 16).astype(np.uint8)
    assert sigmas(compared(rest, near)["nearer_than_held_out"]) > 5
    assert sigmas(compared(rest, near)["nearer_to_training"]) > 3


def test_samples_that_keep_to_the_middle_are_near_everything_but_no_copies():
    rng = np.random.default_rng(0)
    train, held_out, made = (rng.normal(scale=s, size=(800, 6)) for s in (1, 1, 0.5))
    assert nearer_than_held_out(train, held_out)(made).value > 0.7
    typical = nearer_to_training(made, train, held_out)
    assert abs(typical.value - 0.5) < 3 * typical.error


def test_a_collapsed_sampler_is_not_mistaken_for_a_certain_result():
    rng = np.random.default_rng(0)
    for seed in range(5):
        train, held_out = rng.normal(size=(2, 300, 2))
        made = np.tile(np.random.default_rng(seed).normal(size=(1, 2)), (300, 1))
        found = nearer_to_training(made, train, held_out)
        assert found.value in (0, 1)
        assert found.error == pytest.approx(0, abs=0.01) or found.error > 0.1
    report = compared(DIGITS, np.repeat(DIGITS.test[:1], 300, axis=0))
    assert sigmas(report["distinct"]) < -50
    assert sigmas(report["coverage"]) < -10


def test_samples_that_are_one_picture_with_noise_are_said_to_be_so():
    rng = np.random.default_rng(0)
    middle = DIGITS.train.mean(0)
    blob = np.clip(np.round(middle + rng.normal(size=(300, *middle.shape))), 0, 16).astype(np.uint8)
    report = compared(DIGITS, blob)
    assert report["distinct"].value == 1, "which is blind to it"
    assert report["spread"].value < 0.5 < report["spread"].real.value - 0.4
    said = " ".join(report.remarks)
    assert "much more like each other than data are" in said
    assert "told from data nearly every time" in said
    made, rest, _ = unseen(DIGITS)
    honest = compared(rest, made)
    assert abs(sigmas(honest["spread"])) < 3
    assert not any("more like each other" in remark or "every time" in remark for remark in honest.remarks)


# ---- density, coverage, and what a classifier says ------------------------------------------------------------------


def test_density_sees_samples_that_lie_off_the_data_and_coverage_what_is_missing():
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(2, 600, 2))
    density, coverage = density_and_coverage(real, made)
    assert abs(density.value - 1) < 3 * density.error
    assert coverage.value == pytest.approx(1 - 0.5**5, abs=0.03)  # of equal numbers, five neighbors: near 0.97
    for off in (made * [1, 5], made + 9):
        assert density_and_coverage(real, off)[0].value < 0.6
    for less in (0.3 * made, made[made[:, 0] > 0]):
        found = density_and_coverage(real, less)
        assert found[1].value < 0.75
        assert abs(found[0].value - 1) < 3 * found[0].error, "density is blind to it"


def test_a_missing_class_and_a_worse_picture_are_seen_in_a_classifier_s_features(judge):
    made, rest, y = unseen(DIGITS)
    honest = compared(rest, made, judge=judge)
    one_missing = compared(rest, made[y != 3], judge=judge)
    for name in ("frechet_distance", "class_difference", "coverage_in_classes", "density_in_classes"):
        assert abs(sigmas(honest[name])) < 3
    assert one_missing.histogram["3"].value < 0.02 < one_missing.histogram["3"].real.value
    # nine classes of ten: a tenth of all rows is far from any sample
    assert one_missing["coverage_in_classes"].value < honest["coverage_in_classes"].value - 0.04
    assert one_missing["frechet_distance"].value > 1.5 * honest["frechet_distance"].value
    upside_down = compared(rest, made[:, ::-1], judge=judge)
    assert sigmas(upside_down["density_in_classes"]) < -3


def test_frechet_distance_is_that_of_normals():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20_000, 2))
    found = frechet_distance(a, b * [1, 3] + [2, 0])
    assert found.value == pytest.approx(4 + (3 - 1) ** 2, abs=5 * found.error)
    assert found.error < 0.1


def test_asking_for_classes_has_the_judge_s_own_score_on_data_beside_it(judge):
    by_class = [DIGITS.train[DIGITS.labels["train"] == c] for c in range(10)]

    def pictures(index, label):
        return np.stack([by_class[c][i % len(by_class[c])] for i, c in zip(index, label, strict=True)])

    asked = evaluate(Scripted(DIGITS, pictures, conditional=True), DIGITS, judge=judge)["labelled_as_asked"]
    assert asked.value > 0.97
    assert asked.real.value == pytest.approx((judge.predict(DIGITS.test).argmax(1) == DIGITS.labels["test"]).mean())
    model = Scripted(DIGITS, lambda index, label: pictures(index, (label + 1) % 10), conditional=True)
    assert evaluate(model, DIGITS, judge=judge)["labelled_as_asked"].value < 0.05


def test_more_agreement_than_real_data_has_is_said_in_words(judge):
    p = judge.predict(DIGITS.train)
    sure = [DIGITS.train[p[:, c] > 0.9999][0] for c in range(10)]
    model = Scripted(DIGITS, lambda index, label: np.stack([sure[c] for c in label]), conditional=True)
    assert any("more typical" in remark for remark in evaluate(model, DIGITS, judge=judge).remarks)


def test_a_preset_of_the_same_data_is_the_judge_unless_one_is_named(judge):
    report = evaluate(Scripted(DIGITS, lambda index: DIGITS.train[index]), "digits")
    assert report.judge == CLASSIFIER
    assert "frechet_distance" in report
    moons = load_dataset("moons")
    report = evaluate(Scripted(moons, lambda index: moons.train[index]), moons)
    assert report.judge is None
    assert any("--judge" in remark for remark in report.remarks)
    with pytest.raises(InputError, match="cannot judge samples of moons"):
        evaluate(Scripted(moons, lambda index: moons.train[index]), moons, judge=judge)
    with pytest.raises(InputError, match="not a classifier"):
        evaluate(Scripted(moons, lambda index: moons.train[index]), moons, judge=zoo.open("maf.moons", device="cpu"))


# ---- likelihoods ----------------------------------------------------------------------------------------------------


def test_likelihood_is_the_mean_over_the_split_in_nats_and_bits():
    model = zoo.open("made.digits", device="cpu")
    report = evaluate(model, DIGITS)
    nats = -model.log_prob(DIGITS.test).astype(np.float64)
    assert report["nats"].value == pytest.approx(nats.mean())
    assert report["nats"].error == pytest.approx(nats.std(ddof=1) / np.sqrt(len(nats)))
    assert report["bits_per_dim"].value == pytest.approx(nats.mean() / 64 / np.log(2))
    assert {figure.rows for figure in (report["nats"], report["bits_per_dim"])} == {len(DIGITS.test)}
    assert all(meaning(name) for name in report.figures)
    assert not report.remarks


def test_nats_per_character_count_the_end_but_of_the_longest():
    space = Text(3, "ab")
    data = split_rows("strings", space, space.encode(["a", "ab", "aba", "bb", ""] * 20))
    report = evaluate(Scripted(data, log_prob=lambda x: -6.0 * np.ones(len(x))), data)
    characters = np.array([min(len(s) + 1, 3) for s in space.decode(data.test)])
    assert report["nats_per_character"].value == pytest.approx(6 / characters.mean())
    assert "no better than" in " ".join(report.remarks)


def log_prob_of(data, name):
    return next(r.log_prob for r in references(data.space, data.train, data.validation) if r.name == name)


def test_marginals_are_the_cross_entropy_of_counted_levels():
    space = zoo.Discrete(2, levels=2)
    marginals = next(references(space, np.array([[0, 0], [0, 1]]), np.array([[0, 0]])))
    # with one more of each: p = (3/4, 1/4) and (1/2, 1/2)
    np.testing.assert_allclose(marginals.log_prob(np.array([[0, 0], [1, 1]])), np.log([3 / 8, 1 / 8]))


def test_the_mixture_of_real_columns_is_that_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    moons = load_dataset("moons")
    theirs = GaussianMixture(20, random_state=0).fit(moons.train).score_samples(moons.test)
    ours = log_prob_of(moons, "mixture")(moons.test)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.01)
    scaled = Dataset("scaled", moons.space, *(1000 * x for x in (moons.train, moons.validation, moons.test)))
    assert log_prob_of(scaled, "mixture")(scaled.test).mean() == pytest.approx(ours.mean() - 2 * np.log(1000), abs=0.01)


def test_references_are_normalized():
    space = zoo.Discrete(3, levels=3)
    everything = np.array(list(itertools.product(range(3), repeat=3)))
    x = np.random.default_rng(0).integers(3, size=(400, 3)) // [1, 2, 1]
    x[:, 2] = x[:, 0]
    found = {r.name: r.log_prob(everything) for r in references(space, x[:300], x[300:])}
    for log_p in found.values():
        assert np.exp(log_p).sum() == pytest.approx(1)
    assert (
        log_prob_of(split_rows("x", space, x), "mixture")(x).mean()
        > log_prob_of(split_rows("x", space, x), "marginals")(x).mean()
    )
    text = Text(3, "ab")
    strings = ["".join(letters) for n in range(4) for letters in itertools.product("ab", repeat=n)]
    train = text.encode(["ab", "aba", "b", "ab", "", "bb"] * 5)
    for reference in references(text, train, train):
        assert np.exp(reference.log_prob(text.encode(strings))).sum() == pytest.approx(1)


def test_ngrams_of_names_are_as_good_as_those_of_others():
    """4-grams with Witten-Bell smoothing have about 2 nats a character on first names."""
    names = load_dataset("names")
    data = Scripted(names, log_prob=log_prob_of(names, "ngrams"))
    assert 1.9 < evaluate(data, names)["nats_per_character"].value < 2.1


def test_the_true_density_stands_beside_the_model_s_in_pairs():
    moons = load_dataset("moons")
    truth = evaluate(Scripted(moons, log_prob=moons.law.log_prob), moons)
    assert truth["nats_above_truth"].value == pytest.approx(0, abs=1e-6)
    assert truth["nats_above_mixture"].value < 0
    assert not any("no better" in remark for remark in truth.remarks)
    worse = evaluate(Scripted(moons, log_prob=lambda x: moons.law.log_prob(x) - 0.25), moons, fresh=3000)
    assert worse.split == "fresh"
    assert worse["nats_above_truth"].value == pytest.approx(0.25, abs=1e-5)
    assert worse["nats_above_truth"].rows == 3000
    assert "no better than a mixture" in " ".join(worse.remarks)
    assert worse["nats_above_truth"].error < worse["nats"].error / 100, "the difference is paired"
    with pytest.raises(InputError, match="no fresh rows of digits"):
        evaluate(Scripted(DIGITS, log_prob=lambda x: np.zeros(len(x))), DIGITS, fresh=10)


@pytest.mark.parametrize("name", ["digits", "moons"])
def test_a_model_that_is_no_better_than_its_floor_is_said_to_be_so(name):
    data = load_dataset(name)
    floor = Scripted(data, log_prob=log_prob_of(data, "marginals"))
    remarks = evaluate(floor, data).remarks
    assert "It is no better than the columns as if they were independent: " in remarks[0]
    floor.density = "lower_bound"
    assert evaluate(floor, data).remarks[0].startswith("Its lower bound is no better")


def test_a_model_that_is_told_the_class_is_compared_with_densities_that_are_told_it():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=2000)
    x = (rng.normal(size=(2000, 2)) + 10 * y[:, None]).astype(np.float32)
    data = split_rows("two", Real(2), x, y, classes=Labels(("a", "b")))
    alone, told = Scripted(data, log_prob=lambda x: np.zeros(len(x))), told_the_class(data)
    gain = evaluate(alone, data)["nats_of_mixture"].value - evaluate(told, data)["nats_of_mixture"].value
    assert gain == pytest.approx(np.log(2), abs=0.05)


def told_the_class(data, log_prob=lambda x: np.zeros(len(x))):
    """A conditional density, which looks at no class."""
    model = Scripted(data, log_prob=log_prob)
    model.classes = data.classes
    inputs = {**model.signatures["log_prob"].inputs, "label": Tensor("int64")}
    model.signatures["log_prob"] = Signature(inputs, {"log_prob": Tensor("float32")}, {}, False)
    return model


@pytest.mark.parametrize(("rows_of_c", "said"), [(0, "no training row of class c"), (1, "one training row of class c")])
def test_a_class_that_no_reference_can_be_fitted_to_costs_the_references_alone(rows_of_c, said):
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    train, held_out = np.repeat([0, 1, 2], [30, 30, rows_of_c]), np.arange(60) % 3
    labels = {"train": train, "validation": held_out, "test": held_out}
    data = Dataset("few", Real(2), np.resize(x, (len(train), 2)), x, x, labels, Labels(("a", "b", "c")))
    report = evaluate(told_the_class(data), data)
    assert list(report.figures) == ["nats"]
    assert said in report.remarks[0]


def test_a_reference_that_is_the_floor_again_is_not_shown_twice():
    x = np.random.default_rng(0).integers(0, 4, (300, 3)).astype(np.uint8)  # independent columns
    data = split_rows("noise", zoo.Discrete(3, levels=4), x)
    report = evaluate(Scripted(data, log_prob=lambda x: np.zeros(len(x))), data)
    assert [name for name in report.figures if "_of_" in name] == ["bits_per_dim_of_marginals"]
    assert "is the columns as if they were independent again" in report.remarks[0]
    classes = np.arange(300) % 2
    x[classes == 1] = x[classes == 1][:, :1] // 2 * 2 + x[classes == 1] % 2  # of one class columns go together
    both = split_rows("both", data.space, x, classes, classes=Labels(("a", "b")))
    report = evaluate(told_the_class(both), both)
    assert report["bits_per_dim_of_mixture"].value < report["bits_per_dim_of_marginals"].value
    assert not any("again" in remark for remark in report.remarks)


def test_one_row_whose_error_is_not_known_is_no_verdict():
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    data = Dataset("one", Real(2), x, x, x[:1])
    better, worse = (evaluate(Scripted(data, log_prob=lambda x, c=c: np.full(len(x), c)), data) for c in (9.0, -9.0))
    assert not any("no better" in remark for remark in better.remarks)
    assert sum("no better" in remark for remark in worse.remarks) == 2
    impossible = evaluate(Scripted(data, log_prob=lambda x: np.full(len(x), -np.inf)), data)
    assert sum("no better" in remark for remark in impossible.remarks) == 2


def test_an_energy_without_dependence_has_an_auroc_of_one_half_and_it_is_said():
    data = load_dataset("moons")
    energy = Scripted(data, log_prob=lambda x: -(x.sum(1) ** 2) * 0)
    energy.density = "unnormalized"
    report = evaluate(energy, data)
    assert report["energy_auroc"].value == 0.5
    assert "no better from shuffled columns than chance" in report.remarks[0]
    report = evaluate(zoo.open("ebm.digits", device="cpu"), "digits")
    assert report["energy_auroc"].value > 0.9
    assert not any("chance" in remark for remark in report.remarks)


# ---- what it was trained on ------------------------------------------------------------------------------------------


def test_copies_of_what_a_model_was_trained_on_are_seen_on_other_rows(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 2)).astype(np.float32), np.arange(600) % 2
    np.savez(tmp_path / "whole.npz", x=x, y=y)
    np.savez(
        tmp_path / "other.npz", x=np.concatenate([rng.normal(size=(300, 2)), x[:30]]).astype(np.float32), y=y[:330]
    )
    known = load_dataset(tmp_path / "whole.npz")
    model = Scripted(known, lambda index: known.train[index], lambda x: -(x**2).sum(1))
    model.meta = {"card": {"data": str(tmp_path / "whole.npz")}}
    report = evaluate(model, tmp_path / "other.npz")
    assert report["copies"].value == 1
    seen = {row.tobytes() for row in known.train}
    rows = load_dataset(tmp_path / "other.npz").test
    count = sum(row.tobytes() in seen for row in rows)
    assert 0 < count < 30
    assert report.remarks[-1] == (
        "References, probes and memorization are about the training rows of whole.npz, which it was trained on; "
        f"{count} of the {len(rows)} rows of other.npz are among them."
    )
    np.savez(tmp_path / "one.npz", x=x[1::2], y=y[1::2])  # a class of two, whose number is another there
    report = evaluate(model, tmp_path / "one.npz")
    assert report["copies"].value == 1
    assert "rows of one.npz are among them" in report.remarks[-1]
    np.savez(tmp_path / "third.npz", x=x[::-1], y=y + 7)
    assert "which has other classes; " in evaluate(model, tmp_path / "third.npz").remarks[-1]
    for same in (tmp_path / "whole.npz", known):
        assert not any("trained on" in remark for remark in evaluate(model, same).remarks)


def test_a_comparison_says_which_models_have_seen_the_rows(tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    np.save(tmp_path / "mine.npy", x)
    known = load_dataset(tmp_path / "mine.npy")
    one, two = (Scripted(known, log_prob=lambda x: -(x**2).sum(1)) for _ in range(2))
    two.name, two.meta = "other", {"card": {"data": str(tmp_path / "mine.npy")}}
    rows = Dataset("rows", known.space, known.validation, known.validation, known.train[:7])
    assert comparison([one, two], rows).remarks == ["other was trained on 7 of the 7 rows."]
    for same in (known, str(tmp_path / "mine.npy")):
        assert not comparison([one, two], same).remarks


def test_what_is_not_known_of_training_rows_is_said():
    moons = load_dataset("moons")
    few = Dataset("few", moons.space, *(moons.split(split)[0][:20] for split in ("train", "validation", "test")))
    model = Scripted(moons, log_prob=moons.law.log_prob)
    assert evaluate(model, few).remarks[-1].startswith("It is not known which rows scripted was trained on: references")
    model.meta = {"card": {"data": "nowhere/rows.csv"}}
    assert evaluate(model, few).remarks[-1] == (
        "What scripted was trained on, nowhere/rows.csv, is not at hand: references, probes and memorization are about "
        "the training rows of few."
    )
    model.meta = {"card": {"data": "moons"}}
    assert "of moons, which it was trained on; 0 of the 20 rows of few" in evaluate(model, few).remarks[-1]
    model.limits = "some"  # what a file of a stranger names is not opened
    assert "not known" in evaluate(model, few).remarks[-1]


# ---- classes and latents --------------------------------------------------------------------------------------------


def test_accuracy_counts_right_answers_beside_floors(judge):
    right = judge.predict(DIGITS.test).argmax(1) == DIGITS.labels["test"]
    report = evaluate(judge, DIGITS)
    assert report["accuracy"].value == pytest.approx(right.mean())
    assert report["accuracy_of_forest"].value > 0.9
    assert report["accuracy_of_commonest_class"].value < 0.2
    untrained = zoo.create("mlp", DIGITS.space, classes=DIGITS.classes)
    assert "no better than always naming the commonest class" in " ".join(evaluate(untrained, DIGITS).remarks)


def test_an_encoder_that_is_told_the_class_is_not_probed_for_it():
    model = zoo.create("vae", DIGITS.space, config={"conditional": True}, classes=DIGITS.classes)
    assert "linear_probe" not in evaluate(model, DIGITS)
    report = evaluate(zoo.open("vae.digits", device="cpu"), DIGITS)
    assert report["linear_probe"].value > 0.8
    assert report["reconstruction_rmse"].value < report["reconstruction_rmse_of_mean"].value / 2


class Mirror(Scripted):
    """Its latents are its observations, times a factor."""

    def __init__(self, data, factor=1.0):
        super().__init__(data)
        z = {"z": Tensor("float32", data.space.shape)}
        self.factor, self.signatures = factor, {"encode": Signature({"x": data.space.tensor}, z, {}, False)}

    def _execute(self, method, inputs, seed, index, options):
        if method == "decode":
            return {"x": inputs["z"]}
        return {"z": inputs["x"] * np.float32(self.factor)}


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_reconstructions_no_better_than_the_mean_are_said_to_be_so(kept):
    x = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    data = Dataset("rows", Real(2), x, x, x)
    model = Mirror(data, kept)
    model.signatures["decode"] = Signature({"z": Tensor("float32", (2,))}, {"x": data.space.tensor}, {}, False)
    said = " ".join(evaluate(model, data).remarks)
    assert ("no better than the mean of the training data" in said) == (kept == 0)


@pytest.mark.parametrize(
    ("classes", "factor", "said"), [(1, 1.0, "The training rows are of one class"), (2, np.inf, "not finite")]
)
def test_a_probe_that_cannot_be_fitted_is_left_out_with_a_word(classes, factor, said):
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    labels = {split: np.arange(60) % classes for split in ("train", "validation", "test")}
    data = Dataset("rows", Real(2), x, x, x, labels, Labels(("a", "b")[:classes]))
    report = evaluate(Mirror(data, factor), data)
    assert not report.figures
    assert said in report.remarks[0]


def test_samples_that_are_not_finite_are_counted_and_not_compared():
    moons = load_dataset("moons")
    broken = evaluate(Scripted(moons, lambda index: np.where(index[:, None] < 3, np.nan, moons.train[index])), moons)
    assert not broken.figures
    assert broken.remarks[0] == "3 of 1,000 samples are not finite: samples are not compared."


def test_few_rows_are_said_to_be_too_few():
    few = Dataset("few", DIGITS.space, DIGITS.train[:30], DIGITS.validation[:10], DIGITS.test[:10])
    report = compared(few, DIGITS.train[30:60])
    assert not report.figures
    assert "too few" in report.remarks[0]


def test_samples_that_are_means_are_said_to_be_and_an_option_asks_for_draws():
    model = zoo.open("vae.digits", device="cpu")
    few = Dataset("few", DIGITS.space, DIGITS.train[:300], DIGITS.validation, DIGITS.test[:100])
    means, draws = evaluate(model, few), evaluate(model, few, options={"observe": "draw"})
    assert [report.to_json()["options"] for report in (means, draws)] == [{}, {"observe": "draw"}]
    assert [any("are means" in remark for remark in r.remarks) for r in (means, draws)] == [True, False]
    assert means["density"].value > draws["density"].value + draws["density"].error


@pytest.mark.parametrize(("products", "most"), [(1e10, 300), (1.0, 5)])
def test_the_clusters_of_large_pictures_are_found_in_few_rounds(monkeypatch, products, most):
    from sklearn.cluster import KMeans

    rounds, fit = set(), KMeans.fit

    def watched(self, *args, **more):
        rounds.add(self.max_iter)
        return fit(self, *args, **more)

    monkeypatch.setattr(KMeans, "fit", watched)
    monkeypatch.setattr("zoo.evaluation.reference_densities.PRODUCTS", products)
    log_prob_of(DIGITS, "mixture")
    assert rounds == {most}


# ---- the tables of docs/evaluate.md ---------------------------------------------------------------------------------


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.faults")


def test_planted_faults_are_tabled_beside_real_data(faults):
    chosen = {name: faults.NAMES[name] for name in ("none: other real rows", "copies of training rows")}
    head, _, real, none, copies = faults.markdown(faults.of_samples(load_dataset("names"), chosen), "names").split("\n")
    place = head.split("|").index(" `copies` ")
    cells = [line.split("|")[place].strip() for line in (real, none, copies)]
    assert [cell.startswith("**") and cell.endswith("**") for cell in cells] == [False, False, True]
    figures = [[float(number) for number in cell.strip("*").split(" ± ")] for cell in cells]
    assert [value for value, _ in figures] == pytest.approx([0, 0, 1], abs=0.01)
    assert all(0 < error < 0.01 for _, error in figures)
    for lines in (faults.DIGITS, faults.TABLE, faults.NAMES):
        assert all(f"| {fault} |" in faults.PAGE.read_text() for fault in lines), "python -m benchmarks.faults"


def test_the_tables_on_the_page_can_be_made_again(faults, monkeypatch, tmp_path):
    monkeypatch.setattr(faults, "PAGE", tmp_path / "page.md")
    faults.PAGE.write_text("before\n<!-- digits -->\nold\n<!-- /digits -->\nafter\n")
    for lines in ("| a |", "| b |"):
        monkeypatch.setattr(faults, "tables", lambda lines=lines: {"digits": lines})
        faults.main()
        assert faults.PAGE.read_text() == f"before\n<!-- digits -->\n{lines}\n<!-- /digits -->\nafter\n"
