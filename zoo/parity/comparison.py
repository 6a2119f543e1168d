"""The comparison of an artifact with its source. A case is run once by the source; the artifact must reproduce its rows
at several batch sizes, and the last rows on their own."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from zoo.artifact.manifest import Compared
from zoo.errors import ExportError
from zoo.model import Array, Model
from zoo.parity.budget import BATCHES, COUNT, Cost, batched_rows
from zoo.parity.cases import Case, Progress, silent
from zoo.parity.costs import time_passes
from zoo.parity.differences import SCALES, TOLERANCE, difference, finite_rows, only_rounding, rows_that_differ
from zoo.signature import Signature, Window

# A category is drawn by comparing a uniform with a distribution function. If they agree to the last bits, source and
# artifact may draw differently, and the rest of that row differs as well: at most this many rows of a method may do so.
TIES = 1  # of 7 rows or more


def check(
    artifact: Model,
    cases: Sequence[Case],
    seconds: float = math.inf,
    progress: Progress = silent,
) -> dict[str, Compared]:
    """How each method was compared, and the largest differences. `ExportError` names what exceeds the tolerance, or a
    method without anything to compare. Kinds of input for which the source gives only NaN are left out.

    If it would take longer than `seconds` for a method, there are fewer rows, then fewer cases, but never none.
    """
    report = {}
    for method, signature in artifact.signatures.items():
        mine = [case for case in cases if case.method == method]
        if mine and seconds < math.inf:
            mine = affordable(mine, signature, time_passes(artifact, method), seconds)
        report[method] = Comparison(artifact, method).run(mine, progress)
        artifact.release()
    return report


def affordable(cases: Sequence[Case], signature: Signature, cost: Cost, seconds: float) -> list[Case]:
    """As many rows of the cases as fit into the time; at least one of the shortest."""

    def taken(case: Case) -> float:
        return steps_of(case, signature) * cost.of(batched_rows(case.rows), len(BATCHES[case.rows]))

    for rows in BATCHES:
        fewer = [case.first(min(case.rows, rows)) for case in cases]
        if sum(map(taken, fewer)) <= seconds:
            return fewer
    return [min(fewer, key=taken)]


def steps_of(case: Case, signature: Signature) -> int:
    """How often a case goes through the network."""
    steps = case.steps(signature)
    return steps.count if steps else 1


class Comparison:
    """Of one method of an artifact with cases of its source."""

    def __init__(self, artifact: Model, method: str) -> None:
        self.artifact, self.method, self.signature = artifact, method, artifact.signature(method)
        self.differences: dict[str, float] = {}
        self.ties = 0
        self.drawn: set[tuple[int, int]] = set()  # cases and their rows that were drawn otherwise

    def run(self, cases: Sequence[Case], progress: Progress = silent) -> Compared:
        begin = time.perf_counter()
        what, total = f"comparing {self.method} with the source", self.work(cases)
        done = 0
        self.ties = TIES if sum(case.rows for case in cases) >= COUNT else 0
        views: dict[Window | None, Model] = {}
        for number, case in enumerate(cases):
            if case.window not in views:
                for view in views.values():  # one at a time: each holds the weights
                    view.release()
                views = {case.window: case.view(self.artifact)}
            for low, high in BATCHES[case.rows]:
                progress(what, done, total)
                self.compare(number, case, low, high, case.run(views[case.window], low, high))
                done += (high - low) * steps_of(case, self.signature)
        if not self.differences:
            raise ExportError(f"{self.artifact.name}: there is nothing to compare {self.method} with. Export it again.")
        steps = dict.fromkeys(case.steps(self.signature) for case in cases)
        return Compared(
            difference=self.differences,
            tolerance={c.kind: max(c.tolerance.values()) for c in cases if c.tolerance},
            rows=max(case.rows for case in cases),
            batches=sorted({high - low for case in cases for low, high in BATCHES[case.rows]}),
            steps=[s for s in steps if s is not None],
            seconds=float(f"{time.perf_counter() - begin:.3g}"),
        )

    def work(self, cases: Sequence[Case]) -> int:
        """Rows times steps of all calls."""
        return sum(batched_rows(case.rows) * steps_of(case, self.signature) for case in cases)

    def compare(self, number: int, case: Case, low: int, high: int, got: Mapping[str, Array]) -> None:
        """Compare rows of a case with the outputs of the artifact."""
        for name, whole in case.outputs.items():
            expected, found = whole[low:high], got[name]
            if found.shape == expected.shape:
                compared = finite_rows(expected)
                expected, found = expected[compared], found[compared]
            if not len(expected):
                continue
            error = difference(expected, found, SCALES.get(self.method))
            self.differences[case.kind] = max(self.differences.get(case.kind, 0.0), error)
            if expected.dtype.kind == "f":
                tolerance = case.tolerance.get(name, TOLERANCE)
                good, what = error <= tolerance, f"relative difference {error:.3g}, tolerance {tolerance:.2g}"
            else:
                good, what = error == 0, f"{error:.2%} of the values differ"
                good = good or only_rounding(expected, found)
                if not good and error <= 1 and self.signature.random:
                    self.drawn |= {(number, low + int(r)) for r in rows_that_differ(expected, found)}
                    good = len(self.drawn) <= self.ties
            if not good:
                where = f"at batch {high}: {what}."
                if low:
                    where = f"in rows {low} to {high - 1} alone: {what}. Do rows depend on those before them?"
                differs = f"{self.artifact.name}: {self.method} differs from its source in {name}"
                raise ExportError(f"{differs} on {case.kind} inputs{self.place(case)} {where}")

    def place(self, case: Case) -> str:
        steps = case.steps(self.signature)
        return f", steps {steps}" if case.window and steps else ""
