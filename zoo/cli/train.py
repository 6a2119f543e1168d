"""`zoo train`: from data to a trained model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli import options
from zoo.cli.output import duration, facts, note
from zoo.figure import figures_of

if TYPE_CHECKING:
    from zoo.eager import EagerModel
    from zoo.spec import ModelSpec
    from zoo.training import RunRecord

EXAMPLES = """\b
Examples:
  zoo train realnvp --data moons --out runs/moons --epochs 20
  zoo train maf --data measurements.csv --label species --out runs/maf --set hidden=128 --set clip=1
  zoo train --resume runs/maf
"""
PRECISIONS = ["32-true", "16-mixed", "bf16-mixed", "64-true"]
PRECISION = f"{PRECISIONS[0]} (default), {', '.join(PRECISIONS[1:])}."
PREVIEW = {"picture": 64, "points": 2000, "rows": 64}


@click.command("train", epilog=EXAMPLES)
@click.argument("architecture", required=False)
@click.option("--data", metavar="NAME|FILE|FOLDER", help="A data set by name, a file, or a folder of images.")
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN", help="The folder to keep the run in.")
@options.label
@click.option("--epochs", type=int, metavar="N", help="Passes over the data.")
@click.option("--batch-size", type=int, metavar="N", help="Rows a step, over all devices.")
@click.option("--learning-rate", type=float, metavar="X", help="The highest of the schedule.")
@click.option("--patience", type=int, metavar="N", help="Stop after N epochs without a better loss; 0: never.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same model. [default: 0]")
@options.set_option("A setting of the architecture or the training; zoo show ARCHITECTURE --settings lists them")
@options.device
@click.option(
    "--devices", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="How many, data parallel."
)
@click.option("--precision", type=click.Choice(PRECISIONS), default=PRECISIONS[0], metavar="KIND", help=PRECISION)
@click.option("--force", is_flag=True, help="Replace the run if it exists.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with this run.")
def command(
    architecture: str | None,
    data: str | None,
    out: Path | None,
    label: str | None,
    settings: dict[str, str],
    device: str,
    devices: int,
    precision: str,
    force: bool,
    resume: Path | None,
    **recipe: int | float | None,
) -> None:
    """Train an architecture on data, or go on with a run.

    What is not given is the architecture's own recipe. Ctrl-C saves the run; --resume goes on to the same result, bit
    for bit, on the same machine.
    """
    ctx = click.get_current_context()
    if resume is not None:
        _check_alone(ctx)
    elif architecture is None or data is None or out is None:
        missing = [n for n, v in (("ARCHITECTURE", architecture), ("--data", data), ("--out", out)) if v is None]
        ctx.fail(f"missing {', '.join(missing)}. Start a run: zoo train ARCHITECTURE --data DATA --out RUN")
    run = resume or out
    assert run is not None
    if architecture is not None and out is not None:  # before the seconds that a framework takes to be imported
        from zoo import registry
        from zoo.data import resolve
        from zoo.files import check_output_folder
        from zoo.training import files_of

        spec = registry.architecture(architecture)
        if not _is_worker():
            check_output_folder(out, force, marker=files_of)
        resolve(str(data))
        config, more = split_settings(spec, settings, {k: v for k, v in recipe.items() if v is not None})
        given: dict[str, Any] = {
            "label": label,
            "config": config,
            "device": device,
            "devices": devices,
            "precision": precision,
            "force": force,
            **more,
        }
        model, seconds = _watch(run, ctx, architecture, str(data), given)
    else:
        model, seconds = _watch(run, ctx, None, "", {})
    if not _is_worker():
        _finish(run, model, seconds)


def _watch(
    run: Path, ctx: click.Context, architecture: str | None, data: str, given: Mapping[str, Any]
) -> tuple[EagerModel, float]:
    """Train or resume with progress on stderr; the model and the seconds it took."""
    from zoo import training
    from zoo.cli import progress

    began = time.monotonic()
    try:
        with progress.training(title) as show:
            shown = None if _is_worker() else show
            if architecture is None:
                model = training.resume(run, progress=shown)
            else:
                model = training.train(architecture, data, run, progress=shown, **given)
    except training.Interrupted as stopped:
        note(str(stopped))
        ctx.exit(128 + stopped.signal)
    return model, time.monotonic() - began


def _check_alone(ctx: click.Context) -> None:
    """A resumed run keeps its settings."""
    source = click.core.ParameterSource
    for parameter in ctx.command.params:
        if parameter.name not in (None, "resume") and ctx.get_parameter_source(parameter.name) is source.COMMANDLINE:
            word = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(ctx)
            ctx.fail(f"a resumed run keeps its settings; leave out {word}, or start a new run with --out.")


def split_settings(
    spec: ModelSpec, settings: Mapping[str, str], recipe: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """`--set` for the architecture, and for its training with the options that set the same."""
    if not settings:
        return {}, dict(recipe)
    from zoo import registry
    from zoo.errors import InputError, did_you_mean

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
            raise InputError(f"{key} is given twice: --{key.replace('_', '-')} and --set {key}={value}. Leave one out.")
        else:
            more[key] = value
    return config, more


def title(record: RunRecord) -> str:
    """What is trained, on what, where, and how."""
    recipe = record.recipe
    devices = f"{record.devices} x " if record.devices > 1 else ""
    return (
        f"training {record.architecture} on {record.data}, on {devices}{record.device}: {recipe.epochs} epochs, "
        f"batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}, seed {recipe.seed}"
    )


def _finish(run: Path, model: EagerModel, seconds: float) -> None:
    """What came out, a preview, and what to type next."""
    card = model.meta["card"]
    picture = preview(run, model)
    known = {name: value for name, value in card["validation"].items() if value is not None}
    loss = ", ".join(f"{name} {figure}" for name, figure in figures_of({"figures": known}).items())
    facts(
        [
            ("validation", f"{loss} (epoch {card['epoch']} of at most {card['recipe']['epochs']})"),
            ("run", run),
            ("preview", picture),
            ("time", duration(seconds)),
        ]
    )
    draw = [f"zoo sample {run} -n 64 --seed 7{_all(model)} --out {picture.name}"] if picture else []
    score = [f"zoo predict {run} --data {card['data']} --out predictions.csv"] if "predict" in model.signatures else []
    steps = [*draw, *score, f"zoo evaluate {run}", f"zoo export {run} --out out/{run.name}"]
    note("Next:\n  " + "\n  ".join(steps))


def preview(run: Path, model: EagerModel) -> Path | None:
    """Samples beside the weights: a picture, strings or a table."""
    if "sample" not in model.signatures:
        return None
    from zoo import io
    from zoo.cli.sample import ALL, draw
    from zoo.spaces import Real
    from zoo.training import preview_name

    path = run / preview_name(model.space)
    suffix = path.suffix
    points = suffix == ".png" and isinstance(model.space, Real)
    count = PREVIEW["points" if points else "picture" if suffix == ".png" else "rows"]
    chosen = ALL if _all(model) else None
    io.write(path, draw(model, count, 0, chosen, {"seed": 0}, path), model.space, force=True)
    return path


def _all(model: EagerModel) -> str:
    """What sampling of a conditional model needs."""
    return " --class all" if "label" in model.signatures["sample"].inputs else ""


def _is_worker() -> bool:
    """A further process of a data-parallel training, which runs the same command: the first one talks."""
    return int(os.environ.get("LOCAL_RANK", "0")) > 0
