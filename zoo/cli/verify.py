"""`zoo verify`: is an artifact what its source is?"""

from __future__ import annotations

import click

from zoo.cli import options
from zoo.cli.output import note, parity, print_json

EXAMPLES = """\b
Examples:
  zoo verify out/moons
  zoo verify out/moons --device cuda --json
"""


@click.command("verify", epilog=EXAMPLES)
@click.argument("name", metavar="FOLDER|NAME")
@options.device
@options.as_json
def command(name: str, device: str, as_json: bool) -> None:
    """Check an artifact against what its source gave.

    Its files are as they were written, and on this machine too every method gives the results of the source. These
    are in the artifact, so no framework is needed.
    """
    from zoo import api
    from zoo.artifact import choose_device
    from zoo.cli import progress

    with progress.stages(f"verifying {name}") as show:
        show(f"running every method on {choose_device(device)}")
        report = api.verify(name, device=device)
    if as_json:
        print_json(report)
        return
    parity(report)
    note(f"{name}: the files are whole, and every method gives what its source gave.")
