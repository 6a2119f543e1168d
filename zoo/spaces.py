"""Sample spaces: the set of all values that an observation can take, in data units.

A space knows the dtype and shape of one observation, checks arrays, and makes examples for tests. The JSON form
is a dict with a `type`, so that manifests and checkpoints hold spaces as they are.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import InputError, did_you_mean
from zoo.signature import Tensor

if TYPE_CHECKING:  # numpy is imported where arrays are handled: listing models needs none
    import numpy.typing as npt

    Array = npt.NDArray[Any]

KINDS = ("random", "boundary", "tail")


@dataclass(frozen=True)
class Space:
    """Base class. `shape` and `dtype` describe one observation."""

    type: ClassVar[str]

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        raise NotImplementedError

    @property
    def tensor(self) -> Tensor:
        return Tensor(self.dtype, self.shape)

    @property
    def size(self) -> int:
        """Number of dimensions of one observation."""
        return math.prod(self.shape)

    @property
    def discrete(self) -> bool:
        return True

    def check(self, x: Any, name: str = "x") -> Array:
        """`x` as an array of this space, shape `(N, *shape)`; `InputError` says what is wrong with it."""
        array = as_array(x, name)
        if array.shape[1:] != self.shape or array.ndim != len(self.shape) + 1:
            raise InputError(
                f"{name} has shape {array.shape}; expected (N, {', '.join(map(str, self.shape))}): {self.describe()}."
                + (" Add a batch axis: x[None]." if array.shape == self.shape else "")
            )
        return self._check_values(array, name)

    def _check_values(self, array: Array, name: str) -> Array:
        raise NotImplementedError

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        """`count` observations for tests: "random", at the "boundary" of the space, or in its "tail"."""
        raise NotImplementedError

    def shown(self, array: Array) -> Any:
        """Observations as the caller receives them."""
        return array

    def describe(self) -> str:
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class Real(Space):
    """Real vectors of `width` columns, float32. `names` are the names of the columns."""

    type: ClassVar[str] = "real"
    width: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.names and len(self.names) != self.width:
            raise InputError(f"Real({self.width}) got {len(self.names)} column names; give one a column, or none.")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def dtype(self) -> str:
        return "float32"

    @property
    def discrete(self) -> bool:
        return False

    def check(self, x: Any, name: str = "x") -> Array:
        if hasattr(x, "__arrow_c_stream__"):
            from zoo.data.in_memory import columns_of

            x = columns_of(x, self.names, name)
        return super().check(x, name)

    def _check_values(self, array: Array, name: str) -> Array:
        return finite(array, name)

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        return real_examples(self.shape, kind, count, seed)

    def describe(self) -> str:
        return f"real vectors of {self.width} columns"


@dataclass(frozen=True)
class Discrete(Space):
    """Integer vectors: `width` values from `0` to `levels - 1`, int64."""

    type: ClassVar[str] = "discrete"
    width: int
    levels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def dtype(self) -> str:
        return "int64"

    def _check_values(self, array: Array, name: str) -> Array:
        return levels_in(array, self.levels, self.dtype, name, self.describe())

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        return level_examples(self.shape, self.levels, self.dtype, kind, count, seed)

    def describe(self) -> str:
        return f"vectors of {self.width} integers from 0 to {self.levels - 1}"


@dataclass(frozen=True)
class Image(Space):
    """Images of `height` x `width` x `channels`, uint8 values from `0` to `levels - 1`, channels last."""

    type: ClassVar[str] = "image"
    height: int
    width: int
    channels: int = 1
    levels: int = 256

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= 256:
            raise InputError(f"Image levels is {self.levels}; expected 2 to 256.")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.height, self.width, self.channels)

    @property
    def dtype(self) -> str:
        return "uint8"

    def _check_values(self, array: Array, name: str) -> Array:
        return levels_in(array, self.levels, self.dtype, name, self.describe())

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        return level_examples(self.shape, self.levels, self.dtype, kind, count, seed)

    def describe(self) -> str:
        return f"images of {self.height}x{self.width}x{self.channels}, integers from 0 to {self.levels - 1}"


@dataclass(frozen=True)
class Strings(Space):
    """Base class of spaces of strings of at most `length` tokens, as int64 token vectors.

    Token 0 ends and pads a string; a string of `length` tokens has no end token.
    """

    unit: ClassVar[str]  # the name of a token, in messages
    length: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> str:
        return "int64"

    @property
    def tokens(self) -> int:
        """Size of the vocabulary, the end token included."""
        raise NotImplementedError

    def check(self, x: Any, name: str = "x") -> Array:
        if isinstance(x, str):
            raise InputError(f"{name} is one string; expected a list of strings: [{x!r}].")
        if getattr(getattr(x, "dtype", None), "kind", "") in "OUT" and hasattr(x, "tolist"):  # an array of strings
            x = x.tolist()
        if isinstance(x, (list, tuple)) and x and all(isinstance(s, str) for s in x):
            x = self.encode(x)
        return super().check(x, name)

    def _check_values(self, array: Array, name: str) -> Array:
        array = levels_in(array, self.tokens, self.dtype, name, self.describe())
        ended = (array[:, :-1] == 0) & (array[:, 1:] != 0)
        if ended.any():
            row = int(ended.any(axis=1).argmax())
            raise InputError(f"{name} row {row} has {self.unit}s after the end token 0; fill the rest with 0.")
        return array

    def tokenize(self, strings: Sequence[str], where: str = "string", first: int = 0) -> tuple[Array, Array]:
        """The tokens of all strings, however long, one after another (tokens,), and how many each has (N,). An error
        names a string as `where` and its number, counted from `first`."""
        raise NotImplementedError

    def encode(self, strings: Sequence[str], where: str = "string", first: int = 0) -> Array:
        """Strings to tokens, shape `(N, length)`. `InputError` as in `tokenize`, and for a string that is too long."""
        import numpy as np

        found, sizes = self.tokenize(strings, where, first)
        if (sizes > self.length).any():
            row = int((sizes > self.length).argmax())
            raise InputError(
                f"{where} {row + first} has {sizes[row]} {self.unit}s; expected at most {self.length}: "
                f"{reprlib.repr(strings[row])}."
            )
        out = np.zeros((len(strings), self.length), dtype=np.int64)
        out[np.arange(self.length) < sizes[:, None]] = found
        return out

    def decode(self, tokens: Array) -> list[str]:
        """Tokens to strings."""
        raise NotImplementedError

    def characters(self, tokens: Array, encoding: str = "") -> Array:
        """How many characters each string has (N,), or how many bytes in an encoding. Its end is one, if it has an end
        token."""
        import numpy as np

        strings = self.decode(tokens)
        sizes = np.array([len(s.encode(encoding, "surrogatepass") if encoding else s) for s in strings])
        return np.asarray(sizes + (np.asarray(tokens)[:, -1] == 0))

    def examples(self, kind: str, count: int, seed: int = 0) -> Array:
        import numpy as np

        x = level_examples(self.shape, self.tokens, self.dtype, kind, count, seed)
        return np.where(np.cumsum(x == 0, axis=1) > 0, 0, x)  # nothing after the first end token


@dataclass(frozen=True)
class Text(Strings):
    """Strings of at most `length` characters of `alphabet`: token `i + 1` is `alphabet[i]`, 0 the end."""

    type: ClassVar[str] = "text"
    unit: ClassVar[str] = "character"
    alphabet: str

    @property
    def tokens(self) -> int:
        return len(self.alphabet) + 1

    def tokenize(self, strings: Sequence[str], where: str = "string", first: int = 0) -> tuple[Array, Array]:
        import numpy as np

        known, letters = (_code_points(s) for s in (self.alphabet, "".join(strings)))
        sizes = np.array([len(s) for s in strings], dtype=np.int64)
        order = np.argsort(known)
        places = np.searchsorted(known, letters, sorter=order).clip(max=max(0, len(known) - 1))
        unknown = known[order[places]] != letters if len(known) else np.ones(len(letters), dtype=bool)
        if unknown.any():
            place = int(unknown.argmax())
            row = int(np.searchsorted(np.cumsum(sizes), place, side="right"))
            raise InputError(f"{where} {row + first} has {chr(letters[place])!r}; the alphabet is {self.alphabet!r}.")
        return order[places] + 1, sizes

    def decode(self, tokens: Array) -> list[str]:
        return ["".join(self.alphabet[t - 1] for t in row) for row in _before_end(tokens)]

    def describe(self) -> str:
        return f"strings of at most {self.length} characters of {self.alphabet!r}"


@dataclass(frozen=True)
class Tokens(Strings):
    """Strings of at most `length` tokens of a tokenizer, whose JSON (the `tokenizer.json` of Hugging Face) is
    `tokenizer`: token `t` from 1 on is its id `t - 1`, below `vocabulary`; 0 is the end.

    Observations go in and out as strings. Not every row of tokens is one that the tokenizer makes of a string: others
    stand for the string that it makes of them, where bytes that are no characters become U+FFFD. `Tokens.of` makes the
    space of a tokenizer.
    """

    type: ClassVar[str] = "tokens"
    unit: ClassVar[str] = "token"
    vocabulary: int
    tokenizer: str = field(repr=False)

    @classmethod
    def of(cls, length: int, tokenizer: str) -> Tokens:
        """The space of a tokenizer's JSON. `MissingDependency` without the package tokenizers."""
        from zoo.tokenizer import vocabulary

        return cls(length, vocabulary(tokenizer), tokenizer)

    @property
    def tokens(self) -> int:
        return self.vocabulary + 1

    def tokenize(self, strings: Sequence[str], where: str = "string", first: int = 0) -> tuple[Array, Array]:
        import numpy as np

        from zoo.tokenizer import ids_of

        found = ids_of(self.tokenizer, strings, where, first)
        sizes = np.array([len(ids) for ids in found], dtype=np.int64)
        return np.fromiter(chain.from_iterable(found), dtype=np.int64, count=int(sizes.sum())) + 1, sizes

    def decode(self, tokens: Array) -> list[str]:
        from zoo.tokenizer import strings_of

        return strings_of(self.tokenizer, [[t - 1 for t in row] for row in _before_end(tokens)])

    def shown(self, array: Array) -> Any:
        return self.decode(array)

    def describe(self) -> str:
        return f"strings of at most {self.length} tokens of a vocabulary of {self.vocabulary:,}"


