"""Text: lines of any length, as characters and as the tokens of a tokenizer."""

from __future__ import annotations

import json
import random
import string
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import zoo
from zoo import spaces
from zoo.cli import main
from zoo.data import SPLITS, load_dataset
from zoo.data.model_data import load_for
from zoo.data.readers import open_rows
from zoo.errors import InputError, MissingDependency, ZooWarning
from zoo.spaces import Text, Tokens

pytestmark = pytest.mark.filterwarnings("ignore:.*rows are training rows too:zoo.errors.ZooWarning")  # short pieces


def make_lines(count: int = 200) -> list[str]:
    """Lines of words, some of them with letters of two bytes, all different."""
    pick = random.Random(0)
    words = ["".join(pick.choices(string.ascii_lowercase + "éß", k=pick.randint(2, 6))) for _ in range(30)]
    return [f"{i} " + " ".join(pick.choices(words, k=pick.randint(2, 9))) for i in range(count)]


LINES = make_lines()


@pytest.fixture(scope="module")
def tokens():
    """The data of `LINES` as tokens."""
    pytest.importorskip("tokenizers")
    return load_dataset(LINES, tokenizer="bpe:300")


def strings_of(data, split):
    return data.space.decode(data.split(split)[0])


# ---- lines of any length


def test_long_lines_are_cut_into_pieces_of_one_split():
    with pytest.warns(ZooWarning, match=r"of 200 strings have more than 10 characters; .* makes [\d,]+ rows"):
        cut = load_dataset(LINES, length=10)
    whole = load_dataset(LINES)
    assert cut.space.length == 10
    assert whole.space.length == max(map(len, LINES))
    for split in SPLITS:
        assert "".join(strings_of(cut, split)) == "".join(strings_of(whole, split))


def test_a_line_of_just_the_length_is_one_row():
    data = load_dataset(["ab", "abcd"] * 10, length=4)
    assert data.space == Text(4, "abcd")
    assert sum(len(data.splits[split]) for split in SPLITS) == 20


def test_lines_have_200_characters_unless_another_length_is_asked_for(tmp_path):
    lines = [f"{i:03}" * 100 for i in range(20)]
    (tmp_path / "long.txt").write_text("\n".join(lines))
    with pytest.warns(ZooWarning, match=r"20 of 20 lines have more than 200 characters; .* 40 rows"):
        assert load_dataset(tmp_path / "long.txt").space.length == 200
    assert load_dataset(tmp_path / "long.txt", length=1000).space.length == 300


def test_classes_of_lines_are_those_of_their_pieces():
    datasets = pytest.importorskip("datasets")
    labels = [len(line) % 2 for line in LINES]
    with pytest.warns(ZooWarning, match="pieces"):
        data = load_dataset(datasets.Dataset.from_dict({"text": LINES, "odd": labels}), label="odd", length=30)
    whole = {line[:30]: str(odd) for line, odd in zip(LINES, labels, strict=True)}
    x, y = data.split("train")
    known = [(whole[s], data.classes.names[i]) for s, i in zip(data.space.decode(x), y, strict=True) if s in whole]
    assert len(known) > 100
    assert all(a == b for a, b in known)


def test_text_files_of_a_folder_are_read_as_one(tmp_path):
    for split, lines in {"train": LINES[:120], "validation": LINES[120:150], "test": LINES[150:]}.items():
        (tmp_path / split).mkdir()
        for part in range(12):
            (tmp_path / split / f"{part}.txt").write_text("\n".join(lines[part::12]))
    data = load_dataset(tmp_path)
    assert sorted(strings_of(data, "test")) == sorted(LINES[150:])
    for source in (tmp_path / "train", str(tmp_path / "train" / "*.txt")):
        found = [string for split in SPLITS for string in strings_of(load_dataset(source), split)]
        assert sorted(found) == sorted(LINES[:120])
    in_order = [line for part in range(12) for line in LINES[:120][part::12]]  # 10.txt after 9.txt
    rows = open_rows(tmp_path / "train", data.space)
    assert data.space.decode(rows[:]) == in_order


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_strings_is_text(suffix, tmp_path):
    odd = [str(len(line) % 2) for line in LINES]
    tables = {
        "alone": pa.table({"text": LINES}),
        "labeled": pa.table({"text": LINES, "odd": odd}),
        "named": pa.table({"id": range(len(LINES)), "review": LINES, "odd": odd}),
    }
    for name, table in tables.items():
        write = pa_csv.write_csv if suffix == ".csv" else pq.write_table
        write(table, tmp_path / f"{name}{suffix}")
    whole = load_dataset(LINES)
    assert load_dataset(tmp_path / f"alone{suffix}").digest == whole.digest
    labeled = load_dataset(tmp_path / f"labeled{suffix}", label="odd")
    assert labeled.space == whole.space
    assert all(
        len(line) % 2 == label
        for line, label in zip(strings_of(labeled, "train"), labeled.labels["train"], strict=True)
    )
    named = tmp_path / f"named{suffix}"
    with pytest.warns(ZooWarning, match="the text is 'review'; left out id"):
        assert load_dataset(named, types="review=text", label="odd").space == whole.space
    with pytest.raises(InputError, match="has the columns id, review, odd; say which one is the text: --types id=text"):
        load_dataset(named, spaces=(Text,))
    with pytest.raises(InputError, match="'review' is to be text; the model takes Real spaces"):
        load_dataset(named, types={"review": "text"}, spaces=(spaces.Real,))
    rows = open_rows(named, whole.space, text="review")
    assert whole.space.decode(rows[:]) == LINES


