"""Runs as objects: what was asked for, where they are, and their losses. No weights are read, no framework imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError, ZooError
from zoo.training.history import EPOCH, flat, table
from zoo.training.run_folder import RECIPE, Position, RunRecord, is_over, read_position, read_record

if TYPE_CHECKING:
    import pyarrow as pa

    from zoo.eager import EagerModel


class Run:
    """The folder of a training. It is read when it is asked, so that a run under way shows how far it is.

    >>> import zoo
    >>> run = zoo.Run("runs/moons")  # doctest: +SKIP
    >>> run.history.to_pandas()  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.name = self.folder.name
        read_record(self.folder)

    @property
    def record(self) -> RunRecord:
        """What was asked for."""
        return read_record(self.folder)

    @property
    def position(self) -> Position:
        """Where the training is."""
        return read_position(self.folder)

    @property
    def history(self) -> pa.Table:
        """The mean losses of each epoch, and that of validation, with their standard errors and numbers of rows."""
        return table([{EPOCH: number, **flat(row)} for number, row in enumerate(self.position.history, start=1)])

    @property
    def steps(self) -> pa.Table:
        """The mean losses of some hundred stretches of steps, each under the number of its last."""
        return table(self.position.curve.rows)

    @property
    def is_done(self) -> bool:
        at = self.position
        return at.done and is_over(at, self.record.recipe)

    def load(self, *, device: str = "cpu") -> EagerModel:
        """The best model so far."""
        from zoo.api import load

        return load(self.folder, device=device)

    def resume(self, **more: Any) -> EagerModel:
        """`zoo.resume`."""
        from zoo.training.api import resume

        return resume(self.folder, **more)

    def facts(self) -> dict[str, Any]:
        """A row of a table of runs."""
        record, at = self.record, self.position
        epochs = f"{len(at.history)}/{record.recipe.epochs}"
        return {
            "run": self.name,
            "model": record.architecture,
            "data": record.data if "/" not in record.data else Path(record.data).name,
            "epochs": epochs if not self.is_done else f"{epochs} done",
            "best": at.best,
            "at": at.best_epoch or None,
        }

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {value}" for name, value in self.facts().items() if value is not None)
        return f"<Run {said}>"

    def _repr_html_(self) -> str:
        from zoo.notebook import table as html

        facts = self.facts()
        return html(list(facts), [list(facts.values())])


def runs(folder: str | Path = ".") -> list[Run]:
    """The runs in a folder and the folders in it, those that were saved last first."""
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(f"{place} is not a folder; expected one with runs in it.")
    found = []
    for path in place.rglob(RECIPE):
        try:
            found.append(Run(path.parent))
        except ZooError:  # a recipe of something else
            continue
    return sorted(found, key=lambda run: max(p.stat().st_mtime for p in run.folder.iterdir()), reverse=True)
