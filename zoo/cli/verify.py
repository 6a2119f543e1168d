"""`zoo verify`: is an artifact what its source is?"""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import note, parity, print_json

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
    """Check an artifact against what its source gave.

    Its files are as they were written, and on this machine too every method gives the results of the source. These
    are in the artifact, so no framework is needed. With --check quick there are fewer rows; full is all that is there.
    """
    from msgspec import to_builtins

    from zoo import api
    from zoo.cli import progress

    with progress.stages(f"verifying {name}") as show:
        report = api.verify(name, device=device, check=check, progress=show, **opening)
    if as_json:
        print_json(to_builtins(report))
        return
    parity(report)
    note(f"{name}: the files are whole, and every method gives what its source gave.")
