"""Tracing one function of a method into an ONNX graph, with a dynamic batch."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import nn

from zoo.errors import ExportError
from zoo.parity.inputs import tensor_examples
from zoo.signature import Noise, Option, Tensor, resolve
from zoo.system.interrupts import check_signals
from zoo_onnx.graph import OPSET
from zoo_onnx.passes.float64_casts import without_missing_kernels
from zoo_onnx.passes.redundant_copies import without_copies
from zoo_onnx.passes.transposed_convolutions import without_transposed
from zoo_onnx.tracing.failures import Lines, lowered, random_draws, reason, unknown_rows
from zoo_onnx.tracing.onnx_registry import registry_made_once
from zoo_onnx.tracing.operators import OPERATORS
from zoo_onnx.tracing.translations import translations

Argument = Tensor | Noise | Option  # a batch of tensors, a batch of noise, a scalar
BATCH = 3  # rows of the example inputs; any number above 1, which tracing would treat as a constant


class Piece(nn.Module):
    """A function and the network that owns its weights, as a module with positional arguments and outputs."""

    def __init__(self, network: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.network = network
        self.function = function

    def forward(self, *arguments: torch.Tensor) -> Any:
        return self.function(*arguments)


def trace(
    network: nn.Module,
    function: Callable[..., Any],
    arguments: Mapping[str, Argument],
    what: str,
    defaults: Mapping[str, Any],
) -> ir.Model:
    """The graph of `function(*arguments)`. `defaults` are the values of options that shapes name."""
    device = next((t.device for t in (*network.parameters(), *network.buffers())), torch.device("cpu"))
    examples = [example(a, defaults).to(device) for a in arguments.values()]
    dynamic = tuple(dynamic_shape(a) for a in arguments.values())
    piece = Piece(network, function).eval()

    @functools.cache
    def lines() -> Lines:
        """The line on which the user calls each operation, found by another run."""
        with quiet(), translations(), contextlib.suppress(Exception), Lines() as found:
            torch.export.export(piece, tuple(examples), strict=False)
        return found

    def locate(op: str) -> str:
        return lines().place(op)

    try:
        with quiet(), translations(), registry_made_once():
            program = torch.onnx.export(
                piece,
                tuple(examples),
                dynamo=True,
                verbose=False,
                dynamic_shapes=(dynamic,),
                opset_version=OPSET,
                custom_translation_table=OPERATORS,
            )
    except Exception as error:  # torch.export raises many kinds; all of them mean that the code cannot be traced
        check_signals()  # or that an interrupt came meanwhile
        raise ExportError(f"{what} cannot be traced to ONNX: {reason(error, locate)}.") from error
    assert program is not None
    if len(program.model.graph.inputs) != len(examples):
        raise ExportError(
            f"{what} cannot be traced to ONNX: an argument was lost; use each as a tensor, not as a number."
        )
    without_transposed(program.model)
    without_copies(program.model)
    without_missing_kernels(program.model)
    RemoveUnusedNodesPass()(program.model)
    traced = program.exported_program
    assert traced is not None
    framework = getattr(network, "framework", "torch")
    fault = unknown_rows(traced, lines) or lowered(traced, lines, framework)
    fault = fault or random_draws(program.model.graph, traced, locate)
    if fault:
        raise ExportError(f"{what} cannot be exported: {fault}.")
    return program.model


def example(argument: Argument, defaults: Mapping[str, Any]) -> torch.Tensor:
    if isinstance(argument, Option):
        return torch.tensor(argument.number, dtype=getattr(torch, argument.dtype))
    values = {k: max(int(v), 2) for k, v in defaults.items() if isinstance(v, int)}  # 1 would become a constant too
    shape = (BATCH, *resolve(argument.shape, values))
    if isinstance(argument, Noise):
        return torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(tensor_examples(argument, "random", BATCH, options=values))


def dynamic_shape(argument: Argument) -> dict[int, str] | None:
    if isinstance(argument, Option):
        return None
    return {0: "batch", **{k + 1: d for k, d in enumerate(argument.shape) if isinstance(d, str)}}


@contextlib.contextmanager
def quiet() -> Any:
    """Suppress what torch's exporter prints, warns and logs about its internals."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
