"""`zoo train`: train a model on data."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import duration, facts, note
from zoo.errors import InputError
from zoo.estimate import figures_of

if TYPE_CHECKING:
    from zoo.eager import EagerModel
    from zoo.model import Array
    from zoo.spec import ModelSpec
    from zoo.training import RunRecord

EXAMPLES = """\b
Examples:
  zoo train realnvp --data moons --out runs/moons --epochs 20
  zoo train maf --data measurements.csv --label species --out runs/maf --set hidden=128 --set clip=1
  zoo train made --data people.csv --types age=integer,id=drop --out runs/people
  zoo train transformer --data lines.txt --tokenizer bpe:1000 --length 64 --out runs/lines
  zoo train ddpm --data photos/ --size 64 --out runs/photos
  zoo train mine --data measurements.csv --inputs shift --out runs/shifted
  zoo train --resume runs/maf
  zoo train --resume runs/maf --device cpu --epochs 200
  zoo train ddpm.digits --data my-digits --out runs/mine --epochs 20
"""
PRECISIONS = ["32-true", "16-mixed", "bf16-mixed", "64-true"]
PRECISION = f"{PRECISIONS[0]} (default), {', '.join(PRECISIONS[1:])}."
SAVE_EVERY = "Shortest time between two saves [default: saving takes at most 5 % of the time]."
CHANGES = ("device", "devices", "precision", "epochs", "patience", "save_every")  # of a run that is resumed
PREVIEW = {"picture": 64, "points": 2000, "rows": 64}


@click.command("train", epilog=EXAMPLES)
@click.argument("architecture", required=False, metavar="[ARCHITECTURE|PRESET]", shell_complete=options.complete_models)
@click.option(
    "--data",
    metavar="NAME|FILE|FOLDER|PATTERN",
    shell_complete=options.complete_data,
    help="A data set by name, a file, a folder, or 'parts/*.parquet'.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN", help="The folder to keep the run in.")
@options.label
@options.split_column
@options.image_size
@options.types
@options.input_columns
@click.option("--unconditional", is_flag=True, help="Ignore the classes of the data.")
@options.tokenizer
@options.length
@click.option("--epochs", type=int, metavar="N", help="Passes over the data; for a resumed run, in total.")
@click.option("--batch-size", type=int, metavar="N", help="Rows per step, over all devices.")
@click.option("--accumulate", type=int, metavar="N", help="Cut each batch into N parts: less memory, the same steps.")
@click.option("--learning-rate", type=float, metavar="X", help="The peak of the schedule.")
@click.option("--patience", type=int, metavar="N", help="Stop after N epochs without a better loss; 0: never.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same model. [default: 0]")
@options.set_option("A setting of the architecture or the training; zoo show ARCHITECTURE --settings lists them")
@click.option("--from", "start", metavar="RUN|PRESET", help="Start from its weights (fine-tuning).")
@options.device
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of devices, data parallel.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], metavar="KIND", help=PRECISION)
@click.option("--save-every", type=click.FloatRange(min=0), metavar="SECONDS", help=SAVE_EVERY)
@click.option("--force", is_flag=True, help="Replace the run if it exists.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Resume this run.")
def command(
    architecture: str | None,
    data: str | None,
    out: Path | None,
    label: str | None,
    split_column: str | None,
    size: str | None,
    types: str | None,
    inputs: str | None,
    unconditional: bool,
    tokenizer: str | None,
    length: int | None,
    settings: dict[str, str],
    start: str | None,
    device: str,
    devices: int,
    precision: str,
    save_every: float | None,
    force: bool,
    resume: Path | None,
    **recipe: int | float | None,
) -> None:
    """Train an architecture on data, or resume a run.

    Options that are not given come from the recipe of the architecture. Ctrl-C saves the run; on the same machine,
    --resume reaches the same result, bit for bit. A run may also be resumed elsewhere (--device, --devices,
    --precision) or for longer (--epochs, --patience), with a different result. A preset instead of an architecture, or
    --from, starts from trained weights.
    """
    ctx = click.get_current_context()
    if resume is not None:
        model, seconds = _watch(ctx, resume, "resume", (resume,), _changes(ctx))
        _finish(resume, model, seconds)
        return
    architecture = architecture or start
    if architecture is None or data is None or out is None:
        missing = [n for n, v in (("ARCHITECTURE", architecture), ("--data", data), ("--out", out)) if v is None]
        ctx.fail(f"missing {', '.join(missing)}. Start a run: zoo train ARCHITECTURE --data DATA --out RUN")
    # before the framework is imported, which takes seconds
    from zoo import registry
    from zoo.data import resolve
    from zoo.system.files import check_output_folder
    from zoo.training import files_of

    spec = registry.of_model(architecture) if start is None else _begun_with(start)
    if not _is_worker():
        check_output_folder(out, force, marker=files_of)
    resolve(str(data))
    config, more = split_settings(spec, settings, {k: v for k, v in recipe.items() if v is not None})
    given: dict[str, Any] = {
        "label": label,
        "split": split_column,
        "size": size,
        "types": types,
        "inputs": inputs,
        "unconditional": unconditional,
        "tokenizer": tokenizer,
        "length": length,
        "config": config,
        "start": start,
        "device": device,
        "devices": devices,
        "precision": precision,
        "save_every": save_every,
        "force": force,
        **more,
    }
    model, seconds = _watch(ctx, out, "train", (architecture, data, out), given)
    _finish(out, model, seconds)


def _watch(
    ctx: click.Context, run: Path, function: str, arguments: tuple[Any, ...], given: Mapping[str, Any]
) -> tuple[EagerModel, float]:
    """Train or resume with progress on stderr; the model and the seconds it took."""
    from zoo import training
    from zoo.cli import progress

    began = time.monotonic()
    try:
        with progress.training(title) as show:
            shown = None if _is_worker() else show
            model: EagerModel = getattr(training, function)(*arguments, progress=shown, **given)
    except training.Interrupted as stopped:
        note(str(stopped))
        ctx.exit(128 + stopped.signal)
    return model, time.monotonic() - began


def _changes(ctx: click.Context) -> dict[str, Any]:
    """The options given to a resumed run; it keeps all others."""
    given = {}
    for parameter in ctx.command.params:
        name = parameter.name
        if name in (None, "resume") or ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        if name not in CHANGES:
            word = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
            may = ", ".join(f"--{change.replace('_', '-')}" for change in CHANGES)
            ctx.fail(f"a resumed run keeps its settings except {may}; omit {word}, or start a new run.")
        given[name] = ctx.params[name]
    return given


def _begun_with(name: str) -> ModelSpec:
    """The architecture of a preset, run or checkpoint."""
    from zoo import registry
    from zoo.metadata import show

    path = Path(name).expanduser()
    if not path.is_dir():
        return registry.of_model(name)
    if "architecture" not in (found := show(path)):
        raise InputError(f"{path} is not a run or checkpoint; expected one, or the name of a preset.")
    return registry.architecture(str(found["architecture"]))


def split_settings(
    spec: ModelSpec, settings: Mapping[str, str], recipe: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """`--set` split into settings of the architecture and of its training, the latter merged with the equivalent
    options."""
    if not settings:
        return {}, dict(recipe)
    from zoo import registry
    from zoo.errors import did_you_mean

    cls = registry.network_class(spec)
    own, training = ([f.name for f in fields(c)] for c in (cls.Config, cls.recipe))
    config: dict[str, str] = {}
    more = dict(recipe)
    for key, value in settings.items():
        if key in own:
            config[key] = value
        elif key not in training:
            near = did_you_mean(key, [*own, *training])
            raise InputError(
                f"{spec.name} has no setting {key!r}; it has {', '.join(own) or 'none'}, and its training "
                f"{', '.join(training)}.{near}"
            )
        elif key in recipe:
            raise InputError(f"{key} is given twice: --{key.replace('_', '-')} and --set {key}={value}. Omit one.")
        else:
            more[key] = value
    return config, more


def title(record: RunRecord) -> str:
    """A line about what is trained, on what, where, and how."""
    from zoo import registry

    recipe, used = record.recipe, registry.network_class(record.spec).used_settings()
    rate = f"learning rate {recipe.learning_rate:g}, " if "learning_rate" in used else ""
    devices = f"{record.devices} x " if record.devices > 1 else ""
    start = "" if record.start is None else f", from {record.start}"
    return (
        f"training {record.architecture} on {record.data}{start}, on {devices}{record.device}: {recipe.epochs} epochs, "
        f"batch {recipe.batch_size}, {rate}seed {recipe.seed}"
    )


def _finish(run: Path, model: EagerModel, seconds: float) -> None:
    """The result, a preview, and what to type next."""
    if _is_worker():
        return
    card = model.meta["card"]
    told = told_of_preview(model)
    picture = preview(run, model, told)
    loss = ", ".join(f"{name} {figure}" for name, figure in figures_of({"figures": card["validation"]}).items())
    last = card["epoch"] == card["recipe"]["epochs"] and card["recipe"]["patience"] > 0
    facts(
        [
            ("validation", f"{loss} (epoch {card['epoch']} of at most {card['recipe']['epochs']})"),
            ("run", run),
            ("preview", picture),
            ("time", duration(seconds)),
        ]
    )
    if last:
        note(
            f"The best epoch was the last: more may be better. Continue: zoo train --resume {run} --epochs "
            f"{2 * card['epoch']}"
        )
    words = "".join(f" --input {_given(model, name, array[0])}" for name, array in told.items())
    draw = [f"zoo sample {run} -n 64 --seed 7{_all(model)}{words} --out {picture.name}"] if picture else []
    score = [f"zoo predict {run} --data {card['data']} --out predictions.csv"] if "predict" in model.signatures else []
    steps = [*draw, *score, f"zoo evaluate {run}", f"zoo export {run} --out out/{run.name}"]
    note("Next:\n  " + "\n  ".join(steps))


def _given(model: EagerModel, name: str, value: Array) -> str:
    """An input of one row as `--input` takes it, in a shell."""
    if name in model.categories:
        return shlex.quote(f"{name}={model.categories[name].names[int(value)]}")
    return f"{name}={','.join(f'{v:g}' for v in value.flat)}"


def told_of_preview(model: EagerModel) -> dict[str, Array]:
    """The inputs of the samples of the preview, other than classes: those of validation rows, cyclically."""
    import numpy as np

    from zoo.data.model_data import load_for

    if "sample" not in model.signatures or not (names := model.signatures["sample"].conditions):
        return {}
    dataset = load_for(model)
    places = np.arange(max(PREVIEW.values())) % len(dataset.splits["validation"])
    return {name: dataset.splits["validation"].take(name, places) for name in names if name in dataset.inputs}


def preview(run: Path, model: EagerModel, told: Mapping[str, Array]) -> Path | None:
    """Samples next to the weights: a picture, strings or a table. None if the data lack an input that they need."""
    if "sample" not in model.signatures or set(model.signatures["sample"].conditions) - set(told):
        return None
    from zoo import writers
    from zoo.cli.sample import ALL, draw
    from zoo.spaces import Real
    from zoo.training import preview_name

    path = run / preview_name(model.space)
    suffix = path.suffix
    points = suffix == ".png" and isinstance(model.space, Real)
    count = PREVIEW["points" if points else "picture" if suffix == ".png" else "rows"]
    chosen = ALL if _all(model) else None
    part = {name: array[:count] for name, array in told.items()}
    writers.write(path, draw(model, count, 0, chosen, {"seed": 0}, path, told=part), model.space, force=True, like=run)
    return path


def _all(model: EagerModel) -> str:
    """The option that sampling from a conditional model needs."""
    return " --class all" if "label" in model.signatures["sample"].inputs else ""


def _is_worker() -> bool:
    """Whether this is a further process of a data-parallel training, which runs the same command: only the first one
    prints."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
