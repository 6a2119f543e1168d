"""`zoo completion`: the shell script that completes commands, models and data sets."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from zoo.cli.streams import say

EXAMPLES = """\b
Examples:
  eval "$(zoo completion bash)"                  # in ~/.bashrc
  eval "$(zoo completion zsh)"                   # in ~/.zshrc
  zoo completion fish > ~/.config/fish/completions/zoo.fish
"""


@click.command("completion", epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options, models, data sets and files."""
    completion = get_completion_class(shell)
    assert completion is not None
    say(completion(ctx.find_root().command, {}, "zoo", "_ZOO_COMPLETE").source())
