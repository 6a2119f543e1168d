"""A method of an artifact for repeated calls: arguments are checked once, and buffers are reused.

On CUDA a one-shot method becomes a CUDA graph if onnxruntime can capture one. Capture freezes what kernels read from
the host: the number of rows and other shapes, which a bound method fixes anyway. Whatever may change between calls,
such as the seed, must be read from the device; otherwise the method runs without capture.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import onnxruntime as ort

from zoo.artifact.threads import cut, together
from zoo.errors import InputError
from zoo.model import Array
from zoo.rows import Seeds, read_rows
from zoo.signature import Tensor, resolve
from zoo.system.interrupts import stoppable

if TYPE_CHECKING:
    from zoo.artifact import Artifact

TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)", "bool": "tensor(bool)"}
HOST = 1  # DLPack's device type of the CPU
Given = Mapping[str, Any]


class Arguments:
    """The arguments that a method is bound to: `arrays` are checked and copied, `values` are used on the device."""

    def __init__(self, artifact: Artifact, method: str, count: int, given: Given) -> None:
        self.artifact, self.method, self.count = artifact, method, count
        self.signature = artifact.signature(method)
        self.arrays, self.options = self.check(given)
        self.values = self.accept(given)

    def check(self, given: Given) -> tuple[dict[str, Array], dict[str, np.generic]]:
        """Inputs and options as `run` takes them, without values on a device. Inputs may be missing."""
        inputs = self.signature.inputs
        here = {name: value for name, value in given.items() if not (name in inputs and on_device(value))}
        here = self.artifact.called(self.signature, here)
        known = all(name in inputs or name in self.signature.options for name in here)
        part = replace(self.signature, inputs={name: t for name, t in inputs.items() if name in here})
        whole = self.signature  # what the message about an unknown name should list
        arrays, options = self.artifact._arguments(self.method, part if known else whole, here, self.count)
        for name, array in arrays.items():
            if len(array) != self.count:
                raise InputError(f"{name} has {len(array)} rows; {self.method} is bound to {self.count}.")
        return arrays, options

    def accept(self, given: Given) -> dict[str, ort.OrtValue]:
        """Values on a device, as `OrtValue`s, without copies. Their contents are not checked."""
        found = {}
        for name, tensor in self.signature.inputs.items():
            if name in given and on_device(value := given[name]):
                value = value if isinstance(value, ort.OrtValue) else ort.OrtValue.from_dlpack(value)
                what = _describe(value.data_type(), tuple(value.shape()), value.device_name())
                expected = _describe(TYPES[tensor.dtype], self.shape(tensor), self.artifact.device)
                if what != expected:
                    raise InputError(f"{name} is a {what}; expected a {expected}.")
                found[name] = value
        return found

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        return (self.count, *resolve(tensor.shape, self.options))


def _describe(kind: str, shape: tuple[int, ...], device: str) -> str:
    return f"{kind} of shape {shape} on {device}"


def on_device(value: Any) -> bool:
    """Whether a value is an `OrtValue`, or a tensor outside host memory."""
    if isinstance(value, np.ndarray):
        return False
    if isinstance(value, ort.OrtValue):
        return True
    return hasattr(value, "__dlpack_device__") and int(value.__dlpack_device__()[0]) != HOST


class Bound:
    """A method bound to a number of rows, as returned by `Artifact.bind`.

    Calling it runs the method and returns `outputs`: an `onnxruntime.OrtValue` for each, on the artifact's device.
    Every call returns the same values and overwrites their contents. `.numpy()` returns an array (on the CPU a view),
    `torch.from_dlpack` and `jax.dlpack.from_dlpack` take a value without a copy, and `bind` takes it as the input of
    another method. `captured` says whether it runs as a CUDA graph; if capture failed, `refusal` is the message of CUDA
    or onnxruntime. Only the thread that calls it first may call it.
    """

    def __init__(
        self,
        sessions: Sequence[ort.InferenceSession],
        arguments: Arguments,
        *,
        captured: bool = False,
        refusal: str = "",
    ) -> None:
        self.outputs: dict[str, ort.OrtValue] = {}
        self.captured, self.refusal = captured, refusal
        self._arguments = arguments
        self._shared = frozenset(arguments.values)
        signature, count, device = arguments.signature, arguments.count, arguments.artifact.device
        self._places = places(sessions[0], device)
        self._buffers = dict(arguments.values)
        there = {*arguments.values, *arguments.arrays}
        self._unbound = [n for n, t in signature.inputs.items() if n not in there and t.default is None]
        self._rows: tuple[Seeds, Seeds | None, int] | None = None  # of the last call
        self._owner: list[tuple[int, int]] = []  # process and thread of each call that found no owner

        first: dict[str, Array] = {}
        for name, tensor in signature.row_inputs.items():
            if name not in arguments.values:
                first[name] = np.full(arguments.shape(tensor), tensor.default or 0, tensor.dtype)
        for name, value in arguments.options.items():
            first[name] = np.asarray(value)
        for name, array in first.items():
            self._buffers[name] = self._value(name, array)
        for name, tensor in signature.outputs.items():
            shape = arguments.shape(tensor)
            self.outputs[name] = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(tensor.dtype).type, device)
        self._fill(arguments.arrays)

        self._parts = []  # kept: on the CPU a buffer is numpy's memory, not onnxruntime's
        runs = []
        for session, (low, high) in zip(sessions, cut(count, len(sessions)), strict=True):
            binding = session.io_binding()
            for name, value in self._buffers.items():
                part = part_of(value, low, high, count) if name in signature.row_inputs else value
                self._parts.append(part)
                binding.bind_ortvalue_input(name, part)
            for name, value in self.outputs.items():
                binding.bind_ortvalue_output(name, part_of(value, low, high, count))
            runs.append(partial(stoppable, partial(session.run_with_iobinding, binding)))
        self._runs = runs
        if captured:
            self._capture()

    def __call__(
        self, seed: Seeds | None = None, *, start: int = 0, index: Seeds | None = None, **inputs: Any
    ) -> Mapping[str, ort.OrtValue]:
        """Run it for rows as in `Model.sample`; without a seed, `sample` chooses a new one, other methods use 0.
        Unbound inputs are required in each call; those bound to arrays may be replaced, also for later calls. Inputs
        are copied."""
        self._check_owner()
        if inputs:
            self._copy(inputs)
        for name in self._unbound:
            if name not in inputs:
                what = f"{self._arguments.method} of {self._arguments.artifact.name}"
                raise InputError(f"{what} needs {name}, in bind or in each call.")
        signature = self._arguments.signature
        if signature.random or not signature.inputs:
            self._set_rows(seed, index, start)
        taken = self._arguments
        try:
            together(self._runs)
        except MemoryError as error:
            raise taken.artifact._shortage(taken.method, taken.count, taken.options, "fewer rows") from error
        taken.artifact.files.check_weights()
        return self.outputs

    def __reduce__(self) -> NoReturn:  # called by copy and deepcopy, too
        method = self._arguments.method
        raise InputError(
            f"a bound {method} cannot be copied or pickled: its buffers belong to one thread. Bind it again: "
            f"artifact.bind({method!r}, {self._arguments.count}, ...); artifacts can be copied and pickled."
        )

    def _check_owner(self) -> None:
        """Buffers are for one thread: another one would overwrite what this one is about to read."""
        here = os.getpid(), threading.get_ident()
        if not self._owner:
            self._owner.append(here)  # if threads race, the first one is the owner; a lock could hang after a fork
        if self._owner[0] != here:
            method = self._arguments.method
            raise InputError(
                f"this bound {method} belongs to the thread that called it first: its buffers hold one batch. Bind "
                f"{method} once in each thread and process; they share the artifact."
            )

    def _set_rows(self, seed: Seeds | None, index: Seeds | None, start: int) -> None:
        if seed is None:
            seed = secrets.randbits(31) if self._arguments.method == "sample" else 0
        rows = seed, index, start
        if type(seed) is int and index is None and rows == self._rows:
            return
        seeds, indices = read_rows(self._arguments.count, seed, index, start).part(0, self._arguments.count)
        if "seed" in self._buffers:
            self._buffers["seed"].update_inplace(seeds)
        self._buffers["index"].update_inplace(indices)
        self._rows = rows if type(seed) is int and index is None else None  # arrays may change afterwards

    def _copy(self, inputs: Given) -> None:
        """Write inputs into their buffers."""
        for name in inputs:
            if name in self._arguments.signature.options:
                raise InputError(f"{name} is fixed by bind(); bind the method again to change it.")
            if name in self._shared:
                raise InputError(f"{name} is bound to a value on the device; write to it, or bind the method again.")
        arrays, _ = self._arguments.check(inputs)
        self._fill(arrays)
        for name, value in self._arguments.accept(inputs).items():
            self._buffers[name].update_inplace(value)

    def _fill(self, arrays: Mapping[str, Array]) -> None:
        for name, array in arrays.items():
            self._buffers[name].update_inplace(np.ascontiguousarray(array))

    def _value(self, name: str, array: Array) -> ort.OrtValue:
        """A buffer on the device from which the graph reads an input."""
        return ort.OrtValue.ortvalue_from_numpy(array, self._places.get(name, "cpu"))

    def _capture(self) -> None:
        """Record the graph now, so that a failure to capture shows here; `ValueError` names what must not be frozen."""
        changing = [*self._arguments.signature.row_inputs, *self.outputs]
        if baked := [name for name in changing if self._places[name] == "cpu"]:
            raise ValueError(f"{', '.join(baked)} on the host: a CUDA graph would keep the first call's")
        together(self._runs)


def part_of(value: ort.OrtValue, low: int, high: int, count: int) -> ort.OrtValue:
    """Some of the rows, without a copy; a proper part only on the CPU."""
    return value if high - low == count else ort.OrtValue.ortvalue_from_numpy(value.numpy()[low:high])


def places(session: ort.InferenceSession, device: str) -> dict[str, str]:
    """The device of each input and output of the graph."""
    if device == "cpu":
        return {}
    names = [value.name for value in (*session.get_inputs(), *session.get_outputs())]
    memory = [*session.get_input_memory_infos(), *session.get_output_memory_infos()]
    return {name: "cuda" if info.name == "Cuda" else "cpu" for name, info in zip(names, memory, strict=True)}