def _code_points(string: str) -> Array:
    import numpy as np

    return np.frombuffer(string.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _before_end(tokens: Array) -> Iterator[list[int]]:
    """The tokens of each string, without its end."""
    import numpy as np

    ended = np.asarray(tokens) == 0
    sizes = np.where(ended.any(axis=1), ended.argmax(axis=1), ended.shape[1])
    return (row[:size] for row, size in zip(np.asarray(tokens).tolist(), sizes, strict=True))


@dataclass(frozen=True)
class Labels:
    """Classes of a conditional model or a classifier, in the order of their integer labels.

    A class is called by its name. Where names are integers, such as "1", "2", "3", an integer is a name too: 1 is
    the class "1", whose label is 0. Where none is, an integer is a label.
    """

    names: tuple[str, ...]
    noun: ClassVar[str] = "class"
    nouns: ClassVar[str] = "classes"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def numeric(self) -> bool:
        """Whether integers are names."""
        return any(map(is_whole, self.names))

    def check(self, label: Any, count: int | None = None, name: str = "label") -> Array:
        """Integer labels of shape `(N,)` from labels or class names; one label stands for `count` rows, read-only."""
        import numpy as np

        values = np.asarray(label)
        one = values.ndim == 0 and count is not None
        if one:
            values = values[None]
        elif values.ndim != 1 or (count is not None and len(values) != count):
            raise InputError(f"{name} has shape {values.shape}; expected one label, or one for each of {count} rows.")
        if values.dtype.kind in "US":
            values = self._of_names(values)
        if values.dtype.kind not in "iu":
            raise InputError(
                f"{name} has dtype {values.dtype}; expected integers or {self.noun} names; {self.describe()}."
            )
        bad = (values < 0) | (values >= len(self.names))
        if bad.any():
            raise InputError(f"unknown {self.noun} {values[bad][0]}; {self.describe()}.")
        values = values.astype(np.int64)
        return np.broadcast_to(values, (count or 1,)) if one else values  # a view: a hundred million rows cost nothing

    def named(self, label: Any) -> Any:
        """What a caller calls classes, integers or names, as something that `check` takes: integers that are names
        become labels."""
        import numpy as np

        if self.names == tuple(map(str, range(len(self.names)))):
            return label  # each is called by its label
        values = np.asarray(label)
        if values.dtype.kind == "b" or (values.dtype.kind in "iu" and self.numeric):
            return self._of_names(values.reshape(-1)).reshape(values.shape)
        return label

    def called(self, labels: Array) -> Array:
        """What a caller calls these integer labels: the other way of `named`."""
        import numpy as np

        if not self.numeric:
            return labels
        whole = all(map(is_whole, self.names))
        return np.array([int(n) for n in self.names] if whole else self.names)[labels]

    def _of_names(self, values: Array) -> Array:
        """The integer labels of names (N,). Of classes that are not numbers, a string of digits is a label."""
        import numpy as np

        known = {n: i for i, n in enumerate(self.names)}
        different, first, places = np.unique(values, return_index=True, return_inverse=True)
        if not self.numeric:
            known = {str(v): int(v) for v in different if str(v).isdecimal()} | known
        found = np.array([known.get(str(v), -1) for v in different], dtype=np.int64)
        if (found < 0).any():
            unknown = str(values[first[found < 0].min()])
            shown = unknown if is_whole(unknown) else repr(unknown)
            raise InputError(f"unknown {self.noun} {shown}; {self.describe()}.{did_you_mean(unknown, self.names)}")
        return found[places.reshape(values.shape)]

    def describe(self) -> str:
        shown = ", ".join(self.names[:12]) + (", ..." if len(self.names) > 12 else "")
        return f"the {len(self.names)} {self.nouns} are {shown}"


@dataclass(frozen=True)
class Categories(Labels):
    """The values of an input that is a category, in the order of their codes. They are called as classes are."""

    noun: ClassVar[str] = "category"
    nouns: ClassVar[str] = "categories"

    def codes(self, values: Any, name: str) -> Array:
        """The codes (N,) of rows of data: of names, or of integers, which data may hold as floats."""
        import numpy as np

        array = np.asarray(values)
        if array.dtype.kind == "f" and (array == np.floor(array)).all():
            array = array.astype(np.int64)
        try:
            return self.check(self.named(array), name=name)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


def categories_of(names: Mapping[str, Sequence[str]]) -> dict[str, Categories]:
    """The categories of inputs, from the names that a file has of them."""
    return {name: Categories(tuple(known)) for name, known in names.items()}


def names_of(categories: Mapping[str, Categories]) -> dict[str, list[str]]:
    """What a file has of the categories of inputs."""
    return {name: list(known.names) for name, known in categories.items()}


def is_whole(word: str) -> bool:
    """Whether a word is an integer as Python writes it."""
    return word.removeprefix("-").isdecimal() and word.isascii() and str(int(word)) == word


SPACES: dict[str, type[Space]] = {cls.type: cls for cls in (Real, Discrete, Image, Text, Tokens)}


def from_json(data: Mapping[str, Any]) -> Space:
    """The space of a dict that `Space.to_json` made."""
    import msgspec

    fields = dict(data)
    kind = fields.pop("type", None)
    cls: type[Space]
    if kind == "table":
        from zoo.columns import Table

        cls = Table
    elif isinstance(kind, str) and kind in SPACES:
        cls = SPACES[kind]
    else:
        raise InputError(f"unknown sample space {kind!r}; expected one of {', '.join(SPACES)}, table.")
    unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
    try:
        if unknown:
            raise ValueError(f"it has no {unknown[0]!r}")
        space = msgspec.convert(fields, cls)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:  # msgspec 0.19's is no ValueError
        raise InputError(f"sample space {kind!r}: {str(error).removesuffix('.')}.") from None
    if not all(0 < size < 2**31 for size in (*space.shape, getattr(space, "levels", 2), getattr(space, "tokens", 2))):
        raise InputError(f"sample space {kind!r} has the shape {space.shape}; expected integers of at least 1.")
    return space


def as_array(x: Any, name: str) -> Array:
    """`x` as a numpy array of numbers with at least one row."""
    import numpy as np

    try:
        array = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name} is not an array: {error}.") from None
    if array.dtype.kind not in "buif":
        raise InputError(f"{name} has dtype {array.dtype}; expected numbers.")
    if array.ndim == 0 or len(array) == 0:
        raise InputError(f"{name} is empty; expected at least one row.")
    return array


