"""Makes the presets: trains, exports, evaluates on the test split, and writes card, checkpoint and artifact.

    python plugins/pretrained/make.py                  # all of them
    python plugins/pretrained/make.py maf.digits       # one
    python plugins/pretrained/make.py --export         # without training: new artifacts of the weights that are there
    python plugins/pretrained/make.py --figures        # without either: the figures in the cards alone

and writes the table of the README from the cards.

Architectures' defaults are the recipe; what differs stands here. Training is seeded: on one machine, with one
version of each library and of this code, a recipe gives the same weights. Runs are kept in `runs/` and
go on where they stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import convert
from rich.progress import Progress

import zoo
from zoo import registry
from zoo.eager import EagerModel
from zoo.estimate import Estimate, figures_of
from zoo.network import Recipe
from zoo.plugins.loading import load_plugins
from zoo.spec import PresetSpec
from zoo.system.files import Known, atomic_folder, atomic_write
from zoo.training import RECIPE
from zoo.training.batches import Batches
from zoo.training.loop import validate

RUNS = Path("runs/presets")
TARGET = Path(__file__).parent / "src" / "zoo_pretrained" / "presets"
README = Path(__file__).parents[2] / "README.md"
# What the README shows of the figures that a preset has: the likelihood beside that of simple densities, and
# several figures of samples, because none of them sees every fault.
SHOWN = {
    "bits_per_dim": "{} bits/dim",
    "bits_per_dim_of_mixture": "mixture {}",
    "nats_per_character": "{} nats/character",
    "nats_per_character_of_ngrams": "n-grams {}",
    "nats": "{} nats",
    "nats_of_truth": "truth {}",
    "nats_of_mixture": "mixture {}",
    "accuracy": "accuracy {}",
    "accuracy_of_forest": "random forest {}",
    "c2st_accuracy": "told from data {}",
    "nearer_to_training": "nearer to training data {}",
    "nearer_than_held_out": "nearer than held-out data {}",
    "coverage": "coverage {}",
    "labelled_as_asked": "labeled as asked {}",
}
MOONS = {"epochs": 60, "batch_size": 256}

RECIPES: dict[str, dict[str, Any]] = {
    "mlp.digits": {},
    "cnn.digits": {},
    "nsf.moons": {},
    "realnvp.moons": MOONS,
    "realnvp.digits": {"config": {"layers": 6}, "weight_decay": 1.0, "ema": 0.995},
    "maf.moons": {**MOONS, "weight_decay": 1e-5, "config": {"layers": 8}},
    "maf.digits": {"weight_decay": 1.0},
    "made.digits": {},
    "pixelcnn.digits": {},
    "transformer.names": {"config": {"width": 48, "layers": 3, "dropout": 0.15}},
    "vae.digits": {},
    "lstm.names": {},
    "ebm.moons": {"epochs": 40, "batch_size": 256},
    "ebm.digits": {},
    "dcgan.digits": {},
    "ddpm.digits": {},
    # pictures of 28x28 and 32x32, each at most 90 CPU minutes
    "mlp.fashion-mnist": {"epochs": 25, "batch_size": 64},
    "cnn.fashion-mnist-book": {"data": "fashion-mnist", "epochs": 25, "batch_size": 64},
    "cnn.fashion-mnist": {
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "ema": 0.998,
        "config": {
            "filters": (16, 32, 48),
            "kernels": (3, 3, 3),
            "strides": (1, 2, 2),
            "blocks": 1,
            "average": True,
            "flip": True,
            "shift": 2,
        },
    },
    "pixelcnn.fashion-mnist": {
        "epochs": 7,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "ema": 0.998,
        "config": {"channels": 48, "layers": 6, "dropout": 0.0, "mixtures": 5},
    },
    "ddpm.fashion-mnist": {"epochs": 9, "batch_size": 32, "learning_rate": 1e-3, "ema": 0.999},
    "flow-matching.fashion-mnist": {"epochs": 9, "batch_size": 32, "learning_rate": 1e-3, "ema": 0.999},
}


def train(name: str) -> tuple[EagerModel, Path]:
    """The model, and the folder of its checkpoint."""
    architecture, _, tag = name.partition(".")
    run, recipe = RUNS / name, {"data": tag, **RECIPES[name]}
    with Progress() as bar:
        task = bar.add_task(name)

        def show(status: Any) -> None:
            losses = " ".join(f"{k} {v:.4f}" for k, v in status.losses.items())
            bar.update(task, total=status.steps, completed=status.step, description=f"{name} {losses}")

        if (run / RECIPE).exists():
            model = zoo.resume(run, progress=show)
        else:
            model = zoo.train(architecture, recipe.pop("data"), run, progress=show, **recipe)
    return model, run


def everything(folder: Path) -> dict[str, Known]:
    """A preset's folder is made anew, whatever lies in it."""
    return {path.relative_to(folder).as_posix(): Known() for path in folder.rglob("*") if path.is_file()}


