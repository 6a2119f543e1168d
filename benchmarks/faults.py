"""Which figure of `zoo evaluate` sees which fault: `python -m benchmarks.faults` writes the tables of docs/evaluate.md.

Faults are planted into real rows that the data set no longer has, so that without a fault these are perfect samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

import zoo
from zoo.data import Dataset, split_rows
from zoo.estimate import Estimate
from zoo.evaluation.likelihood import likelihood
from zoo.evaluation.reference_densities import references
from zoo.evaluation.report import Report
from zoo.evaluation.samples import compare
from zoo.evaluation.task import Task
from zoo.model import Model
from zoo.signature import Signature, Tensor
from zoo.spaces import Real
from zoo.system.files import atomic_write

PAGE = Path(__file__).parents[1] / "docs" / "evaluate.md"
SURE = 3  # standard errors of the difference to real data: a figure that is so far off is printed in bold
ROWS = 1000  # samples
Array = np.ndarray
Samples = tuple[Array, Array | None]  # and the classes that were asked for
Fault = Callable[[np.random.Generator, Dataset, Array, Array], Samples | Array]


class Given(Model):
    """A model of these data whose density is a function of numpy, if it has one; samples are given elsewhere."""

    name, density, classes = "given", "exact", None

    def __init__(self, data: Dataset, log_prob: Callable[[Array], Array] | None = None) -> None:
        self.space, self.function = data.space, log_prob
        self.signatures = {}
        if log_prob is not None:
            self.signatures["log_prob"] = Signature(
                {"x": data.space.tensor}, {"log_prob": Tensor("float32")}, {}, False
            )

    def _execute(self, method, inputs, seed, index, options):
        return {"log_prob": self.function(inputs["x"]).astype(np.float32)}


# ---- faults of samples: functions of a generator, the data, real rows that it does not have, and their classes -------


def near(rng: np.random.Generator, x: Array, by: int) -> Array:
    """Images with levels off by at most `by`."""
    moved = x.astype(np.int64) + rng.integers(-by, by + 1, x.shape)
    return np.clip(moved, 0, 16).astype(x.dtype)


def typical(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    """Of each class the third of the rows that is nearest to its mean, three times."""
    flat, found = x.reshape(len(x), -1).astype(float), []
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        mean = data.train[data.labels["train"] == label].reshape(-1, flat.shape[1]).mean(0)
        order = ((flat[rows] - mean) ** 2).sum(1).argsort()
        found.append(rows[order[: max(len(rows) // 3, 1)]])
    return repeated(x, y, np.concatenate(found))


def averages(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    """The mean of two rows of one class."""
    partner = np.array([rng.choice(np.flatnonzero(y == label)) for label in y])
    return ((x.astype(np.int64) + x[partner] + 1) // 2).astype(x.dtype), y


def blob(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    """One picture with a little noise."""
    middle = np.round(data.train.mean(0)).astype(x.dtype)
    return near(rng, np.broadcast_to(middle, x.shape), 1), y


def copies(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    return data.train[: len(x)], data.labels["train"][: len(x)]


def near_copies(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    rows, labels = copies(rng, data, x, y)
    return near(rng, rows, 1), labels


def some_copies(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    mask = np.arange(len(x)) % 10 == 0
    rows, labels = copies(rng, data, x, y)
    return np.where(mask[:, None, None, None], rows, x), np.where(mask, labels, y)


def twice(rng: np.random.Generator, data: Dataset, x: Array, y: Array) -> Samples:
    """Half of the rows of all classes but one."""
    rows = np.flatnonzero((y == 3) | (rng.uniform(size=len(y)) < 0.5))
    return x[rows], y[rows]


def repeated(x: Array, y: Array, rows: Array) -> Samples:
    """Some of the rows, as often as is needed for as many."""
    return x[np.resize(rows, len(x))], y[np.resize(rows, len(x))]


DIGITS: Mapping[str, Fault] = {
    "none: other real rows": lambda rng, data, x, y: (x, y),
    "levels off by up to 1 of 16": lambda rng, data, x, y: (near(rng, x, 1), y),
    "levels off by up to 3 of 16": lambda rng, data, x, y: (near(rng, x, 3), y),
    "pixels independent of each other": lambda rng, data, x, y: (rng.permuted(x, axis=0), y),
    "means of two rows of a class": averages,
    "the most typical third of each class": typical,
    "copies of training rows": copies,
    "copies, levels off by up to 1": near_copies,
    "one row of ten a copy": some_copies,
    "30 different rows": lambda rng, data, x, y: repeated(x, y, np.arange(30)),
    "the mean of all rows, levels off by up to 1": blob,
    "a class that is never drawn": lambda rng, data, x, y: (x[y != 3], y[y != 3]),
    "a class twice as frequent": twice,
    "one row of five not of the class that was asked for": lambda rng, data, x, y: (
        x, np.where(np.arange(len(x)) % 5, y, (y + 1) % 10),
    ),
}  # fmt: skip


def longer(rng: np.random.Generator, data: Dataset, x: Array) -> Array:
    """Strings with their last character twice."""
    words = [word + word[-1] if len(word) < data.space.length else word for word in data.space.decode(x)]
    return data.space.encode(words)


def shuffled(rng: np.random.Generator, data: Dataset, x: Array) -> Array:
    return data.space.encode(["".join(rng.permutation(list(word))) for word in data.space.decode(x)])


NAMES: Mapping[str, Fault] = {
    "none: other real rows": lambda rng, data, x, y: x,
    "characters of a name in another order": lambda rng, data, x, y: shuffled(rng, data, x),
    "the last character twice": lambda rng, data, x, y: longer(rng, data, x),
    "copies of training rows": lambda rng, data, x, y: data.train[: len(x)],
    "one row of ten a copy": lambda rng, data, x, y: np.concatenate([data.train[: len(x) // 10], x[len(x) // 10 :]]),
    "30 different rows": lambda rng, data, x, y: np.resize(x[:30], x.shape),
    "no name that begins with m": lambda rng, data, x, y: x[x[:, 0] != data.space.alphabet.index("m") + 1],
}


def table_rows(rng: np.random.Generator, count: int) -> Array:
    """Six dependent columns on scales from 1 to 100,000; one row of a hundred is of a mode far away."""
    x = rng.normal(size=(count, 6))
    x[:, 1:4] = x[:, :1] + 0.3 * x[:, 1:4]
    x[rng.uniform(size=count) < 0.01] += 6
    return (x * 10.0 ** np.arange(6)).astype(np.float32)


def independent(rng: np.random.Generator, data: Dataset, x: Array, y: None) -> Array:
    return np.hstack([x[:, :1], rng.permuted(x[:, 1:4], axis=0), x[:, 4:]])


def first_column(x: Array, factor: float, shift: float) -> Array:
    """The first column in other units."""
    changed = x.copy()
    changed[:, 0] = factor * x[:, 0] + shift
    return changed


TABLE: Mapping[str, Fault] = {
    "none: other real rows": lambda rng, data, x, y: x,
    "three columns independent of the others": independent,
    "a column 10 % too wide": lambda rng, data, x, y: first_column(x, 1.1, 0),
    "a column shifted by half a standard deviation": lambda rng, data, x, y: first_column(x, 1, 0.5 * x[:, 0].std()),
    "tails cut at 3 standard deviations": lambda rng, data, x, y: x[(np.abs(x - x.mean(0)) < 3 * x.std(0)).all(1)],
    "a mode of 1 % that is never drawn": lambda rng, data, x, y: x[x[:, 5] < 3.5e5],
    "copies of training rows": lambda rng, data, x, y: data.train[: len(x)],
    "30 different rows": lambda rng, data, x, y: np.resize(x[:30], x.shape),
}


# ---- faults of densities, on moons, whose law is known ---------------------------------------------------------------


def densities(data: Dataset) -> dict[str, Callable[[Array], Array]]:
    """log_prob with a fault."""
    truth, center = data.law.log_prob, data.train.mean(0, dtype=np.float64)
    marginals = next(references(data.space, data.train, data.validation))

    def mixed(x: Array, share: float) -> Array:
        return np.logaddexp(np.log1p(-share) + truth(x), np.log(share / 4) - np.abs(x - center).sum(1))

    return {
        "none: the true density": truth,
        "1 % of the mass far too wide": lambda x: mixed(x, 0.01),
        "10 % of the mass far too wide": lambda x: mixed(x, 0.1),
        "shifted by 0.02, a fifth of the noise": lambda x: truth(x - 0.02),
        "5 % too narrow": lambda x: truth(center + 1.05 * (x - center)) + 2 * np.log(1.05),
        "noise added: 0.1 nats": lambda x: truth(x) + 0.1 * np.cos(1e4 * x.sum(1)) * np.sqrt(2),
        "improper: its integral is 1.1": lambda x: truth(x) + np.log(1.1),
        "independent columns": marginals.log_prob,
    }  # fmt: skip


# ---- tables ---------------------------------------------------------------------------------------------------------


def withheld(data: Dataset, seed: int = 0) -> tuple[Dataset, Array, Array | None]:
    """The data without a third of its training rows, these rows, and their classes."""
    order = np.random.default_rng(seed).permutation(len(data.train))
    count = min(ROWS, len(order) // 3)
    taken, left = order[:count], order[count:]
    labels = None if data.labels is None else {**data.labels, "train": data.labels["train"][left]}
    y = None if data.labels is None else data.labels["train"][taken]
    rest = Dataset(data.name, data.space, data.train[left], data.validation, data.test, labels, data.classes)
    return rest, data.train[taken], y


def of_samples(data: Dataset, faults: Mapping[str, Fault], judge: Model | None = None) -> Iterator[tuple[str, Report]]:
    rest, x, y = withheld(data)
    for name, fault in faults.items():
        made = fault(np.random.default_rng(1), rest, x, y)
        samples, labels = made if isinstance(made, tuple) else (made, None)
        report = Report("given", data.name, "test", len(data.test), 0)
        compare(Task(Given(data), rest, *data.split("test"), report, judge), samples, labels)
        yield name, report


def of_densities(data: Dataset) -> Iterator[tuple[str, Report]]:
    for name, log_prob in densities(data).items():
        report = Report("given", data.name, "test", len(data.test), 0)
        likelihood(Task(Given(data, log_prob), data, *data.split("test"), report))
        yield name, report


def markdown(reports: Iterator[tuple[str, Report]], what: str) -> str:
    found = list(reports)
    first = found[0][1]
    names, classes = list(first.figures), bool(first.histogram)
    heads = [f"`{name}`" for name in names] + ["the class farthest off"] * classes
    lines = [f"| {what} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    if all(figure.real for figure in first.figures.values()):
        cells = [str(figure.real) for figure in first.figures.values()] + [""] * classes
        lines.append(f"| real data | {' | '.join(cells)} |")
    for fault, report in found:
        cells = [cell(report.figures[name], name) for name in names] + ([farthest(report)] if classes else [])
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(figure: Estimate, name: str) -> str:
    """The value, in bold where it is far from real data's, or a difference far from zero."""
    if figure.real:
        return bold(str(figure), far(figure))
    return bold(
        f"{figure.value:.3f} ± {figure.error:.3f}", "_above_" in name and abs(figure.value) > SURE * figure.error
    )