def finite(array: Array, name: str) -> Array:
    """`array` as float32, every value of it finite."""
    import numpy as np

    with np.errstate(over="ignore"):
        out = array.astype(np.float32)
    good = np.isfinite(out)
    if not good.all():
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        raise InputError(
            f"{name} has {array[where]} at row {where[0]}, position {where[1:]}; expected finite float32 numbers."
        )
    return out


def levels_in(array: Array, levels: int, dtype: str, name: str, what: str) -> Array:
    """`array` as integers, all of them from 0 to `levels - 1`."""
    if array.dtype.kind == "f":
        finite(array, name)
        if (array != array.round()).any():
            raise InputError(f"{name} has fractions; expected {what}. Multiply or round it first.")
    if array.max() >= levels or (array.dtype.kind != "u" and array.min() < 0):
        bad = (array < 0) | (array >= levels)
        raise InputError(f"{name} has the value {array[bad][0]}; expected {what}.")
    return array.astype(dtype)


def real_examples(shape: tuple[int, ...], kind: str, count: int, seed: int) -> Array:
    import numpy as np

    from zoo.noise import draw
    from zoo.signature import Noise

    x = draw(Noise("normal", shape), np.arange(count), seed=seed, stream=f"examples/{kind}")
    if kind == "boundary":
        x = np.sign(x) * (np.abs(x) > 1)  # zeros and ones exactly
    return (x * 10 if kind == "tail" else x).astype(np.float32)


def level_examples(shape: tuple[int, ...], levels: int, dtype: str, kind: str, count: int, seed: int) -> Array:
    import numpy as np

    from zoo.noise import draw
    from zoo.signature import Noise

    u = draw(Noise("uniform", shape), np.arange(count), seed=seed, stream=f"examples/{kind}")
    if kind == "random":
        x = np.floor(u * levels)
    elif kind == "boundary":  # all lowest, all highest, then a mixture of the two
        x = (u > 0.5) * (levels - 1.0)
        x[0::3], x[1::3] = 0, levels - 1
    else:  # the tail: single high values in a row of lows, far from any data
        x = (u > 0.95) * (levels - 1.0)
    return np.minimum(x, levels - 1).astype(dtype)


__all__ = ["Discrete", "Image", "Labels", "Real", "Space", "Text", "from_json"]
