"""Writes docs/zoo.md, its pictures and the table of the README, from the cards of presets and from their artifacts.

    python plugins/pretrained/gallery.py                      # everything
    python plugins/pretrained/gallery.py ddpm.fashion-mnist   # the pictures of one, and the pages

No framework is imported: what is drawn, artifacts draw.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import zoo
from zoo import registry
from zoo.artifact import Artifact
from zoo.cli.real_rows import held_out_rows
from zoo.data import Dataset
from zoo.estimate import Estimate, figures_of
from zoo.pictures import panels, picture, picture_limit, side_by_side
from zoo.spec import FAMILIES, PresetSpec
from zoo.system.files import atomic_write
from zoo.writers import save_picture

ROOT = Path(__file__).parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "zoo.md"
PICTURES = ROOT / "docs" / "pictures"  # not "zoo", which would hide the package from scripts in docs
# the picture at the top of the README: what each artifact draws
OPENING = {"clothes": "ddpm.fashion-mnist", "emoji": "ddpm.emoji", "faces": "ddim.pixel-faces"}
SEED, COLUMNS, OPENING_COLUMNS, ROWS, POINTS, STRINGS = 7, 10, 6, 5, 2000, 8
Array = npt.NDArray[Any]
# Of the figures that a preset has: the likelihood beside that of simple densities, and several figures of samples,
# because none of them sees every fault.
SHOWN = {
    "bits_per_dim": "{} bits/dim",
    "bits_per_dim_of_mixture": "mixture {}",
    "nats_per_character": "{} nats/character",
    "nats_per_character_of_ngrams": "n-grams {}",
    "nats": "{} nats",
    "nats_of_truth": "truth {}",
    "nats_of_mixture": "mixture {}",
    "accuracy": "accuracy {}",
    "accuracy_of_forest": "random forest {}",
    "c2st_accuracy": "told from data {}",
    "nearer_to_training": "nearer to training data {}",
    "nearer_than_held_out": "nearer than held-out data {}",
    "coverage": "coverage {}",
    "labelled_as_asked": "labeled as asked {}",
}


def presets() -> list[PresetSpec]:
    return [spec for spec in registry.find_models("*.*") if isinstance(spec, PresetSpec)]


# ---- the page ------------------------------------------------------------------------------------------------------


def page() -> str:
    """docs/zoo.md: each preset under its data set, with its picture."""
    by_data: dict[str, list[PresetSpec]] = {}
    for spec in presets():
        by_data.setdefault(spec.card["data"], []).append(spec)
    known = {spec.name: spec for spec in registry.datasets()}
    parts = [
        "# The zoo",
        "Every preset: held-out data beside samples that its artifact drew with onnxruntime and nothing else. Pictures "
        f"show the first samples of seed {SEED}, not chosen ones, and a class in each column where a model takes one. "
        "Figures come from `zoo evaluate` on a test split that no training saw, ± one standard error, beside the same "
        "figure of real data or of a simple model ([evaluate.md](evaluate.md)). Training times are CPU time of one "
        "core. Made by `python plugins/pretrained/gallery.py`.",
    ]
    for data in sorted(by_data, key=lambda data: (data in ("digits", "moons", "names"), data)):
        parts += [f"## {data}", f"{known[data].summary}. {known[data].source}."]
        parts += [part for spec in by_data[data] for part in entry(spec)]
    return "\n\n".join(parts) + "\n"


def entry(spec: PresetSpec) -> Iterator[str]:
    """The parts of the page about one preset."""
    base, card = registry.architecture(spec.architecture), spec.card
    yield f"### {spec.name}"
    yield f"{base.summary}, in {spec.framework}; {FAMILIES[spec.family]}. {base.paper}."
    path = picture_of(spec)
    if path.suffix == ".txt":
        yield "\n".join(f"    {line}" for line in path.read_text().splitlines())
    else:
        yield f"![{path.stem}: held-out data on the left, the model on the right]({PICTURES.name}/{path.name})"
    if "limits" in card:
        yield card["limits"]
    yield "; ".join(
        [*headlines(figures_of(card["test"]), bound=spec.density == "lower_bound"), *floors(card["test"]["remarks"])]
    )
    facts = [f"`{card['made_by']}`"]
    if "cpu_seconds" in card:
        facts.append(f"{card['cpu_seconds'] / 60:.0f} minutes of training")
    size = sum(path.stat().st_size for path in Path(spec.artifact or "").rglob("*.onnx"))
    yield f"Made by {', '.join(facts)}; {size / 1e6:.1f} MB of ONNX; license {card['license']}."


def headlines(figures: dict[str, Estimate], *, bound: bool) -> Iterator[str]:
    of_parts = {"bits_per_dim", "nats_per_character"} & set(figures)
    for name in SHOWN:
        if name not in figures or (name == "nats" and of_parts):
            continue
        figure = figures[name]
        kind = " (bound)" if bound and name in ("bits_per_dim", "nats") else ""
        real = f" (real {figure.real})" if figure.real else ""
        yield f"{SHOWN[name].format(figure)}{kind}{real}"


def floors(remarks: list[str]) -> Iterator[str]:
    """What a preset is no better than, in words."""
    for remark in remarks:
        _, no_better, what = remark.partition(" no better than ")
        if no_better:
            yield f"no better than {what.partition(':')[0]}"


def picture_of(spec: PresetSpec) -> Path:
    return PICTURES / (spec.name + (".txt" if spec.card["data"] == "names" else ".png"))


def draw(spec: PresetSpec) -> None:
    """The picture of a preset, or its strings as text."""
    assert spec.artifact is not None
    data, model = zoo.load_dataset(spec.card["data"]), zoo.open(spec.artifact, device="cpu")
    path, limit = picture_of(spec), picture_limit(data.space)
    PICTURES.mkdir(exist_ok=True)
    if limit:
        save_picture(path, panels(data.space, shown(model, data), COLUMNS), force=True)
        return
    count = STRINGS
    columns = {"data": held_out_rows(data, count, seed=SEED), "samples of the artifact": model.sample(count, seed=SEED)}
    strings = [data.space.decode(column) for column in columns.values()]
    lines = [f"{a:24}{b}" for a, b in [tuple(columns), *zip(*strings, strict=True)]]
    with atomic_write(path, force=True) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def shown(model: Artifact, data: Dataset) -> Mapping[str, Array]:
    """What a picture has side by side: data and samples, data and what comes back of their codes, or data in the order
    of the classes that they are taken for."""
    count = COLUMNS * ROWS if len(data.space.shape) == 3 else POINTS
    if "sample" in model.signatures:
        labels = classes_of(model, count)
        given = {} if labels is None else {"label": labels}
        real = held_out_rows(data, count, labels, seed=SEED)
        return {"data": real, "samples of the artifact": model.sample(count, seed=SEED, **given)}
    real = held_out_rows(data, count, seed=SEED)
    if "encode" in model.signatures:
        return {"data": real, "decoded from their codes": model.decode(model.encode(real))}
    assert model.classes is not None
    many = held_out_rows(data, 20 * count, seed=SEED)
    found = model.predict(many).argmax(1)
    rows = [np.flatnonzero(found == label)[:COLUMNS] for label in range(len(model.classes))]
    whole = [row for row in rows if len(row) == COLUMNS]  # a class that is hardly ever said is left out
    return {"data, a row for each class that they are taken for": many[np.concatenate(whole)]}


def classes_of(model: Artifact, count: int) -> npt.NDArray[np.int64] | None:
    """A class for each sample, in columns; None for a model that takes none."""
    if "label" not in model.signature("sample").inputs or model.classes is None:
        return None
    return np.arange(count) % COLUMNS % len(model.classes)


# ---- the README -----------------------------------------------------------------------------------------------------


def draw_opening() -> None:
    """Samples of several presets side by side, a few columns of each."""
    pictures = {}
    for name, preset in OPENING.items():
        model = zoo.open(preset, device="cpu")
        labels = classes_of(model, COLUMNS * ROWS)
        given = {} if labels is None else {"label": labels}
        x = model.sample(COLUMNS * ROWS, seed=SEED, **given)
        few = np.arange(len(x)) % COLUMNS < OPENING_COLUMNS
        pictures[name] = picture(model.space, x[few], OPENING_COLUMNS)
    save_picture(ROOT / "docs" / "opening.png", side_by_side(pictures), force=True)


def table() -> str:
    """What there is of each family: architectures, and presets with links to their pictures."""
    rows = ["| family | architectures | presets |", "|---|---|---|"]
    for family, kind in FAMILIES.items():
        found = registry.find_models(family=family)
        names = [f"`{spec.name}`" for spec in found if not isinstance(spec, PresetSpec)]
        links = [f"[{spec.name}](docs/zoo.md#{anchor(spec.name)})" for spec in found if isinstance(spec, PresetSpec)]
        if found:  # of some families there are only plugins of others
            rows.append(f"| {family} ({kind}) | {', '.join(names)} | {', '.join(links)} |")
    return "\n".join(rows)


def anchor(heading: str) -> str:
    """How GitHub links to a heading of the page."""
    return heading.replace(".", "")


def write() -> None:
    """The page and the table, from the cards and the pictures that are there."""
    with atomic_write(PAGE, force=True) as file:
        file.write(page().encode())
    head, begin, rest = README.read_text().partition("<!-- presets -->\n")
    _, end, tail = rest.partition("<!-- /presets -->")
    with atomic_write(README, force=True) as file:
        file.write(f"{head}{begin}{table()}\n{end}{tail}".encode())


if __name__ == "__main__":
    if not sys.argv[1:]:
        draw_opening()
    for one in presets():
        if one.name in sys.argv[1:] or not sys.argv[1:]:
            print(one.name)
            draw(one)
    write()
