"""`zoo impute`: the missing cells of a table, drawn given the others of their row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import note
from zoo.errors import InputError

EXAMPLES = """\b
Examples:
  zoo impute runs/people --data gaps.csv --out filled.csv
  zoo impute out/people --data gaps.parquet --seed 1 --keep id --out filled.parquet
"""


@click.command("impute", epilog=EXAMPLES)
@options.name
@click.option("--data", required=True, metavar="FILE", help="A table: CSV, Parquet, Arrow, or a folder of these.")
@options.out
@options.force
@options.set_option("An option of sample, such as temperature=0.5")
@options.seed
@options.stream
@options.start
@options.keep
@options.chunk
@options.device
@options.untrusted
def command(
    name: str,
    data: str,
    out: Path | None,
    force: bool,
    settings: dict[str, str],
    seed: int,
    stream: str,
    start: int,
    keep: tuple[str, ...],
    chunk: int | None,
    device: str,
    opening: dict[str, Any],
) -> None:
    """Fill the missing cells of a table.

    Each is drawn from the model given the cells of its row that are there, which stay as they are. Another --seed draws
    other values: fill several times, and what differs is not known. Columns that the file lacks are drawn too.
    """
    from zoo.cli import row_commands

    row_commands.check_early(out, force)
    model = row_commands.open_model(name, device, **opening)
    if not model.signature("sample").takes_columns:
        raise InputError(f"sample of {model.name} takes no columns of a table. Train one that does: zoo train table.")
    row_commands.check_settings(model, "sample", settings)
    row_commands.check_late(out, force, model.space)
    inputs = row_commands.given_columns(model, data, besides=keep)
    beside = row_commands.kept_columns(data, keep)
    known = inputs["known"]
    if not 0 <= start < len(known):
        raise InputError(f"--start is {start}; {data} has {len(known):,} rows, which are numbered from 0.")
    how = {"missing": "never", "stream": stream, "chunk": chunk, **settings}
    with row_commands.bar("impute", out) as show:
        chunks = row_commands.blocks(model, "sample", inputs, start, seed, how, show)
        written = row_commands.deliver(
            row_commands.with_columns(chunks, beside, start), out, space=model.space, force=force
        )
    gaps = ~known[start:]
    note(f"filled {gaps.sum():,} cells in {gaps.any(1).sum():,} of {len(gaps):,} rows")
    row_commands.done(out, written)
