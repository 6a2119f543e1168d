"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])
LIMIT = click.FloatRange(min=0, min_open=True)


def settings(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`--set key=value` as a dict."""
    found: dict[str, str] = {}
    for item in values:
        key, equals, value = item.partition("=")
        key = key.strip()
        if not key or not equals or not value.strip():
            raise click.BadParameter(f"{item!r} is not KEY=VALUE.")
        if key in found:
            raise click.BadParameter(f"{key!r} is given twice.")
        found[key] = value.strip()
    return found


def whole_numbers(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """`1,64,1024` as a list."""
    if value is None:
        return None
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a list of integers separated by commas, such as 1,64,1024."
        ) from None


def numbers(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[float] | None:
    """`0,0.5,1` as a list."""
    if value is None:
        return None
    try:
        return [float(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not numbers with commas between, such as 0,0.5,1.") from None


given_inputs = click.option(
    "--input",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    callback=settings,
    help="An input of the model for all rows, such as shift=0.5 (may be repeated).",
)


def set_option(what: str) -> Callable[[F], F]:
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=settings, help=f"{what} (may be repeated)."
    )


def complete_models(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Architectures and presets, then files and folders."""
    from zoo.registry import list_models

    return _complete(list_models(), typed)


def complete_data(ctx: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Data sets, then files and folders."""
    from zoo.registry import datasets, qualified

    return _complete([qualified(spec) for spec in datasets()], typed)


def _complete(names: Sequence[str], typed: str) -> list[CompletionItem]:
    return [*(CompletionItem(n) for n in names if n.startswith(typed)), CompletionItem(typed, type="file")]


name = click.argument("name", metavar="NAME|RUN|ARTIFACT", shell_complete=complete_models)
out = click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write the result.")
out_folder = click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", required=True)
force = click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
chunk = click.option("--chunk", type=int, metavar="N", help="Rows at a time; changes speed and memory, not the rows.")
class_of_rows = click.option("--class", "chosen", metavar="CLASS", help="The class of all rows: its name or index.")
label = click.option("--label", metavar="COLUMN", help="The column (in NPZ: array) of a data file that is the class.")
split_column = click.option(
    "--split-column", metavar="COLUMN", help="The column with the split of each row: train, validation or test."
)
image_size = click.option(
    "--size",
    metavar="N|WxH[:crop|pad|stretch]",
    help="Resize images of a folder to one size; by default they are cropped.",
)
types = click.option(
    "--types",
    metavar="NAME=KIND,...",
    help="Kinds of columns: real, integer, category, ordered, boolean, date, text, drop.",
)
input_columns = click.option(
    "--inputs", metavar="NAME,...", help="Columns (in NPZ: arrays) that the model is conditioned on, such as age."
)
tokenizer = click.option(
    "--tokenizer", metavar="bpe:SIZE|FILE", help="Tokens of text: train byte-level BPE, or a tokenizer.json."
)
length = click.option(
    "--length", type=int, metavar="N", help="Maximum characters or tokens of a line; longer ones are cut. [200]"
)
device = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed, if the method is random.")
seeds = click.option(
    "--seeds", callback=whole_numbers, metavar="N,N,...", help="A seed for each row, instead of one for all."
)
stream = click.option(
    "--stream",
    default="",
    metavar="NAME",
    help="A name that makes the random numbers differ from those of other models with this seed.",
)
data = click.option(
    "--data",
    required=True,
    shell_complete=complete_data,
    metavar="FILE|FOLDER|NAME[:SPLIT]",
    help="Rows: CSV, Parquet, NPZ, text, a folder of images, or a split of a data set (default: its test split).",
)
check = click.option(
    "--check",
    metavar="SECONDS|full|quick",
    help="How much to compare: what fits into this time for each method (default: 40).",
)


def untrusted(function: F) -> F:
    """The options of commands that open artifacts. The command gets `opening`: `trust` and `limits` of `zoo.open`."""

    @click.option("--untrusted", is_flag=True, help="Run the graphs of the artifact in a process with limits.")
    @click.option(
        "--time-limit", type=LIMIT, metavar="SECONDS", help="For an untrusted graph, per chunk (default: 60)."
    )
    @click.option("--memory-limit", type=LIMIT, metavar="GIB", help="For an untrusted graph (default: 4).")
    @functools.wraps(function)
    def command(*args: Any, untrusted: bool, time_limit: float | None, memory_limit: float | None, **more: Any) -> Any:
        limits = None
        if time_limit or memory_limit:
            if not untrusted:
                raise click.UsageError("--time-limit and --memory-limit are for --untrusted.")
            from zoo.artifact.limits import Limits

            usual = Limits()
            memory = int(memory_limit * 2**30) if memory_limit else usual.memory
            limits = Limits(time_limit or usual.seconds, memory)
        return function(*args, opening={"trust": not untrusted, "limits": limits}, **more)

    return command  # type: ignore[return-value]  # it takes different arguments


start = click.option(
    "--start",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="The first row, to continue where a job stopped.",
)
keep = click.option(
    "--keep", multiple=True, metavar="COLUMN", help="Copy this column of the data to the result, such as an id."
)


def method_options(function: F) -> F:
    """The options of commands that run a method over rows of a file."""
    wanted: tuple[Callable[[F], F], ...] = (
        name,
        out,
        force,
        label,
        class_of_rows,
        given_inputs,
        set_option("An option of the method, as zoo show lists them"),
        seed,
        seeds,
        stream,
        start,
        keep,
        chunk,
        device,
        untrusted,
    )
    return _stacked(wanted, function)


def decoding_options(function: F) -> F:
    """The options of commands that choose latents and decode them."""
    option = set_option("An option of decode, such as observe=draw")
    return _stacked((class_of_rows, option, seed, out, force, device), function)


def _stacked(wanted: Sequence[Callable[[F], F]], function: F) -> F:
    """The function with these options, which `--help` lists in this order."""
    for option in reversed(wanted):
        function = option(function)
    return function
