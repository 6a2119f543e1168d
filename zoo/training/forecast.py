"""How long a training will take, and how much memory, from its first steps."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from zoo.training.loop import Status

STEPS, SECONDS = 4, 1.0  # that are measured, at least, after the first step, which warms up


@dataclass(frozen=True)
class Forecast:
    """`seconds` from the first step to the last, and bytes of memory: of the process, and of its device if it has its
    own."""

    seconds: float
    memory: int
    device_memory: int


class Forecaster:
    """Watches the first steps."""

    def __init__(self) -> None:
        self.began: tuple[float, int] | None = None
        self.is_done = False

    def __call__(self, status: Status) -> Forecast | None:
        """The forecast, once: when there have been steps enough."""
        if self.is_done or status.row is not None:
            return None
        now = time.monotonic()
        if self.began is None:
            self.began = now, status.step
            return None
        spent, steps = now - self.began[0], status.step - self.began[1]
        if steps < STEPS or spent < SECONDS:
            return None
        self.is_done = True
        return Forecast(spent / steps * (status.steps - self.began[1]), peak_memory(), status.device_memory)


def peak_memory() -> int:
    """Bytes that this process has had at most; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