def make(name: str, *, trained: bool) -> None:
    architecture, _, tag = name.partition(".")
    data = RECIPES[name].get("data", tag)
    model, folder = (zoo.load(name), TARGET / name / "checkpoint") if trained else train(name)
    model.name = name
    model.meta = {**model.meta, "card": {**model.meta["card"], "license": "Apache-2.0"}}
    with atomic_folder(TARGET / name, force=True, marker=everything) as work:
        shutil.copytree(
            folder, work / "checkpoint", ignore=lambda _, files: [f for f in files if not f.startswith("model")]
        )
        zoo.export(model, work / "artifact", progress=print)
        artifact = zoo.open(work / "artifact")
        spec = registry.architecture(architecture)
        card = {
            **model.meta["card"],
            "test": rounded(zoo.evaluate(artifact, data).to_json()),
            "made_by": f"python plugins/pretrained/make.py {name}",
        }
        preset = {
            "name": name,
            "architecture": architecture,
            "family": spec.family,
            "framework": spec.framework,
            "methods": list(artifact.signatures),
            "density": artifact.density,
            "summary": f"{spec.summary}, trained on {data}",
            "card": card,
        }
        (work / "preset.json").write_text(json.dumps(preset, indent=1) + "\n")
    print(name, json.dumps(card["test"]))


def measure(name: str) -> None:
    """New figures in the cards of a preset, of its checkpoint and of its artifact. Weights and graphs stay."""
    model = zoo.load(name)
    known = {"validation": rounded(validation(model))}
    tested = known | {"test": rounded(zoo.evaluate(zoo.open(name), model.meta["card"]["data"]).to_json())}
    for file, figures in (("checkpoint/model", known), ("artifact/manifest", known), ("preset", tested)):
        path = TARGET / name / f"{file}.json"
        meta = json.loads(path.read_text())
        meta["card"] |= figures
        with atomic_write(path, force=True) as written:
            written.write(f"{json.dumps(meta, indent=1)}\n".encode())
    print(name, json.dumps(tested))


def validation(model: EagerModel) -> dict[str, Any]:
    """What a training says of these weights: the loss of an objective on the rows for validation."""
    card = model.meta["card"]
    recipe, data = convert(card["recipe"], Recipe), zoo.load_dataset(card["data"]).fitted(model.space, model.classes)
    batches = Batches(data, recipe, model.network.objectives())
    objective = next(iter(batches.objectives))
    found = validate(model.network.learner(recipe), batches, objective)
    return {objective: found["validation"].to_json()}


def rounded(data: Any) -> Any:
    """JSON with five digits of each float."""
    if isinstance(data, dict):
        return {key: rounded(value) for key, value in data.items()}
    return float(f"{data:.5g}") if isinstance(data, float) else data


def table() -> str:
    """The presets for the README, with the figures that say most of each."""
    rows = ["| preset | what it is | paper | test |", "|---|---|---|---|"]
    for spec in registry.find_models("*.*"):
        assert isinstance(spec, PresetSpec)
        base = registry.architecture(spec.architecture)
        test = spec.card["test"]
        shown = [*headlines(figures_of(test), bound=spec.density == "lower_bound"), *floors(test["remarks"])]
        rows.append(f"| `{spec.name}` | {base.summary} ({spec.framework}) | {base.paper} | {'; '.join(shown)} |")
    return "\n".join(rows)


def headlines(figures: dict[str, Estimate], *, bound: bool) -> Iterator[str]:
    of_parts = {"bits_per_dim", "nats_per_character"} & set(figures)
    for name in SHOWN:
        if name not in figures or (name == "nats" and of_parts):
            continue
        figure = figures[name]
        kind = " (bound)" if bound and name in ("bits_per_dim", "nats") else ""
        real = f" (real {figure.real})" if figure.real else ""
        yield f"{SHOWN[name].format(figure)}{kind}{real}"


def floors(remarks: list[str]) -> Iterator[str]:
    """What a preset is no better than, in words."""
    for remark in remarks:
        _, no_better, what = remark.partition(" no better than ")
        if no_better:
            yield f"no better than {what.partition(':')[0]}"


def write_table() -> None:
    head, begin, rest = README.read_text().partition("<!-- presets -->\n")
    _, end, tail = rest.partition("<!-- /presets -->")
    with atomic_write(README, force=True) as file:
        file.write(f"{head}{begin}{table()}\n{end}{tail}".encode())


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    figures, trained = "--figures" in sys.argv, "--export" in sys.argv
    there = [name for name in RECIPES if (TARGET / name).exists()]
    for chosen in names or (there if figures or trained else RECIPES):
        if figures:
            measure(chosen)
        else:
            make(chosen, trained=trained)
    load_plugins.cache_clear()
    write_table()
