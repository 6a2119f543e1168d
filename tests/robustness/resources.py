"""A full disk, little memory, places without write permission: a sentence, exit code 2, and nothing left behind."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from commands import SMALL, Commands, Outcome

DRAW = ["sample", "artifact", "-n", "200000", "--seed", "5", "--out"]
WRITERS = [
    *([*DRAW, f"out/x.{suffix}"] for suffix in ("csv", "tsv", "parquet", "npz", "npy")),
    ["export", "run", "--out", "out/a"],
    ["train", "realnvp", "--data", "moons", "--out", "out/r", *SMALL, "--set", "hidden=512"],
    ["new-plugin", "tiny-flow", "--framework", "numpy", "--out", "out/p"],
]
DAMAGED = ("altered", "damaged", "truncated", "not a whole", "not a readable", "cannot be opened")
READERS = [
    ["sample", "ddpm.digits", "--class", "all", "-n", "64", "--out", "out/x.npz"],
    ["score", "artifact", "--data", "x.csv"],
    ["score", "artifact", "--data", "x.parquet"],
    ["verify", "artifact"],
    ["encode", "vae.digits", "--data", "images"],
]


def limited(kind: int, size: int) -> None:
    resource.setrlimit(kind, (size, size))


def memory(more: int) -> None:
    """Leave so many bytes of address space beyond what the process has: where they are few, none for a thread."""
    if more < 2**22:
        threading.stack_size(2**26)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limited(resource.RLIMIT_AS, pages * resource.getpagesize() + more)


# a name, the commands, what is prepared in their process, and how `out` is mounted
TRIALS: list[tuple[str, list[str], Callable[[], None] | None, str]] = [
    *(("a file of at most 16 KiB", words, partial(limited, resource.RLIMIT_FSIZE, 2**14), "") for words in WRITERS),
    *(("a disk of 64 KiB", words, None, "size=64k") for words in WRITERS),
    *(("a read-only disk", words, None, "ro") for words in WRITERS),
    *(
        (f"{more >> 20} MiB of memory", words, partial(memory, more), "")
        for words in READERS
        for more in (2**20, 2**23, 2**25)
    ),
]


def trial(commands: Commands, number: int, seed: int) -> Iterator[Outcome]:
    """One command with too little of something."""
    name, words, prepare, mount = TRIALS[number % len(TRIALS)]
    place = commands.folder / "scarce"
    place.mkdir()
    out = place / "out"
    out.mkdir()
    for given in ("artifact", "run", "x.csv", "x.parquet", "images"):
        (place / given).symlink_to(commands.materials / given)
    try:
        if mount and not mounted(out, mount):
            yield Outcome("not possible here")
            return
        outcome = commands.run(words, place, prepare, allowed=(0, 2))
        left = [p.name for p in out.rglob("*")]
        if not outcome.failed and outcome.kind == "exit 2" and left:
            outcome.problem = f"it left {left}"
        if not outcome.failed and any(word in outcome.said for word in DAMAGED):
            outcome.problem = "a shortage is called a damaged file"
        outcome.words = [*outcome.words, f"# {name}"]
        yield outcome
    finally:
        if mount:
            subprocess.run(["umount", out], check=False, capture_output=True)
        shutil.rmtree(place, ignore_errors=True)


def mounted(folder: Path, options: str) -> bool:
    """Mount a small or read-only disk in memory, where that is allowed."""
    if os.geteuid():
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
