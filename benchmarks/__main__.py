"""`python -m benchmarks [NAME ...]`: run, and write results/cpu.json and results/cpu.md."""

from __future__ import annotations

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

THREADS = 2
HERE = Path(__file__).parent
RESULTS = HERE / "results"
MODULES = (
    "oneshot", "loops", "autoregressive", "flows", "jax_loops", "noise_share", "precision", "solvers", "commands",
    "gpu",
)  # fmt: skip
PACKAGES = ("torch", "keras", "onnxruntime", "onnxruntime-gpu", "numpy", "jax", "zuko")


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


def run(name: str) -> None:
    """One module, in this process."""
    import torch

    torch.set_num_threads(THREADS)
    rows = [asdict(row) for row in importlib.import_module(f"benchmarks.{name}").rows()]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


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
    chosen = sys.argv[1:] or [name for name in MODULES if not missing(name)]
    if chosen[0] == "--inside":
        run(chosen[1])
        return
    for name in chosen:
        if name not in MODULES:
            sys.exit(f"there is no benchmark {name!r}; there are {', '.join(MODULES)}.")
        if needs := missing(name):
            sys.exit(f"the benchmark {name} needs {needs}.")
    env = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "KERAS_BACKEND": "torch", "PYTHONPATH": str(HERE.parent)}
    for name in chosen:  # each in a process of its own: frameworks get in each other's way
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks", "--inside", name], check=True, env=env, cwd=HERE.parent)
    (RESULTS / "README.md").write_text(report())
    print(f"wrote {RESULTS / 'README.md'}")


if __name__ == "__main__":
    main()
