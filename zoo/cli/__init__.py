"""The command line. Each command is a file of this package and is imported when it is used.

Any `ZooError` becomes one message on stderr and exit code 2; Ctrl-C is 130, SIGTERM 143. The work itself is done by
`zoo`: commands read their arguments, show progress and print.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

import zoo
from zoo.cli import streams
from zoo.errors import UnknownName, ZooError, ZooWarning, did_you_mean
from zoo.system.files import delete_temporaries
from zoo.system.interrupts import stops_command
from zoo.system.memory import is_shortage

COMMANDS = (
    *("list", "show", "data", "plugins"),
    *("train", "runs", "evaluate", "compare"),
    *("sample", "score", "impute", "encode", "decode", "predict"),
    *("interpolate", "walk", "arithmetic"),
    *("export", "verify", "inspect", "bench", "demo"),
    *("new-plugin", "completion"),
)
ENVIRONMENT = ("ZOO_WITHOUT", "ZOO_DEBUG")
FAILED, INTERRUPTED = 2, 130
WITHOUT_HELP = (
    "Disable an installed plugin (may be repeated). Also: ZOO_WITHOUT=PLUGIN,PLUGIN. ZOO_AUTOLOAD=0 disables all."
)


class Commands(click.Group):
    """A group that imports a command when it is used, and turns errors that the user can fix into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]  # `list` is the command here, once it is imported

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"zoo.cli.{name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"there is no command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = "zoo",
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        with _environment():
            if not standalone_mode:
                return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            streams.open_streams()
            try:
                result = self._main(args, prog_name, complete_var, **extra)
            except KeyboardInterrupt:  # before signals are the command's
                streams.say("stopped.", err=True)
                sys.exit(INTERRUPTED)
            except Exception as error:
                _fail(error)
            sys.exit(result if isinstance(result, int) else 0)

    def _main(self, args: Sequence[str] | None, prog_name: str | None, complete_var: str | None, **extra: Any) -> Any:
        """The command's result, or an exception that `_fail` explains; exit codes of signals and pipes."""
        with stops_command(at_once=delete_temporaries) as signal_number, _warnings():
            try:
                result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
                sys.stdout.flush()
                return result
            except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
                streams.give_up_stdout()
                sys.exit(1)
            except (KeyboardInterrupt, Exception) as error:
                # libraries may report an interrupt as an error of their own
                if not (signal_number() or isinstance(error, (click.Abort, KeyboardInterrupt))):
                    raise
                streams.say("stopped.", err=True)
                sys.exit(128 + (signal_number() or signal.SIGINT))
            finally:
                delete_temporaries()  # a signal may have arrived during cleanup


def _fail(error: Exception) -> NoReturn:
    """Print an error that the user can fix and exit; re-raise any other."""
    if not isinstance(error, ZooError) and is_shortage(error) and not os.environ.get("ZOO_DEBUG"):
        _say(
            f"there is not enough memory ({error}). Take fewer rows, or fewer at a time if there is --chunk or --batch."
        )
    elif isinstance(error, click.UsageError):
        _say(error.format_message())
        if error.ctx:
            streams.say(f"Try '{error.ctx.command_path} --help'.", err=True)
    elif isinstance(error, click.ClickException):
        _say(error.format_message())
    elif isinstance(error, ZooError):
        if os.environ.get("ZOO_DEBUG"):
            traceback.print_exception(error)
        _say(str(error))
        if isinstance(error, UnknownName):  # the plugin that offers it may have failed to load
            warn_of_plugins()
    elif fault := _of_a_plugin(error):
        if os.environ.get("ZOO_DEBUG"):
            traceback.print_exception(error)
        _say(f"{fault} zoo --debug shows the traceback.")
    elif isinstance(error, OSError) and not os.environ.get("ZOO_DEBUG"):
        _say(_of_the_system(error))
    else:
        raise error
    sys.exit(FAILED)


def _of_a_plugin(error: Exception) -> str:
    """An exception that comes from a plugin's code, as a sentence; nothing if it comes from genzoo's."""
    from zoo.plugins.failures import blame

    return " ".join(blame(error) or ())


def _of_the_system(error: OSError) -> str:
    """An error of a system call as a sentence. Errors of outputs are handled in `zoo.system.files`."""
    why = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {why}. Check the name and its permissions."
    if broken := streams.broken():
        streams.give_up_stdout()
        return f"cannot write to the standard output: {broken}. Use --out FILE, or redirect it elsewhere."
    return f"the system says: {why}."


def _say(message: str) -> None:
    streams.say(message, mark=click.style("error: ", fg="red"), err=True)


def warn_of_plugins() -> None:
    """Name the plugins that have problems, on stderr."""
    from zoo.registry import problems

    for problem in problems():
        warn(str(problem))


def warn(message: str) -> None:
    streams.say(message, mark=click.style("warning: ", fg="yellow"), err=True)


@contextmanager
def _warnings() -> Iterator[None]:
    """Print each `ZooWarning` as one line, whatever the filters of other warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ZooWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, ZooWarning):
                warn(str(message))
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


@contextmanager
def _environment() -> Iterator[None]:
    """Restore what the global options change: the program that calls `main` may keep running."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    try:
        yield
    finally:
        if os.environ.get("ZOO_WITHOUT") != before["ZOO_WITHOUT"]:
            _forget_plugins()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _forget_plugins() -> None:
    from zoo.plugins.loading import load_plugins

    load_plugins.cache_clear()


def _leave_out(names: Iterable[str]) -> None:
    """Make the registry ignore these plugins."""
    from importlib.metadata import entry_points

    from zoo.plugins.hookspecs import GROUP
    from zoo.plugins.loading import WITHOUT, canonical

    installed = sorted({entry.dist.name for entry in entry_points(group=GROUP) if entry.dist})
    for name in names:
        if canonical(name) not in map(canonical, installed):
            near = did_you_mean(name, installed)
            raise UnknownName(f"no plugin {name!r} is installed; there are {', '.join(installed)}.{near}")
    os.environ[WITHOUT] = ",".join(filter(None, [os.environ.get(WITHOUT, ""), *names]))
    _forget_plugins()


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(zoo.__version__, prog_name="genzoo", message="%(prog)s %(version)s")
@click.option("--without", multiple=True, metavar="PLUGIN", help=WITHOUT_HELP)
@click.option("--debug", is_flag=True, help="Show where an error comes from. Also: ZOO_DEBUG=1.")
@click.pass_context
def main(ctx: click.Context, without: tuple[str, ...], debug: bool) -> None:
    """Train generative models in PyTorch or Keras; ship them as ONNX files that sample, score and encode by themselves.

    \b
    zoo list                                             list models
    zoo train realnvp --data moons --out runs/moons      train a model
    zoo sample runs/moons -n 64 --seed 7 --out x.png     draw from it
    zoo export runs/moons --out out/moons                ship it
    """
    if debug:
        os.environ["ZOO_DEBUG"] = "1"
    if without:
        _leave_out(without)
    if ctx.invoked_subcommand is None:
        streams.say(ctx.get_help())


__all__ = ["main"]
