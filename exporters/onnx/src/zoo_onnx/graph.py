"""Building ONNX graphs with onnx_ir: nodes, shared constants, and traced pieces spliced in whole."""

from __future__ import annotations

import ast
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

DTYPES = {
    "float32": ir.DataType.FLOAT,
    "int64": ir.DataType.INT64,
    "uint64": ir.DataType.UINT64,
    "uint8": ir.DataType.UINT8,
    "bool": ir.DataType.BOOL,
}
OPSET = 20
NETWORK = "network."  # prefix of the names of a traced network's modules and weights
SCOPES = "pkg.torch.onnx.name_scopes"


class Scope:
    """A graph under construction. A scope with a parent is the body of a loop and may use the parent's values."""

    def __init__(self, parent: Scope | None = None, name: str = "main") -> None:
        self.root: Scope = parent.root if parent else self
        self.part = ""
        if parent is None:
            self.numbers = itertools.count()
            self.taken: set[str] = set()
            self.constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        opsets = {} if parent else {"": OPSET}
        self.graph = ir.Graph([], [], nodes=[], opset_imports=opsets, name=name)

    def name(self, stem: str) -> str:
        """A name that is unique in the whole model: bodies must not shadow values of outer graphs."""
        return self.reserve(f"{stem}_{next(self.root.numbers)}")

    def reserve(self, name: str) -> str:
        """This name, or a unique one derived from it."""
        taken = self.root.taken
        while name in taken:
            name = f"{name}_{next(self.root.numbers)}"
        taken.add(name)
        return name

    @contextlib.contextmanager
    def named(self, part: str) -> Iterator[None]:
        """Inside, node names have a part of the model as prefix, so that profiles show it."""
        self.part = f"{part}/"
        yield
        self.part = ""

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> ir.Value:
        value = ir.Value(name=name, type=ir.TensorType(DTYPES[dtype]), shape=ir.Shape(shape))
        self.graph.inputs.append(value)
        return value

    def output(self, value: ir.Value, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Make a value an output: itself, or a copy if it belongs to another graph or is already an output."""
        node = value.producer()
        own = node is not None and node.graph is self.graph and not value.is_graph_output()
        self.declare(value if own else self.op("Identity", value), name, dtype, shape)

    def declare(self, out: ir.Value, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Make a value of this graph an output."""
        out.name, out.type, out.shape = name, ir.TensorType(DTYPES[dtype]), ir.Shape(shape)
        self.graph.outputs.append(out)

    def op(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        node = ir.node(kind, list(inputs), attributes, name=self.name(f"{self.part}{kind}"))
        node.outputs[0].name = self.name("v")
        self.graph.append(node)
        return node.outputs[0]

    def halves(self, value: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The two halves of the last axis."""
        node = ir.node(
            "Split", [value], {"axis": -1, "num_outputs": 2}, num_outputs=2, name=self.name(f"{self.part}Split")
        )
        for output in node.outputs:
            output.name = self.name("v")
        self.graph.append(node)
        return node.outputs[0], node.outputs[1]

    def constant(self, value: Any, dtype: str) -> ir.Value:
        """A constant of the outermost graph, shared by equal values."""
        root, array = self.root, np.asarray(value, dtype=dtype)
        key = (dtype, array.shape, array.tobytes())
        if key not in root.constants:
            root.constants[key] = known(root.graph, root.name("c"), array)
        return root.constants[key]

    def cast(self, value: ir.Value, dtype: str) -> ir.Value:
        return self.op("Cast", value, to=int(DTYPES[dtype]))

    def splice(self, piece: ir.Model, arguments: Sequence[ir.Value], part: str = "") -> list[ir.Value]:
        """Move a traced graph here, with its inputs replaced by `arguments`. Its weights become this graph's own: in
        the body of a loop, onnxruntime optimizes the layout of convolutions only if the weights are in the same graph.

        Weights are named as in the network; nodes by their part of the method, the module that created them, and their
        operator: `step/unet.down.0/Conv_12`."""
        traced = piece.graph
        outputs, given = list(traced.outputs), dict(zip(traced.inputs, arguments, strict=True))
        traced.outputs.clear()
        for value, argument in given.items():
            if argument.shape is None:
                argument.type, argument.shape = value.type, value.shape
            ir.convenience.replace_all_uses_with(value, argument)
        weights = list(traced.initializers.values())
        traced.initializers.clear()
        nodes = list(traced)
        traced.remove(nodes)
        for value in weights:
            given_by = str(value.name).removeprefix(NETWORK)
            value.name = self.name("w") if given_by == value.name else self.reserve(given_by)
            self.graph.register_initializer(value)
        for node in nodes:
            node.name = self.name("/".join(filter(None, (part, module(node), node.op_type))))
            node.metadata_props.clear()
            for value in node.outputs:
                if value.name:
                    value.name = self.name("v")
                value.metadata_props.clear()
        self.graph.extend(nodes)
        outputs = [copied(value) for value in outputs]
        return [given.get(value, value) for value in outputs]

    def model(self, name: str = "main") -> ir.Model:
        self.graph.name = name
        return ir.Model(self.graph, ir_version=10, producer_name="genzoo")


def module(node: ir.Node) -> str:
    """The module of the network that created a traced node, as recorded by PyTorch's exporter; "" if unknown."""
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return next((str(s).removeprefix(NETWORK) for s in reversed(scopes[:-1]) if s.startswith(NETWORK)), "")


def copied(value: ir.Value) -> ir.Value:
    """The value that a value copies: tracing copies an argument that is returned unchanged."""
    node = value.producer()
    return node.inputs[0] or value if node is not None and node.op_type == "Identity" else value


def known(graph: ir.Graph, name: str, tensor: ir.TensorProtocol | np.ndarray) -> ir.Value:
    """A constant of a graph."""
    tensor = ir.tensor(tensor)
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape), const_value=tensor)
    graph.register_initializer(value)
    return value
