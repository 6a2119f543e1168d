"""`zoo data`: the data sets that are installed."""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import print_json, table

EXAMPLES = """\b
Examples:
  zoo data
  zoo train realnvp --data moons --out runs/moons
"""


@click.command("data", epilog=EXAMPLES)
@options.as_json
def command(as_json: bool) -> None:
    """List the data sets that --data accepts by name."""
    from zoo import registry

    specs = registry.datasets()
    if as_json:
        print_json([{"name": registry.qualified(s), "summary": s.summary, "source": s.source} for s in specs])
    else:
        table(["name", "summary", "source"], [[registry.qualified(s), s.summary, s.source] for s in specs])