def test_a_model_finds_the_text_by_the_name_of_its_column(tmp_path):
    pytest.importorskip("zoo_torch")
    path = tmp_path / "named.parquet"
    pq.write_table(pa.table({"id": range(len(LINES)), "review": LINES}), path)
    small = {"layers": 1, "width": 8, "heads": 2}
    with pytest.warns(ZooWarning, match="the text is 'review'; left out id"):
        zoo.train("transformer", path, tmp_path / "run", types="review=text", epochs=1, config=small)
    done = CliRunner().invoke(main, ["score", str(tmp_path / "run"), "--data", str(path), "--keep", "id"])
    assert len(done.stdout.splitlines()) == len(LINES) + 1, done.output
    held_out = load_for(zoo.load(tmp_path / "run"), path)
    assert set(strings_of(held_out, "test")) < set(LINES)


@pytest.mark.parametrize("kind", [tuple, np.array, lambda lines: np.array(lines, dtype=object)])
def test_arrays_of_strings_are_text(kind):
    odd = [len(line) % 2 for line in LINES]
    assert load_dataset(kind(LINES)).digest == load_dataset(LINES).digest
    data = load_dataset((kind(LINES), odd))
    assert [len(line) % 2 for line in strings_of(data, "test")] == data.labels["test"].tolist()


@pytest.mark.parametrize(
    ("data", "given", "says"),
    [
        ([*LINES, None], {}, "data, string 201 is None; expected strings. Leave it out"),
        (LINES, {"label": "odd"}, "arrays have no columns by name"),
        (LINES, {"length": 0}, "expected 1 to 65,536"),
        (np.zeros((20, 2)), {"length": 3}, "is not text; a tokenizer and a length are for that"),
        (np.zeros((20, 2)), {"tokenizer": "bpe:300"}, "is not text"),
        ("digits", {"length": 3}, "length is for files"),
        (LINES, {"tokenizer": "bpe:256"}, "expected bpe:SIZE with a size above 256"),
        (LINES, {"tokenizer": "none.json"}, "there is no tokenizer 'none.json'; expected bpe:SIZE"),
        (LINES, {"length": 9, "space": Text(5, "a")}, "a length and tokens of its own"),
    ],
)
def test_what_does_not_fit_text_is_refused(data, given, says):
    with pytest.raises(InputError, match=says):
        load_dataset(data, **given)


# ---- tokens


def test_strings_come_back_from_their_tokens(tokens):
    space = tokens.space
    assert isinstance(space, Tokens)
    assert space.tokens == 301
    assert sorted(s for split in SPLITS for s in strings_of(tokens, split)) == sorted(LINES)
    odd = ["", " a", "tab\tand\r\n", "日本 😀", "\0"]
    assert space.decode(space.check(odd)) == odd
    assert spaces.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert tokens.splits["train"].take("x").dtype == np.int64


def test_a_tokenizer_is_trained_on_the_training_split_alone(tokens):
    again = load_dataset(LINES, tokenizer="bpe:300")
    assert again.space == tokens.space
    train = set(strings_of(tokens, "train"))
    others = [line if line in train else line.upper() for line in LINES]
    assert load_dataset(others, tokenizer="bpe:300").space.tokenizer == tokens.space.tokenizer
    of_other_lines = load_dataset([line.upper() for line in LINES], tokenizer="bpe:300").space
    assert of_other_lines.tokenizer != tokens.space.tokenizer


def test_a_tokenizer_comes_from_a_file_or_as_it_is(tokens, tmp_path):
    library = pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text(tokens.space.tokenizer)
    assert load_dataset(LINES, tokenizer=tmp_path / "tokenizer.json").space == tokens.space
    own = library.Tokenizer.from_str(tokens.space.tokenizer)
    own.enable_padding(length=500)
    own.enable_truncation(3)
    data = load_dataset(LINES, tokenizer=own)
    assert np.array_equal(data.train, tokens.train), "padding and truncation are the space's"
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"not a tokenizer\.json that this version of tokenizers reads"):
        load_dataset(LINES, tokenizer=tmp_path / "tokenizer.json")


