"""The plugin that `zoo new-plugin` writes: files of this folder with a few names filled in.

`shared` holds what is the same for every framework; a folder for each framework holds one architecture.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from zoo import registry
from zoo.errors import InputError, OutputError, did_you_mean
from zoo.plugins.loading import canonical, load_plugins
from zoo.spec import NAME, ModelSpec
from zoo.system.files import atomic_folder

HERE = Path(__file__).parent
DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
LONGEST = 80  # characters of a summary
PREFIXES = ("genzoo-", "zoo-")  # of a distribution, but not of its architecture
ABOUT: Mapping[str, Mapping[str, str]] = {
    "torch": {
        "summary": "Flow of affine couplings over real vectors",
        "paper": "Dinh, Sohl-Dickstein, Bengio 2017, arXiv 1605.08803",
        "family": "flow",
        "density": "exact",
        "dependencies": '"genzoo", "genzoo-torch"',
        "requires": '{"zoo_torch.network": "pip install genzoo-torch"}',
    },
    "keras": {
        "summary": "Variational autoencoder over real vectors",
        "paper": "Kingma, Welling 2014, arXiv 1312.6114",
        "family": "vae",
        "density": "lower_bound",
        "dependencies": '"genzoo", "genzoo-keras"',
        "requires": '{"zoo_keras.network": "pip install genzoo-keras"}',
    },
    "numpy": {
        "summary": "Normal distribution with a full covariance",
        "paper": "Bishop 2006, Pattern Recognition and Machine Learning, section 2.3",
        "family": "flow",
        "density": "exact",
        "dependencies": '"array-api-compat>=1.11", "genzoo"',
        "requires": '{"array_api_compat": "pip install array-api-compat"}',
    },
}


@dataclass(frozen=True)
class Names:
    """The names in a plugin, all from that of its distribution: `genzoo-tiny-flow` has the architecture `tiny-flow`."""

    name: str  # genzoo-tiny-flow
    package: str  # genzoo_tiny_flow
    model: str  # tiny-flow
    module: str  # tiny_flow
    Class: str  # TinyFlow


def names_of(distribution: str) -> Names:
    """The names in a plugin; `InputError` for what cannot be a distribution, a package or an architecture."""
    name = canonical(distribution)
    package = name.replace("-", "_")
    model = next((name.removeprefix(p) for p in PREFIXES if name.startswith(p)), name)
    module = model.replace("-", "_")
    if not DISTRIBUTION.fullmatch(distribution):
        raise InputError(f"{distribution!r} is not the name of a distribution: letters, digits, '-', '_' and '.'.")
    name_of_class = "".join(part.capitalize() for part in model.split("-"))
    for word in (module, package, name_of_class):
        if not NAME.fullmatch(word.lower()) or keyword.iskeyword(word):
            raise InputError(
                f"{distribution!r} would give a name like {word!r} in code; expected one like 'tiny-flow'."
            )
    return Names(name, package, model, module, name_of_class)


def check_free(names: Names) -> None:
    """`InputError` if something installed, or of the project, has one of the names already."""
    theirs = {m: d for d, offered in registry.FIRST_PARTY.items() for m in offered}
    theirs |= {s.name: p.name for p in load_plugins() for s in p.specs if isinstance(s, ModelSpec)}
    if names.model in theirs:
        raise InputError(f"{names.model!r} is an architecture of {theirs[names.model]}; choose another name.")
    installed = {canonical(d.name) for d in metadata.distributions() if d.name}
    if names.name in installed or names.name in registry.FIRST_PARTY:
        raise InputError(f"a distribution {names.name!r} exists already; choose another name.")
    found = importlib.util.find_spec(names.package)
    if found is not None and found.origin is not None:
        raise InputError(f"a module {names.package!r} exists already ({found.origin}); choose another name.")


def render(distribution: str, framework: str, summary: str = "") -> dict[str, str]:
    """The files of a plugin: path -> text. `summary` says in a line what its architecture is; by default what the one
    is that is written."""
    if framework not in ABOUT:
        known = ", ".join(ABOUT)
        raise InputError(f"unknown framework {framework!r}; there are {known}.{did_you_mean(framework, ABOUT)}")
    names = names_of(distribution)
    architecture = _read(framework, "model.py")
    if re.search(rf"\b{names.Class}\b", architecture):  # genzoo-config would hide the Config of its file
        names = Names(**{**vars(names), "Class": f"{names.Class}Model"})
    package = f"src/{names.package}"
    files = {
        "pyproject.toml": _read("shared", "pyproject.toml"),
        "README.md": _read("shared", "README.md"),
        f"{package}/__init__.py": _read("shared", "init.py"),
        f"{package}/{names.module}.py": architecture,
        f"tests/test_{names.package}.py": _read("shared", "test_conformance.py"),  # two plugins' in one pytest
    }
    values = {**vars(names), **ABOUT[framework], "framework": framework}
    if summary and summary != values["summary"]:
        values |= {"summary": checked_summary(summary), "paper": ""}
    return {path: re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], text) for path, text in files.items()}


def checked_summary(summary: str) -> str:
    """A summary that fits into a line of Python, TOML and Markdown; `InputError` for another."""
    line = summary.strip().rstrip(".")
    if not line or len(line) > LONGEST or not line.isprintable() or set(line) & set('"\\'):
        raise InputError(
            f'the summary is {summary!r}; expected one line of at most {LONGEST} characters, without " and \\.'
        )
    return line


def write(distribution: str, framework: str, folder: str | Path, summary: str = "") -> dict[str, str]:
    """Write a plugin to a new folder, whole or not at all; the files that were written."""
    files = render(distribution, framework, summary)
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists and is not empty; give the name of a new folder: --out FOLDER.")
    with atomic_folder(folder) as work:
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text, encoding="utf-8")
    return files


def _read(folder: str, file: str) -> str:
    return (HERE / folder / f"{file}.tmpl").read_text(encoding="utf-8")
