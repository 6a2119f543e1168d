"""Messages for functions that cannot be traced: the operation, its place, and a workaround."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.overrides import TorchFunctionMode

from zoo.wrapping.calling import described, lines_to_blame, of_user, to_blame, user_line

BRANCH = (
    "needs the value of a tensor while it is traced (an if, a while, a loop bound, int(), float() or a list index). "
    "Workaround: torch.where(condition, a, b) computes both sides and keeps each row's own; a loop until something "
    "holds is a sampler with step= and until=, or a zoo.Loop; a table is read with table.index_select(0, i.reshape(1))"
    "; a module's flag that is a tensor is made a bool before{assertion}"
)
ASSERTION = "; python -O removes assertions"
SHAPES = (
    "creates a tensor whose shape depends on values (a boolean mask, nonzero, unique). Workaround: "
    "torch.where(mask, a, b) keeps every row, with zeros for masked ones in sums"
)
ROWS = (
    "works only for a fixed number of rows, {rows}: it loops over the rows, or has a hard-coded "
    "batch size. Workaround: whole-batch operations, and x.shape[0] or -1 for the number of rows"
)
NUMPY = "leaves PyTorch for numpy, where nothing can be traced. Workaround: the tensor operation of the same name"
RANDOM = (
    "draws random numbers itself ({found}), which no seed could repeat. Workaround: take them as arguments, "
    "noise=zoo.Normal(...) or zoo.Uniform(...), step_noise= for those of each step; dropout and batch norm in "
    "evaluation mode"
)
GRADIENT = (
    "takes a gradient{where}, which leaves no trace. Workaround: zoo_torch.layers.gradient.gradient(module, x), the "
    "gradient of a module's output with respect to its input"
)
LOW = (
    "computes in {dtype}, and an artifact, on every machine, in float32. Workaround: {around}; "
    "numbers that are only kept in {dtype} are made float32 before they are computed with"
)
IN_FLOAT32 = {
    "torch": "model.float(), without autocast",
    "keras": 'make the model with the dtype policy "float32" (keras.config.set_dtype_policy) and load its weights',
}
# functions and operators that do not compute
MOVES = {
    *("_to_copy", "bfloat16", "half", "to", "type", "type_as", "clone", "contiguous", "detach", "__get__"),
    *("cat", "stack", "constant_pad_nd", "pad", "where", "embedding", "gather", "index", "index_select", "__getitem__"),
    *("expand", "flatten", "permute", "reshape", "squeeze", "transpose", "unsqueeze", "view", "unflatten"),
}
MISSING = "uses {name}{where}, for which there is no ONNX operator. Workaround: {around}"
# whatever depends only on weights can be computed in advance
MATRIX = ("inv", "slogdet", "det", "cholesky", "solve", "qr", "svd", "eigh", "eig", "lstsq", "pinv", "matrix")
RANDOM_NODES = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}


def reason(error: BaseException, locate: Callable[[str], str] = lambda op: "") -> str:
    """One sentence about what could not be traced, and what to do instead. `locate` returns the place of an operation
    without an ONNX operator, as ` (file.py:12)`."""
    chain = list(_chain(error))
    names = {type(e).__name__ for e in chain}
    text = "\n".join(str(e) for e in chain)
    where = _where(chain)
    if missing := re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text):
        return _missing(missing.group(1), locate(missing.group(1)))
    if re.search(r"numpy\(\)|np\.ndarray|numpy array|__array__|numpy conversion", text):
        return f"{where} {NUMPY}"
    if "tracing inferred a static shape" in text or "Constraints violated" in text:
        rows = re.search(r"static shape of (\d+)|constant \((\d+)\)", text)
        return "it " + ROWS.format(rows=next((g for g in rows.groups() if g), "?") if rows else "?")
    if names & {"GuardOnDataDependentSymNode", "DataDependentOutputException"}:
        sized = re.search(r"Size-like symbols: [uz]", text)
        assertion = ASSERTION if where.startswith("`assert ") else ""
        return f"{where} {SHAPES if sized else BRANCH.format(assertion=assertion)}"
    if "DynamicOutputShapeException" in names:
        return f"{where} {SHAPES}"
    if "TensorWrapper" in text or "does not require grad" in text:
        return "it " + GRADIENT.format(where=locate("grad"))
    if "fake tensor in the exported program" in text and (where := locate("grad")):
        return "it " + GRADIENT.format(where=where)
    if re.search(r"torch\.(_C\.)?Generator", text) or "concrete integers" in text:
        return f"{where} " + RANDOM.format(found="with a torch.Generator")
    cause = error
    while cause.__cause__ is not None:  # its context may be an error that was handled
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{where} fails with {type(cause).__name__}: {lines[0] if lines else repr(cause)}"


def _missing(op: str, where: str) -> str:
    name = op.split(".")[-1].removesuffix("_ex").lstrip("_")
    around = "write it in operations that have one"
    if any(part in name.split("_") for part in MATRIX):
        around = (
            "if it depends only on the weights, compute it once in advance, outside the function, and use the result; "
            "otherwise write it in operations that have one"
        )
    if name in ("uniform", "normal", "rand", "randn", "exponential", "bernoulli"):
        return "it " + RANDOM.format(found=name)
    module = "torch.linalg." if name.startswith("linalg_") else "torch."
    return "it " + MISSING.format(name=module + name.removeprefix("linalg_"), where=where, around=around)


def random_draws(
    graph: ir.Graph, program: torch.export.ExportedProgram, locate: Callable[[str], str] = lambda op: ""
) -> str:
    """The sentence about random numbers that an exported graph draws itself; "" if it draws none."""
    kinds = []
    for node in graph.all_nodes():
        trains = node.op_type == "Dropout" and len(node.inputs) > 2 and _true(node.inputs[2])
        if node.op_type in RANDOM_NODES or trains:
            kinds.append(node.op_type)
    if not kinds:
        return ""
    names = dict.fromkeys(_random_operations(program))
    found = [f"torch.{name.removesuffix('_functional')}{locate(name)}" for name in names]
    return "it " + RANDOM.format(found=", ".join(found or dict.fromkeys(kinds)))


def _random_operations(program: torch.export.ExportedProgram) -> Iterator[str]:
    for node in program.graph.nodes:
        if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            name = node.target.overloadpacket.__name__
            if torch.Tag.nondeterministic_seeded in node.target.tags and "attention" not in name:
                yield name


class Lines(TorchFunctionMode):
    """Records the line of the user's code that called each PyTorch function."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.low = ""  # where it first computes in few bits
        self.sized = ""  # where the number of rows first depends on values

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if _bare(name) not in self.found:
            self.found[_bare(name)] = user_line()
        result = function(*args, **(kwargs or {}))
        # torch.export also creates tensors: what no line calls is not to blame
        if not self.low and _computes_low(name, result) and (places := lines_to_blame()):
            self.low = _quote(places)
        if not self.sized and _is_sized_by_values(result) and (places := lines_to_blame()):
            self.sized = _quote(places)
        return result

    def place(self, op: str) -> str:
        """` (file.py:12)` of an operation such as `aten._linalg_svd`, or ""."""
        line = self.found.get(_bare(op.split(".")[-1]))
        return f" ({line})" if line else ""


