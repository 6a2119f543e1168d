"""The user's view of a model: methods over numpy arrays in data units.

`zoo.load` gives an `EagerModel`, which runs the network of a framework; `zoo.open` gives an `Artifact`, which runs
ONNX files. Both are a `Model`, which implements checks, seeds, chunks and names once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from zoo.columns import Table
from zoo.errors import InputError, UnknownMethod, ZooError, did_you_mean
from zoo.rows import Numbers, Rows, Seeds, check_count, read_rows
from zoo.signature import GIVEN, KNOWN, Option, Signature, Tensor, Window, resolve, within
from zoo.spaces import Categories, Labels, Space, as_array, finite
from zoo.spec import Density
from zoo.system.memory import available, gib, is_shortage

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Array = npt.NDArray[Any]
CHUNK = "a smaller chunk"
Progress = Callable[[int, int], None]  # rows done, rows in all
LARGEST_FLOAT = float(np.finfo(np.float32).max)
SMALL = 2**26  # bytes; asking the system how much memory is free takes as long as a small model's sample
FIRST_OUTPUT = {"sample": "x", "log_prob": "log_prob", "encode": "z", "decode": "x", "predict": "y"}


class Model(ABC):
    """A density model, generator, discriminator or several of these: `signatures` says which methods it has."""

    name: str
    space: Space
    classes: Labels | None
    categories: Mapping[str, Categories] = MappingProxyType({})  # the values of conditions that are words
    density: Density | None
    signatures: Mapping[str, Signature]

    @property
    def conditions(self) -> dict[str, Tensor]:
        """The inputs of its methods other than observations, latents and classes, by name."""
        return {name: t for signature in self.signatures.values() for name, t in signature.conditions.items()}

    # ---- how it looks ------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.signatures)} of {self.space.describe()}>"

    def _repr_html_(self) -> str:
        """The display in a notebook: the methods as a table."""
        from zoo.notebook import model_html

        return model_html(self)

    def picture(self, x: Any) -> Picture:
        """Observations as a Pillow image, which a notebook displays: a grid of images, or a density of points."""
        from zoo.pictures import picture

        return picture(self.space, self.space.check(x))

    # ---- the methods -------------------------------------------------------------------------------------------

    def sample(
        self,
        count: int | None = None,
        seed: Seeds | None = None,
        *,
        start: int = 0,
        index: Seeds | None = None,
        **more: Any,
    ) -> Array:
        """Observations, shape `(count, *space.shape)`: rows `start`, `start + 1`, ... of `seed`. Of a `Table` space, a
        `pyarrow.Table`.

        A row of a seed is the same wherever and however it is drawn. Without a seed, a new one is chosen. Seeds and
        indices may differ from row to row: `seed=[3, 9, 27]` is row 0 of each of three seeds, `index=[5, 8]` these rows
        of one seed. Of a model that takes columns of a table, `given={"sex": "Female"}` are those of all rows, and
        `given=table` those of each row that are not missing there; the others are drawn. `more` are inputs (`label=3`)
        and options (`temperature=0.8`) of the signature, `chunk`, and `stream`, a name that makes these rows
        independent of what others draw from the same seed.
        """
        return self._first("sample", {}, count=count, seed=seed, start=start, index=index, **more)

    def log_prob(self, x: Any, *, seed: Seeds = 0, **more: Any) -> Array:
        """Log-density of each observation in nats, shape `(N,)`. `density` says what the number means."""
        return self._first("log_prob", {"x": x}, seed=seed, **more)

    def encode(self, x: Any, *, seed: Seeds = 0, **more: Any) -> Array:
        """Latents of observations, shape `(N, ...)`."""
        return self._first("encode", {"x": x}, seed=seed, **more)

    def decode(self, z: Any, *, seed: Seeds = 0, **more: Any) -> Array:
        """Observations of latents, shape `(N, *space.shape)`."""
        return self._first("decode", {"z": z}, seed=seed, **more)

    def predict(self, x: Any, *, seed: Seeds = 0, **more: Any) -> Array:
        """p(y given x), shape `(N, classes)`, or a real/fake score, shape `(N,)`."""
        return self._first("predict", {"x": x}, seed=seed, **more)

    def _first(self, method: str, inputs: Mapping[str, Any], **more: Any) -> Array:
        found = self.run(method, inputs, **more)[FIRST_OUTPUT[method]]
        return self.space.shown(found) if FIRST_OUTPUT[method] == "x" else found

    # ---- running -----------------------------------------------------------------------------------------------

    def run(self, method: str, inputs: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Array]:
        """All outputs of a method as arrays. See `stream` for the arguments."""
        signature = self.signature(method)
        count = more.get("count")
        if count is not None:
            self._check_memory(signature, check_count(count))
        chunks = list(self.stream(method, inputs, **more))
        if len(chunks) == 1:
            return chunks[0]
        return {name: np.concatenate([c[name] for c in chunks]) for name in signature.outputs}

    def stream(
        self,
        method: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        count: int | None = None,
        seed: Seeds | None = None,
        start: int = 0,
        index: Seeds | None = None,
        stream: str = "",
        chunk: int | None = None,
        progress: Progress | None = None,
        **more: Any,
    ) -> Iterator[dict[str, Array]]:
        """The outputs in chunks of at most `chunk` rows. Arguments are checked before the first chunk is computed.

        A method without observations as inputs has `count` rows, or as many as there are seeds or indices; otherwise
        the inputs determine the number. Row i has the index `start + i`, or 0 if each row has its own seed.

        By keyword, a class goes by its name: `label=3` is the class "3" where classes are integers. So do `categories`.
        In `inputs` are arrays as the graph of an artifact takes them, and an integer is a class's place in
        `classes.names`.
        """
        signature = self.signature(method)
        rows = read_rows(count, seed, index, start, stream)
        named = self.called(signature, more)
        if signature.takes_columns and more.get(GIVEN) is not None:
            assert isinstance(self.space, Table)
            named = {**named, **dict(zip((GIVEN, KNOWN), self.space.given(more[GIVEN]), strict=True))}
        arrays, options = self._arguments(method, signature, {**(inputs or {}), **named}, rows.count)
        rows = rows.of(len(next(iter(arrays.values()))) if arrays else self._known_count(method, rows.count))
        chunk = default_chunk(signature, options) if chunk is None else check_count(chunk, "chunk")
        return self._chunks(method, arrays, rows, options, chunk, progress)

    def _chunks(
        self,
        method: str,
        arrays: Mapping[str, Array],
        rows: Rows,
        options: Mapping[str, Any],
        chunk: int,
        progress: Progress | None,
    ) -> Iterator[dict[str, Array]]:
        count = check_count(rows.count)
        for low in range(0, count, chunk):
            high = min(low + chunk, count)
            part = {name: a[low:high] for name, a in arrays.items()}
            try:
                out = self._execute(method, part, *rows.part(low, high), options)
            except ZooError:
                raise
            except Exception as error:  # each library has its own
                if is_shortage(error):
                    raise self._shortage(method, high - low, options) from error
                raise
            for key, value in out.items():
                if len(value) != high - low:
                    raise ZooError(
                        f"{method} of {self.name} gave {len(value)} rows of {key} for {high - low} examples. A method "
                        "gives one row for each example: a mask that leaves rows out is torch.where(mask, ..., ...)."
                    )
            if progress:
                progress(high, count)
            yield out

    @abstractmethod
    def _execute(
        self,
        method: str,
        inputs: Mapping[str, Array],
        seed: Numbers,
        index: Numbers,
        options: Mapping[str, np.generic],
    ) -> dict[str, Array]:
        """Run one chunk, whose rows are those of `seed` and `index`, both (N,)."""

    def windowed(self, method: str, window: Window) -> Self:
        """This model with a loop that takes these steps alone, from the initial state: for checks of long loops. With
        `first` above 0 an artifact has to be made for it (see `zoo_onnx.loop`)."""
        raise NotImplementedError

    def release(self) -> None:  # noqa: B027 (the network of a framework has nothing to give back)
        """Free memory that is reallocated on demand, such as sessions."""

    # ---- checking ----------------------------------------------------------------------------------------------

    def called(self, signature: Signature, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a caller gave by keyword, with integer labels for classes and categories that are called by integers."""
        known = {**({} if self.classes is None else {"label": self.classes}), **self.categories}
        called = [n for n in known if n in signature.inputs and given.get(n) is not None]
        return {**given, **{name: known[name].named(given[name]) for name in called}}

    def signature(self, method: str) -> Signature:
        if method not in self.signatures:
            raise UnknownMethod(f"{self.name} has no method {method!r}; it has {', '.join(self.signatures)}.")
        return self.signatures[method]

    def _arguments(
        self, method: str, signature: Signature, given: Mapping[str, Any], count: int | None
    ) -> tuple[dict[str, Array], dict[str, np.generic]]:
        known = [*signature.inputs, *signature.options]
        for name in given:
            if name not in known:
                if name == "label":
                    raise InputError(f"{method} of {self.name} takes no class: the model is not conditional.")
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise InputError(f"{method} of {self.name} has no option {name!r}; {takes}.{did_you_mean(name, known)}")
        options = {name: check_option(name, option, given.get(name)) for name, option in signature.options.items()}
        return self._inputs(method, signature, given, count, options), options

    def _inputs(
        self,
        method: str,
        signature: Signature,
        given: Mapping[str, Any],
        count: int | None,
        options: Mapping[str, np.generic],
    ) -> dict[str, Array]:
        """The inputs as arrays with equal numbers of rows. A class or a condition without a batch axis applies to every
        row."""
        optional = {n: t for n, t in signature.inputs.items() if t.default is not None}
        defaults = {n: np.full(resolve(t.shape, options), t.default) for n, t in optional.items()}
        given = {**defaults, **{name: value for name, value in given.items() if value is not None}}
        for name in signature.inputs:
            if given.get(name) is None:
                if name == "label" and self.classes is not None:
                    raise InputError(f"{self.name} is conditional: {method} needs a class; {self.classes.describe()}.")
                raise InputError(f"{method} of {self.name} needs {name}.")
        one = {n for n, t in signature.inputs.items() if n not in ("x", "z") and is_one(given[n], t)}
        arrays: dict[str, Array] = {}
        rows: int | None = None
        names = [*signature.inputs]
        if len(names) > 1:  # those with rows come first
            names.sort(key=lambda n: (n in one, n == "label"))
        for name in names:
            value = [given[name]] if name in one else given[name]
            if name == "x":
                array = self.space.check(value)
            elif name == "label":
                assert self.classes is not None
                array = self.classes.check(value, None if name in one else rows or count)
            else:
                value = self.categories[name].check(value, name=name) if name in self.categories else value
                array = check_tensor(value, signature.inputs[name], name, options)
            if array.dtype == np.float32 and name not in one:
                warn_of_rounding(name, value)
            if name in one:
                array = np.broadcast_to(array, (rows or self._known_count(method, count), *array.shape[1:]))  # a view
            if rows not in (None, len(array)):
                raise InputError(f"{name} has {len(array)} rows and {next(iter(arrays))} {rows}; expected as many.")
            arrays[name], rows = array, len(array)
        return {name: arrays[name] for name in signature.inputs}

    def _known_count(self, method: str, count: int | None) -> int:
        """The number of rows of a method whose inputs do not determine it."""
        if count is None:
            raise InputError(f"{method} of {self.name}: give count, or one seed or index for each row.")
        return count

    def _shortage(self, method: str, rows: int, options: Mapping[str, np.generic], less: str = CHUNK) -> InputError:
        """The error for too little memory for so many rows. Names the option, if any, that makes rows large."""
        signature = self.signatures[method]
        wide = [n for n in signature.wide_options if int(options[n]) > int(signature.options[n].number)]
        chosen = "".join(f" {name}={options[name]}" for name in wide)
        fitting = available() // bytes_of_row(signature)
        if less == CHUNK and fitting < rows:
            less = f"a smaller chunk, of at most {max(1, fitting)} rows"
        fewer = [f"fewer {name}" for name in wide] + [less] * (rows > 1)
        advice = f"Give {' or '.join(fewer)}." if fewer else "One row alone does not fit."
        what = f"{rows} {'rows' if rows > 1 else 'row'}" + (f" with{chosen}" if chosen else "")
        return InputError(f"{method} of {self.name}: there is not enough memory for {what}. {advice}")

    def _check_memory(self, signature: Signature, count: int, *, bound: bool = False) -> None:
        """`InputError` if so many rows do not fit: the outputs twice, as chunks and as the whole that they are joined
        to, or for a bound method its buffers."""
        width = bytes_of_row(signature, buffers=bound)
        need = width * count
        if need > SMALL and need > (free := available()):
            raise InputError(
                f"{count} rows need about {gib(need)} of memory and {gib(free)} are free: "
                f"{max(1, free // width)} rows fit. Take them in chunks: model.stream(...), or calls of so many "
                "rows with start=0, and start= where the last one ended."
            )


