"""Commands that are killed, at every named point and at random moments. The old result or the new one is there, whole;
what others put beside it stays; the same command then removes what was left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from commands import SMALL, Commands, Outcome

from zoo.system import failpoints

RENAMES = {"folder.exchange": "EINVAL"}  # as where names cannot be exchanged
EXPORT = ["export", "run", "--out", "out/a", "--force"]
DRAW = ["sample", "artifact", "-n", "3000", "--seed", "5", "--out"]
TRAIN = ["train", "realnvp", "--data", "moons", "--out", "out/r", *SMALL, "--force"]
BYSTANDERS = (".x.csv.0123456789abcdef.tmp", ".a.0123456789abcdef.old", ".r.tmp", "x.csv~", "notes.txt")


@dataclass(frozen=True)
class Writer:
    """A command that writes `target`: what it replaces (of the materials), and how long it takes, about."""

    words: list[str]
    target: str
    replaces: str
    seconds: float
    points: tuple[str, ...]
    steps: dict[str, str]

    @property
    def weight(self) -> int:
        """How often it is killed at random moments: exports take long."""
        return 1 if self.words[0] == "export" else 5


def points(*families: str, renames: bool = False) -> tuple[str, ...]:
    """The points that a writer passes: where names are exchanged in one step, there are none between."""
    between = ("folder.moved", "folder.replaced")
    return tuple(p for p in failpoints.POINTS if p.split(".")[0] in families and (renames or p not in between))


WRITERS = [
    Writer([*DRAW, "out/x.csv", "--force"], "out/x.csv", "x.csv", 0.3, points("file"), {}),
    Writer([*DRAW, "out/x.npz", "--force"], "out/x.npz", "x.npz", 0.3, points("file"), {}),
    Writer([*DRAW, "out/x.parquet", "--force"], "out/x.parquet", "", 0.3, points("file"), {}),
    Writer([*DRAW, "out/x.csv", "--force", "--untrusted"], "out/x.csv", "x.csv", 1, ("file.created",), {}),
    Writer(
        ["export", "run", "--out", "out/a", "--force"],
        "out/a",
        "artifact",
        4,
        ("folder.written", "folder.published"),
        {},
    ),
    Writer(EXPORT, "out/a", "artifact", 4, ("folder.moved",), RENAMES),
    Writer(TRAIN, "out/r", "run", 1, points("file", "folder", "checkpoint", "run"), {}),
    Writer(TRAIN, "out/r", "run", 1, points("folder", renames=True), RENAMES),
    Writer(TRAIN, "out/r", "", 1, points("file", "folder", "checkpoint", "run"), {}),
    Writer(["train", "--resume", "out/r"], "out/r", "half", 1, points("file", "checkpoint", "run"), {}),
]
ALL = [(writer, point) for writer in WRITERS for point in writer.points]
FIRST = list({point: (writer, point) for writer, point in reversed(ALL)}.values())  # each point once
POINTS = [*FIRST, *(pair for pair in ALL if pair not in FIRST)]
HOW = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def trial(commands: Commands, number: int, seed: int) -> Iterator[Outcome]:
    """One command killed once, at a point or a moment, and run again."""
    chance = random.Random(f"kills {seed} {number}")
    place = commands.folder / "killed"
    place.mkdir()
    try:
        for name in ("artifact", "run", "x.csv"):
            (place / name).symlink_to(commands.materials / name)
        if number < 2 * len(POINTS):
            writer, point = POINTS[number % len(POINTS)]
            how = signal.SIGKILL if number < len(POINTS) else signal.SIGTERM
            moment = None
        else:
            writer, point, how = chance.choices(WRITERS, [w.weight for w in WRITERS])[0], "", chance.choice(HOW)
            moment = chance.random() * writer.seconds
        yield from _killed(commands, place, writer, point, moment, how)
    finally:
        shutil.rmtree(place)


def _killed(
    commands: Commands, place: Path, writer: Writer, point: str, moment: float | None, how: signal.Signals
) -> Iterator[Outcome]:
    target, out = place / writer.target, place / "out"
    out.mkdir()
    for name in BYSTANDERS:
        (out / name).write_text(name)
    if writer.replaces:
        source = commands.materials / writer.replaces
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    existed, before = target.exists(), contents(target)
    armed = {**writer.steps, point: how.name} if point else writer.steps
    process = commands.start(writer.words, place, partial(failpoints.ACTIONS.update, armed))
    if moment is not None:
        time.sleep(moment)
        os.kill(process, how)
    code, said = commands.end(process), commands.said()
    what = f"{how.name} at {point or f'{moment:.3f} s'}" + (" (renames)" if writer.steps else "")

    def outcome(kind: str, problem: str = "", more: str = "") -> Outcome:
        return Outcome(kind, [*writer.words, f"# {what}"], problem, f"{said}\n{more}")

    if code is None or "Traceback" in said or code not in (0, -how, 128 + how):
        yield outcome("wrong end", f"exit code {code}")
        return
    if children_of(process):
        yield outcome("left", "its child process goes on")
        return
    left = leftovers(out)
    if code >= 0 and left:
        yield outcome("left", f"it cleaned up (exit code {code}), and left {left}")
        return
    for name in BYSTANDERS:
        if not (out / name).exists():
            yield outcome("lost", f"{name} is somebody else's and is gone")
            return
    # what the next run finds: the old one, whole, or the new one, whole
    state = commands.run(["show", "artifact"], place, partial(_recover, target))
    now = contents(target)
    if state.failed or (existed and not now):
        yield outcome("lost", "nothing is left of what was there", state.said)
        return
    if now != before and (problem := broken(commands, place, target)):
        yield outcome("lost", f"it is neither the old one nor whole: {problem}")
        return
    again = commands.run(writer.words, place, _no_failpoints)
    if again.failed:
        yield outcome("lost", f"the same command again: {again.problem}", again.said)
        return
    if left := leftovers(out):
        yield outcome("left", f"after the same command again there is still {left}")
        return
    if problem := broken(commands, place, target):
        yield outcome("lost", f"after the same command again: {problem}")
        return
    yield outcome("not reached" if point and code == 0 and how == signal.SIGKILL else f"{how.name}: nothing lost")


def _recover(target: Path) -> None:
    from zoo.system import files

    files._recover(target)


def _no_failpoints() -> None:
    failpoints.ACTIONS.clear()


def contents(path: Path) -> dict[str, bytes]:
    """The files of a folder, or a file, without what tells only who is at work."""
    if path.is_file():
        return {"": path.read_bytes()}
    found = (p for p in path.rglob("*") if p.is_file() and p.suffix not in (".lock", ".tmp"))
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in found} if path.is_dir() else {}


def children_of(process: int, seconds: float = 5) -> list[str]:
    """The processes of untrusted graphs that a process has left behind, after some seconds in which they may end."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f'"parent": {process},' in path.read_text(errors="replace"):
                    found.append(path.parent.name)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def leftovers(out: Path) -> list[str]:
    """Hidden names and locks that are nobody's any more."""
    found = [p.relative_to(out).as_posix() for p in out.rglob("*") if p.name.endswith((".tmp", ".old", ".lock"))]
    return [name for name in found if name not in BYSTANDERS]


def broken(commands: Commands, place: Path, target: Path) -> str:
    """What is wrong with a result, or nothing."""
    if not target.exists():
        return ""
    check: list[str]
    allowed: tuple[int, ...] = (0,)
    if target.is_file():
        check = ["score", "artifact", "--data", str(target)]
    elif (target / "manifest.json").exists():
        check = ["verify", str(target)]
    elif (target / "training.json").exists():
        check = ["show", str(target)]
    else:  # a run that has begun and saved nothing yet
        check = ["train", "--resume", str(target)]
    done = commands.run(check, place, _no_failpoints, allowed)
    if done.failed:
        return f"{done.problem}\n{done.said}"
    loads: Callable[[], None] = partial(_load, target)
    if (target / "training.json").exists():
        done = commands.run(["list"], place, loads, allowed)
    return f"{done.problem}\n{done.said}" if done.failed else ""


def _load(run: Path) -> None:
    from zoo import checkpoint

    for name in ("training", "model"):
        if name == "training" or (run / "model.json").exists():
            checkpoint.load(run, name)
