"""The metadata of a file: text for people who open it in a viewer, JSON for programs, and a known answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir

from zoo.artifact import SCHEMA
from zoo.artifact.inspection import PREFIX, TEXT
from zoo.columns import Table
from zoo.eager import EagerModel
from zoo.parity.budget import Cost
from zoo.signature import Option, Signature, Tensor, resolve
from zoo.spaces import Discrete, Image, Labels, Real, Space, Strings, Text, Tokens, names_of

SEED, INDEX = 7, 3  # of the known answer
SHOWN = 8  # numbers of each output in it
LISTED = 24  # classes listed where their numbers are explained; metadata has all
DENSITIES = {"exact": "exact", "lower_bound": "a lower bound", "unnormalized": "up to a constant"}
PURPOSE = {
    "sample": "Draws observations.",
    "log_prob": "Scores observations.",
    "encode": "Gives the latents of observations.",
    "decode": "Gives the observations of latents.",
    "predict": "Classifies observations.",
}


def explain(
    composed: ir.Model, model: EagerModel, method: str, versions: Mapping[str, str], cost: Cost, seconds: float
) -> None:
    """Write metadata into a composed method: a description, its inputs and outputs, and a known answer, if the source
    computes it in a fraction of these seconds."""
    signature = model.signatures[method]
    inputs = {name: tensor_facts(model, method, name, t) for name, t in signature.row_inputs.items()}
    outputs = {name: tensor_facts(model, method, name, t) for name, t in signature.outputs.items()}
    options = {name: option_facts(name, o, signature) for name, o in signature.options.items()}
    for values, facts in ((composed.graph.inputs, inputs | options), (composed.graph.outputs, outputs)):
        for value in values:
            value.doc_string = facts[str(value.name)]["meaning"]
    composed.producer_version = versions["genzoo"]
    composed.doc_string = composed.graph.doc_string = summary(model, method, signature)
    card = model.meta.get("card", {})
    facts = {
        "schema": SCHEMA,
        "model": model.name,
        "method": method,
        "architecture": model.meta.get("architecture", ""),
        "family": model.meta.get("family", ""),
        "density": model.density if method == "log_prob" else None,
        "loop": signature.length,
        "space": model.space.to_json(),
        "classes": list(model.classes.names) if model.classes else None,
        "categories": names_of(model.categories),
        "inputs": inputs,
        "outputs": outputs,
        "options": options,
        "license": card.get("license"),
        "versions": dict(versions),
        "known_answer": known_answer(model, method, int(seconds / 3 / cost.of(1)) if seconds < math.inf else None),
    }
    composed.metadata_props.update(
        {f"{PREFIX}{key}": as_text(key, value) for key, value in facts.items() if value not in (None, "", {})}
    )


def summary(model: EagerModel, method: str, signature: Signature) -> str:
    """What the method does and what a caller needs to know, in a few sentences."""
    options = ", options are scalars" if signature.options else ""
    parts = ["units", *["loop"] * (signature.length is not None), *["random numbers"] * signature.random]
    sentences = [
        PURPOSE.get(method, f"Runs {method}."),
        f"This is {method} of the model {model.name}: all of it, with {' and '.join(parts)} inside.",
        f"Every input is required{options}; the others have a row for each example.",
        "A row depends on its own inputs alone.",
    ]
    if signature.random:
        sentences.append("The row of a seed and an index is the same in any batch.")
    if signature.length is not None:
        chosen, length = isinstance(signature.length, str), signature.length
        sentences.append(f"It takes as many steps as {length} says." if chosen else f"It takes {length} steps.")
    return " ".join(sentences)


def as_text(key: str, value: Any) -> str:
    return str(value) if key in TEXT else json.dumps(msgspec.to_builtins(value))


def tensor_facts(model: EagerModel, method: str, name: str, tensor: Tensor) -> dict[str, Any]:
    """Type, shape, meaning and bounds of an input or output."""
    facts: dict[str, Any] = {"dtype": tensor.dtype, "shape": ["batch", *tensor.shape]}
    low, high = tensor.low, tensor.high
    match name:
        case "seed":
            meaning = "the seed of each row, any integer; rows of different seeds are independent"
        case "index":
            meaning = "the number of each row under its seed, from 0 on; no two indices share random numbers"
            low = 0
        case "label":
            meaning, low, high = f"the class of each row: {numbering(model.classes)}", 0, len(model.classes or ()) - 1
        case "x":
            meaning, facts["unit"] = observations(model.space)
            low, high = level_range(model)
        case "z":
            meaning = "latents"
        case "log_prob":
            kind, facts["unit"] = DENSITIES.get(str(model.density), ""), "nats"
            discrete = model.space.discrete and not isinstance(model.space, Table)
            what = "log-probability" if discrete else "log-density"
            meaning = f"{what} of each observation in nats ({kind})"
        case "conditionals":
            meaning, facts["unit"] = "terms of log_prob in nats, one for each dimension in the model's order", "nats"
        case "y" if tensor.shape:
            meaning, facts["unit"] = f"probability of each class: {numbering(model.classes)}", "probability"
            low, high = 0, 1
        case "y":
            meaning = "score: higher is more like the data"
        case "given" if isinstance(model.space, Table):
            meaning, facts["unit"] = "codes of the columns that are given, as those of x; others are ignored", "codes"
        case "known" if isinstance(model.space, Table):
            meaning = f"whether each column is given, and not drawn: {', '.join(model.space.names)}"
        case _ if name in model.categories:
            meaning, high = f"{name} of each row: {numbering(model.categories[name])}", len(model.categories[name]) - 1
        case _:
            meaning = name
    facts["meaning"] = getattr(tensor, "help", "") or meaning
    facts |= {key: bound for key, bound in (("low", low), ("high", high)) if bound is not None}
    return facts


def observations(space: Space) -> tuple[str, str]:
    """The meaning of the numbers of observations, and their unit."""
    match space:
        case Image(height=height, width=width, channels=channels, levels=levels):
            axes = f"images (batch, row, column, channel) of {height} rows, {width} columns and {channels} channel"
            view = "" if levels == 256 else f"; as 8-bit levels: x * 255 / {levels - 1}"
            return f"{axes}{'s' * (channels > 1)}, integers from 0 to {levels - 1}{view}", "levels"
        case Text(length=length, alphabet=alphabet):
            coded = f"token t from 1 on is character t - 1, counted from 0, of {alphabet!r}"
            return f"strings of up to {length} tokens: {coded}, and 0 ends a string and fills the rest", "tokens"
        case Tokens(length=length):
            coded = "token t from 1 on is the id t - 1 of the tokenizer.json that is `tokenizer` of the sample space"
            return f"strings of up to {length} tokens: {coded}, and 0 ends a string and fills the rest", "tokens"
        case Discrete(width=width, levels=levels):
            return f"{width} integers from 0 to {levels - 1} in each row", "levels"
        case Table(names=names):
            coded = "codes of the values of a table, as the columns of the sample space say (docs/data.md of genzoo)"
            return f"{coded}: {', '.join(names[:LISTED])}{', ...' * (len(names) > LISTED)}", "codes"
        case Real(names=names):
            columns = f", columns {', '.join(names)}" if names else ""
            return f"real numbers in the units of the data{columns}", "units of the data"
    return space.describe(), ""


def numbering(labels: Labels | None) -> str:
    """What the numbers of classes or categories mean."""
    names = labels.names if labels else ()
    if names and all(name == str(number) for number, name in enumerate(names)):
        return f"0 to {len(names) - 1}"
    shown = ", ".join(f"{number} is {name}" for number, name in enumerate(names[:LISTED]))
    return shown + (f", ... {len(names) - 1} is {names[-1]}" if len(names) > LISTED else "")


def level_range(model: EagerModel) -> tuple[int | None, int | None]:
    space = model.space
    if isinstance(space, Real):
        return None, None
    levels = space.tokens if isinstance(space, Strings) else getattr(space, "levels", None)
    return (0, levels - 1) if isinstance(levels, int) else (None, None)


def option_facts(name: str, option: Option, signature: Signature) -> dict[str, Any]:
    """Type, meaning, default and bounds of an option."""
    meaning = option.help or ("how many steps to take" if name == signature.length else name)
    facts: dict[str, Any] = {"dtype": option.dtype, "shape": [], "default": option.number}
    if option.choices:
        listed = ", ".join(f"{number} for {word}" for number, word in enumerate(option.choices))
        facts |= {"choices": list(option.choices), "meaning": f"{meaning}: {listed}; the default is {option.number}"}
    else:
        facts["meaning"] = f"{meaning}; the default is {option.default}"
    facts |= {key: bound for key, bound in (("low", option.low), ("high", option.high)) if bound is not None}
    return facts


def known_answer(model: EagerModel, method: str, most: int | None) -> dict[str, Any] | None:
    """Inputs of one row, each filled with one number, and the first numbers of the source's outputs; None if these are
    not finite. A runtime with different outputs is wrong. A loop takes at most this many steps; None if it has to take
    more."""
    signature = model.signatures[method]
    length = signature.length
    filled = {name: ordinary(tensor_facts(model, method, name, t)) for name, t in signature.inputs.items()}
    options = {name: o.number for name, o in signature.options.items()}
    if isinstance(length, str) and most is not None:
        options[length] = min(options[length], max(most, int(signature.options[length].low or 1)))
    elif isinstance(length, int) and most is not None and length > most:
        return None
    given = {name: o.given(options[name]) for name, o in signature.options.items()}
    inputs = {
        name: np.full((1, *resolve(t.shape, options)), filled[name], t.dtype) for name, t in signature.inputs.items()
    }
    outputs = model.run(method, inputs, seed=[SEED], index=[INDEX], **given)
    first = {name: a.reshape(-1)[:SHOWN] for name, a in outputs.items()}
    if not all(np.isfinite(a).all() for a in first.values()):
        return None
    rows = {"seed": SEED, "index": INDEX}
    given = {name: rows.get(name, filled.get(name)) for name in signature.row_inputs}
    return {"inputs": given, "options": options, "outputs": {name: a.tolist() for name, a in first.items()}}


def ordinary(facts: Mapping[str, Any]) -> float:
    """A number that is valid for an input with these facts, if possible not zero, which would hide errors."""
    number = 0.5 if facts["dtype"] == "float32" else 1
    return min(max(number, facts.get("low", number)), facts.get("high", number))
