"""Modified files: each command reports them in a sentence, or works as with any other file."""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphs
from commands import Commands, Outcome

ODD = [
    *(None, True, -1, 0, 1, 2**31, 2**63, -(2**63), 1e308, -0.5, "", "x", "\x1b[31m", "../../etc/passwd", "a\0b"),
    *("9" * 400, [], {}, [[]], [None], {"": None}, {"type": "real", "width": -3}, ["a", "a"]),
]  # fmt: skip
MEMORY = 2**33  # bytes of address space
DRAW = ["sample", "FOLDER", "-n", "3", "--seed", "1"]
SCORE = ["score", "artifact", "--data"]
LIMITS = ["--untrusted", "--time-limit", "2", "--memory-limit", "1"]
# file, what is hashed with it, commands
TARGETS: list[tuple[str, list[list[str]]]] = [
    (
        "artifact/manifest.json",
        [DRAW, ["verify", "FOLDER"], ["show", "FOLDER"], ["score", "FOLDER", "--data", "x.csv"]],
    ),
    ("artifact/examples.safetensors", [["verify", "FOLDER"]]),
    ("artifact/weights.bin", [DRAW, ["verify", "FOLDER"]]),
    (
        "artifact/sample.onnx",
        [[*DRAW, *LIMITS], ["verify", "FOLDER", *LIMITS], ["inspect", "FOLDER/sample.onnx", "--check", *LIMITS]],
    ),
    ("run/model.json", [DRAW, ["show", "FOLDER"]]),
    ("run/model-*.safetensors", [DRAW]),
    ("half/recipe.json", [["train", "--resume", "FOLDER"], ["show", "FOLDER"]]),
    ("half/training.json", [["train", "--resume", "FOLDER"], ["show", "FOLDER"]]),
    ("half/training-*.safetensors", [["train", "--resume", "FOLDER"]]),
    ("x.csv", [[*SCORE, "FILE"]]),
    ("x.parquet", [[*SCORE, "FILE"]]),
    ("x.npz", [[*SCORE, "FILE"]]),
    ("x.npy", [[*SCORE, "FILE"]]),
    ("x.txt", [["score", "transformer.names", "--data", "FILE"]]),
    ("images/a/*.png", [["encode", "vae.digits", "--data", "images"]]),
]
HASHED = {"artifact": "manifest.json", "run": "model.json", "half": "training.json"}


def trial(commands: Commands, number: int, seed: int) -> Iterator[Outcome]:
    """One file changed in one way, and one command on it."""
    chance = random.Random(f"mutations {seed} {number}")
    pattern, known = TARGETS[number % len(TARGETS)]
    place = commands.folder / "changed"
    place.mkdir()
    try:
        top = pattern.split("/")[0]
        for source in commands.materials.iterdir():
            if source.name != top:
                (place / source.name).symlink_to(source)
            elif source.is_dir():
                shutil.copytree(source, place / top)
            else:
                shutil.copy(source, place)
        path = chance.choice(sorted(place.glob(pattern)))
        data = path.read_bytes()
        as_json = path.suffix == ".json" and chance.random() < 0.8
        if path.suffix == ".onnx":
            path.write_bytes(graphs.mutated(data, chance, mutated))
        else:
            path.write_bytes(mutated_json(data, chance) if as_json else mutated(data, chance))
        if path.suffix != ".json" and top in HASHED and chance.random() < 0.9:
            rehash(path, place / top / HASHED[top])
        words = [word.replace("FOLDER", top).replace("FILE", path.name) for word in chance.choice(known)]
        outcome = commands.run(words, place, _few_steps, allowed=(0, 2))
        if "crashed the process" in outcome.said and not outcome.failed:
            outcome.kind += " (the child crashed)"
        yield outcome
    finally:
        shutil.rmtree(place)


def _few_steps() -> None:
    """A training that is gone on with is not to take long: it is stopped after some steps. Nor is it to start other
    processes by this one's command line."""
    from zoo_torch.learner import TorchLearner

    from zoo.training.loop import Loop

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    step, begin = Loop.step, TorchLearner.__init__

    def alone(self: Any, *arguments: Any, devices: int = 1, **more: Any) -> None:
        if devices > 1:
            raise SystemExit(0)
        begin(self, *arguments, **more)

    TorchLearner.__init__ = alone

    def few(self: Any) -> None:
        step(self)
        self.stepped = getattr(self, "stepped", 0) + 1
        if self.stepped >= 3:
            raise SystemExit(0)

    Loop.step = few  # type: ignore[method-assign]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes with some of them changed, left out, put in or exchanged."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
        # headers and ends are where formats say what they are
        near = chance.choice([64, 512, len(changed)])
        place = chance.randrange(min(near, len(changed)) or 1)
        if chance.random() < 0.2:
            place = max(0, len(changed) - 1 - place)
        kind = chance.randrange(6)
        if kind == 0 and changed:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        elif kind == 2:
            del changed[place : place + chance.choice([1, 4, 100])]
        elif kind == 3:
            changed[place:place] = chance.choice([b"\0" * 8, b"\xff" * 8, b",", b"\n", b'"', "é".encode(), b"=1+1"])
        elif kind == 4:
            del changed[place:]
        else:
            length = chance.choice([4, 8])
            changed[place : place + length] = chance.choice([0, 1, 2**31 - 1, 2**32 - 1]).to_bytes(length, "little")
    return bytes(changed)


def mutated_json(data: bytes, chance: random.Random) -> bytes:
    """JSON with some values replaced, left out, or deeper than anyone nests them."""
    root = json.loads(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        places: list[tuple[Any, Any]] = []
        _places(root, places)
        if not places:
            break
        inside, key = chance.choice(places)
        kind = chance.randrange(5)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[chance.choice(["", "more", "x", "type"])] = chance.choice(ODD)
        elif kind == 2 and isinstance(inside[key], (int, float)):
            inside[key] = chance.choice([-inside[key], inside[key] + 1, inside[key] * 10**6, inside[key] + 0.5])
        else:
            inside[key] = chance.choice(ODD)
    text = json.dumps(root)
    if chance.random() < 0.03:
        text = text[:-1] + ', "deep": ' + "[" * 200_000 + "]" * 200_000 + "}"
    return text.encode()


def _places(value: Any, found: list[tuple[Any, Any]]) -> None:
    """Every (container, key) in JSON."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        found.append((value, key))
        _places(value[key], found)


def rehash(path: Path, record: Path) -> None:
    """Have the record of a folder say that a file is as it is now."""
    about = json.loads(record.read_bytes())
    entry = about["files"][path.name] if "files" in about else about["weights"]
    entry |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    record.write_text(json.dumps(about))
