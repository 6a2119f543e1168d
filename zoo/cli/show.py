"""`zoo show`: the description of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from zoo.cli import options
from zoo.cli.output import facts, figures, note, parity, precision, print_json, size, table
from zoo.cli.streams import say
from zoo.estimate import figures_of

EXAMPLES = """\b
Examples:
  zoo show realnvp.moons
  zoo show realnvp --settings
  zoo show out/moons --json
"""
MEANS = {
    "exact": "exact: log_prob is the log-density in nats",
    "lower_bound": "lower bound: log_prob is a lower bound on the log-density in nats",
    "unnormalized": "unnormalized: log_prob is the log-density in nats up to an unknown constant",
}


@click.command("show", epilog=EXAMPLES)
@options.name
@click.option("--settings", is_flag=True, help="For an architecture: what --set accepts (imports its framework).")
@click.option("--history", is_flag=True, help="For a run: the losses of each epoch, and with --json of each step.")
@options.as_json
def command(name: str, settings: bool, history: bool, as_json: bool) -> None:
    """Show a model: methods, options, paper, test metrics.

    For a preset, run or artifact also the sample space, settings, recipe and weights. Nothing is loaded.
    """
    if history:
        show_history(name, as_json)
        return
    from zoo.metadata import show

    known = show(name)
    if settings:
        known["takes"] = _settings(str(known.get("architecture", known["name"])))
    if as_json:
        print_json(known)
        return
    pairs: list[tuple[str, Any]] = []
    for key, value in known.items():
        if key not in ("methods", "parity", "takes", "taxonomy", "weights", "test"):
            pairs.append((key, _line(key, value, known)))
    facts(pairs)
    methods = known.get("methods", {})
    print_methods(methods)
    if isinstance(known.get("test"), Mapping):
        test = known["test"]
        rounded = known.get("precision", {}).get("weights", "float32") != "float32"
        say(f"\ntest metrics{' (of the model before its weights were rounded)' if rounded else ''}")
        remarks = test.get("remarks")
        figures(
            figures_of(test),
            figures_of({"figures": test.get("histogram", {})}),
            remarks if isinstance(remarks, list) else [],
        )
    for entry in known.get("weights", []):
        say(f"\n{entry['format']}, {size(entry['bytes'])}: {entry['folder']}")
    if "parity" in known:
        from msgspec import convert

        from zoo.artifact.manifest import Compared

        say()
        parity(convert(known["parity"], dict[str, Compared]))
        precision(known["precision"])
    if settings:
        say()
        for part in ("architecture", "training"):
            rows = [[s["name"], _value(s["default"]), s["meaning"]] for s in known["takes"] if s["of"] == part]
            table([f"--set ({part})", "default", "meaning"], rows)
            say()
    elif known["kind"] == "architecture":
        note(f"\nWhat --set accepts: zoo show {name} --settings. Train it: zoo train {name} --data DATA --out RUN")


def show_history(run: str, as_json: bool) -> None:
    """The losses of a run by epoch, and by step."""
    from zoo.training import Run
    from zoo.training.history import EPOCH, figures_in

    at = Run(run).position
    epochs = [{EPOCH: number, **figures_in(row)} for number, row in enumerate(at.history, start=1)]
    if as_json:
        print_json({"epochs": epochs, "steps": at.curve.rows})
        return
    columns = list(dict.fromkeys(name for row in epochs for name in row))
    table(columns, [[_value(row.get(name, "-")) for name in columns] for row in epochs])
    if at.best is not None:
        note(f"\nthe best: epoch {at.best_epoch}, {at.best}. For each step: zoo show {run} --history --json")


def print_methods(methods: Mapping[str, Any]) -> None:
    if not any(methods.values()):
        say()
        facts([("methods", ", ".join(methods))])
        return
    say()
    rows, choices = [], []
    for name, method in methods.items():
        takes, gives = (", ".join(f"{k}: {v}" for k, v in method[part].items()) for part in ("inputs", "outputs"))
        takes = takes or "count"
        steps = method["steps"]
        rows.append([name, takes, gives, "seed" if method["random"] else "-", steps if steps is not None else "-"])
        for key, option in method["options"].items():
            bounds = [f"{word} {option[b]:g}" for word, b in (("from", "low"), ("to", "high")) if option[b] is not None]
            within = ", ".join(option["choices"]) or " ".join(bounds)
            choices.append([name, f"{key}={option['default']}", within or "any", option["help"]])
    table(["method", "takes", "gives", "random", "steps"], rows)
    if choices:
        say()
        table(["method", "option (--set)", "range", ""], choices)


def _line(key: str, value: Any, known: Mapping[str, Any]) -> str:
    if key == "family" and "taxonomy" in known:
        return f"{value} ({known['taxonomy']})"
    if key == "precision":
        return f"{value['weights']} weights"
    if key == "density":
        return MEANS.get(value, str(value))
    if key == "requires":
        return ", ".join(f"{module} ({install})" for module, install in value.items())
    if key == "validation" and isinstance(value, Mapping):  # bare numbers in older cards
        measured = {name: loss for name, loss in value.items() if loss is not None}
        return ", ".join(f"{name} {figure}" for name, figure in figures_of({"figures": measured}).items())
    if isinstance(value, Mapping):
        return ", ".join(
            f"{k} {f'[{_value(v)}]' if isinstance(v, (list, tuple)) else _value(v)}" for k, v in value.items()
        )
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _settings(architecture: str) -> list[dict[str, Any]]:
    """The settings of an architecture and of its training, with their defaults."""
    from dataclasses import fields

    from zoo import registry

    cls = registry.network_class(registry.architecture(architecture))
    own = [(f, f.default, "architecture") for f in fields(cls.Config)]
    training = [
        (f, getattr(cls.recipe, f.name), "training") for f in fields(cls.recipe) if f.name in cls.used_settings()
    ]
    return [
        {"name": f.name, "default": default, "of": part, "meaning": f.metadata.get("meaning", "")}
        for f, default, part in own + training
    ]
