"""A method as data: its inputs and outputs, the noise it consumes, and its loop if it has one.

A method never draws random numbers: it declares the noise that it consumes for one example (and for each
step of its loop) and is a deterministic function of it. The caller supplies the noise (`zoo.noise`). Shapes omit the
batch axis, which is always first. A string in a shape names an integer option, as in the `samples` of an
importance-weighted bound.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

from zoo.errors import InputError, PluginError

Shape = tuple[int | str, ...]
METHODS = ("sample", "log_prob", "encode", "decode", "predict")  # others may be declared, and are called by `run`
GIVEN, KNOWN = "given", "known"  # inputs of a sampler of a table: codes of rows, and which columns of them count
RESERVED = ("x", "z", "label")  # names of inputs that mean observations, latents and classes
DTYPES = ("float32", "int64", "uint8", "bool")  # dtypes of inputs, outputs and loop states of an artifact
RANGES: Mapping[str, tuple[float, float]] = {
    "float32": (-math.inf, math.inf),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 255),
    "bool": (0, 1),
}


@dataclass(frozen=True)
class Tensor:
    """One example of an array: one of `DTYPES` and the shape without the batch axis.

    `low` and `high` are the inclusive bounds of its values, and inputs are checked against them: tokens of a vocabulary
    are `Tensor("int64", (77,), low=0, high=49407)`. bool and uint8 have those of their dtype. An input with a `default`
    may be left out by callers in Python: then all of its values are that.
    """

    dtype: str
    shape: Shape = ()
    low: float | int | None = None
    high: float | int | None = None
    default: float | int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(
                f"a tensor of dtype {self.dtype!r}; expected one of {', '.join(DTYPES)}.{advised(self.dtype)}"
            )
        whole = self.dtype != "float32"
        for bound in (b for b in (self.low, self.high) if b is not None):
            least, most = RANGES[self.dtype]
            if not (math.isfinite(bound) and least <= bound <= most) or (whole and bound != int(bound)):
                raise InputError(f"{bound} is not a bound of a tensor of {self.dtype}.")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise InputError(f"a tensor has low={self.low} and high={self.high}; expected low to be the smaller.")

    @property
    def bounds(self) -> tuple[float | int, float | int]:
        """The inclusive bounds; those of the dtype if none are given."""
        least, most = RANGES[self.dtype]
        return least if self.low is None else self.low, most if self.high is None else self.high

    def describe(self) -> str:
        """What its values may be, as in "integers from 0 to 49407"."""
        if self.dtype == "bool":
            return "true or false"
        low, high = self.bounds if self.dtype == "uint8" else (self.low, self.high)
        return f"{'numbers' if self.dtype == 'float32' else 'integers'}{within(low, high)}"


def advised(dtype: str, verb: str = "Declare") -> str:
    """What to do instead of declaring, or keeping as a state, a dtype that no artifact takes."""
    kinds = {"int": "int64", "uint": "int64", "float": "float32", "bfloat": "float32"}
    wide = kinds.get(str(dtype).rstrip("0123456789"))
    return f" {verb} {wide} and cast inside the function." if wide else ""


def within(low: float | int | None, high: float | int | None) -> str:
    """Inclusive bounds in words: " from 0 to 9", " of at least 0", " of at most 9" or ""."""
    if low is None:
        return "" if high is None else f" of at most {_plain(high)}"
    return f" of at least {_plain(low)}" if high is None else f" from {_plain(low)} to {_plain(high)}"


def _plain(number: float | int) -> float | int:
    """1 for 1.0: bounds of integers may be declared as floats."""
    return int(number) if abs(number) < 2**53 and number == int(number) else number


@dataclass(frozen=True)
class Noise:
    """Random numbers for one example (and one step): standard normal, or uniform on the open interval (0, 1).

    The first axes, at least those up to the last that an option names, count groups of numbers: the first groups are
    the same however many there are. `groups` is how many axes these are where options have become constants.
    """

    kind: Literal["normal", "uniform"]
    shape: Shape = ()
    groups: int = 0

    @property
    def group_axes(self) -> int:
        return max((axis + 1 for axis, d in enumerate(self.shape) if isinstance(d, str)), default=self.groups)


def Normal(*shape: int | str) -> Noise:
    """Standard normal noise: `zoo.Normal(128)` is a vector of 128 for each example."""
    return _noise("normal", shape)


def Uniform(*shape: int | str) -> Noise:
    """Uniform noise on the open interval (0, 1): `zoo.Uniform(28, 28)` is a matrix for each example."""
    return _noise("uniform", shape)


def _noise(kind: Literal["normal", "uniform"], shape: Shape) -> Noise:
    for d in shape:
        if isinstance(d, bool) or not isinstance(d, (int, str)) or (isinstance(d, int) and d < 1):
            raise InputError(f"noise has the shape {shape}; expected integers of at least 1, or names of options.")
    return Noise(kind, shape)


@dataclass(frozen=True)
class Option:
    """A scalar that the caller may override; float unless the default is an int or one of `choices`.

    `low` and `high` are the inclusive bounds. With `choices` the caller passes one of these words, and the function
    receives its position as an int: `Option("mean", choices=("mean", "draw"))`.
    """

    default: float | int | str
    low: float | None = None
    high: float | None = None
    help: str = ""
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.choices or isinstance(self.default, str)) and self.default not in self.choices:
            raise InputError(
                f"an option has the default {self.default!r} and the choices {self.choices}; expected one of them."
            )

    @property
    def dtype(self) -> str:
        return "int64" if isinstance(self.number, int) else "float32"

    @property
    def number(self) -> float | int:
        """The default as passed to the function."""
        return self.choices.index(str(self.default)) if self.choices else self.default  # type: ignore[return-value]

    def given(self, number: Any) -> Any:
        """What a caller gives for the function to get `number`."""
        return self.choices[int(number)] if self.choices else number


Function = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """A one-shot method: `function(**inputs, **noise, **options)` over a whole batch.

    The function returns a dict with the names of `outputs`, or the bare tensor if there is only one.
    """

    function: Function
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _once("a call", self.inputs, self.outputs, self.noise, self.options)

    @property
    def noises(self) -> Mapping[str, Noise]:
        return self.noise


@dataclass(frozen=True)
class Loop:
    """An iterative method, run eagerly by a framework or as one ONNX `Loop`.

        state, invariants = init(index, **inputs, **init_noise, **options)     # one dict holds both
        for i in range(length):
            state = step(i, state, **inputs, **invariants, **noise, **options)
            if until and until(state): break
        outputs = finish(state)

    `length` is a number or the name of an integer option. `i` is a 0-d int64 tensor, `index` (N,) int64: what the
    caller calls the rows where the method is random or has no inputs, else their places in the batch. `invariants` are
    computed once, by `init`, and only read by `step`. `until` returns a 0-d bool; it must not let one example depend
    on its neighbors: stop where another step changes nothing.
    """

    length: int | str
    init: Function
    step: Function
    finish: Function
    state: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    invariants: Mapping[str, Tensor] = field(default_factory=dict)
    init_noise: Mapping[str, Noise] = field(default_factory=dict)
    noise: Mapping[str, Noise] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    until: Function | None = None

    def __post_init__(self) -> None:
        # one name for two noises would be one stream: the first step would repeat the initial noise
        _once("a loop", self.inputs, self.outputs, self.invariants, self.init_noise, self.noise, self.options)

    @property
    def noises(self) -> Mapping[str, Noise]:
        """All noise, that of each step included."""
        return {**self.init_noise, **self.noise}


@dataclass(frozen=True)
class Window:
    """Some steps of a loop: `steps` of them, or as many as are left, from the number `first` on."""

    first: int
    steps: int


def _once(what: str, *groups: Mapping[str, Any]) -> None:
    names = [name for group in groups for name in group]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} uses the name {twice[0]!r} twice; give each input, output, noise and option its own.")


Method = Call | Loop


@dataclass(frozen=True)
class Signature:
    """What a caller needs to know about a method. Stored in the manifest of an artifact."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    options: Mapping[str, Option]
    random: bool
    length: int | str | None = None

    @classmethod
    def of(cls, method: Method) -> Signature:
        length = method.length if isinstance(method, Loop) else None
        return cls(method.inputs, method.outputs, method.options, bool(method.noises), length)

    def widest(self, options: Mapping[str, Any]) -> int:
        """The most numbers that a row has in an input or output."""
        most, chosen = self._sizes
        return max([most, *(math.prod(resolve(shape, options)) for shape in chosen)]) if chosen else most

    @cached_property
    def _sizes(self) -> tuple[int, list[Shape]]:
        """The most numbers of a shape, and the shapes that depend on options, which do not count for it."""
        shapes = [t.shape for t in (*self.inputs.values(), *self.outputs.values())]
        chosen = [shape for shape in shapes if any(isinstance(d, str) for d in shape)]
        return max((math.prod(resolve(shape, {})) for shape in shapes if shape not in chosen), default=1), chosen

    @cached_property
    def conditions(self) -> dict[str, Tensor]:
        """The inputs that callers have to give, other than observations, latents and classes: such as prompts."""
        return {name: t for name, t in self.inputs.items() if name not in RESERVED and t.default is None}

    @property
    def takes_columns(self) -> bool:
        """Whether some columns of its rows may be given, the others being drawn."""
        return GIVEN in self.inputs and KNOWN in self.inputs

    @cached_property
    def wide_options(self) -> list[str]:
        """The options that may multiply the rows that go through the network."""
        return [name for name, option in self.options.items() if option.dtype == "int64" and name != self.length]

    @cached_property
    def row_inputs(self) -> dict[str, Tensor]:
        """The inputs of an artifact that have a row for each example: beside those declared, which rows they are, for
        the noise, or to say how many."""
        names = ("seed", "index") if self.random else () if self.inputs else ("index",)
        return {**{name: Tensor("int64") for name in names}, **self.inputs}

    @property
    def draws(self) -> dict[str, Any]:
        """The option with which observations are draws, where by default they are means: `observe="draw"`."""
        option = self.options.get("observe")
        return {"observe": "draw"} if option and option.default != "draw" and "draw" in option.choices else {}


