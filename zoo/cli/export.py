"""`zoo export`: export a trained model as self-contained files."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli import options
from zoo.cli.output import note, parity, precision, size

EXAMPLES = """\b
Examples:
  zoo export runs/moons --out out/moons
  zoo export realnvp.moons --to onnx --out out/moons --force
  zoo export ddpm.digits --weights float16 --out out/ddpm
  zoo export ddpm.digits --fixed --set steps=10 --set guidance=3 --out out/server
  zoo verify out/moons
"""


@click.command("export", epilog=EXAMPLES)
@click.argument("name", metavar="NAME|RUN")
@click.option("--to", "to", default="onnx", show_default=True, metavar="FORMAT", help="zoo plugins lists them.")
@click.option("--weights", default="float32", show_default=True, metavar="TYPE", help="float16 or int8: smaller files.")
@options.check
@click.option("--fixed", is_flag=True, help="Make all options constants, so that every input has a row axis.")
@options.set_option("An option as a constant of the files, such as steps=10; others keep their defaults")
@click.option("--limit", type=click.IntRange(0), metavar="MIB", help="Largest size of weights inside the files [256].")
@click.option("--license", metavar="NAME", help="License of the weights, such as CC-BY-4.0; stated in the files.")
@options.out_folder
@options.force
def command(
    name: str,
    to: str,
    weights: str,
    fixed: bool,
    settings: dict[str, str],
    limit: int | None,
    check: str | None,
    license: str | None,
    out: Path,
    force: bool,
) -> None:
    """Export a model to self-contained files.

    They include the sampling loop, random numbers and preprocessing. Each method is compared with its source, within
    the time of --check, and the comparison is printed. If they differ, nothing is written.

    With --weights float16 or int8 the weights are rounded first, and the effect of rounding is printed. The files still
    compute in float32.

    Options such as steps are scalar inputs of the files. Servers that batch requests need a row axis on every input:
    --fixed makes options constants.
    """
    from msgspec import to_builtins

    from zoo import api
    from zoo.cli import progress

    with progress.stages(f"exporting {name}") as show:
        report = api.export(
            name,
            out,
            to=to,
            weights=weights,
            options=settings if fixed or settings else None,
            limit=None if limit is None else limit * 2**20,
            check=check,
            license=license,
            force=force,
            progress=show,
        )
    if figures := getattr(report, "parity", None):
        parity(figures)
    if held := getattr(report, "precision", None):
        precision(to_builtins(held))
    files = [p for p in sorted(out.rglob("*")) if p.is_file()]
    note(f"wrote {len(files)} files, {size(sum(p.stat().st_size for p in files))}, to {out}")
    if (out / "manifest.json").exists():
        note(f"Next:\n  zoo verify {out}\n  zoo sample {out} -n 16 --seed 7")
