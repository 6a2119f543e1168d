"""The random bits of `zoo.noise` in dieharder (`apt-get install dieharder`), in the order in which samplers take them,
and those of numpy's PCG64 in the same tests for comparison.

dieharder calls a p-value weak below 0.005 or above 0.995, as one in a hundred is by chance, and failed below 0.000001
or above 0.999999. Each test starts from a seed of its own. A test with a weak p-value is run again with ten other
seeds; a fault of the generator would show in most of them.
"""

from __future__ import annotations

import argparse
import inspect
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from zoo.noise import GOLDEN, U64, row_keys, squares
from zoo.system.files import atomic_write

RESULTS = Path(__file__).parent / "results" / "noise_quality.json"
CHUNK = 2**14  # words made at a time: they stay in the cache
# dieharder's number and the width of what is counted, where there are several
TESTS = (
    (0, 0), (1, 0), (3, 0), (4, 0), (8, 0), (9, 0), (12, 0), (13, 0), (15, 0), (16, 0), (100, 0), (101, 0),
    (202, 5), (206, 0), (207, 0), (208, 0), (209, 0),
)  # fmt: skip
SEED, AGAIN = 1000, 10
STREAM = "sample/z"
STREAMS = ("sample/z", "sample/u", "encode/z", "log_prob/z")
ONE, FOUR, NO_ROWS = np.uint64(1), np.uint64(4), np.zeros(1, dtype=np.int64)

# Each layout gives the words, 32 bits in uint64, at consecutive places.


def elements(seed: int, place: U64) -> U64:
    """One row: its elements."""
    return squares(place + ONE, row_keys(seed, NO_ROWS, STREAM))