def bytes_of_row(signature: Signature, buffers: bool = False) -> int:
    """What a row takes, but for options: its outputs twice, or inputs and outputs once."""
    tensors = [*signature.outputs.values()] * 2
    if buffers:
        tensors = [*signature.outputs.values(), *signature.row_inputs.values()]
    return sum(math.prod(d if isinstance(d, int) else 1 for d in t.shape) * np.dtype(t.dtype).itemsize for t in tensors)


def is_one(value: Any, tensor: Tensor) -> bool:
    """Whether a value has the axes of one example, without the batch axis."""
    try:
        return np.ndim(value) == len(tensor.shape)
    except ValueError:  # lists of several lengths
        return False


def check_tensor(value: Any, tensor: Tensor, name: str, options: Mapping[str, Any]) -> Array:
    """`value` as a batch of a tensor, of its dtype; `InputError` for another shape or values beyond its bounds.
    `options` are the values of those that its shape names."""
    array, shape = as_array(value, name), resolve(tensor.shape, options)
    if array.shape[1:] != shape:
        expected = "".join(f", {d}" for d in shape) or ","
        raise InputError(f"{name} has shape {array.shape}; expected (N{expected}).")
    low, high = tensor.bounds
    if tensor.dtype == "float32":
        array = finite(array, name)
        if tensor.low is None and tensor.high is None:
            return array
    beyond = ~((array >= low) & (array <= high))  # NaN is
    if tensor.dtype != "float32" and array.dtype.kind == "f":
        beyond |= array != np.floor(array)
    if beyond.any():
        where = tuple(int(i) for i in np.argwhere(beyond)[0])
        raise InputError(f"{name} has {array[where]} in row {where[0]}; expected {tensor.describe()}.")
    return array.astype(tensor.dtype)


