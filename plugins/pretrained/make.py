"""Makes the presets: trains, exports, evaluates on the test split, and writes card, checkpoint and artifact.

    python plugins/pretrained/make.py                  # all of them
    python plugins/pretrained/make.py maf.digits       # one
    python plugins/pretrained/make.py --export         # without training: new artifacts of the weights that are there
    python plugins/pretrained/make.py --figures        # without either: the figures in the cards alone

and writes docs/zoo.md and the table of the README from the cards (`gallery.py`).

Architectures' defaults are the recipe; what differs stands here. Training is seeded: on one machine, with one
version of each library and of this code, a recipe gives the same weights. Runs are kept in `runs/` and
go on where they stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import gallery
from msgspec import convert
from rich.progress import Progress

import zoo
from zoo import registry
from zoo.eager import EagerModel
from zoo.network import Recipe
from zoo.plugins.loading import load_plugins
from zoo.system.files import Known, atomic_folder, atomic_write
from zoo.training import RECIPE
from zoo.training.batches import Batches
from zoo.training.loop import validate

RUNS = Path("runs/presets")
TARGET = Path(__file__).parent / "src" / "zoo_pretrained" / "presets"
MOONS = {"epochs": 60, "batch_size": 256}
# plain and importance-weighted variational autoencoders of equal size, trained alike
VAE: dict[str, Any] = {
    "data": "fashion-mnist",
    "epochs": 10,
    "weight_decay": 0.0,
    "config": {"filters": (16, 32), "mixtures": 3},
}

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
    "mlp.fashion-mnist": {
        "epochs": 12,
        "batch_size": 128,
        "weight_decay": 0.3,
        "ema": 0.998,
        "config": {"hidden": (512, 256)},
    },
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
        "epochs": 6,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "ema": 0.998,
        "config": {"channels": 48, "layers": 6, "dropout": 0.0, "mixtures": 5},
    },
    "ddpm.fashion-mnist": {"epochs": 8, "batch_size": 32, "learning_rate": 1e-3, "ema": 0.999},
    "flow-matching.fashion-mnist": {"epochs": 8, "batch_size": 32, "learning_rate": 1e-3, "ema": 0.999},
    "realnvp.fashion-mnist": {"epochs": 20, "config": {"hidden": 512}},
    "nsf.fashion-mnist": {"epochs": 10, "learning_rate": 1e-3, "config": {"hidden": 256}},
    "glow.fashion-mnist": {"epochs": 12},
    "autoencoder.fashion-mnist": {"epochs": 8, "config": {"latent": 2}},
    "vae.fashion-mnist": {**VAE, "config": {**VAE["config"], "latent": 32}},
    "vae.fashion-mnist-weighted": {**VAE, "config": {**VAE["config"], "latent": 32, "draws": 5}},
    "vae.fashion-mnist-plane": {**VAE, "config": {**VAE["config"], "latent": 2}},
    "wgan.fashion-mnist": {"epochs": 8, "config": {"conditional": True}},
    "cnn.emoji-book": {"data": "emoji", "epochs": 30},
    "cnn.emoji": {
        "epochs": 60,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "config": {
            "filters": (24, 48, 96),
            "kernels": (3, 3, 3),
            "strides": (1, 2, 2),
            "blocks": 1,
            "average": True,
            "flip": True,
            "shift": 2,
        },
    },
    "ddpm.emoji": {"epochs": 90, "learning_rate": 1e-3, "config": {"attention": 64}},
    "vae.pixel-faces": {"epochs": 25, "weight_decay": 0.0, "config": {"latent": 32, "mixtures": 5}},
    "wgan.pixel-faces": {"epochs": 40, "config": {"conditional": True}},
    "ddim.pixel-faces": {"epochs": 12},
    # tables, each at most 10 CPU minutes
    "table.adult": {"epochs": 12, "weight_decay": 0.1, "config": {"dropout": 0.25}},
    "table.diamonds": {"epochs": 16},
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
    if trained:
        model, folder, cost = zoo.load(name), TARGET / name / "checkpoint", {}
    else:
        model, folder = train(name)
        cost = {"cpu_seconds": round(seconds)} if (seconds := zoo.Run(folder).position.cpu_seconds) else {}
    model.name = name
    model.meta = {**model.meta, "card": {**model.meta["card"], **cost, "license": "Apache-2.0"}}
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


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    figures, trained = "--figures" in sys.argv, "--export" in sys.argv
    there = [name for name in RECIPES if (TARGET / name).exists()]
    made = names or (there if figures or trained else list(RECIPES))
    for chosen in made:
        if figures:
            measure(chosen)
        else:
            make(chosen, trained=trained)
    load_plugins.cache_clear()
    for spec in gallery.presets():
        if spec.name in made:
            gallery.draw(spec)
    gallery.write()
