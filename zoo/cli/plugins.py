"""`zoo plugins`: what is installed, what failed to load and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import print_json, table
from zoo.cli.streams import say

if TYPE_CHECKING:
    from zoo.plugins.loading import Problem

EXAMPLES = """\b
Examples:
  zoo plugins
  zoo plugins --check
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
@click.option(
    "--check", is_flag=True, help="Import every target, read every preset, and compare them with what is declared."
)
@options.as_json
def command(check: bool, as_json: bool) -> None:
    """List installed plugins and their problems.

    With --check the exit code is 1 if there are any.
    """
    from zoo.plugins.failures import outdated
    from zoo.plugins.loading import load_plugins
    from zoo.registry import problems
    from zoo.spec import DatasetSpec, ExporterSpec, ModelSpec, PresetSpec

    kinds = {"architectures": ModelSpec, "presets": PresetSpec, "data sets": DatasetSpec, "exporters": ExporterSpec}
    found = []
    for plugin in load_plugins():
        offers = {kind: [s.name for s in plugin.specs if isinstance(s, cls)] for kind, cls in kinds.items()}
        found.append({"name": plugin.name, "version": plugin.version, "entry_point": plugin.entry, **offers})
    wrong = [*problems(), *outdated(), *(checked() if check else [])]
    faults = [{"plugin": p.plugin, "problem": p.message, "remedy": p.remedy} for p in wrong]
    if as_json:
        print_json({"plugins": found, "problems": faults})
    else:
        show(found, faults, list(kinds))
    if check and faults:
        click.get_current_context().exit(1)


def checked() -> list[Problem]:
    """What is wrong with the things that plugins offer."""
    from zoo.cli import progress
    from zoo.plugins import checking
    from zoo.plugins.loading import load_plugins

    plugins, found = load_plugins(), []
    with progress.stages("checking plugins") as show:
        for number, plugin in enumerate(plugins):
            show(plugin.name, number, len(plugins))
            found += checking.check(plugin)
    return found


def show(found: Sequence[Mapping[str, Any]], faults: Sequence[Mapping[str, str]], kinds: Sequence[str]) -> None:
    """Plugins and their problems as tables."""
    failed = {fault["plugin"] for fault in faults}

    def state(name: str) -> str:
        return "problem" if name in failed else "ok"

    table(
        ["plugin", "version", "state", *kinds],
        [[p["name"], p["version"], state(p["name"]), *(" ".join(p[k]) or "-" for k in kinds)] for p in found],
    )
    if faults:
        say()
        table(["plugin", "problem", "what to do"], [list(fault.values()) for fault in faults])
