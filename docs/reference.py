"""Writes docs/reference.md from the docstrings of `zoo` and the help of its commands.

python docs/reference.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

import zoo
from zoo.cli import main
from zoo.model import Model
from zoo.system.files import atomic_write

PAGE = Path(__file__).with_suffix(".md")
METHODS = ("sample", "log_prob", "encode", "decode", "predict", "run", "stream", "picture", "release")
OF_ARTIFACTS = ("bind",)
WIDTH = 80  # of the help


def page() -> str:
    """The whole page."""
    public = {name: getattr(zoo, name) for name in zoo.__all__}
    functions = {name: f for name, f in public.items() if inspect.isfunction(f)}
    classes = {name: c for name, c in public.items() if inspect.isclass(c)}
    from zoo.artifact import Artifact

    methods = {f"model.{name}": getattr(Model, name) for name in METHODS}
    methods |= {f"artifact.{name}": getattr(Artifact, name) for name in OF_ARTIFACTS}
    parts = [
        "# Reference",
        "Made by `python docs/reference.py` from docstrings and from `--help`.",
        "## Functions",
        *(entry(f"zoo.{name}", f) for name, f in sorted(functions.items())),
        "## Methods of a model",
        "What `zoo.load`, `zoo.open`, `zoo.train` and `wrap` give. A model has those of the five methods that its "
        "signatures name.",
        *(entry(name, f) for name, f in methods.items()),
        "## Classes",
        *(entry(f"zoo.{name}", c) for name, c in sorted(classes.items())),
        "## Commands",
        *(f"### zoo {name}\n\n```text\n{text}\n```" for name, text in commands()),
    ]
    return "\n\n".join(parts) + "\n"


def entry(name: str, thing: object) -> str:
    """A heading, the call, and the docstring as it is written."""
    return f"### {name}\n\n```text\n{name}{signature(thing)}\n\n{inspect.getdoc(thing)}\n```"


def signature(thing: object) -> str:
    """As it is called: without `self`, one argument a line where they are many."""
    assert callable(thing)
    if isinstance(thing, type) and issubclass(thing, Exception):
        return ""
    found = inspect.signature(thing)
    kept = [p.replace(annotation=bare(p.annotation)) for p in found.parameters.values() if p.name != "self"]
    short = found.replace(parameters=kept, return_annotation=bare(found.return_annotation))
    if len(str(short)) < WIDTH:
        return str(short)
    returns = f" -> {short.return_annotation}" if found.return_annotation is not found.empty else ""
    star = next((n for n, p in enumerate(kept) if p.kind is p.KEYWORD_ONLY), None)
    lines = [str(p) for p in kept]
    if star is not None and not any(p.kind is p.VAR_POSITIONAL for p in kept):
        lines.insert(star, "*")
    return "(\n" + "".join(f"    {line},\n" for line in lines) + f"){returns}"


class Bare(str):
    """An annotation, which prints without quotes."""

    __repr__ = str.__str__


def bare(annotation: object) -> object:
    return Bare(annotation) if isinstance(annotation, str) else annotation


def commands() -> Iterator[tuple[str, str]]:
    """The help of each command, in the order in which `zoo --help` has them."""
    context = click.Context(main, info_name="zoo", terminal_width=WIDTH, **main.context_settings)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        below = click.Context(command, parent=context, info_name=name, terminal_width=WIDTH)
        yield name, command.get_help(below)


if __name__ == "__main__":
    with atomic_write(PAGE, force=True) as file:
        file.write(page().encode())
