"""Makes the presets: trains, exports, evaluates on the test split, and writes card, checkpoint and artifact.

    python plugins/pretrained/make.py                  # all of them
    python plugins/pretrained/make.py maf.digits       # one

Architectures' defaults are the recipe; what differs stands here. Training is seeded, so on one machine and with one
version of each library the weights come out the same. Runs are kept in `runs/` and go on where they stopped.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.progress import Progress

import zoo
from zoo import registry
from zoo.files import atomic_folder
from zoo.training import RECIPE

RUNS = Path("runs/presets")
TARGET = Path(__file__).parent / "src" / "zoo_pretrained" / "presets"
JUDGE = "cnn.digits"  # labels class-conditional samples
MOONS = {"epochs": 60, "batch_size": 256}

RECIPES: dict[str, dict[str, Any]] = {
    "mlp.digits": {},
    "cnn.digits": {},
    "realnvp.moons": MOONS,
    "realnvp.digits": {"config": {"layers": 6}, "weight_decay": 1.0, "ema": 0.995},
    "maf.moons": {**MOONS, "weight_decay": 1e-5, "config": {"layers": 8}},
    "maf.digits": {},
    "made.digits": {},
    "vae.digits": {},
    "lstm.names": {"epochs": 120, "batch_size": 128, "learning_rate": 5e-3, "ema": 0.99, "config": {"dropout": 0.3}},
    "ebm.moons": {},
    "ebm.digits": {},
    "dcgan.digits": {},
    "ddpm.digits": {},
}


def make(name: str) -> None:
    architecture, _, data = name.partition(".")
    run, began = RUNS / name, time.monotonic()
    with Progress() as bar:
        task = bar.add_task(name)

        def show(status: Any) -> None:
            losses = " ".join(f"{k} {v:.4f}" for k, v in status.losses.items())
            bar.update(task, total=status.steps, completed=status.step, description=f"{name} {losses}")

        if (run / RECIPE).exists():
            model = zoo.resume(run, progress=show)
        else:
            model = zoo.train(architecture, data, run, progress=show, **RECIPES[name])
    minutes = (time.monotonic() - began) / 60
    model.name = name
    with atomic_folder(TARGET / name, force=True) as work:
        shutil.copytree(
            run, work / "checkpoint", ignore=lambda _, files: [f for f in files if not f.startswith("model")]
        )
        zoo.export(model, work / "artifact", progress=print)
        artifact = zoo.open(work / "artifact")
        sample = artifact.signatures.get("sample")
        judge = zoo.open(JUDGE) if sample and "label" in sample.inputs else None
        spec = registry.architecture(architecture)
        card = {
            **model.meta["card"],
            "minutes": round(minutes, 1),
            "test": {
                k: round(v, 5) if isinstance(v, float) else v
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


if __name__ == "__main__":
    for chosen in sys.argv[1:] or RECIPES:
        make(chosen)
