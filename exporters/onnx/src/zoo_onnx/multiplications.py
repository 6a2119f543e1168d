"""Multiplications per row in a graph: the cost of its layers, independent of the machine."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import onnx_ir as ir

PRODUCTS = ("Attention", "Conv", "ConvTranspose", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN")


def multiplications_per_row(model: ir.Model) -> tuple[int, int] | tuple[None, None]:
    """Multiplications per row in matrix products and convolutions, loops counted once, and the number of these
    operators; None if a shape is unknown, or an operator's products are not counted here."""
    found = []
    for node in (*model.graph, *(n for graph in model.graph.subgraphs() for n in graph)):
        if node.op_type in PRODUCTS:
            try:
                found.append(multiplications(node))
            except Unknown:
                return None, None
    return sum(found), len(found) - found.count(0)  # an einsum that only sums or transposes multiplies nothing


class Unknown(Exception):
    """The multiplications of an operator are unknown."""


def multiplications(node: ir.Node) -> int:
    if node.op_type == "Einsum":
        return contractions(node.attributes["equation"].as_string(), [sizes(value) for value in node.inputs])
    first, second = (sizes(value) for value in node.inputs[:2])
    match node.op_type:
        case "GRU" | "LSTM" | "RNN":  # all weights once per step of the sequence
            return first[0] * (math.prod(second) + math.prod(sizes(node.inputs[2])))
        case "ConvTranspose":  # each number is multiplied by all weights of its channel
            return math.prod(first) * math.prod(second[1:])
        case "Conv":
            return math.prod(sizes(node.outputs[0])) * math.prod(second[1:])
        case "Gemm" | "MatMul":
            turned = node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int()
            return math.prod(sizes(node.outputs[0])) * (first[0] if turned else first[-1])
    raise Unknown


def contractions(equation: str, shapes: Sequence[Sequence[int]]) -> int:
    """The products of an einsum, which contracts its operands one after another. Axes that only one of two operands
    has, and no later one, are summed before multiplication."""
    terms, arrow, out = equation.replace(" ", "").partition("->")
    operands = terms.split(",")
    named = [axes(term, len(shape)) for term, shape in zip(operands, shapes, strict=True)]
    size: dict[str, int] = {}
    for names, shape in zip(named, shapes, strict=True):
        for name, n in zip(names, shape, strict=True):
            size[name] = max(n, size.get(name, 1))  # one of them may be 1, repeated along the other
    every = [name for names in named for name in names]
    # without an arrow: the axes of an ellipsis, and those named once
    last = {n for n in every if n.isdigit() and (not arrow or "..." in out)}
    last |= set(out) - {"."} if arrow else {n for n in every if every.count(n) == 1}
    total, held = 0, set(named[0])
    for place, names in enumerate(named[1:], 1):
        later = last.union(*named[place + 1 :])
        total += math.prod(size[n] for n in held | set(names) if n in later or (n in held and n in names))
        held = (held | set(names)) & later
    return total


def axes(term: str, rank: int) -> list[str]:
    """The names of an operand's axes: letters, or numbers counted from the last for those of an ellipsis."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise Unknown
    return [*before, *(str(n) for n in range(hidden, 0, -1)), *after]


def sizes(value: ir.Value | None) -> list[int]:
    """A shape for one row."""
    if value is None or value.shape is None:
        raise Unknown
    return [per_row(size) for size in value.shape]


def per_row(size: int | ir.SymbolicDim) -> int:
    """A size for one row: `2*batch` is 2."""
    factor = re.match(r"\d+", str(size.value if isinstance(size, ir.SymbolicDim) else size))
    return int(factor.group()) if factor else 1
