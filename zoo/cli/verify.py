"""`zoo verify`: check an artifact against its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import facts, note, parity, print_json

EXAMPLES = """\b
Examples:
  zoo verify out/moons
  zoo verify out/moons --device cuda --json
  zoo verify from/elsewhere --untrusted
"""


@click.command("verify", epilog=EXAMPLES)
@click.argument("name", metavar="FOLDER|NAME")
@options.check
@options.device
@options.untrusted
@options.as_json
def command(name: str, check: str | None, device: str, opening: dict[str, Any], as_json: bool) -> None:
    """Check an export against the results of its source.

    Checks that its files are unchanged, and that every method reproduces the results of the source on this machine.
    These results are stored in the artifact, so no framework is needed. --check quick compares fewer rows, full all
    that are stored. Folders of other formats are verified by their exporters, as far as these can.
    """
    from msgspec import to_builtins

    from zoo import api
    from zoo.artifact import MANIFEST
    from zoo.cli import progress

    with progress.stages(f"verifying {name}") as show:
        report = api.verify(name, device=device, check=check, progress=show, **opening)
    if as_json:
        print_json(to_builtins(report))
        return
    if not (Path(name) / MANIFEST).exists() and Path(name).is_dir():
        facts([(key, str(value)) for key, value in (report or {}).items()])
        note(f"{name}: verified by its exporter.")
        return
    parity(report)
    note(f"{name}: the files are intact, and every method reproduces its source.")
