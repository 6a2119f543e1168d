"""The figures of the README: ratios out of results/*.json, ours over the peer's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import oneshot
from zoo.system.files import atomic_write

README = Path(__file__).parents[1] / "README.md"
NONE: Mapping[str, Any] = {"rows": ()}
ONESHOT = {"eager PyTorch or Keras": "PyTorch or Keras", "torch.compile": "`torch.compile`"}
SHOWN = {  # how the README says it, of which peer: the module, `what` and `peer` of the rows
    ("`ddpm.digits`: 20 denoising steps", "PyTorch, a loop"): ("loops", "ddpm.digits sample", "eager PyTorch loop"),
    ("`ebm.digits`: Langevin steps", "PyTorch, autograd in a loop"): (
        "loops", "ebm.digits sample", "eager PyTorch loop",
    ),
    ("a Unet of denoising-diffusion-pytorch, 50 steps", "the library"): (
        "loops", "Unet of denoising-diffusion-pytorch, 50 steps", "its own ddim_sample",
    ),
    ("MADE, 784 dimensions", "PyTorch, a loop over the past"): (
        "autoregressive", "made sample, 784 steps", "uncached PyTorch loop",
    ),
    ("MADE, 784 dimensions", "PyTorch, a loop with the same cache"): (
        "autoregressive", "made sample, 784 steps", "cached PyTorch loop",
    ),
    ("PixelCNN, 784 dimensions", "PyTorch, a loop with the same cache"): (
        "autoregressive", "pixelcnn sample, 784 steps", "cached PyTorch loop",
    ),
    ("transformer, 256 tokens", "PyTorch, a loop with the same cache"): (
        "autoregressive", "transformer sample, 256 steps", "cached PyTorch loop",
    ),
    ("a MAF of zuko, 64 dimensions: samples", "zuko"): ("flows", "zuko MAF of 64 dimensions, sample", "zuko"),
    ("spline couplings of nflows, 64 dimensions: samples", "nflows"): (
        "flows", "nflows spline coupling of 64 dimensions, sample", "nflows",
    ),
    ("50 steps of an MLP", "`jax.jit`"): ("jax_loops", "MLP denoiser, 50 steps", "jax.jit"),
    ("50 steps of three convolutions", "`jax.jit`"): ("jax_loops", "3-convolution denoiser, 50 steps", "jax.jit"),
    ("`zoo sample ddpm.digits -n 1`, a cold process", "loading the checkpoint"): (
        "commands", "zoo sample ddpm.digits -n 1", "load the checkpoint, sample",
    ),
}  # fmt: skip


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| what | against | batch: ratio |", "|---|---|---|"]
    for peer, (_, *means) in oneshot.means(results.get("oneshot", NONE)["rows"]).items():
        if peer in ONESHOT:
            cells = ", ".join(f"{batch}: {value:.2f}" for batch, value in zip(oneshot.BATCHES, means, strict=True))
            lines.append(f"| methods without a loop, of all presets, geometric mean | {ONESHOT[peer]} | {cells} |")
    for peer, slowest in oneshot.slowest(results.get("oneshot", NONE)["rows"]).items():
        if peer in ONESHOT:
            cells = f"{slowest['batch']}: {slowest['ratio']:.2f}"
            lines.append(f"| the slowest of these, `{slowest['what']}` | {ONESHOT[peer]} | {cells} |")
    for (what, against), (module, name, peer) in SHOWN.items():
        found = [r for r in results.get(module, NONE)["rows"] if (r["what"], r["peer"]) == (name, peer)]
        if found:  # else not measured yet
            cells = ", ".join(f"{r['batch']}: {r['ratio']:.2g}" for r in found)
            lines.append(f"| {what} | {against} | {cells} |")
    return "\n".join(lines)


def write(results: Mapping[str, Mapping[str, Any]]) -> None:
    head, begin, rest = README.read_text().partition("<!-- speed -->\n")
    _, end, tail = rest.partition("<!-- /speed -->")
    with atomic_write(README, force=True) as file:
        file.write(f"{head}{begin}{table(results)}\n{end}{tail}".encode())
