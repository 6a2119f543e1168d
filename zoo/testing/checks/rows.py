"""Checks of rows: what comes out, and that a row depends on its seed, its number and its inputs alone."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np

from zoo.errors import PluginError, UnknownMethod, ZooError
from zoo.model import FIRST_OUTPUT, Array
from zoo.noise import draw
from zoo.parity.differences import SCALES, TOLERANCE, difference, only_rounding
from zoo.parity.loop_states import check_loop_states
from zoo.plugins.checking import differences
from zoo.signature import METHODS, Loop, resolve
from zoo.spaces import Strings
from zoo.spec import ModelSpec
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.subject import MOST_CLASSES, Subject, loss_arguments

ROWS = 7
LARGE = 256  # rows of a batch of many; of a slow model `SMALL`
SMALL = 32
SEEDS = (1, -1, 2**32, 2**63 - 1)
QUICK = 1e-3  # seconds that a row takes at most, where batches are large
OWN = (
    "A row may depend on its inputs, its noise, and `index`, the number that `init` gets: not on its place, nor on the "
    "rows around it (a mean, a norm or a sum over the batch axis? batch normalization in training mode?)."
)
FAR = (25_000, 10**6, 2**31 - 5, 2**53)  # numbers of rows, which artifacts hold in 64 bits


def full(subject: Subject) -> bool:
    return subject.scope == "all"


def at_all(subject: Subject) -> bool:
    """Checks of whether anything works, on spaces of every kind."""
    return subject.scope != "density"


def equal(method: str, expected: Array, got: Array) -> bool:
    """Floats to the tolerance of an export, integers exactly, but for levels on the border of rounding."""
    error = difference(expected, got, SCALES.get(method))
    return error <= TOLERANCE if expected.dtype.kind == "f" else error == 0 or only_rounding(expected, got)


@check(at_all)
def methods_are_those_declared(subject: Subject) -> None:
    """The methods of the spec are there, with the outputs of their names; others raise `UnknownMethod`."""
    model, spec = subject.model, subject.spec
    wrong = list(differences(spec, set(model.signatures), model.density, subject.space))
    require(not wrong, " ".join(wrong))
    for method in METHODS:
        if method in model.signatures:
            outputs = model.signatures[method].outputs
            require(
                FIRST_OUTPUT[method] in outputs,
                f"{method} has the outputs {sorted(outputs)}; expected {FIRST_OUTPUT[method]!r} among them.",
            )
            continue
        try:
            model.run(method, {}, count=1)
        except UnknownMethod:
            continue
        require(False, f"{method} is not declared and was answered; expected UnknownMethod.")


@check(at_all)
def outputs_are_as_declared(subject: Subject) -> None:
    """Outputs have the dtypes and shapes that they declare, and values that mean something."""
    rows = max(ROWS, min(subject.classes, MOST_CLASSES))  # each class once
    for method, signature in subject.model.signatures.items():
        options = {name: o.number for name, o in signature.options.items()}
        for name, value in subject.call(method, rows).items():
            declared = signature.outputs[name]
            wanted = (rows, *resolve(declared.shape, options))
            require(
                value.dtype == declared.dtype and value.shape == wanted,
                f"{method} gave {name} as {value.dtype} {value.shape}; it declares {declared.dtype} {wanted}.",
            )
            # a density may be zero at made-up observations, not at the model's own
            fine = np.isfinite(value) | ((name in ("log_prob", "conditionals")) & (value == -np.inf))
            require(value.dtype.kind != "f" or bool(fine.all()), f"{method} gave {name} that is not finite.")
            if name == "x":
                try:
                    subject.space.check(value)
                except ZooError as error:
                    require(False, f"{method} gave what is not in the sample space: {error}")
        if method == "log_prob":
            require(signature.outputs["log_prob"].shape == (), "log_prob is one number an observation: shape ().")
        if method == "log_prob" and subject.has("sample"):
            own = subject.log_prob(subject.sample(rows), seed=0)
            require(bool(np.isfinite(own).all()), "log_prob is not finite at the model's own samples.")
        if method == "predict":
            y = subject.call(method, rows)["y"]
            require(bool((y >= 0).all()), f"predict gave {y.min():.4g}; expected probabilities.")
            require(
                y.ndim == 1 or bool(np.abs(y.sum(1) - 1).max() < 1e-4),
                f"predict sums to {y.reshape(rows, -1)[0].sum():.4g} in a row; expected 1: softmax over the classes. "
                "A single score, such as p(real), has shape () an observation.",
            )


@check(lambda s: full(s) and isinstance(s.spec, ModelSpec))
def loops_keep_the_states_that_they_declare(subject: Subject) -> None:
    """What `init` and `step` of a loop give has the names, dtypes and shapes of its states and invariants."""
    if not any(isinstance(method, Loop) for method in subject.eager.methods.values()):
        raise NotApplicable("no method is a loop")
    try:
        check_loop_states(subject.eager)
    except PluginError as error:
        require(False, str(error))


@check(full)
def inputs_change_the_answer(subject: Subject) -> None:
    """A method gives other answers for other observations or latents."""
    methods = [m for m, s in subject.model.signatures.items() if set(s.inputs) - {"label"}]
    if not methods:
        raise NotApplicable("no method takes observations or latents")
    for method in methods:
        inputs = subject.inputs(method, 20)
        turned = {name: a if name == "label" else a[::-1] for name, a in inputs.items()}
        first, other = (subject.model.run(method, given, seed=0) for given in (inputs, turned))
        require(
            any(not np.array_equal(first[name], other[name]) for name in first),
            f"{method} gives the same for other inputs. Is the input used? Does the method remember an answer?",
        )


@check(full)
def rows_do_not_depend_on_each_other(subject: Subject) -> str:
    """A row is the same alone, among the first few, and in a large batch whose other rows are others."""
    sizes = []
    for method, signature in subject.model.signatures.items():
        whole, inputs = subject.call(method, ROWS), subject.inputs(method, ROWS)
        parts = [(0, 1), (0, 2)]
        if not signature.random:  # the others depend on the row's number too: rows_do_not_depend_on_chunks
            parts += [(i, i + 1) for i in range(1, ROWS)]
        for start, stop in parts:
            _require_part(subject, method, whole, inputs, (start, stop), {})
        sizes.append(_require_own_rows(subject, method))
    return f"alone and in batches of {min(sizes)}"


def _require_own_rows(subject: Subject, method: str) -> int:
    """Rows of a large batch are the same when every other row is replaced, and when their order is turned round."""
    begin = time.perf_counter()
    subject.call(method, SMALL)
    rows = LARGE if time.perf_counter() - begin < QUICK * SMALL else SMALL
    inputs, index = subject.inputs(method, rows), np.arange(rows)
    odd, turned = index % 2 == 1, index[::-1]
    # other inputs, other indices, other classes
    others = {name: np.where(_like(odd, a), np.roll(a, 1, axis=0), a) for name, a in inputs.items()}

    def run(given: dict[str, Array], numbers: Array) -> dict[str, Array]:
        return subject.model.run(method, given, seed=np.zeros(rows, dtype=np.int64), index=numbers, chunk=rows)

    whole = run(inputs, index)
    replaced = run(others, np.where(odd, index + rows, index))
    back = run({name: a[turned] for name, a in inputs.items()}, turned)
    for name, value in whole.items():
        require(
            equal(method, value[~odd], replaced[name][~odd]),
            f"{name} of {method}: in a batch of {rows}, rows change when every other row is replaced. {OWN}",
        )
        require(
            equal(method, value[turned], back[name]),
            f"{name} of {method}: rows change when a batch of {rows} is put in reverse order. {OWN}",
        )
    return rows


def _like(mask: Array, values: Array) -> Array:
    """A mask of rows with the axes of `values`."""
    return mask.reshape(-1, *[1] * (values.ndim - 1))


@check(full)
def rows_do_not_depend_on_chunks(subject: Subject) -> None:
    """Row i of a seed is the same in any chunks and from any start, however far out."""
    random = [method for method, signature in subject.model.signatures.items() if signature.random]
    if not random:
        raise NotApplicable("no method is random")
    for method in random:
        whole, inputs = subject.call(method, 11), subject.inputs(method, 11)
        for start, stop, chunk in ((0, 11, 4), (5, 11, 6), (3, 8, 2), (10, 11, 1)):
            _require_part(subject, method, whole, inputs, (start, stop), {"start": start, "chunk": chunk})
        for far in FAR:
            there = subject.call(method, 11, start=far)
            for start, stop in ((0, 1), (3, 8)):
                _require_part(subject, method, there, inputs, (start, stop), {"start": far + start})


def _require_part(
    subject: Subject,
    method: str,
    whole: dict[str, Array],
    inputs: dict[str, Array],
    rows: tuple[int, int],
    how: dict[str, int],
) -> None:
    """The rows by themselves are those of the whole."""
    part = {name: a[slice(*rows)] for name, a in inputs.items()}
    count = None if part else rows[1] - rows[0]
    for name, value in subject.model.run(method, part, count=count, seed=0, **how).items():
        require(
            equal(method, whole[name][slice(*rows)], value),
            f"{name} of {method}: rows {rows[0]} to {rows[1] - 1} change when they are computed on their own "
            f"{how or ''}. {OWN}",
        )


@check(full)
def seeds_decide_the_rows(subject: Subject) -> None:
    """The same seed gives the same rows, another seed others, and the rows of a seed differ."""
    for method, signature in subject.model.signatures.items():
        first, again = subject.call(method, 40), subject.call(method, 40)
        for name in first:
            require(
                np.array_equal(first[name], again[name]),
                f"{method} gave other {name} for the same seed and inputs. A method must not draw or remember.",
            )
        if method != "sample":
            continue
        for seed in SEEDS:
            require(
                signature.random and not np.array_equal(first["x"], subject.call("sample", 40, seed=seed)["x"]),
                f"sample gives the rows of seed 0 for the seed {seed}. Declare the noise that it consumes, and use it.",
            )
        require(len(np.unique(first["x"], axis=0)) > 1, "all rows of a seed are the same.")


@check(full)
def global_random_numbers_are_not_drawn(subject: Subject) -> None:
    """Methods and losses draw nothing from the global random numbers of Python, numpy or the framework."""
    network = subject.network

    def states() -> dict[str, object]:
        kind, keys, *place = np.random.get_state()
        return {
            "Python's random": random.getstate(),
            "numpy.random": (kind, np.asarray(keys).tobytes(), *place),
            f"the framework ({network.framework})": network.random_state(),
        }

    def compare(what: str, before: dict[str, object]) -> None:
        drawn = [name for name, state in states().items() if state != before[name]]
        require(
            not drawn,
            f"{what} drew from the global state of {' and '.join(drawn)}. Declare the noise: it comes as an argument.",
        )

    for method in subject.model.signatures:
        before = states()
        subject.call(method, 3)
        compare(method, before)
    for name, objective in network.objectives().items():
        before = states()
        objective.loss.function(**loss_arguments(network, objective, 3))
        compare(f"the loss {name!r}", before)


@check(full)
def each_class_has_answers_of_its_own(subject: Subject) -> None:
    """A method that takes a class gives other answers for each class."""
    methods = [m for m, s in subject.model.signatures.items() if "label" in s.inputs]
    if not methods:
        raise NotApplicable("no method takes a class")
    classes = range(min(subject.classes, MOST_CLASSES))
    for method in methods:
        inputs = {k: a for k, a in subject.inputs(method, 20).items() if k != "label"}
        count = None if inputs else 20
        found = [
            subject.model.run(method, inputs, count=count, seed=0, label=subject.called(np.full(20, i)))
            for i in classes
        ]
        for i, j in itertools.combinations(classes, 2):
            require(
                any(not np.array_equal(found[i][name], found[j][name]) for name in found[i]),
                f"{method} gives the same for class {i} and class {j}. Is the class used?",
            )


@check(lambda s: full(s) and s.spec.family == "autoregressive" and s.has("sample"))
def later_dimensions_do_not_change_earlier_ones(subject: Subject) -> None:
    """What is drawn stays drawn: after a part of the noise, so large a part of the sample no longer changes. Where
    log_prob gives `conditionals`, (N, D) terms, the first d depend on the first d dimensions only and sum to it."""
    model, rows = subject.eager, 50
    definition = model.methods["sample"]
    index = np.arange(rows, dtype=np.int64)
    inputs, options = model._arguments("sample", model.signature("sample"), subject.inputs("sample", rows), rows)
    size = subject.space.size
    parts = definition.length if isinstance(definition, Loop) else size
    parts = int(options[parts]) if isinstance(parts, str) else parts

    def sample(known: int) -> Array:
        """Rows whose noise is of one seed up to step, or element, `known`, and of another from there on."""

        def noises(declared, step=0):  # type: ignore[no-untyped-def]
            found = {}
            for name, noise in declared.items():
                when = {"step": step, "options": options}
                a, b = (draw(noise, index, seed=seed, stream=f"sample/{name}", **when) for seed in (0, 1))
                if isinstance(definition, Loop):
                    found[name] = a if step < known or declared is definition.init_noise else b
                else:
                    late = np.arange(int(np.prod(noise.shape))).reshape(noise.shape) >= known
                    found[name] = np.where(late, b, a)
            return found

        return model.compute("sample", inputs, index, options, noises)["x"].reshape(rows, -1)

    whole = sample(parts)
    for known in sorted({1, parts // 4, parts // 2, 3 * parts // 4, parts - 1} - {0}):
        changed = int((sample(known) != whole).any(axis=0).sum())
        require(
            changed <= size - known * size // parts,
            f"{changed} of {size} dimensions change with the noise that comes after step {known} of "
            f"{parts}; expected at most {size - known * size // parts}. Each step draws its own dimension, and "
            "leaves those before it.",
        )
    if not subject.has("log_prob") or "conditionals" not in model.signature("log_prob").outputs:
        return
    x, other = (subject.sample(rows, seed=seed) for seed in (3, 4))
    result = model.run("log_prob", {"x": x}, **subject.told("log_prob", rows))
    total = result["conditionals"].astype(np.float64).sum(1)
    require(
        bool(np.abs(total - result["log_prob"]).max() <= 1e-3 * max(1, np.abs(total).max())),
        f"the conditionals sum to {total[0]:.6g}, log_prob is {result['log_prob'][0]:.6g}.",
    )
    for d in sorted({1, size // 2, size - 1} - {0}):
        mixed = np.where(np.arange(size) < d, x.reshape(rows, -1), other.reshape(rows, -1))
        if isinstance(subject.space, Strings):
            mixed = np.where(np.cumsum(mixed == 0, axis=1) > 0, 0, mixed)  # nothing after the end
        moved = model.run("log_prob", {"x": mixed.reshape(x.shape)}, **subject.told("log_prob", rows))["conditionals"]
        gap = np.abs(moved[:, :d] - result["conditionals"][:, :d]).max()
        require(
            bool(gap <= 1e-4),
            f"the terms of the first {d} dimensions change by {gap:.2g} nats with the dimensions after them. Look at "
            "the masks: dimension d may see only those before it.",
        )
