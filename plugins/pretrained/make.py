"""Makes the presets: trains, exports, evaluates on the test split, and writes card, checkpoint and artifact.

    python plugins/pretrained/make.py                  # all of them
    python plugins/pretrained/make.py maf.digits       # one
    python plugins/pretrained/make.py --export         # without training: new artifacts of the weights that are there

and writes the table of the README from the cards.

Architectures' defaults are the recipe; what differs stands here. Training is seeded: on one machine, with one
version of each library and of this code, a recipe gives the same weights. Runs are kept in `runs/` and
go on where they stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import Progress

import zoo
from zoo import registry
from zoo.eager import EagerModel
from zoo.files import atomic_folder, atomic_write
from zoo.plugins import load_plugins
from zoo.spec import PresetSpec
from zoo.training import RECIPE

RUNS = Path("runs/presets")
TARGET = Path(__file__).parent / "src" / "zoo_pretrained" / "presets"
README = Path(__file__).parents[2] / "README.md"
JUDGE = "cnn.digits"  # labels class-conditional samples
HEADLINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "bits_per_dim": lambda t: f"{t['bits_per_dim']:.2f} bits/dim; pixel marginals {t['bits_per_dim_marginals']:.2f}",
    "nats_per_character": lambda t: f"{t['nats_per_character']:.2f} nats/character",
    "nats": lambda t: f"{t['nats']:.2f} nats",
    "accuracy": lambda t: f"accuracy {t['accuracy']:.3f}",
    "labelled_as_asked": lambda t: f"{t['labelled_as_asked']:.1%} of samples labelled as asked by cnn.digits",
    "two_sample_accuracy": lambda t: (
        f"two-sample test {t['two_sample_accuracy']:.2f}; training data {t['two_sample_accuracy_of_training_data']:.2f}"
    ),
}
MOONS = {"epochs": 60, "batch_size": 256}

RECIPES: dict[str, dict[str, Any]] = {
    "mlp.digits": {},
    "cnn.digits": {},
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
}


def train(name: str) -> tuple[EagerModel, Path]:
    """The model, and the folder of its checkpoint."""
    architecture, _, data = name.partition(".")
    run = RUNS / name
    with Progress() as bar:
        task = bar.add_task(name)

        def show(status: Any) -> None:
            losses = " ".join(f"{k} {v:.4f}" for k, v in status.losses.items())
            bar.update(task, total=status.steps, completed=status.step, description=f"{name} {losses}")

        if (run / RECIPE).exists():
            model = zoo.resume(run, progress=show)
        else:
            model = zoo.train(architecture, data, run, progress=show, **RECIPES[name])
    return model, run


def everything(folder: Path) -> set[str]:
    """A preset's folder is made anew, whatever lies in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def make(name: str, *, trained: bool) -> None:
    architecture, _, data = name.partition(".")
    model, folder = (zoo.load(name), TARGET / name / "checkpoint") if trained else train(name)
    model.name = name
    with atomic_folder(TARGET / name, force=True, marker=everything) as work:
        shutil.copytree(
            folder, work / "checkpoint", ignore=lambda _, files: [f for f in files if not f.startswith("model")]
        )
        zoo.export(model, work / "artifact", progress=print)
        artifact = zoo.open(work / "artifact")
        sample = artifact.signatures.get("sample")
        judge = zoo.open(JUDGE) if sample and "label" in sample.inputs else None
        spec = registry.architecture(architecture)
        card = {
            **model.meta["card"],
            "test": {
                k: float(f"{v:.5g}") if isinstance(v, float) else v
                for k, v in zoo.evaluate(artifact, data, judge=judge).items()
            },
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


def table() -> str:
    """The presets for the README, with the figure that says most of each."""
    rows = ["| preset | what it is | paper | test |", "|---|---|---|---|"]
    for spec in registry.find_models("*.*"):
        assert isinstance(spec, PresetSpec)
        base, test = registry.architecture(spec.architecture), spec.card["test"]
        key = next(k for k in HEADLINES if k in test)
        bound = " (bound)" if spec.density == "lower_bound" else ""
        rows.append(
            f"| `{spec.name}` | {base.summary} ({spec.framework}) | {base.paper} | {HEADLINES[key](test)}{bound} |"
        )
    return "\n".join(rows)


def write_table() -> None:
    head, begin, rest = README.read_text().partition("<!-- presets -->\n")
    _, end, tail = rest.partition("<!-- /presets -->")
    with atomic_write(README, force=True) as file:
        file.write(f"{head}{begin}{table()}\n{end}{tail}".encode())


if __name__ == "__main__":
    names = [word for word in sys.argv[1:] if word != "--export"]
    for chosen in names or RECIPES:
        make(chosen, trained="--export" in sys.argv)
    load_plugins.cache_clear()
    write_table()
