"""Training: one loop for every framework, deterministic, and resumable at any step.

The order of the rows and all noise are functions of the seed and of the step (`batches`), so there is no random state
to save: a run that was killed and resumed ends with the same bits as one that was not.
"""

from zoo.training.api import is_worker, resume, train
from zoo.training.loop import Interrupted, Progress, Status
from zoo.training.recipe import merge_recipe
from zoo.training.run_folder import RECIPE, Position, RunRecord, files_of, preview_name, read_position, read_record
from zoo.training.run_view import Run, runs

__all__ = [
    "RECIPE", "Interrupted", "Position", "Progress", "Run", "RunRecord", "Status", "files_of", "is_worker",
    "merge_recipe", "preview_name", "read_position", "read_record", "resume", "runs", "train",
]  # fmt: skip
