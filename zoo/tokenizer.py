"""Tokenizers of Hugging Face, as the JSON that describes them: the only module that imports the package `tokenizers`.

A tokenizer is used without what its JSON says of padding, truncation and special tokens at the ends: sample spaces have
a length and an end token of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo.errors import CorruptFile, InputError, MissingDependency
from zoo.system.files import read_bytes

MAX_BYTES = 2**25  # of a tokenizer's JSON, which lies in several files of an artifact
BPE = "bpe"
BYTES = 256  # what byte-level BPE begins with
HELP = "expected bpe:SIZE, to train one, or a file tokenizer.json"


def make_tokenizer(given: Any, strings: Iterable[str]) -> str:
    """The JSON of a tokenizer: a `tokenizers.Tokenizer`, the path of a `tokenizer.json`, or "bpe:1000" for byte-level
    BPE with a vocabulary of that size, trained on `strings`."""
    if hasattr(given, "to_str"):
        return str(given.to_str())
    kind, colon, size = str(given).partition(":")
    if colon and kind == BPE:
        if not size.isdecimal() or int(size) <= BYTES:
            raise InputError(f"the tokenizer is {given!r}; expected bpe:SIZE with a size above {BYTES}, its bytes.")
        return train_bpe(strings, int(size))
    path = Path(given).expanduser()
    if not path.is_file():
        raise InputError(f"there is no tokenizer {str(given)!r}; {HELP}.")
    try:
        found = read_bytes(path, MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        raise CorruptFile(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return found


def train_bpe(strings: Iterable[str], size: int) -> str:
    """The JSON of byte-level BPE as in GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners",
    2019), with at most `size` tokens: every string has tokens, and comes back as it was. The same strings give the
    same JSON."""
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    letters = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=letters)
    tokenizer.train_from_iterator(strings, trainer)
    return str(tokenizer.to_str())


@lru_cache(maxsize=8)
def load_tokenizer(json: str) -> Any:
    """The `tokenizers.Tokenizer` that a JSON describes, and that gives a string the same tokens each time."""
    library = _library()
    try:
        tokenizer = library.Tokenizer.from_str(json)
    except Exception as error:  # the package raises nothing else
        raise InputError(f"this is not a tokenizer.json that this version of tokenizers reads: {error}.") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if getattr(tokenizer.model, "dropout", None):  # of merges, which is random
        tokenizer.model.dropout = None
    return tokenizer


def vocabulary(json: str) -> int:
    """How many ids there are, from 0 to the highest."""
    known = load_tokenizer(json).get_vocab()
    if not known:
        raise InputError("the tokenizer has no tokens. Train it first.")
    return int(max(known.values())) + 1


def ids_of(json: str, strings: Sequence[str], where: str, first: int) -> list[list[int]]:
    """The ids of each string; an error names one as `where` and its number, counted from `first`."""
    try:
        "".join(strings).encode()
    except UnicodeEncodeError:
        halves = re.compile("[\ud800-\udfff]")
        number = next(number for number, string in enumerate(strings, first) if halves.search(string))
        raise InputError(f"{where} {number} has half of a surrogate pair, which is not a character.") from None
    found = load_tokenizer(json).encode_batch(list(strings), add_special_tokens=False)
    return [each.ids for each in found]


def strings_of(json: str, ids: Sequence[Sequence[int]]) -> list[str]:
    """The string of each row of ids."""
    return list(load_tokenizer(json).decode_batch(ids, skip_special_tokens=False))


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingDependency(
            f"strings of tokens need the package tokenizers ({error}). Install it: pip install 'genzoo[text]'"
        ) from None
    return tokenizers
