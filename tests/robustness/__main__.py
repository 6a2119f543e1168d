"""Kills, mutated files and scarce resources: nothing may be lost, nothing may end in a traceback or a crash.

    python tests/robustness                                  # the short form, about a minute
    python tests/robustness --kills 1000 --mutations 20000   # the long form

Commands run in forks of this process, which has imported what they need. What fails is printed with its number, and
`--only NUMBER` repeats it: everything is a function of the seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import kills
import mutations
import resources
from commands import Commands, imports

PARTS = {"kills": kills.trial, "mutations": mutations.trial, "resources": resources.trial}
SHORT = {"kills": len(kills.FIRST), "mutations": 90, "resources": len(resources.TRIALS)}


def run(part: str, count: int, seed: int, only: list[int], commands: Commands) -> int:
    """Some trials of a part; how many failed."""
    began, outcomes, failures = time.monotonic(), Counter[str](), 0
    for number in only or range(count):
        if number and number % max(1, count // 20) == 0 and count >= 1000:
            print(f"{part}: {number:,} trials in {time.monotonic() - began:.0f} s", flush=True)
        for outcome in PARTS[part](commands, number, seed):
            outcomes[outcome.kind] += 1
            if outcome.failed:
                failures += 1
                print(f"{part} {number}: {outcome}", flush=True)
    shown = ", ".join(f"{n} {kind}" for kind, n in outcomes.most_common())
    print(
        f"{part}: {len(only) or count:,} trials in {time.monotonic() - began:.0f} s: {shown}; {failures} failed",
        flush=True,
    )
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument(f"--{part}", type=int, default=None, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", default=[], metavar="NUMBER")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="of a command, which hangs then")
    given = parser.parse_args()
    chosen = {part: getattr(given, part) for part in PARTS if getattr(given, part) is not None} or SHORT
    os.environ["OMP_NUM_THREADS"] = "1"  # threads do not survive a fork
    imports()
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(Path(folder), given.timeout)
        failures = sum(run(part, count, given.seed, given.only, commands) for part, count in chosen.items())
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
