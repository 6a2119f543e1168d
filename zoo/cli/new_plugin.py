"""`zoo new-plugin`: a distribution with an architecture, as a starting point."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from zoo.cli.output import note
from zoo.cli.streams import say

EXAMPLES = """\b
Examples:
  zoo new-plugin tiny-flow --framework torch --summary 'A small flow over real vectors'
  zoo new-plugin genzoo-tiny-flow --framework keras --out plugins/tiny
  zoo new-plugin gaussian --framework numpy

\b
Then:
  pip install -e './tiny-flow[test]'
  pytest tiny-flow
  zoo train tiny-flow --data moons --out runs/tiny-flow
"""


@click.command("new-plugin", epilog=EXAMPLES)
@click.argument("name")
@click.option(
    "--framework", required=True, type=click.Choice(["torch", "keras", "numpy"]), help="Framework of the architecture."
)
@click.option("--summary", metavar="TEXT", help="What the architecture is, in a line (asked for in a terminal).")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="A new folder.  [default: ./NAME]")
def command(name: str, framework: str, summary: str | None, out: Path | None) -> None:
    """Write a plugin: a distribution with one architecture that trains, exports and passes its own tests.

    NAME is the name of the distribution, such as genzoo-tiny-flow; its package is genzoo_tiny_flow, its architecture
    tiny-flow.
    """
    from zoo import templates

    names = templates.names_of(name)
    templates.check_free(names)
    folder = out or Path(names.name)
    if summary is None:
        usual = templates.ABOUT[framework]["summary"]
        summary = click.prompt("What is it, in a line?", default=usual, err=True) if sys.stdin.isatty() else usual
    templates.checked_summary(summary)
    files = templates.write(name, framework, folder, summary)
    for path in files:
        say(folder / path)
    where = folder if folder.is_absolute() else f"./{folder}"
    note(
        f"\nA plugin with the architecture {names.model}, in {folder}. Next:\n"
        f"  pip install -e '{where}[test]'\n"
        f"  pytest {folder}\n"
        f"  zoo train {names.model} --data moons --out runs/{names.model}\n"
        f"Make it yours: {folder}/src/{names.package}/{names.module}.py"
    )