def warn_of_rounding(name: str, value: Any) -> None:
    """A `ZooWarning` where an array has different numbers that become one in float32. Tables say it themselves."""
    if hasattr(value, "__arrow_c_stream__"):
        return
    rows = np.asarray(value)
    if rows.dtype != np.float32:
        from zoo.data.tables import warn_of_merged

        warn_of_merged(name, rows)


def check_option(name: str, option: Option, value: Any) -> np.generic:
    """The value of an option, or its default, as passed to the method."""
    if value is None:
        value = option.default
    if option.choices:
        if value not in option.choices:
            near = did_you_mean(str(value), option.choices)
            raise InputError(f"option {name}={value!r}; expected one of {', '.join(option.choices)}.{near}")
        return np.int64(option.choices.index(value))
    try:
        if isinstance(value, (bool, np.bool_)) and not isinstance(option.default, bool):
            raise TypeError
        number = float(value)
    except OverflowError:  # an int beyond float64
        number = math.inf
    except (TypeError, ValueError):
        raise InputError(f"option {name}={value!r} is not a number.") from None
    low, high = option.low, option.high
    whole = option.dtype == "int64"
    least, most = (-(2.0**63), 2.0**63 - 2.0**10) if whole else (-LARGEST_FLOAT, LARGEST_FLOAT)  # 2**63 - 1 rounds up
    if math.isfinite(number) and not least <= number <= most:
        raise InputError(f"option {name}={value!r} is too large; expected a number that {option.dtype} holds.")
    if (
        not math.isfinite(number)
        or (low is not None and number < low)
        or (high is not None and number > high)
        or (whole and number != int(number))
    ):
        kind = "an integer" if whole else "a number"
        raise InputError(f"option {name}={value!r}; expected {kind}{within(low, high)}.")
    return np.int64(number) if whole else np.float32(number)


def default_chunk(signature: Signature, options: Mapping[str, np.generic]) -> int:
    """Rows per chunk: enough to be fast, few enough to keep memory flat and to show progress."""
    rows = 2**20 // (max(signature.widest(options), 16) * network_rows(signature, options))
    return max(1, min(rows, 256 if signature.length is not None else 4096))


def network_rows(signature: Signature, options: Mapping[str, np.generic]) -> int:
    """How many rows go through the network for each of a method, at most, such as the samples of a bound."""
    wide = signature.wide_options
    return max(math.prod(int(options[name]) for name in wide), 1) if wide else 1
