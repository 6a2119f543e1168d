"""Which check of `zoo.testing` sees which fault: `python -m benchmarks.conformance` writes the table of
docs/conformance.md. It runs the suite over every broken model, which takes minutes."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.broken import BROKEN
from benchmarks.broken.claims import EXPORT
from benchmarks.broken.honest import HONEST, Classes, subject_of
from benchmarks.broken.register import Broken
from zoo.system.files import atomic_write
from zoo.testing import CHECKS, Result

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"


def outcomes(cls: type, export: bool = False) -> list[Result]:
    """What all checks say of a model, but for the export, which takes seconds, where it is not asked for."""
    subject = subject_of(cls)
    return [c.run(subject) for c in CHECKS.values() if c.applies(subject) and (export or c.name != EXPORT)]


def verify(broken: Broken) -> None:
    failed = {result.check for result in outcomes(broken.cls, EXPORT in broken.seen_by) if result.failed}
    if failed != set(broken.seen_by):
        raise SystemExit(f"{broken}: seen by {failed}; its room in benchmarks/broken says {broken.seen_by}.")


def table() -> str:
    lines = ["| model | fault | size | seen by |", "|---|---|---|---|"]
    for broken in BROKEN:
        seen = ", ".join(f"`{name}`" for name in broken.seen_by) or "**none**"
        lines.append(f"| {broken.kind} | {broken.fault} | {broken.size} | {seen} |")
    return "\n".join(lines)


def main() -> None:
    for cls in HONEST:
        if wrong := [str(result) for result in outcomes(cls) if result.failed]:
            raise SystemExit(f"{cls.__name__} is honest and fails: {wrong}")
    for number, broken in enumerate(BROKEN, 1):
        print(f"{number}/{len(BROKEN)} {broken}", flush=True)
        verify(broken)
    begin = time.process_time()
    outcomes(Classes, export=True)
    print(f"the suite takes {time.process_time() - begin:.1f} s of the processor for {Classes.__name__}")
    head, begin_mark, rest = PAGE.read_text().partition("<!-- faults -->\n")
    _, end_mark, tail = rest.partition("<!-- /faults -->")
    with atomic_write(PAGE, force=True) as file:
        file.write(f"{head}{begin_mark}{table()}\n{end_mark}{tail}".encode())


if __name__ == "__main__":
    main()
