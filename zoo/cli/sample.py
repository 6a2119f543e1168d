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
    from zoo.cli.row_commands import Chunk
    from zoo.data import Dataset
    from zoo.model import Array, Model, Progress

COUNT = 16
BLOCK = 2**18  # rows whose classes are generated at a time, if they differ
ALL = "all"
BESIDE = ("data", "nearest")
EXAMPLES = """\b
Examples:
  zoo sample realnvp.moons -n 1000 --seed 7 --out x.png
  zoo sample ddpm.digits -n 50 --class all --out digits.png
  zoo sample out/moons -n 1000000 --start 1000000 --seed 7 --out x.parquet
  zoo sample ddpm.digits --seeds 3,9,27 --class 4 --out three.png
  zoo sample runs/faces -n 25 --input glasses=1 --out x.png
  zoo sample runs/people -n 1000 --given sex=Female --given age=30 --out people.csv
  zoo sample vae.digits -n 25 --seed 7 --out x.png --beside nearest
"""


@click.command("sample", epilog=EXAMPLES)
@options.name
@click.option("-n", "--count", type=int, help="How many (default: 16, or one for each of --seeds or row of --inputs).")
@click.option(
    "--seed", type=int, help="The same seed gives the same rows everywhere (default: a new one, which is printed)."
)
@options.seeds
@options.stream
@click.option(
    "--start", type=int, default=0, show_default=True, help="The first row, to continue with an earlier seed."
)
@click.option("--class", "chosen", metavar="CLASS", help="A class by name or index; 'all' cycles through them.")
@options.given_inputs
@click.option(
    "--given",
    "fixed",
    multiple=True,
    metavar="COLUMN=VALUE",
    callback=options.settings,
    help="A column of a table for all rows, such as sex=Female; the others are drawn (may be repeated).",
)
@click.option(
    "--inputs",
    metavar="FILE|NAME[:SPLIT]",
    help="A file with a column for each input of the model, or with columns of a table that are given.",
)
@options.set_option("An option of the method, such as temperature=0.8")
@options.out
@click.option(
    "--beside",
    type=click.Choice(BESIDE),
    help="Show real rows next to samples in a picture: of the test split (data), or the nearest training rows.",
)
@click.option(
    "--data", metavar="FILE|FOLDER|NAME", help="The data for --beside (default: what the model was trained on)."
)
@options.force
@options.chunk
@options.device
@options.untrusted
def command(
    name: str,
    count: int | None,
    seed: int | None,
    seeds: list[int] | None,
    stream: str,
    start: int,
    chosen: str | None,
    given: dict[str, str],
    fixed: dict[str, str],
    inputs: str | None,
    settings: dict[str, str],
    out: Path | None,
    beside: str | None,
    data: str | None,
    force: bool,
    chunk: int | None,
    device: str,
    opening: dict[str, Any],
) -> None:
    """Draw new observations: a picture, a table, arrays or text.

    --out takes .png, .csv, .tsv, .parquet, .npz, .npy and .txt; without it, rows are printed. Memory stays flat,
    whatever the count.
    """
    from zoo.cli import row_commands
    from zoo.rows import check_count

    if seeds is not None and seed is not None:
        raise click.UsageError("--seed sets one seed for all rows and --seeds one for each; give only one of them.")
    if beside and (out is None or out.suffix.lower() != ".png"):
        raise click.UsageError("--beside is for pictures: --out x.png.")
    if data is not None and not beside:
        raise click.UsageError("--data needs --beside.")
    if count is not None:
        check_count(count)
    row_commands.check_early(out, force)
    model = row_commands.open_model(name, device, **opening)
    model.signature("sample")
    row_commands.check_settings(model, "sample", settings)
    columns = columns_of(model, given, inputs, 0 if seeds else start)
    if count is None:
        count = len(seeds) if seeds else min(map(len, columns.values()), default=COUNT)
    told = told_of_rows(model, given, columns, count)
    told |= row_commands.fixed_columns(model, fixed, told, count)
    row_commands.check_late(out, force, model.space, count)
    if out is not None:
        row_commands.check_room(out, model.space, count)
    real = load_real(model, data) if beside else None
    if seed is None and seeds is None:
        seed = secrets.randbits(31)
        note(f"seed {seed} (the same rows again: --seed {seed})")
    how = {"seed": seeds or seed, "stream": stream, "chunk": chunk, **settings}
    with row_commands.bar("sample", out) as show:
        chunks = draw(model, count, start, chosen, how, out, show, told)
        if out is not None and real is not None:
            labels = labels_of(model, chosen, start, count)
            written = save_beside(model, chunks, real, str(beside), labels, out, force)
        else:
            written = row_commands.deliver(chunks, out, space=model.space, force=force)
    row_commands.done(out, written)


def columns_of(model: Model, given: Mapping[str, str], source: str | None, first: int) -> dict[str, Array]:
    """The inputs of each sample from a file, by name, from the row `first` on: those that are not `given` for all."""
    from zoo.cli import row_commands
    from zoo.errors import InputError

    row_commands.told(model, "sample", given)
    names = [name for name in model.signature("sample").conditions if name not in given]
    if names and source is None:
        more = " ".join(f"--input {name}=VALUE" for name in names)
        raise InputError(
            f"sample of {model.name} needs {', '.join(names)}: {more}, or --inputs FILE with one row per sample."
        )
    if source is None:
        return {}
    if model.signature("sample").takes_columns:
        found: Mapping[str, Any] = row_commands.given_columns(model, source)
    elif not names:
        raise InputError(f"sample of {model.name} has no inputs for each row; omit --inputs.")
    else:
        found = row_commands.read_conditions(model, source, names)
    for name, column in found.items():
        if first >= len(column):
            raise InputError(f"--start is {first}; {name} of {source} has {len(column):,} rows, numbered from 0.")
    return {name: column[first:] for name, column in found.items()}


