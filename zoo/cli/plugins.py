"""`zoo plugins`: what is installed, what failed to load and why."""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import print_json, table
from zoo.cli.streams import say

EXAMPLES = """\b
Examples:
  zoo plugins
  zoo --without genzoo-keras plugins --json
  ZOO_WITHOUT=genzoo-keras,tiny-flow zoo list
  ZOO_AUTOLOAD=0 zoo plugins

\b
To disable a plugin:
  zoo --without PLUGIN COMMAND    for one command (may be repeated)
  ZOO_WITHOUT=PLUGIN,PLUGIN       for every command with this environment variable
  ZOO_AUTOLOAD=0                  all plugins; the built-in data sets remain
"""


@click.command("plugins", epilog=EXAMPLES)
@options.as_json
def command(as_json: bool) -> None:
    """List installed plugins and their problems."""
    from zoo.plugins.failures import outdated
    from zoo.plugins.loading import load_plugins
    from zoo.registry import problems
    from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec

    kinds = {"architectures": ModelSpec, "presets": PresetSpec, "data sets": DatasetSpec, "exporters": ExporterSpec}
    found = []
    for plugin in load_plugins():
        offers = {kind: [s.name for s in plugin.specs if isinstance(s, cls)] for kind, cls in kinds.items()}
        found.append({"name": plugin.name, "version": plugin.version, "entry_point": plugin.entry, **offers})
    faults = [{"plugin": p.plugin, "problem": p.message, "remedy": p.remedy} for p in [*problems(), *outdated()]]
    if as_json:
        print_json({"plugins": found, "problems": faults})
        return
    failed = {fault["plugin"] for fault in faults}

    def state(name: object) -> str:
        return "problem" if name in failed else "ok"

    table(
        ["plugin", "version", "state", *kinds],
        [[p["name"], p["version"], state(p["name"]), *(" ".join(p[k]) or "-" for k in kinds)] for p in found],
    )
    if faults:
        say()
        table(["plugin", "problem", "what to do"], [list(fault.values()) for fault in faults])