def test_what_a_tokenizer_changes_is_said():
    library = pytest.importorskip("tokenizers")
    words = library.models.WordLevel({"[UNK]": 0, "a": 1, "b": 5}, unk_token="[UNK]")
    own = library.Tokenizer(words)
    own.pre_tokenizer = library.pre_tokenizers.Whitespace()
    with pytest.warns(ZooWarning, match=r"does not keep 10 of 20 strings as .*, such as 'a c b' as 'a \[UNK\] b'"):
        data = load_dataset(["a b", "a c b"] * 10, tokenizer=own)
    assert data.space.vocabulary == 6, "the highest id"
    assert np.array_equal(data.space.encode(["b a"]), [[6, 2, 0]])
    assert data.space.decode(np.array([[2, 4, 6]])) == ["a b"], "an id without a token is nothing"


def test_tokens_that_are_no_characters_are_shown_as_such(tokens):
    space = tokens.space
    half = space.encode(["é"])[0, 0]
    assert space.decode(np.array([[half, *[0] * (space.length - 1)]])) == ["\ufffd"]
    with pytest.raises(InputError, match="tokens after the end token 0"):
        space.check(np.array([[0, 1, *[0] * (space.length - 2)]]))
    with pytest.raises(InputError, match="string 1 has half of a surrogate pair"):
        space.encode(["a", "\ud800"])


def test_pieces_of_tokens_are_the_tokens_of_the_line(tokens):
    with pytest.warns(ZooWarning, match="more than 7 tokens"):
        cut = load_dataset(LINES, tokenizer="bpe:300", length=7)
    assert cut.space.tokenizer == tokens.space.tokenizer
    for split in SPLITS:
        kept = [x[x > 0] for x in (cut.split(split)[0], tokens.split(split)[0])]
        assert np.array_equal(*kept)


def test_characters_and_bytes_of_both_spaces_are_alike(tokens):
    text, of_tokens = Text(100, "".join(sorted(set("".join(LINES))))), Tokens.of(100, tokens.space.tokenizer)
    for encoding in ("", "utf-8"):
        counts = [space.characters(space.encode(LINES), encoding) for space in (text, of_tokens)]
        assert np.array_equal(*counts)
        assert counts[0][0] == len(LINES[0].encode(encoding) if encoding else LINES[0]) + 1, "and the end"


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    space = Tokens(4, 300, "{}")
    assert "vocabulary of 300" in space.describe()
    assert space.check(space.examples("random", 5)).shape == (5, 4)
    with pytest.raises(MissingDependency, match=r"pip install 'genzoo\[text\]'"):
        space.decode(space.examples("random", 5))


# ---- a model of tokens


@pytest.fixture(scope="module")
def run(tokens, tmp_path_factory):
    pytest.importorskip("zoo_torch")
    path = tmp_path_factory.mktemp("text")
    (path / "lines.txt").write_text("\n".join(LINES))
    small = {"layers": 1, "width": 8, "heads": 2}
    with pytest.warns(ZooWarning, match="pieces"):
        zoo.train(
            "transformer", path / "lines.txt", path / "run", tokenizer="bpe:300", length=12, epochs=1, config=small
        )
    return path / "run"


def test_strings_go_into_a_model_and_come_out(run):
    model = zoo.load(run)
    strings = model.sample(5, seed=1)
    assert all(isinstance(s, str) for s in strings)
    tokens = model.run("sample", count=5, seed=1)["x"]
    assert strings == model.space.decode(tokens)
    short = ["some words", ""]
    assert np.array_equal(model.log_prob(short), model.log_prob(model.space.encode(short)))
    assert np.array_equal(model.log_prob(np.array(short)), model.log_prob(short))
    with pytest.raises(InputError, match=r"string 1 has \d+ tokens; expected at most 12: "):
        model.log_prob(["a", LINES[0] * 9])


@pytest.mark.filterwarnings("ignore::zoo.errors.ZooWarning")
def test_a_run_goes_on_with_the_tokenizer_that_it_has(run, monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.tokenizer.train_bpe", lambda *args: pytest.fail("it is trained once"))
    model = zoo.resume(run, epochs=2)
    assert zoo.train("transformer", LINES, tmp_path / "more", start=run, epochs=1).space == model.space
    with pytest.raises(InputError, match="a length and tokens of its own"):
        zoo.train("transformer", LINES, tmp_path / "other", start=run, length=5)


@pytest.mark.filterwarnings("ignore::zoo.errors.ZooWarning")
def test_the_likelihood_of_tokens_is_read_by_characters_and_bytes(run):
    pytest.importorskip("sklearn")
    report = zoo.evaluate(zoo.load(run), run.parent / "lines.txt")
    data = load_dataset(run.parent / "lines.txt", space=zoo.load(run).space)
    x = data.test
    nats = -zoo.load(run).log_prob(x).astype(float)
    assert report["nats_per_character"].value == pytest.approx(nats.sum() / data.space.characters(x).sum())
    size = data.space.characters(x, "utf-8").sum() * np.log(2)
    assert report["bits_per_byte"].value == pytest.approx(nats.sum() / size)
    assert "nats_per_character_of_tokens" in report
