"""Trained models, read back from their run folders."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowjax_glow import data
from flowjax_glow.combinators import MultiScale
from flowjax_glow.config import glow
from flowjax_glow.errors import expected
from flowjax_glow.runs.compilation import make_room_for_programs
from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.experiment import Experiment, read_config
from flowjax_glow.runs.images import source_of
from flowjax_glow.runs.results import run_folders
from flowjax_glow.training import CheckpointError, TrainState, read_checkpoint


@dataclass(frozen=True)
class Trained:
    """A run's model and its last checkpoint."""

    folder: Path
    experiment: Experiment
    source: data.Source
    state: TrainState

    @property
    def flow(self) -> MultiScale:
        """The model."""
        return glow(self.experiment.model)


class NoCheckpointError(CheckpointError):
    """A run has not saved anything yet."""


def trained_runs(folder: Path) -> Iterator[Trained]:
    """The model of a run folder, or of every run of a sweep folder that has a checkpoint.

    Runs of a sweep that have none, because they have just begun or diverged at once, are named on
    stderr and left out.

    Raises:
        CheckpointError: if a checkpoint cannot be read, or `folder` is a run's that has none.
        ValueError: if `folder` is neither, or no run of it has begun.
    """
    begun = run_folders(folder)
    if not begun:
        raise expected(
            f"{folder}",
            "a sweep folder with runs",
            got="none that has begun",
            advice="train one with flowjax-glow train",
        )
    for run in begun:
        make_room_for_programs()
        try:
            yield load_trained(run)
        except NoCheckpointError as error:
            if run == folder:
                raise
            print(f"left out: {error}", file=sys.stderr)


def load_trained(folder: Path) -> Trained:
    """The model of a run folder.

    Raises:
        CheckpointError: if it has no checkpoint, or one that cannot be read.
        DataError: if its data set cannot be read, which tells the shape of the images.
    """
    experiment = read_config(folder)
    source = source_of(experiment)
    example = Workload(experiment, source.shape, images=experiment.accumulate).state
    state = read_checkpoint(folder / "checkpoints", example)
    if state is not None:
        return Trained(folder, experiment, source, state)
    raise NoCheckpointError(
        str(
            expected(
                f"{folder}",
                "a checkpoint",
                got="none",
                advice="wait for its first one; a run that diverged before has no model",
            )
        )
    )
