"""`python -m benchmarks [NAME ...]`: run, and write results/NAME.json and results/README.md.

Each row is kept as soon as it is there, in NAME.part.json: `--resume` goes on with a run that was broken off.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from math import exp, log
from pathlib import Path

from benchmarks import timing

THREADS = 2
HERE = Path(__file__).parent
RESULTS = HERE / "results"
MODULES = (
    "oneshot", "loops", "autoregressive", "flows", "jax_loops", "noise_share", "precision", "solvers", "commands",
    "gpu",
)  # fmt: skip
PACKAGES = (
    "torch", "keras", "onnxruntime", "onnxruntime-gpu", "numpy", "jax", "zuko", "nflows", "denoising-diffusion-pytorch",
)  # fmt: skip


def machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": THREADS, "python": platform.python_version(),
        "date": datetime.date.today().isoformat(), **versions, **gpu(),
    }  # fmt: skip


def gpu() -> dict[str, object]:
    """Its name and driver, if there is one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    driver = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    return {"gpu": torch.cuda.get_device_name(), "driver": driver, "cuda": torch.version.cuda}


def missing(name: str) -> str:
    """What a benchmark needs and this machine has not, or nothing."""
    if name != "gpu":
        return ""
    import onnxruntime
    import torch

    if torch.cuda.is_available() and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return ""
    return "a GPU, PyTorch with CUDA, and onnxruntime-gpu in place of onnxruntime (pip install 'genzoo[gpu]')"


def run(name: str, resume: bool) -> None:
    """One module, in this process."""
    import torch

    torch.set_num_threads(THREADS)
    RESULTS.mkdir(exist_ok=True)
    part, here = RESULTS / f"{name}.part.json", machine()
    if resume and part.exists():
        found = json.loads(part.read_text())
        if {**found["machine"], "date": ""} != {**here, "date": ""}:
            sys.exit(f"{part} has another machine or other versions; leave out --resume.")
        timing.known = {(r["what"], r["batch"], r["peer"]): timing.Row(**r) for r in found["rows"]}
        print(f"{len(timing.known)} rows are there", flush=True)
    rows: list[timing.Row] = []
    for row in importlib.import_module(f"benchmarks.{name}").rows():
        rows.append(row)
        later = [other for other in timing.known.values() if other not in rows]
        save(part, here, rows + later)
    save(part, here, rows)
    part.replace(RESULTS / f"{name}.json")


def save(path: Path, here: dict[str, object], rows: list[timing.Row]) -> None:
    path.write_text(json.dumps({"machine": here, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def report() -> str:
    """All results as Markdown."""
    lines = [
        "# Results", "",
        "Made by `make bench`. Ratios of time, ours over the peer's: below 1, genzoo is faster. Medians and quartiles",
        "of alternating pairs in one process, both sides warm, with as many threads each, outputs compared first.", "",
    ]  # fmt: skip
    for name in MODULES:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        lines += [f"## {name}", "", (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip(), ""]
        lines += [", ".join(f"{k} {v}" for k, v in found["machine"].items()), ""]
        lines += [
            "| what | batch | peer | ratio | quartiles | ours, ms | reach | |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for r in found["rows"]:
            reach = "" if r["reach"] is None else f"{r['reach']:.3g}"
            met = "" if r["reach"] is None else ("yes" if r["ratio"] <= r["reach"] else "**no**")
            lines.append(
                f"| {r['what']} | {r['batch']} | {r['peer']} | {r['ratio']:.3g} | {r['low']:.3g} to {r['high']:.3g} | "
                f"{r['ours_ms']:.4g} | {reach} | {met} {r['note']} |"
            )
        if name == "oneshot":
            lines.append("")
            for peers, reach in ((("eager PyTorch", "eager Keras"), 0.35), (("torch.compile",), 0.8)):
                ratios = [r["ratio"] for r in found["rows"] if r["peer"] in peers]
                mean = exp(sum(map(log, ratios)) / len(ratios))
                lines.append(f"Geometric mean against {' and '.join(peers)}: **{mean:.3f}** (reach {reach}).")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--resume", action="store_true", help="keep the rows of a run that was broken off")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        run(given.names[0], given.resume)
        return
    chosen = given.names or [name for name in MODULES if not missing(name)]
    for name in chosen:
        if name not in MODULES:
            sys.exit(f"there is no benchmark {name!r}; there are {', '.join(MODULES)}.")
        if needs := missing(name):
            sys.exit(f"the benchmark {name} needs {needs}.")
    env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "KERAS_BACKEND": "torch", "PYTHONPATH": str(HERE.parent)}
    for name in chosen:  # each in a process of its own: frameworks get in each other's way
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks", "--inside", name, *(["--resume"] if given.resume else [])]
        subprocess.run(command, check=True, env=env, cwd=HERE.parent)
    (RESULTS / "README.md").write_text(report())
    print(f"wrote {RESULTS / 'README.md'}")


if __name__ == "__main__":
    main()
