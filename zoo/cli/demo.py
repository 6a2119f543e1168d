"""`zoo demo`: train, export and sample, one command after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from zoo.cli import options
from zoo.cli.output import note

COUNT, SEED, COLUMNS = 60, 7, 10
# a process in which no framework can be imported: its samples come from the artifact alone
ALONE = "import sys; sys.modules.update(dict.fromkeys(['torch', 'keras', 'onnx'])); from zoo.cli import main; main()"
EXAMPLES = """\b
Examples:
  zoo demo --out out
  zoo demo realnvp --data moons --out out/moons --epochs 20
"""


@click.command("demo", epilog=EXAMPLES)
@click.argument("architecture", default="ddpm")
@click.option("--data", default="digits", show_default=True, metavar="NAME|FILE|FOLDER", help="What to learn.")
@click.option("--epochs", type=int, default=60, show_default=True, metavar="N", help="Passes over the data.")
@options.out_folder
@options.force
def command(architecture: str, data: str, epochs: int, out: Path, force: bool) -> None:
    """Train a model, export it, and sample from the artifact in a process that has no framework.

    OUT/demo.png shows data, samples of the model in its framework, and samples of the artifact side by side.
    """
    from zoo import api, writers
    from zoo.data import load_dataset
    from zoo.pictures import panels, picture_limit

    dataset = load_dataset(data)
    if not picture_limit(dataset.space):
        raise click.UsageError(f"the demo draws a picture, which is not possible for {dataset.space.describe()}.")
    run, artifact, drawn, picture = out / "run", out / "artifact", out / "samples.npz", out / "demo.png"
    writers.check_output(picture, dataset.space, force=force)
    again = ["--force"] if force else []
    # a short training needs a short average of its weights
    _zoo("train", architecture, "--data", data, "--out", run, "--epochs", epochs, "--set", "ema=0.99", *again)
    _zoo("export", run, "--out", artifact, *again)
    source = api.load(run)
    labels = ["--class", "all"] if "label" in source.signature("sample").inputs else []
    count = COUNT if labels or len(dataset.space.shape) == 3 else 2000
    sampling = ["sample", artifact, "-n", count, "--seed", SEED, *labels, "--out", drawn, *again]
    _zoo(*sampling, alone=True)

    import numpy as np

    given = {"label": np.arange(count) % len(source.classes)} if labels and source.classes else {}
    theirs = source.run("sample", given, count=count, seed=SEED)["x"]
    ours = np.load(drawn)["x"]
    shown = {"data": dataset.test[:count], f"{source.network.framework} samples": theirs, "artifact samples": ours}
    writers.save_picture(picture, panels(dataset.space, shown, COLUMNS), force=force)
    gap = np.abs(theirs.astype(np.float64) - ours).max()
    note(f"source and artifact, seed {SEED}: {count} rows, largest difference {gap:.2g}")
    note(f"wrote {picture}: data, samples of the source, samples of the artifact")


def _zoo(*words: object, alone: bool = False) -> None:
    """Run a command, and print it as the user would type it."""
    from zoo.cli import main

    arguments = [str(w) for w in words]
    note(f"\n$ zoo {' '.join(arguments)}" + ("      # in a process without torch, keras and onnx" if alone else ""))
    if alone:
        code = subprocess.run([sys.executable, "-c", ALONE, *arguments], check=False).returncode
    else:
        code = main(arguments, standalone_mode=False)
    if code:
        raise click.exceptions.Exit(code)
