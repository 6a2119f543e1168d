"""`zoo list`: the architectures and presets that are installed."""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import note, print_json, table

EXAMPLES = """\b
Examples:
  zoo list
  zoo list '*vae*' --method encode
  zoo list --framework torch --json
"""
WILDCARDS = "*?["


@click.command("list", epilog=EXAMPLES)
@click.argument("pattern", required=False)
@click.option("--family", metavar="FAMILY", help="Such as flow, vae, diffusion, classifier.")
@click.option("--method", metavar="METHOD", help="Such as sample, log_prob, encode, predict.")
@click.option("--framework", metavar="NAME", help="Such as torch or keras.")
@options.as_json
def command(pattern: str | None, family: str | None, method: str | None, framework: str | None, as_json: bool) -> None:
    """List models: architectures, and presets with weights.

    PATTERN is a part of the name, or contains the wildcards * ? and [...]. zoo show NAME describes one model.
    """
    from zoo import cli, registry
    from zoo.errors import UnknownName, did_you_mean
    from zoo.spec import PresetSpec

    specs = registry.find_models(pattern, family=family, method=method, framework=framework)
    if not specs and pattern is not None and not set(WILDCARDS) & set(pattern):
        near = did_you_mean(pattern, registry.list_models())
        raise UnknownName(f"no model matches {pattern!r}.{near or ' See them all: zoo list'}")
    cli.warn_of_plugins()
    if as_json:
        keys = ("name", "family", "framework", "methods", "density", "summary")
        about = [{k: getattr(s, k) for k in keys} | {"name": registry.qualified(s)} for s in specs]
        print_json([row | {"preset": isinstance(s, PresetSpec)} for row, s in zip(about, specs, strict=True)])
    elif not specs:
        note("no model matches." if registry.list_models() else "no model is installed: pip install genzoo-torch")
    else:
        table(
            ["name", "family", "framework", "methods"],
            [[registry.qualified(s), s.family, s.framework, " ".join(s.methods)] for s in specs],
        )