def far(figure: Estimate) -> bool:
    return abs(figure.value - figure.real.value) > SURE * np.hypot(figure.error, figure.real.error)


def farthest(report: Report) -> str:
    """Of the class whose share is the most standard errors away, that share."""

    def distance(name: str) -> float:
        figure = report.histogram[name]
        return abs(figure.value - figure.real.value) / np.hypot(figure.error, figure.real.error)

    name = max(report.histogram, key=distance)
    figure = report.histogram[name]
    return bold(f"{name}: {figure} (real {figure.real})", far(figure))


def bold(text: str, yes: bool) -> str:
    return f"**{text}**" if yes else text


def tables() -> dict[str, str]:
    table = split_rows("table", Real(6), table_rows(np.random.default_rng(0), 10_000))
    judge = zoo.open("cnn.digits", device="cpu")
    return {
        "digits": markdown(of_samples(zoo.load_dataset("digits"), DIGITS, judge), "digits"),
        "table": markdown(of_samples(table, TABLE), "a table"),
        "names": markdown(of_samples(zoo.load_dataset("names"), NAMES), "names"),
        "densities": markdown(of_densities(zoo.load_dataset("moons")), "moons"),
    }


def main() -> None:
    made, text = tables(), PAGE.read_text()
    for name, lines in made.items():
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition(f"<!-- /{name} -->")
        text = f"{head}{begin}{lines}\n{end}{tail}"
    with atomic_write(PAGE, force=True) as file:
        file.write(text.encode())


if __name__ == "__main__":
    main()
