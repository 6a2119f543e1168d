"""How often one row multiplies in a graph: what its layers cost, whatever the machine."""

from __future__ import annotations

import math
import re

import onnx_ir as ir

PRODUCTS = ("Attention", "Conv", "ConvTranspose", "Einsum", "Gemm", "GRU", "LSTM", "MatMul", "RNN")


def products(model: ir.Model) -> tuple[int, int] | tuple[None, None]:
    """How often one row multiplies in matrix products and convolutions, loops counted once, and how many of these
    operators there are; None where a shape is unknown, or an operator's products are not counted here."""
    found = []
    for node in (*model.graph, *(n for graph in model.graph.subgraphs() for n in graph)):
        if node.op_type in PRODUCTS:
            try:
                found.append(multiplications(node))
            except Unknown:
                return None, None
    return sum(found), len(found)


class Unknown(Exception):
    """It is not known how often an operator multiplies."""


def multiplications(node: ir.Node) -> int:
    first, second = (sizes(value) for value in node.inputs[:2])
    match node.op_type:
        case "Einsum":
            terms, arrow, out = node.attributes["equation"].as_string().replace(" ", "").partition("->")
            if not arrow or "." in terms or terms.count(",") != 1:
                raise Unknown
            one, other = terms.split(",")
            # what is in one of them only, and not in the output, is summed before
            together = dict(zip(one + other, first + second, strict=True))
            return math.prod(n for name, n in together.items() if name in out or (name in one and name in other))
        case "GRU" | "LSTM" | "RNN":  # in each step of the sequence all weights once
            return first[0] * (math.prod(second) + math.prod(sizes(node.inputs[2])))
        case "ConvTranspose":  # each number takes part in as many products as its weights have
            return math.prod(first) * math.prod(second[1:])
        case "Conv":
            return math.prod(sizes(node.outputs[0])) * math.prod(second[1:])
        case "Gemm" | "MatMul":
            turned = node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int()
            return math.prod(sizes(node.outputs[0])) * (first[0] if turned else first[-1])
    raise Unknown


def sizes(value: ir.Value | None) -> list[int]:
    """A shape, for one row."""
    if value is None or value.shape is None:
        raise Unknown
    return [per_row(size) for size in value.shape]


def per_row(size: int | ir.SymbolicDim) -> int:
    """A size for one row: that of `2*batch` is two."""
    factor = re.match(r"\d+", str(size.value if isinstance(size, ir.SymbolicDim) else size))
    return int(factor.group()) if factor else 1
