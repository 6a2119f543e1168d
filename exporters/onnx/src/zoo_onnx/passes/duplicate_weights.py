"""A pass over the initializers of a model: equal weights, and a matrix and its transpose, are stored once."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import onnx_ir as ir

from zoo.system.files import sha256

T = TypeVar("T")
SMALL = 1024  # bytes: smaller tensors are left unchanged


class Known(Generic[T]):
    """Finds weights seen before, by content. Hashing large models takes long, so each array is hashed once, and
    transposed only if there is a matrix of that shape."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, tuple[int, ...]], dict[str, T]] = {}

    def find(self, value: ir.Value) -> tuple[T, bool] | None:
        """The entry added with an equal array, or (True) with the transposed matrix."""
        kind, shape = _kind(value)
        for turned in (False, True) if len(shape) == 2 else (False,):
            alike = self.found.get((kind, shape[::-1] if turned else shape))
            if alike and (what := alike.get(_digest(value, turned))) is not None:
                return what, turned
        return None

    def add(self, value: ir.Value, what: T) -> None:
        self.found.setdefault(_kind(value), {})[_digest(value)] = what


def _kind(value: ir.Value) -> tuple[str, tuple[int, ...]]:
    assert value.const_value is not None
    array = value.const_value.numpy()
    return str(array.dtype), array.shape


def _digest(value: ir.Value, turned: bool = False) -> str:
    """The SHA-256 of a constant, or of its transpose."""
    key = "transposed" if turned else "digest"
    if key not in value.meta:
        assert value.const_value is not None
        array = value.const_value.numpy()
        value.meta[key] = sha256(np.ascontiguousarray(array.T if turned else array).data)
    return str(value.meta[key])


def store_once(model: ir.Model) -> None:
    """Merge equal weights of a graph, or a matrix and its transpose, such as tied embeddings, into one initializer.

    A graph and the body of its loop each keep their own: otherwise onnxruntime does not optimize their layout."""
    for graph in (model.graph, *model.graph.subgraphs()):
        known: Known[ir.Value] = Known()
        for value in list(graph.initializers.values()):
            tensor = value.const_value
            if tensor is None or tensor.nbytes < SMALL or value.is_graph_input():
                continue
            same, turned = known.find(value) or (None, False)
            if same is None:
                known.add(value, value)
            elif turned:
                transpose(graph, value, same)
            else:
                ir.convenience.replace_all_uses_with(value, same)
                graph.initializers.pop(str(value.name))


def transpose(graph: ir.Graph, value: ir.Value, matrix: ir.Value | ir.TensorProtocol) -> None:
    """Make an initializer the transpose of a matrix, which onnxruntime folds when it opens the file."""
    name = str(value.name)
    graph.initializers.pop(name)
    if not isinstance(matrix, ir.Value):
        type_ = ir.TensorType(matrix.dtype)
        matrix = ir.Value(name=f"{name}_transposed", type=type_, shape=matrix.shape, const_value=matrix)
        graph.register_initializer(matrix)
    value.const_value = None
    node = ir.node("Transpose", [matrix], {"perm": [1, 0]}, outputs=[value], name=f"{name}_transpose")
    graph.insert_before(graph[0], [node])