def _bare(name: str) -> str:
    """The common part of the names of a function and its operation."""
    name = name.strip("_").removesuffix("_ex").removesuffix("_functional")
    return name.removeprefix("native_").removeprefix("linalg_").replace("inverse", "inv")


def _true(value: Any) -> bool:
    constant = None if value is None else value.const_value
    return value is not None and (constant is None or bool(constant.numpy().any()))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _where(chain: list[BaseException]) -> str:
    """The line to blame, as `if x > 0:` (file.py:12), or "it"."""
    said: list[tuple[str, int]] = []
    for error in reversed(chain):
        if found := re.search(r'raised this error:\s+File "(.+?)", line (\d+)', str(error)):
            said = said or to_blame([(found.group(1), int(found.group(2)))])
    if said and of_user(said[0][0]):
        return _quote(said)
    for error in reversed(chain):
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
        if places := to_blame(reversed(frames)):
            return _quote(places)
    return _quote(said)


def unknown_rows(program: torch.export.ExportedProgram, lines: Callable[[], Lines]) -> str:
    """The sentence about an output whose number of rows depends on values; "" if there is none."""
    (outputs,) = (node.args[0] for node in program.graph.nodes if node.op == "output")
    values = (o.meta.get("val") for o in outputs if isinstance(o, torch.fx.Node))  # type: ignore[union-attr]
    return f"{lines().sized or 'it'} {SHAPES}" if any(map(_is_sized_by_values, values)) else ""


def lowered(program: torch.export.ExportedProgram, lines: Callable[[], Lines], framework: str = "torch") -> str:
    """The sentence about a program that computes in fewer bits than an artifact; "" if it does not. `framework` is that
    of the network."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            operation = node.target if isinstance(node.target, torch._ops.OpOverload) else None
            if operation is None or operation.is_view or not _computes_low(operation.__name__, node.meta.get("val")):
                continue
            dtype = str(node.meta["val"].dtype).removeprefix("torch.")
            return f"{lines().low or 'it'} " + LOW.format(dtype=dtype, around=IN_FLOAT32[framework])
    return ""


def _is_sized_by_values(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0 and bool(free_unbacked_symbols(value.shape[0]))


def _computes_low(name: str, value: Any) -> bool:
    few = isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return few and name.split(".")[0] not in MOVES


def _quote(places: Sequence[tuple[str, int]]) -> str:
    """`if x > 0:` (file.py:12), or "it"."""
    if not places:
        return "it"
    filename, line = places[0]
    code = linecache.getline(filename, line).strip()
    code = code if len(code) <= 80 else f"{code[:77]}..."
    return f"{f'`{code}` ' if code else 'line '}({described(places)})"
