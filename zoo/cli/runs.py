"""`zoo runs`: trainings and their progress."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import options
from zoo.cli.output import note, number, print_json, table

EXAMPLES = """\b
Examples:
  zoo runs
  zoo runs runs/presets --json
"""


@click.command("runs", epilog=EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."), required=False)
@options.as_json
def command(folder: Path, as_json: bool) -> None:
    """List the runs in FOLDER and its subfolders, most recently saved first.

    Shows the completed epochs, the best validation loss, and its epoch.
    """
    from zoo.training import runs

    found = [{**run.facts(), "run": str(run.folder)} for run in runs(folder)]
    if as_json:
        print_json(found)
    elif not found:
        note(f"there are no runs in {folder}. Start one: zoo train ARCHITECTURE --data DATA --out RUN")
    else:
        table(list(found[0]), [[number(v) if v is not None else "-" for v in row.values()] for row in found])
