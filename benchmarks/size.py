"""Models of real size: what their export takes, and what an artifact takes while it is used. The peer is a limit. Each
figure is of a process of its own, that of memory its peak, or what it has in the end, without what Python, PyTorch and
onnxruntime have before there is a model. One model is larger than the 2 GiB that a message of protocol buffers may be;
it is exported, opened, sampled, scored and verified."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from benchmarks.timing import Row, known, pairs_of
from zoo.parity.cases import make_inputs
from zoo.signature import Loop, Tensor

MIB, GIB = 2**20, 2**30
LIMITS = {  # seconds of an export
    "ddpm 8.7M, 64x64x3": 60,
    "UNet 98M, 64x64x3, 50 steps": 300,
    "UNet 98M, 64x64x3, 1000 steps": 300,
    "transformer 128M, 256 tokens": 240,
}
HUGE = "realnvp 2.2 GiB"
USED = "realnvp 129 MiB"


def rows() -> Iterator[Row]:
    for what, limit in LIMITS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = measure("export", what, folder)
            yield row(f"{what}, export", found["seconds"], limit, "s", note=f"CPU {found['cpu']:.0f} s")
            yield memory(f"{what}, export", found)
    with tempfile.TemporaryDirectory() as folder:
        found = measure("export", HUGE, folder)
        yield row(f"{HUGE}, export", found["seconds"], 600, "s", note=f"CPU {found['cpu']:.0f} s")
        yield memory(f"{HUGE}, export", found)
        found = measure("use", HUGE, folder)
        yield row(f"{HUGE}, open, sample, score, verify", found["seconds"], 300, "s")
    with tempfile.TemporaryDirectory() as folder:
        measure("export", USED, folder)
        found = measure("call", USED, folder)
        times = found["end"] / found["weights"]
        yield row(f"{USED}, four methods at batch 1 and 64", times, 2.5, "times the weights")


def row(what: str, ours: float, limit: float, unit: str, note: str = "") -> Row:
    if found := known.get((what, 1, "limit")):
        return found
    sides = np.array([ours]), np.array([float(limit)])
    return pairs_of(what, 1, "limit", *sides, unit=unit, reach=1.0, note=note)


def memory(what: str, found: dict[str, float]) -> Row:
    return row(f"{what}, memory", found["peak"] / MIB, (2.5 * found["weights"] + GIB) / MIB, "MiB")


def measure(task: str, what: str, folder: str) -> dict[str, float]:
    """Seconds, CPU seconds, and bytes of weights, of memory at the peak and in the end, of a task in a process."""
    command = [sys.executable, "-m", "benchmarks.size", task, what, folder]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


# ---- in a process of its own -----------------------------------------------------------------------------------------


def make(what: str) -> Any:
    name, _, more = what.partition(" ")
    if what == HUGE:
        return zoo.create(name, zoo.Real(1024), config={"hidden": 8192, "layers": 6})
    if what == USED:
        return zoo.create(name, zoo.Real(512), config={"hidden": 1536, "layers": 12})
    if name == "ddpm":
        return zoo.create(name, zoo.Image(64, 64, channels=3), config={"channels": 128})
    if name == "transformer":
        text = zoo.Text(256, "".join(map(chr, range(32, 122))))
        return zoo.create(name, text, config={"width": 1024, "heads": 16, "layers": 12})
    import diffusers
    import torch
    from zoo_torch import wrap

    steps = int(more.split()[-2])
    unet = diffusers.UNet2DModel(
        sample_size=64,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(128, 256, 384, 512),
        down_block_types=("DownBlock2D",) * 2 + ("AttnDownBlock2D",) * 2,
        up_block_types=("AttnUpBlock2D",) * 2 + ("UpBlock2D",) * 2,
    ).eval()

    def step(i: Any, state: dict[str, Any]) -> dict[str, Any]:  # as DDIM takes it, but for the table of its schedule
        x = state["x"]
        time = (steps - 1 - i).expand(len(x)) * (1000 // steps)
        return {"x": x - unet(x, time).sample / steps}

    image = zoo.Image(64, 64, channels=3)
    loop = Loop(
        length=steps,
        init=lambda index, z: {"x": z},
        step=step,
        finish=lambda state: ((state["x"].tanh() + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1),
        state={"x": Tensor("float32", (3, 64, 64))},
        outputs={"x": image.tensor},
        init_noise={"z": zoo.Normal(3, 64, 64)},
    )
    return wrap(sample=loop, space=image, name="unet")


def export(what: str, folder: str) -> tuple[Callable[[], object], int]:
    model = make(what)
    weights = sum(array.nbytes for array in model.network.arrays().values())
    return lambda: zoo.export(model, Path(folder) / "artifact", force=True, progress=say), weights


def say(stage: str, done: float, total: float) -> None:
    """Progress of an export: its stages on stderr, as they begin."""
    announce(stage)


@functools.cache
def announce(stage: str) -> None:
    """Once."""
    print(f"{time.perf_counter() - BEGAN:7.1f} s, {status('VmHWM') / MIB:6.0f} MiB: {stage}", file=sys.stderr)


def use(what: str, folder: str) -> tuple[Callable[[], object], int]:
    def run() -> None:
        artifact = zoo.open(Path(folder) / "artifact", device="cpu")
        x = artifact.sample(4, seed=0)
        assert np.isfinite(artifact.log_prob(x)).all()
        artifact.release()
        zoo.verify(artifact.folder, device="cpu", check="quick")

    return run, weights_of(folder)


def call(what: str, folder: str) -> tuple[Callable[[], object], int]:
    artifact = zoo.open(Path(folder) / "artifact", device="cpu")

    def run() -> None:
        for batch in (1, 64):
            for method, signature in artifact.signatures.items():
                inputs = make_inputs(artifact, signature, "random", batch)
                artifact.run(method, inputs, count=None if inputs else batch, seed=0)

    return run, weights_of(folder)


def weights_of(folder: str) -> int:
    """Bytes of the file that the methods share."""
    return (Path(folder) / "artifact" / "weights.bin").stat().st_size


def status(field: str) -> float:
    """Bytes of memory of this process: VmRSS now, VmHWM at the peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1]) * 1024
    raise KeyError(field)


def main(task: str, what: str, folder: str) -> None:
    # what these take is there before there is a model
    import onnxruntime  # noqa: F401

    if task == "export":
        import torch  # noqa: F401
    before = status("VmRSS")
    run, weights = {"export": export, "use": use, "call": call}[task](what, folder)
    begin, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    memory = {"peak": status("VmHWM") - before, "end": status("VmRSS") - before}
    print(json.dumps({"seconds": seconds, "cpu": cpu, "weights": weights, **memory}))


BEGAN = time.perf_counter()
if __name__ == "__main__":
    main(*sys.argv[1:])