def fixed(method: Method, values: Mapping[str, Any]) -> Method:
    """A method whose options are constants: `values`, as its functions get them."""

    def noises(declared: Mapping[str, Noise]) -> dict[str, Noise]:
        return {name: replace(n, shape=resolve(n.shape, values), groups=n.group_axes) for name, n in declared.items()}

    def tensors(declared: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: replace(t, shape=resolve(t.shape, values)) for name, t in declared.items()}

    if not method.options:
        return method
    changed: dict[str, Any] = {"options": {}, "noise": noises(method.noise)}
    changed |= {"inputs": tensors(method.inputs), "outputs": tensors(method.outputs)}
    if isinstance(method, Call):
        return replace(method, function=partial(method.function, **values), **changed)
    length = int(values[method.length]) if isinstance(method.length, str) else method.length
    changed |= {"length": length, "init_noise": noises(method.init_noise)}
    changed |= {"state": tensors(method.state), "invariants": tensors(method.invariants)}
    return replace(method, init=partial(method.init, **values), step=partial(method.step, **values), **changed)


def check_functions(what: str, method: Method) -> None:
    """`PluginError` if a function of a method cannot be called with what the method declares."""
    given = [*method.inputs, *method.options]
    calls: list[tuple[Function | None, list[str], list[str]]]  # a function, its arguments by place, and by name
    if isinstance(method, Call):
        calls = [(method.function, [], [*given, *method.noise])]
    else:
        step = [*given, *method.invariants, *method.noise]
        calls = [(method.init, ["index"], [*given, *method.init_noise]), (method.step, ["i", "state"], step)]
        calls += [(method.finish, ["state"], []), (method.until, ["state"], [])]
    for function, places, names in calls:
        try:
            takes = inspect.signature(function) if function else None
        except (TypeError, ValueError):  # such as a function of C
            continue
        try:
            if takes:
                takes.bind(*places, **dict.fromkeys(names))
        except TypeError as error:
            code = getattr(function, "__code__", None)
            where = f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
            name = getattr(function, "__qualname__", repr(function))
            raise PluginError(
                f"{what} calls {name}{where} with {', '.join(places + names)}, as it declares: {error}. Declare "
                "inputs, noise and options under the names of the function's arguments."
            ) from None


def named(result: Any, names: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a function as a dict: a bare value is allowed where there is only one name."""
    if isinstance(result, Mapping):
        if set(result) != set(names):
            raise ValueError(f"returned {sorted(result)}, declared {sorted(names)}")
        return {name: result[name] for name in names}
    if len(names) != 1:
        raise ValueError(f"returned one value, declared {sorted(names)}")
    return {next(iter(names)): result}


def resolve(shape: Shape, options: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape with the names of options replaced by their values."""
    return tuple(int(options[d]) if isinstance(d, str) else d for d in shape)
