"""Runs a user's functions on a few examples, to find shapes and to report errors early."""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import noise as reference
from zoo.errors import InputError
from zoo.model import Model
from zoo.parity.cases import make_inputs
from zoo.parity.inputs import input_examples
from zoo.signature import Loop, Method, Noise, Option, Tensor
from zoo.spaces import Image, Labels
from zoo.wrapping.calling import running
from zoo.wrapping.state import Memory

if TYPE_CHECKING:
    from zoo.eager import EagerModel
    from zoo.wrapping.arguments import WrappedNetwork

ROWS = 3
TURNED = (1, 2, 0)  # the examples in another order
LONG = 1.0  # seconds per step, from which on probes of a loop run only one
STATE = (
    "A method of an artifact depends only on its arguments. Whatever a sampler carries from step to step is its state: "
    "init= returns it, step= takes and returns it"
)


class Probe:
    """Runs functions of `network` with reference noise, zeros for steps, and the defaults of `options`. `functions` are
    the user's, not yet run."""

    def __init__(self, network: WrappedNetwork, options: Mapping[str, Option], functions: Iterable[Any] = ()) -> None:
        self.network, self.options, self.functions = network, options, list(functions)
        self.memory = self.remember()
        self.seconds = math.inf  # per row, of the call that was timed last

    def remember(self) -> Memory:
        return Memory(*self.network.parts, *self.functions)

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` on `ROWS` examples, recording the seconds per row of its fastest run."""
        self.seconds = math.inf

        def run(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = call(*arguments, **named)
            self.seconds = min(self.seconds, (time.perf_counter() - began) / ROWS)
            return result

        return run

    def arguments(
        self, method: str, inputs: Mapping[str, Tensor], noises: Mapping[str, Noise], rows: int = ROWS
    ) -> dict[str, Any]:
        """Examples of all arguments that a function may take, by name."""
        net, defaults = self.network, {n: o.number for n, o in self.options.items()}
        made = {n: net.tensor(np.asarray(o.number, dtype=o.dtype)) for n, o in self.options.items()}
        examples = input_examples(inputs, net.space, net.classes, "random", rows, defaults)
        made |= {name: net.tensor(array) for name, array in examples.items()}
        index = np.arange(rows, dtype=np.int64)
        for name, n in noises.items():
            drawn = reference.draw(n, index, seed=0, stream=f"{method}/{name}", options=defaults)
            made[name] = net.tensor(drawn)
        made["index"] = net.tensor(index)
        return made

    def run(self, what: str, call: Callable[[], Any], hint: str | Callable[[Exception], str] = "") -> Any:
        """The result of `call()`; `InputError` if it fails, draws random numbers, or remembers calls."""
        with self.network.inference():
            memory = Memory(*self.network.parts, call)
            first = running(what, call, hint)
            again, draws = running(what, lambda: self.network.watch(call), hint)
            if draws:
                raise InputError(f"{what} {_drawn(', in ' + ', '.join(draws))}")
            if not self._same(first, again):
                raise InputError(f"{what} {self._why_again_differs(call, memory)}")
        return first

    def undisturbed(self, what: str, call: Callable[[], Any], others: Callable[[], Any]) -> None:
        """`InputError` if the result of `call()` changes after `others()`, which run on other examples."""
        with self.network.inference():
            before = running(what, call)
            running(what, others)
            if not self._same(before, running(what, call)):
                raise InputError(f"{what} {_keeps(self.memory.kept() or self.memory.changed())}")

    def _why_again_differs(self, call: Callable[[], Any], memory: Memory) -> str:
        """The message for a function whose result changes when it is called again."""
        changed = memory.changed()
        memory = Memory(*self.network.parts, call)
        try:
            steady = self._same(*_seeded(call))
            changed = memory.changed() or changed  # without what only a first call sets
            remembers = not steady or self._same(call(), call())
        except Exception:  # it can be called twice, but not again
            remembers = True
        return _remembers(changed) if changed and remembers else _drawn(", perhaps by random or numpy.random")

    def array(self, tensor: Any) -> Any:
        """A tensor in numpy, which has no bfloat16."""
        return self.network.numpy(self.network.cast(tensor, "float32") if dtype_name(tensor) == "bfloat16" else tensor)

    def _same(self, a: Any, b: Any) -> bool:
        """Whether two runs agree up to rounding, which code that is compiled meanwhile may change."""
        if isinstance(a, Mapping):
            return all(self._same(a[k], b[k]) for k in a)
        if not hasattr(a, "dtype") or not hasattr(b, "dtype"):
            return True
        one, other = (t if isinstance(t, np.ndarray) else self.array(t) for t in (a, b))
        return _close(one, other, 1e-5)

    def check(self, what: str, y: Any, outside: bool = False) -> None:
        """`InputError` unless `y` is a tensor with a row for each example and finite numbers, or -inf `outside` of the
        support of a density."""
        if not (hasattr(y, "shape") and hasattr(y, "dtype") and hasattr(y, "reshape")):
            kind = f"{type(y).__name__} of {len(y)}" if isinstance(y, (tuple, list)) else type(y).__name__
            raise InputError(f"{what} gives a {kind}; expected one tensor: pick it, as in lambda *a: function(*a)[0].")
        if type(y).__module__.split(".")[0] == "numpy":
            raise InputError(
                f"{what} gives a numpy array: operations outside the framework cannot be traced. Use "
                "tensor operations throughout."
            )
        shape = tuple(y.shape)
        if not shape or shape[0] != ROWS:
            raise InputError(
                f"{what} gives shape {shape} for {ROWS} examples; expected one row each, ({ROWS}, ...). A mask that "
                "drops rows, or a fixed batch size, cannot be exported; torch.where keeps every row."
            )
        array = self.array(y)
        if outside and array.dtype.kind == "f":
            array = array[~np.isneginf(array)]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{what} gives {array[~np.isfinite(array)][0]} on examples; expected finite numbers.")

    def loop(self, loop: Loop, what: str, inputs: Mapping[str, Tensor]) -> Any:
        """The state `x` of a loop after its first step: its functions have been run."""
        step = self.timed(loop.step)

        def first_step() -> Any:
            arguments = self.arguments("sample", inputs, {**loop.init_noise, **loop.noise})
            arguments |= {n: self.network.tensor(np.asarray(o.number, dtype=o.dtype)) for n, o in loop.options.items()}
            i = self.network.tensor(np.asarray(0))
            return step(i, loop.init(**arguments), **arguments)["x"]

        y = self.run(what, first_step)
        self.check(what, y)
        return y

    def extremes(
        self, model: Model, method: str, count: int, options: Mapping[str, float] | None = None
    ) -> tuple[float, float]:
        """The smallest and largest value of `count` draws. `options` override defaults."""
        signature = model.signatures[method]
        chosen = {n: o.number for n, o in signature.options.items()} | dict(options or {})
        arrays = make_inputs(model, signature, "random", count, chosen)
        scalars = {n: np.dtype(o.dtype).type(chosen[n]) for n, o in signature.options.items()}
        rows = np.zeros(count, np.int64), np.arange(count)
        x = running(method, lambda: model._execute(method, arrays, *rows, scalars))["x"]
        if not np.isfinite(x).all():
            raise InputError(f"{method} gives {x[~np.isfinite(x)][0]}; expected finite numbers.")
        return float(x.min()), float(x.max())

    def whole(self, model: EagerModel, method: str) -> None:
        """Run a method that was given as a call or loop; of a loop, only the first step and the last."""
        signature, model = model.signature(method), _short(model, method)
        outputs = self.run(method, lambda: self._rows(model, method, range(ROWS)))
        for name, tensor in signature.outputs.items():
            got = outputs[name]
            if str(got.dtype) != tensor.dtype:
                raise InputError(f"{method} gives {name} as {got.dtype}; it declares {tensor.dtype}.")

    def alone(self, model: EagerModel, method: str) -> None:
        """`InputError` if the first or the last example of a method depends on the others."""
        model = _short(model, method)
        memory = Memory(*self.network.parts, model.methods[method])
        together = running(method, lambda: self._rows(model, method, range(ROWS)))

        def causes() -> str:
            changed = [name for name in self.memory.kept() or memory.changed() if name]
            return f"batch statistics, or {_listed(changed)}, which it changes?" if changed else "batch statistics?"

        def hint(error: Exception) -> str:
            return f"It works on {ROWS} rows: it mixes rows ({causes()}), or drops their axis if there is only one."

        for row in (0, ROWS - 1):
            one = running(f"{method}, on a single row,", partial(self._rows, model, method, [row]), hint)
            if self._same_rows(together, one, row):
                continue
            again = running(method, lambda: self._rows(model, method, range(ROWS)))
            changed = memory.changed()
            if changed and not all(self._same_rows(together, again, i) for i in range(ROWS)):
                raise InputError(f"{method} {_remembers(changed)}")
            if (kept := self.memory.kept()) and not self._follows_order(model, method, together):
                raise InputError(f"{method} {_keeps(kept)}")
            raise InputError(
                f"{method} mixes rows ({causes()}): row {row} alone differs from row {row} of {ROWS}. "
                "An example may depend only on its own noise, its inputs and the options: use statistics "
                "fixed in training, or computed per row."
            )

    def _follows_order(self, model: Model, method: str, together: Mapping[str, Any]) -> bool:
        """Whether permuted examples give equally permuted rows, as with batch statistics."""
        other = running(method, lambda: self._rows(model, method, TURNED))
        return all(
            self._same_rows(
                {n: a[row : row + 1] for n, a in together.items()},
                {n: a[place : place + 1] for n, a in other.items()},
                0,
            )
            for place, row in enumerate(TURNED)
        )

    def _same_rows(self, together: Mapping[str, Any], other: Mapping[str, Any], row: int) -> bool:
        """Whether a row agrees with another run, of all rows or of that row alone."""

        def same(name: str, all_rows: Any, rows: Any) -> bool:
            # floats of an image may round to either of two levels
            level = 1.0 if name == "x" and isinstance(self.network.space, Image) else 0.0
            one = rows if len(rows) == 1 else rows[row : row + 1]
            return _close(all_rows[row : row + 1], one, 1e-3, level)

        return all(same(name, array, other[name]) for name, array in together.items())

    def _rows(self, model: Model, method: str, rows: Sequence[int]) -> dict[str, Any]:
        """The outputs of a method for some of the examples."""
        inputs = make_inputs(model, model.signature(method), "random", ROWS)
        given = {name: array[list(rows)] for name, array in inputs.items()}
        return model.run(method, given, seed=[0] * len(rows), index=list(rows))


def _drawn(where: str) -> str:
    return (
        f"draws its own random numbers{where}, which no caller's seed could reproduce. Take them as arguments instead: "
        "noise=zoo.Normal(...) or zoo.Uniform(...), and step_noise= for those of each step. Dropout belongs to "
        "training: turn it off, or name its module: modules=[...]."
    )


def _remembers(changed: Sequence[str]) -> str:
    """The message for a function whose calls changed these variables."""
    if names := [name for name in changed if name]:
        return (
            f"remembers earlier calls: {_listed(names)} changed while it ran, and the same arguments gave a different "
            f"result. {STATE}; set anything else at the start of each call."
        )
    return (
        "writes to an argument in place, so a second call with the same tensor gives a different result. Create a new "
        "one: x = x + y, not x += y."
    )


def _keeps(kept: Sequence[str]) -> str:
    """The message for a function whose result depends on what other calls left in these variables."""
    names = _listed([name for name in kept if name]) or "something"
    return f"keeps {names} from an earlier call, on which its result depends. {STATE}; recompute anything else."


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def _seeded(call: Callable[[], Any]) -> tuple[Any, Any]:
    """Two results of a call with the same global random state of Python and numpy, which is then restored."""
    before = random.getstate(), np.random.get_state()
    results = []
    try:
        for _ in range(2):
            random.seed(0)
            np.random.seed(0)
            results.append(call())
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
    return results[0], results[1]


def _close(a: Any, b: Any, relative: float, absolute: float = 0.0) -> bool:
    """Whether two arrays are equal up to rounding of floats, `relative` to the largest."""
    if a.shape != b.shape:
        return False
    finite = a[np.isfinite(a)]
    if a.dtype.kind == "f" and finite.size:
        absolute = max(absolute, relative * float(np.abs(finite).max()))
    one, other = a.astype(np.float64), b.astype(np.float64)
    return bool(np.allclose(one, other, rtol=0.0, atol=absolute, equal_nan=True))


def _short(model: EagerModel, method: str) -> EagerModel:
    """A model whose method, if it is a loop, runs only its first step and, unless that is `LONG`, its last."""
    definition = model.methods[method]
    if isinstance(definition, Loop):
        model = copy.copy(model)
        model.methods = {**model.methods, method: _two_steps(definition)}
    return model


def _two_steps(loop: Loop) -> Loop:
    steps = length_of(loop)
    seconds: list[float] = []  # of each first step; the first run decides, so that all runs take the same steps

    def step(i: Any, state: Any, **more: Any) -> Any:
        if int(i) and seconds[0] > LONG:
            return state
        began = time.perf_counter()
        state = loop.step(i * (steps - 1), state, **more)
        seconds.append(time.perf_counter() - began)
        return state

    return replace(loop, length=min(steps, 2), step=step)


def length_of(method: Method) -> int:
    """The default number of steps of a method, 1 without a loop."""
    if not isinstance(method, Loop):
        return 1
    return method.length if isinstance(method.length, int) else int(method.options[method.length].number)


def check_trained(written: Sequence[str]) -> None:
    """`InputError` if first calls, but no later ones, have written to these tensors."""
    if written:
        raise InputError(
            f"the first call sets {_listed(written)}, like an activation norm that takes its scale from its first "
            "batch, and that batch was wrap's examples. Create the model again, and train it or load its weights "
            "before wrapping it."
        )


def check_prediction(y: Any, classes: Labels | None) -> None:
    """`InputError` unless an array is p(y given x), (N, classes), or a score, (N,)."""
    shape = y.shape[1:]
    if shape in ((), (1,)):
        return
    if len(shape) != 1:
        raise InputError(f"predict gives shape (N, {', '.join(map(str, shape))}); expected (N, classes) or (N,).")
    if classes is None:
        raise InputError(f"predict gives {shape[0]} numbers per example; name their classes=[...].")
    if shape[0] != len(classes):
        raise InputError(f"predict gives {shape[0]} numbers per example; there are {len(classes)} classes.")
    if (y < -1e-3).any() or (abs(y.sum(1) - 1) > 1e-3).any():
        raise InputError(
            "predict gives numbers that are not probabilities (a row sums to "
            f"{y.sum(1)[0]:.4g}); add the softmax: predict=lambda x: net(x).softmax(-1)."
        )


def dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).split(".")[-1]
