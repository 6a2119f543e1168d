"""Where weights lie: inside of each method's file while all are small, else in one file that the methods share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import numpy as np
import onnx_ir as ir

from zoo.artifact import WEIGHTS
from zoo.files import sha256

T = TypeVar("T")
LIMIT = 2**28  # bytes of all files together, up to which weights lie inside
SMALL = 1024  # bytes: smaller tensors always lie inside
ALIGN = 64


class Weights:
    """Writes the models of an artifact's methods to `folder`. Nothing is kept twice while they are being made: as soon
    as they are more than `limit` bytes together, weights go to the shared file, each distinct one once."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit
        self.models: dict[str, ir.Model] = {}
        self.places: Known[tuple[int, int]] = Known()
        self.inside = True

    def add(self, file: str, model: ir.Model) -> None:
        store_once(model)
        self.models[file] = model
        if self.inside and sum(map(stored_bytes, self.models.values())) <= self.limit:
            return
        moving = self.models.values() if self.inside else [model]
        self.inside = False
        with (self.folder / WEIGHTS).open("ab") as shared:
            for each in moving:
                self._move_out(each, shared)

    def write(self) -> None:
        for file, model in self.models.items():
            ir.save(model, self.folder / file)

    def _move_out(self, model: ir.Model, shared: BinaryIO) -> None:
        for graph in (model.graph, *model.graph.subgraphs()):
            for value in list(graph.initializers.values()):
                tensor = value.const_value
                if tensor is None or tensor.nbytes < SMALL:
                    continue
                place, turned = self.places.find(value) or (None, False)
                if place is None:
                    shared.write(b"\0" * (-shared.tell() % ALIGN))
                    place = shared.tell(), tensor.nbytes
                    self.places.add(value, place)
                    shared.write(memoryview(np.ascontiguousarray(tensor.numpy())).cast("B"))
                shape = tensor.shape if not turned else ir.Shape(tuple(tensor.shape)[::-1])
                outside = ir.ExternalTensor(
                    WEIGHTS, *place, tensor.dtype, shape=shape, name=str(value.name), base_dir=self.folder
                )
                if turned:
                    transpose(graph, value, outside)
                else:
                    value.const_value = outside


class Known(Generic[T]):
    """Weights that were there before, found by their content. Large models take long to hash, so each array is hashed
    once, and transposed only where there is a matrix of that shape."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, tuple[int, ...]], dict[str, T]] = {}

    def find(self, value: ir.Value) -> tuple[T, bool] | None:
        """What was added with the same array, or (True) with the transposed matrix."""
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
    """Let the same weights in one graph, or a matrix and its transpose, as tied embeddings are, be one initializer.

    A graph and the body of its loop each keep their own: onnxruntime lays out weights for speed only there."""
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


def stored_bytes(model: ir.Model) -> int:
    """Bytes of the weights in a model's file."""
    return sum(t.nbytes for t in _tensors(model))


def computed_bytes(model: ir.Model) -> int:
    """Bytes of the weights as they are computed with: those in fewer bits are restored to float32."""
    smaller = ir.DataType.FLOAT16, ir.DataType.INT8
    return sum(math.prod(t.shape.numpy()) * 4 if t.dtype in smaller else t.nbytes for t in _tensors(model))


def _tensors(model: ir.Model) -> list[ir.TensorProtocol]:
    values = (v for graph in (model.graph, *model.graph.subgraphs()) for v in graph.initializers.values())
    return [value.const_value for value in values if value.const_value is not None]
