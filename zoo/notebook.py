"""What is shown in a notebook: a bar while a model is trained, and models as tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.model import Model
    from zoo.training import Status

REFRESH = 0.5  # seconds


def is_here() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")  # whoever runs a kernel has it
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def training_bar() -> Iterator[Callable[[Status], None]]:
    """Yields `progress(status)` for `zoo.train`: a bar with the losses, which stays when it is done."""
    import time

    from IPython.display import HTML, display

    handle: Any = display(HTML("loading"), display_id=True)
    last: tuple[float, Status | None] = (0.0, None)

    def show(status: Status) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last[0] > REFRESH or status.row is not None:
            handle.update(HTML(bar(status)))
            last = now, status

    yield show


def bar(status: Status) -> str:
    from zoo.cli.progress import losses

    said = f"epoch {status.epoch}/{status.epochs}, step {status.step}/{status.steps}  {losses(status)}"
    name = f"{status.record.architecture} on {status.record.data}"
    return f'<progress value="{status.step}" max="{status.steps}"></progress> {escape(name)}: {escape(said)}'


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """An HTML table."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def model_html(model: Model) -> str:
    """A model: what it is, and its methods with what they take and give."""
    said = [f"<b>{escape(model.name)}</b>", escape(model.space.describe())]
    if model.classes is not None:
        said.append(escape(f"classes {', '.join(model.classes.names)}"))
    if model.density is not None:
        said.append(escape(f"density {model.density}"))
    return f"<p>{' · '.join(said)}</p>{table(['method', 'takes', 'gives', 'options'], method_rows(model))}"


def method_rows(model: Model) -> list[list[str]]:
    """Of each method what it takes, gives, and has as options."""
    return [
        [
            name,
            ", ".join(f"{k} {tensor(t)}" for k, t in signature.inputs.items()) or "count",
            ", ".join(f"{k} {tensor(t)}" for k, t in signature.outputs.items()),
            ", ".join(f"{k}={o.default}" for k, o in signature.options.items()),
        ]
        for name, signature in model.signatures.items()
    ]


def tensor(declared: Any) -> str:
    return f"{declared.dtype} (N{''.join(f', {d}' for d in declared.shape)})"
