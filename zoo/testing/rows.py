"""Checks of rows: what comes out, and that a row depends on its seed, its number and its inputs alone."""

from __future__ import annotations

import itertools
import random

import numpy as np

from zoo.errors import UnknownMethod, ZooError
from zoo.model import FIRST_OUTPUT, Array
from zoo.noise import draw
from zoo.parity import SCALES, TOLERANCE, difference, only_rounding
from zoo.signature import METHODS, resolve
from zoo.testing.check import NotApplicable, check, require
from zoo.testing.subject import Subject, loss_arguments

ROWS = 7


def full(subject: Subject) -> bool:
    return not subject.density_only


def equal(method: str, expected: Array, got: Array) -> bool:
    """Floats to the tolerance of an export, integers exactly, but for levels on the border of rounding."""
    error = difference(expected, got, SCALES.get(method))
    return error <= TOLERANCE if expected.dtype.kind == "f" else error == 0 or only_rounding(expected, got)


@check(full)
def declared_methods(subject: Subject) -> None:
    """The methods of the spec are there, with the outputs of their names; others raise `UnknownMethod`."""
    model, spec = subject.model, subject.spec
    require(
        set(model.signatures) == set(spec.methods),
        f"the spec declares {sorted(spec.methods)}, methods() returns {sorted(model.signatures)}.",
    )
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
    kinds = {spec.density, "lower_bound" if spec.density == "exact" and subject.space.discrete else spec.density}
    require(
        model.density in kinds, f"log_prob is {model.density!r}; the spec says {spec.density!r}. Set `density` alike."
    )


@check(full)
def shapes(subject: Subject) -> None:
    """Outputs have the dtypes and shapes that they declare, and values that mean something."""
    for method, signature in subject.model.signatures.items():
        options = {name: o.number for name, o in signature.options.items()}
        for name, value in subject.call(method, ROWS).items():
            declared = signature.outputs[name]
            wanted = (ROWS, *resolve(declared.shape, options))
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
            own = subject.model.log_prob(subject.sample(ROWS), seed=0, **subject.labels("log_prob"))
            require(bool(np.isfinite(own).all()), "log_prob is not finite at the model's own samples.")
        if method == "predict":
            y = subject.call(method, ROWS)["y"]
            require(bool((y >= 0).all()), f"predict gave {y.min():.4g}; expected probabilities.")
            require(
                y.ndim == 1 or bool(np.abs(y.sum(1) - 1).max() < 1e-4),
                f"predict sums to {y.reshape(ROWS, -1)[0].sum():.4g} in a row; expected 1: softmax over the classes. "
                "A single score, such as p(real), has shape () an observation.",
            )


@check(full)
def inputs_matter(subject: Subject) -> None:
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
def batch_invariance(subject: Subject) -> None:
    """A row does not depend on the others: alone, or among the first few, it is the same."""
    for method, signature in subject.model.signatures.items():
        whole, inputs = subject.call(method, ROWS), subject.inputs(method, ROWS)
        parts = [(0, 1), (0, 2)]
        if not signature.random:  # the others depend on the row's number too: chunk_invariance
            parts += [(i, i + 1) for i in range(1, ROWS)]
        for start, stop in parts:
            _require_part(subject, method, whole, inputs, (start, stop), {})


@check(full)
def chunk_invariance(subject: Subject) -> None:
    """Row i of a seed is the same in any chunks and from any start."""
    random = [method for method, signature in subject.model.signatures.items() if signature.random]
    if not random:
        raise NotApplicable("no method is random")
    for method in random:
        whole, inputs = subject.call(method, 11), subject.inputs(method, 11)
        for start, stop, chunk in ((0, 11, 4), (5, 11, 6), (3, 8, 2), (10, 11, 1)):
            _require_part(subject, method, whole, inputs, (start, stop), {"start": start, "chunk": chunk})


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
            f"{how or ''}. A row may depend on its inputs, its noise, and `index`, the number that `init` gets: not on "
            "its place, nor on the rows around it (a mean, a norm or a sum over the batch axis? batch normalization in "
            "training mode?).",
        )


@check(full)
def seeds(subject: Subject) -> None:
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
        require(
            signature.random and not np.array_equal(first["x"], subject.call("sample", 40, seed=1)["x"]),
            "sample gives the same rows for another seed. Declare the noise that it consumes, and use it.",
        )
        require(len(np.unique(first["x"], axis=0)) > 1, "all rows of a seed are the same.")


@check(full)
def random_state(subject: Subject) -> None:
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
def conditional(subject: Subject) -> None:
    """A method that takes a class gives other answers for each class."""
    methods = [m for m, s in subject.model.signatures.items() if "label" in s.inputs]
    if not methods:
        raise NotApplicable("no method takes a class")
    classes = subject.classes.names[:5]
    for method in methods:
        inputs = {k: a for k, a in subject.inputs(method, 20).items() if k != "label"}
        count = None if inputs else 20
        found = [subject.model.run(method, inputs, count=count, seed=0, label=name) for name in classes]
        for i, j in itertools.combinations(range(len(classes)), 2):
            require(
                any(not np.array_equal(found[i][name], found[j][name]) for name in found[i]),
                f"{method} gives the same for class {classes[i]} and class {classes[j]}. Is the class used?",
            )


@check(lambda s: full(s) and s.spec.family == "autoregressive" and s.has("sample"))
def causality(subject: Subject) -> None:
    """What is drawn stays drawn: after a part of the noise, so large a part of the sample no longer changes. Where
    log_prob gives `conditionals`, (N, D) terms, the first d depend on the first d dimensions only and sum to it."""
    from zoo.signature import Loop

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
    x = model.sample(rows, seed=3, **subject.labels("sample"))
    other = model.sample(rows, seed=4, **subject.labels("sample"))
    result = model.run("log_prob", {"x": x}, **subject.labels("log_prob"))
    total = result["conditionals"].astype(np.float64).sum(1)
    require(
        bool(np.abs(total - result["log_prob"]).max() <= 1e-3 * max(1, np.abs(total).max())),
        f"the conditionals sum to {total[0]:.6g}, log_prob is {result['log_prob'][0]:.6g}.",
    )
    for d in sorted({1, size // 2, size - 1} - {0}):
        mixed = np.where(np.arange(size) < d, x.reshape(rows, -1), other.reshape(rows, -1))
        if subject.space.type == "text":
            mixed = np.where(np.cumsum(mixed == 0, axis=1) > 0, 0, mixed)  # nothing after the end
        moved = model.run("log_prob", {"x": mixed.reshape(x.shape)}, **subject.labels("log_prob"))["conditionals"]
        gap = np.abs(moved[:, :d] - result["conditionals"][:, :d]).max()
        require(
            bool(gap <= 1e-4),
            f"the terms of the first {d} dimensions change by {gap:.2g} nats with the dimensions after them. Look at "
            "the masks: dimension d may see only those before it.",
        )