def told_of_rows(model: Model, given: Mapping[str, str], columns: Mapping[str, Array], count: int) -> dict[str, Array]:
    """The inputs of `count` samples, by name, (count, ...): from columns, or given for all."""
    import numpy as np

    from zoo.cli import row_commands
    from zoo.errors import InputError

    for name, column in columns.items():
        if len(column) < count:
            raise InputError(
                f"{count} samples need as many rows of {name}; --inputs has {len(column)} from --start on."
            )
    of_all = row_commands.told(model, "sample", given)
    same = {name: np.broadcast_to(value, (count, *value.shape)) for name, value in of_all.items()}
    return {**same, **{name: column[:count] for name, column in columns.items()}}


def load_real(model: Model, data: str | None) -> Dataset:
    """The data that `--beside` shows, as observations of the model."""
    from zoo.cli import row_commands
    from zoo.data.model_data import load_for

    given = load_for(model, None if data is None else row_commands.find(data)[0])
    return given.fitted(model.space, model.classes)


def save_beside(
    model: Model, chunks: Iterator[Chunk], data: Dataset, beside: str, labels: Array | None, out: Path, force: bool
) -> int:
    """Draw samples and real rows side by side, each with its title. Returns the number of samples."""
    import numpy as np

    from zoo import writers
    from zoo.cli.real_rows import held_out_rows, nearest_training_rows
    from zoo.pictures import panels

    made = np.concatenate([chunk["x"] for chunk in chunks])
    if beside == "nearest":
        real, name = nearest_training_rows(data, made), f"nearest training rows of {data.name}"
    else:
        real, name = held_out_rows(data, len(made), labels), f"test rows of {data.name}"
    writers.save_picture(out, panels(model.space, {f"samples of {model.name}": made, name: real}), force=force)
    return len(made)


def labels_of(model: Model, chosen: str | None, start: int, count: int) -> Array | None:
    """The class of each sample, (count,), if classes were requested."""
    import numpy as np

    from zoo.cli.row_commands import class_of

    if "label" not in model.signature("sample").inputs:
        return None
    assert model.classes is not None
    assert chosen is not None
    if chosen != ALL or ALL in model.classes.names:
        return np.full(count, class_of(model, chosen))
    return np.arange(start, start + count) % len(model.classes)


def draw(
    model: Model,
    count: int,
    start: int,
    chosen: str | None,
    given: Mapping[str, Any],
    out: Path | None = None,
    show: Progress | None = None,
    told: Mapping[str, Array] | None = None,
) -> Iterator[Chunk]:
    """Chunks of samples. Arguments are checked immediately; if all classes are cycled through, a block of rows is
    generated at a time. `told` are further inputs, (count, ...) each."""
    import numpy as np

    from zoo.cli.row_commands import class_of, with_classes
    from zoo.errors import InputError
    from zoo.rows import read_rows

    told = told or {}
    conditional = "label" in model.signature("sample").inputs
    if not conditional:
        more: dict[str, Any] = {} if chosen is None else {"label": chosen}  # the model reports that it takes none
        return model.stream("sample", told, count=count, start=start, progress=show, **given, **more)
    assert model.classes is not None
    if chosen is None:
        classes = model.classes.describe()
        raise InputError(
            f"{model.name} needs a class: --class NAME, or --class {ALL} to cycle through them; {classes}."
        )
    if chosen != ALL or ALL in model.classes.names:
        label = class_of(model, chosen)
        chunks = model.stream("sample", {**told, "label": label}, count=count, start=start, progress=show, **given)
        return with_classes(chunks, np.broadcast_to(label, count), model.classes, out)
    read_rows(count, given["seed"], start=start)
    first = {name: array[:1] for name, array in told.items()}
    model.stream("sample", {**first, "label": 0}, count=1, **{**given, "seed": 0})
    return _blocks(model, count, start, given, out, show, told)


def _blocks(
    model: Model,
    count: int,
    start: int,
    given: Mapping[str, Any],
    out: Path | None,
    show: Progress | None,
    told: Mapping[str, Array],
) -> Iterator[Chunk]:
    """Samples that cycle through all classes."""
    import numpy as np

    from zoo.cli.row_commands import with_classes

    assert model.classes is not None
    for low in range(0, count, BLOCK):
        size = min(BLOCK, count - low)
        labels = np.arange(start + low, start + low + size) % len(model.classes)
        each = isinstance(given["seed"], list)  # a seed for each row; then `start` is the index of all
        rows = {"seed": given["seed"][low : low + size], "start": start} if each else {"start": start + low}

        def moved(done: int, total: int, low: int = low) -> None:
            if show:
                show(low + done, count)

        inputs = {"label": labels, **{name: array[low : low + size] for name, array in told.items()}}
        chunks = model.stream("sample", inputs, count=size, progress=moved, **{**given, **rows})
        yield from with_classes(chunks, labels, model.classes, out)
