"""`zoo sample`: new observations."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import note

if TYPE_CHECKING:
    from zoo.cli.rows import Chunk
    from zoo.model import Model, Progress

BLOCK = 2**18  # rows whose classes are made at a time
ALL = "all"
EXAMPLES = """\b
Examples:
  zoo sample realnvp.moons -n 1000 --seed 7 --out x.png
  zoo sample vae.digits -n 50 --class all --out digits.png
  zoo sample out/moons -n 1000000 --start 1000000 --seed 7 --out x.parquet
"""


@click.command("sample", epilog=EXAMPLES)
@options.name
@click.option("-n", "--count", type=int, default=16, show_default=True, help="How many.")
@click.option("--seed", type=int, help="The same seed gives the same rows everywhere (default: a new one, printed).")
@click.option("--start", type=int, default=0, show_default=True, help="The first row, to go on with an earlier seed.")
@click.option("--class", "chosen", metavar="CLASS", help="A class by name or number; 'all' takes them in turn.")
@options.set_option("An option of the method, such as temperature=0.8")
@options.out
@options.force
@options.chunk
@options.device
def command(
    name: str,
    count: int,
    seed: int | None,
    start: int,
    chosen: str | None,
    settings: dict[str, str],
    out: Path | None,
    force: bool,
    chunk: int | None,
    device: str,
) -> None:
    """Draw new observations: a picture, a table, arrays or text.

    --out takes .png, .csv, .tsv, .parquet, .npz, .npy and .txt; without it, rows are printed. Memory stays flat,
    whatever the count.
    """
    from zoo.cli import rows
    from zoo.rows import check_count

    check_count(count)
    rows.check_early(out, force)
    model = rows.open_model(name, device)
    model.signature("sample")
    rows.check_settings(model, "sample", settings)
    rows.check_late(out, force, model.space, count)
    if out is not None:
        rows.check_room(out, model.space, count)
    if seed is None:
        seed = secrets.randbits(31)
        note(f"seed {seed} (the same rows again: --seed {seed})")
    given = {"seed": seed, "chunk": chunk, **settings}
    with rows.bar("sample", out) as show:
        written = rows.deliver(draw(model, count, start, chosen, given, out, show), out, space=model.space, force=force)
    rows.done(out, written)


def draw(
    model: Model,
    count: int,
    start: int,
    chosen: str | None,
    given: Mapping[str, Any],
    out: Path | None = None,
    show: Progress | None = None,
) -> Iterator[Chunk]:
    """Chunks of samples. Arguments are checked at once; classes are made a block of rows at a time."""
    conditional = "label" in model.signature("sample").inputs
    if not conditional:
        more: dict[str, Any] = {} if chosen is None else {"label": chosen}  # the model says that it takes none
        return model.stream("sample", count=count, start=start, progress=show, **given, **more)
    model.stream("sample", count=1, start=max(start, start + count - 1), label=_labels(model, chosen, 0, 1), **given)
    return _blocks(model, count, start, chosen, given, out, show)


def _blocks(
    model: Model,
    count: int,
    start: int,
    chosen: str | None,
    given: Mapping[str, Any],
    out: Path | None,
    show: Progress | None,
) -> Iterator[Chunk]:
    from zoo.cli.rows import with_classes

    assert model.classes is not None
    for low in range(0, count, BLOCK):
        size = min(BLOCK, count - low)
        labels = _labels(model, chosen, start + low, size)

        def moved(done: int, total: int, low: int = low) -> None:
            if show:
                show(low + done, count)

        chunks = model.stream("sample", count=size, start=start + low, label=labels, progress=moved, **given)
        yield from with_classes(chunks, labels, model.classes, out)


def _labels(model: Model, chosen: str | None, start: int, count: int) -> Any:
    """The classes of rows `start`, `start + 1`, ..."""
    import numpy as np

    from zoo.cli.rows import class_of
    from zoo.errors import InputError

    assert model.classes is not None
    if chosen is None:
        classes = model.classes.describe()
        raise InputError(f"{model.name} needs a class: --class NAME, or --class {ALL} for each in turn; {classes}.")
    if chosen == ALL and ALL not in model.classes.names:
        return np.arange(start, start + count) % len(model.classes)
    return np.full(count, class_of(model, chosen))
