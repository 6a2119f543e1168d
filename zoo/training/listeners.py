"""Who is told of a training: a progress display, callbacks, and a logger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from zoo import notebook
from zoo.training.history import COUNT, flat
from zoo.training.loop import Progress, Status

LOG_STEPS = 10  # between two steps that are logged


class Logger(Protocol):
    """What Lightning's loggers, the module `mlflow` and others have in common. `log_hyperparams` is called too, where
    there is one."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> Any: ...


@dataclass(frozen=True)
class Listeners:
    """Who is told: each is called with a `Status` after each step, and at the end of each epoch."""

    progress: Progress | None = None
    callbacks: Sequence[Progress] = ()
    logger: Logger | None = None

    @contextmanager
    def listening(self) -> Iterator[Progress | None]:
        """Yields one function that tells all of them, or None. In a notebook, without a display, there is one."""
        with ExitStack() as stack:
            listeners = [*([] if self.progress is None else [self.progress]), *self.callbacks]
            if self.progress is None and notebook.is_here():
                listeners.insert(0, stack.enter_context(notebook.training_bar()))
            if self.logger is not None:
                listeners.append(Logged(self.logger))

            def tell(status: Status) -> None:
                for listener in listeners:
                    listener(status)

            yield tell if listeners else None


class Logged:
    """A listener that writes figures to a logger: of every tenth step, and of every epoch."""

    def __init__(self, logger: Logger) -> None:
        self.logger, self.began = logger, False

    def __call__(self, status: Status) -> None:
        if not self.began:
            self.began = True
            if hasattr(self.logger, "log_hyperparams"):
                with suppress(NotImplementedError):  # as Fabric's CSVLogger
                    self.logger.log_hyperparams(settings_of(status))
        if status.row is not None:  # of the epoch: under names of their own, next to those of steps
            known = {name: value for name, value in flat(status.row).items() if value is not None}
            self.log({f"epoch/{name}": value for name, value in known.items() if not name.endswith(COUNT)}, status)
        elif status.step % LOG_STEPS == 0:
            self.log({**status.latest, "learning_rate": status.learning_rate, "epoch": status.epoch}, status)

    def log(self, figures: Mapping[str, float], status: Status) -> None:
        self.logger.log_metrics({name: float(value) for name, value in figures.items()}, step=status.step)


def settings_of(status: Status) -> dict[str, Any]:
    """What was asked for, flat."""
    record = status.record
    known = {"architecture": record.architecture, "data": record.data, "precision": record.precision}
    return {**known, **asdict(record.recipe), **record.config}
