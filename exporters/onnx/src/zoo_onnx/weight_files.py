"""Stores weights inside each method's file while these are small, else in one file that the methods share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx_ir as ir

from zoo.artifact import WEIGHTS
from zoo_onnx.passes.duplicate_weights import SMALL, Known, store_once, transpose

LIMIT = 2**28  # bytes of all files together, up to which weights are inside
ALIGN = 64


class Weights:
    """Writes the models of an artifact's methods to `folder`. Nothing is held twice: as soon as they exceed `limit`
    bytes together, weights go to the shared file, each distinct one once."""

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


def stored_bytes(model: ir.Model) -> int:
    """Bytes of the weights in a model's file."""
    return sum(t.nbytes for t in _tensors(model))


def computed_bytes(model: ir.Model) -> int:
    """Bytes of the weights in the precision of computation: those in fewer bits are restored to float32."""
    smaller = ir.DataType.FLOAT16, ir.DataType.INT8
    return sum(math.prod(t.shape.numpy()) * 4 if t.dtype in smaller else t.nbytes for t in _tensors(model))


def _tensors(model: ir.Model) -> list[ir.TensorProtocol]:
    values = (v for graph in (model.graph, *model.graph.subgraphs()) for v in graph.initializers.values())
    return [value.const_value for value in values if value.const_value is not None]
