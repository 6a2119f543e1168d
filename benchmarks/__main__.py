"""`python -m benchmarks [NAME ...]`: run, and write results/NAME.json, results/README.md and the README's table.

Each row is kept as soon as it is there, in NAME.part.json: `--resume` goes on with a run that was broken off.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import zoo
from benchmarks import oneshot, readme, timing
from zoo.artifact import MANIFEST
from zoo.cli import INTERRUPTED
from zoo.system.files import atomic_write, sha256

HERE = Path(__file__).parent
RESULTS = HERE / "results"
MODULES = (
    "oneshot", "loops", "autoregressive", "flows", "jax_loops", "noise_share", "floors", "bound", "precision",
    "solvers", "commands", "size", "training", "gpu",
)  # fmt: skip
PEERS = {
    "flows": ("zuko", "nflows"), "jax_loops": ("jax",), "loops": ("denoising_diffusion_pytorch",),
    "size": ("diffusers",),
}  # fmt: skip
MEASURED = ("zoo", "plugins", "exporters", "benchmarks/*.py")  # what a figure depends on
PACKAGES = (
    "torch", "keras", "onnxruntime", "onnxruntime-gpu", "numpy", "jax", "zuko", "nflows", "denoising-diffusion-pytorch",
    "diffusers",
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
        "date": datetime.datetime.now().isoformat(" ", "minutes"), "commit": commit(), "cpu": cpu,
        "cores": os.cpu_count(), "python": platform.python_version(), **versions, **gpu(),
    }  # fmt: skip


def commit() -> str:
    """The last one that touched what is measured, and a hash of what has been altered since then."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words, "--", *MEASURED], check=True, capture_output=True, text=True, cwd=HERE.parent
        ).stdout

    try:
        last = git("log", "-1", "--format=%h").strip()
        altered = git("diff", "HEAD") + git("ls-files", "--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{last}, altered: {sha256(altered.encode())[:8]}" if altered else last


def artifacts(rows: list[timing.Row]) -> dict[str, str]:
    """The presets in these rows, with the beginning of their manifests' hashes: a manifest has those of all files."""
    names = [name for name in zoo.list_models("*.*") if any(name in row.what for row in rows)]
    return {name: sha256((zoo.open(name, device="cpu").folder / MANIFEST).read_bytes())[:8] for name in names}


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
        absent = [package for package in PEERS.get(name, ()) if find_spec(package) is None]
        return f"{' and '.join(absent)}, which `make bench ONLY={name}` installs" if absent else ""
    import onnxruntime
    import torch

    if torch.cuda.is_available() and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return ""
    return "a GPU, PyTorch with CUDA, and onnxruntime-gpu in place of onnxruntime (pip install 'genzoo[gpu]')"


def run(name: str, resume: bool) -> None:
    """One module, in this process."""
    RESULTS.mkdir(exist_ok=True)
    part, here = RESULTS / f"{name}.part.json", machine()
    if resume and part.exists():
        found = json.loads(part.read_text())
        if differ := differences(found["machine"], here):
            sys.exit(f"{part} is of another {', '.join(differ)}; leave out --resume.")
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
    found = {"machine": here, "artifacts": artifacts(rows), "rows": [asdict(row) for row in rows]}
    with atomic_write(path, force=True) as file:
        file.write(f"{json.dumps(found, indent=1)}\n".encode())


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """In what two machines differ, but for the date."""
    return sorted(key for key in {*one, *other} - {"date"} if one.get(key) != other.get(key))


def all_results() -> dict[str, Any]:
    paths = {name: RESULTS / f"{name}.json" for name in MODULES}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def report(results: Mapping[str, Any]) -> str:
    """All results as Markdown."""
    lines = [
        "# Results", "",
        "Made by `make bench`. Ratios, ours over the peer's: below 1, genzoo is faster. Medians and quartiles of",
        "alternating pairs in one process. Both sides are warm, and none begins before the threads of the other sleep.",
        "genzoo is as a user gets it; the peer has one thread or all, whichever is faster for it (threads; without",
        "a number: its own choice). What is compared before it is timed, and how, is said below.", "",
    ]  # fmt: skip
    newest = max((found["machine"] for found in results.values()), key=lambda machine: machine["date"], default={})
    for name, found in results.items():
        here = found["machine"]
        lines += [f"## {name}", "", ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or "", ""]
        lines += [", ".join(f"{k} {v}" for k, v in here.items()), ""]
        if differ := differences(here, newest):
            now = ", ".join(f"{key} {newest.get(key, 'none')}" for key in differ)
            lines += [f"**Not of one run with the newest results**, which have: {now}.", ""]
        if found["artifacts"]:
            lines += [f"Artifacts: {', '.join(f'{k} {v}' for k, v in found['artifacts'].items())}", ""]
        lines += [
            "| what | batch | peer | threads | ratio | quartiles | ours | peer's | unit | reach | |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for r in found["rows"]:
            reach = "" if r["reach"] is None else f"{r['reach']:.3g}"
            met = "" if r["reach"] is None else ("yes" if r["ratio"] <= r["reach"] else "**no**")
            lines.append(
                f"| {r['what']} | {r['batch']} | {r['peer']} | {r['peer_threads'] or ''} | {r['ratio']:.3g} | "
                f"{r['low']:.3g} to {r['high']:.3g} | {r['ours']:.4g} | {r['theirs']:.4g} | {r['unit']} | {reach} | "
                f"{met} {r['note']} |"
            )
        if name == "oneshot":
            lines += ["", *oneshot.summary(found["rows"])]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODULES))
    parser.add_argument("--resume", action="store_true", help="keep the rows of a run that was broken off")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        try:
            run(*given.names, given.resume)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        return
    chosen = given.names or [name for name in MODULES if not missing(name)]
    for name in chosen:
        if name not in MODULES:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(MODULES)}.")
        if needs := missing(name):
            parser.error(f"the benchmark {name} needs {needs}.")
    env = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(HERE.parent)}
    env.pop("OMP_NUM_THREADS", None)  # a peer may have all cores
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"The load average is {load:.1f}: figures mean something only where nothing else runs.", file=sys.stderr)
    for name in chosen:  # each in a process of its own: frameworks get in each other's way
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks", "--inside", name, *(["--resume"] if given.resume else [])]
        try:
            code = subprocess.run(command, env=env, cwd=HERE.parent).returncode
        except KeyboardInterrupt:
            code = INTERRUPTED
        if code:
            print(
                f"{name} {'was broken off; --resume goes on with it' if code == INTERRUPTED else 'failed'}.",
                file=sys.stderr,
            )
            sys.exit(code)
    results = all_results()
    (RESULTS / "README.md").write_text(report(results))
    readme.write(results)
    print(f"wrote {RESULTS / 'README.md'}")


if __name__ == "__main__":
    main()