def steps(seed: int, place: U64) -> U64:
    """One row: four elements of each step."""
    return squares(place // FOUR * np.uint64(GOLDEN) + place % FOUR + ONE, row_keys(seed, NO_ROWS, STREAM))


def one_element(seed: int, place: U64) -> U64:
    """One row: the first element of each step."""
    return squares(place * np.uint64(GOLDEN) + ONE, row_keys(seed, NO_ROWS, STREAM))


def indices(seed: int, place: U64) -> U64:
    """Indices of one seed: the first element of each."""
    return squares(ONE, row_keys(seed, place.astype(np.int64), STREAM))


def seeds(seed: int, place: U64) -> U64:
    """Seeds: the first element of the first row of each."""
    return squares(ONE, row_keys(place.astype(np.int64) + seed * 2**40, NO_ROWS, STREAM))


def rows(seed: int, place: U64) -> U64:
    """Eight indices of each seed: 64 elements of each."""
    row = place[::64].astype(np.int64) // 64
    keys = row_keys(row // 8 + seed * 2**40, row % 8, STREAM)
    return squares(np.arange(1, 65, dtype=np.uint64), keys[:, None]).ravel()


def streams(seed: int, place: U64) -> U64:
    """Indices of one seed: the first element of four streams."""
    index = place[:: len(STREAMS)].astype(np.int64) // len(STREAMS)
    return squares(ONE, np.stack([row_keys(seed, index, name) for name in STREAMS], axis=1)).ravel()


def uniforms(seed: int, place: U64) -> U64:
    """As rows, but the 23 bits of a uniform, and the first 9 of the next, make a word."""
    words = rows(seed, np.arange(2 * int(place[0]), 2 * int(place[0]) + 2 * len(place), dtype=np.uint64))
    nine = np.uint64(9)
    return words[::2] >> nine << nine | words[1::2] >> np.uint64(23)


OURS = (elements, steps, one_element, indices, seeds, rows, streams, uniforms)
LAYOUTS = {layout.__name__: inspect.getdoc(layout) or "" for layout in OURS} | {
    "pcg64": "numpy's PCG64",
    "pcg64_again": "numpy's PCG64, other seeds",
}


def chunks(name: str, seed: int) -> Iterator[bytes]:
    """The words of a layout, without end."""
    if name.startswith("pcg64"):
        generator = np.random.PCG64([int(name == "pcg64_again"), seed])
        while True:
            yield generator.random_raw(CHUNK // 2).tobytes()
    layout: Callable[[int, U64], U64] = globals()[name]
    place = np.arange(CHUNK, dtype=np.uint64)
    with np.errstate(over="ignore"):
        while True:
            yield layout(seed, place).astype("<u4").tobytes()
            place += np.uint64(CHUNK)


def dieharder(name: str, test: int, width: int, seed: int) -> list[dict[str, Any]]:
    """The p-values of one test."""
    fields = [word for field in ("test_name", "ntuple", "pvalues", "assessment") for word in ("-D", field)]
    command = ["dieharder", "-g", "200", "-d", str(test), "-n", str(width), *fields]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # once it has enough
            for chunk in chunks(name, seed):
                process.stdin.write(chunk)
        with suppress(BrokenPipeError):  # of what it has not taken
            process.stdin.close()
        lines = process.stdout.read().decode().splitlines()
    split = [[part.strip() for part in line.split("|")] for line in lines if line.count("|") == 3]
    if process.returncode or not split:
        sys.exit(f"dieharder's test {test} ended with code {process.returncode} and wrote {lines}.")
    return [{"test": t, "width": int(w), "p": float(p), "assessment": a} for t, w, p, a in split]


def tested(name: str, test: int, width: int) -> list[dict[str, Any]]:
    """The p-values of one test and, where one is weak, how many of its like are with other seeds."""
    values = dieharder(name, test, width, SEED + test)
    if any(v["assessment"] != "PASSED" for v in values):
        others = [dieharder(name, test, width, SEED * k + test) for k in range(2, 2 + AGAIN)]
        for place, value in enumerate(values):
            if value["assessment"] != "PASSED":
                value["weak_again"] = sum(other[place]["assessment"] != "PASSED" for other in others)
    return values


def report(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Quality of the noise", "", "Made by `python -m benchmarks.noise_quality`.", "",
        inspect.cleandoc(__doc__ or ""), "",
        "| layout | what follows what | p-values | weak | failed | smallest distance from 0 or 1 | weak ones |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, values in found.items():
        weak, failed = ([v for v in values if v["assessment"] == word] for word in ("WEAK", "FAILED"))
        listed = [f"{v['test']}: {v['p']:.6f}, then {v['weak_again']} of {AGAIN} weak" for v in weak + failed]
        nearest = min(min(v["p"], 1 - v["p"]) for v in values)
        lines.append(
            f"| {name} | {LAYOUTS[name]} | {len(values)} | {len(weak)} | {len(failed)} | {nearest:.2g} | "
            f"{'; '.join(listed)} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.noise_quality",
        description=f"{__doc__} Writes {RESULTS.name} and a table; each layout is kept as soon as it is there.",
    )
    parser.add_argument("layouts", nargs="*", metavar="LAYOUT", help=f"all, or some of {', '.join(LAYOUTS)}")
    parser.add_argument("--again", action="store_true", help="run layouts that are there already, too")
    given = parser.parse_args()
    for name in given.layouts:
        if name not in LAYOUTS:
            parser.error(f"there is no layout {name!r}; there are {', '.join(LAYOUTS)}.")
    if shutil.which("dieharder") is None:
        parser.error("dieharder is not installed. Install it: apt-get install dieharder.")
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in given.layouts or LAYOUTS:
        if name in found and not given.again:
            continue
        values, begin = [], time.perf_counter()
        for test, width in TESTS:
            values += tested(name, test, width)
            print(f"{name}: {values[-1]['test']}, {time.perf_counter() - begin:.0f} s", flush=True)
        found[name] = values
        found = {name: found[name] for name in LAYOUTS if name in found}
        with atomic_write(RESULTS) as file:
            file.write(f"{json.dumps(found, indent=1)}\n".encode())
        RESULTS.with_suffix(".md").write_text(report(found))
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
