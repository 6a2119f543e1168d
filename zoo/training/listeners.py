"""Who is told of a training: a progress display, callbacks, and a logger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from zoo import notebook
from zoo.errors import InputError
from zoo.training.history import COUNT, flat
from zoo.training.loop import Progress, Status

LOG_STEPS = 10  # between two steps that are logged
SETTINGS = ("log_hyperparams", "log_params")  # of loggers that keep settings too


class Logger(Protocol):
    """What Lightning's loggers, the module `mlflow` and others have in common. Where there are `log_hyperparams` or
    `log_params`, and `finalize`, they are called too, at the beginning and at the end."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> Any: ...


@dataclass(frozen=True)
class Listeners:
    """Who is told: each is called with a `Status` after each step, and at the end of each epoch."""

    progress: Progress | None = None
    callbacks: Sequence[Progress] = ()
    logger: Logger | None = None

    def __post_init__(self) -> None:
        if self.logger is not None and not hasattr(self.logger, "log_metrics"):
            raise InputError(
                f"logger is a {type(self.logger).__name__}; expected a logger with log_metrics(metrics, step), such as "
                "Lightning's or the module mlflow."
            )

    @contextmanager
    def listening(self) -> Iterator[Progress | None]:
        """Yields one function that tells all of them, or None. In a notebook, without a display, there is one."""
        with ExitStack() as stack:
            listeners = [*([] if self.progress is None else [self.progress]), *self.callbacks]
            if self.progress is None and notebook.is_here():
                listeners.insert(0, stack.enter_context(notebook.training_bar()))
            if self.logger is not None:
                listeners.append(Logged(self.logger))
                stack.enter_context(finalized(self.logger))

            def tell(status: Status) -> None:
                for listener in listeners:
                    listener(status)

            yield tell if listeners else None


@contextmanager
def finalized(logger: Logger) -> Iterator[None]:
    """Has a logger write, at the end, what it still holds, and say how the training ended."""
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        if hasattr(logger, "finalize"):
            logger.finalize(status)


class Logged:
    """A listener that writes figures to a logger: of every tenth step, and of every epoch."""

    def __init__(self, logger: Logger) -> None:
        self.logger, self.began = logger, False

    def __call__(self, status: Status) -> None:
        if not self.began:
            self.began = True
            about = next((name for name in SETTINGS if hasattr(self.logger, name)), None)
            if about is not None:
                with suppress(NotImplementedError):  # as Fabric's CSVLogger
                    getattr(self.logger, about)(settings_of(status))
        if status.row is not None:  # under names of their own, none of which is a folder of another (MLflow)
            known = {name: value for name, value in flat(status.row).items() if value is not None}
            self.log({f"epochs/{name}": value for name, value in known.items() if not name.endswith(COUNT)}, status)
        elif status.step % LOG_STEPS == 0:
            self.log({**status.latest, "learning_rate": status.learning_rate, "epoch": status.epoch}, status)

    def log(self, figures: Mapping[str, float], status: Status) -> None:
        self.logger.log_metrics({name: float(value) for name, value in figures.items()}, step=status.step)


def settings_of(status: Status) -> dict[str, Any]:
    """What was asked for, flat."""
    record = status.record
    known = {"architecture": record.architecture, "data": record.data, "precision": record.precision}
    return {**known, **asdict(record.recipe), **record.config}
