"""Trained models, read back from their run folders."""

from dataclasses import dataclass
from pathlib import Path

from experiments.config import read_config
from experiments.folders import read_json
from experiments.presets import Experiment
from experiments.workload import Workload
from flowjax_glow import data
from flowjax_glow.combinators import MultiScale
from flowjax_glow.errors import expected
from flowjax_glow.glow import glow
from flowjax_glow.training import CheckpointError, Checkpoints, TrainState


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


def run_folders(folder: Path) -> list[Path]:
    """`folder` itself if it is a run's; of a sweep's, those of its runs that have begun.

    Raises:
        ValueError: if it is neither.
    """
    if (folder / "config.json").exists():
        return [folder]
    index = read_json(folder / "sweep.json")
    runs = [folder / name for name in index["runs"]] if index else []
    begun = [run for run in runs if (run / "config.json").exists()]
    if not begun:
        raise expected(
            f"{folder}",
            "a run folder or a sweep folder",
            got="no config.json and no sweep.json with runs",
            advice="train one with python -m experiments.sweep",
        )
    return begun


def load_trained(folder: Path) -> Trained:
    """The model of a run folder.

    Raises:
        CheckpointError: if it has no checkpoint, or one that cannot be read.
        DataError: if its data set cannot be read, which tells the shape of the images.
    """
    experiment = read_config(folder)
    source = data.load(experiment.dataset, size=experiment.image_size)
    example = Workload(experiment, source.shape, images=experiment.accumulate).state
    if (folder / "checkpoints").exists():
        with Checkpoints(folder / "checkpoints") as checkpoints:
            state = checkpoints.restore(example)
        if state is not None:
            return Trained(folder, experiment, source, state)
    raise CheckpointError(
        str(
            expected(
                f"{folder}",
                "a checkpoint",
                got="none",
                advice="wait for the run's first checkpoint",
            )
        )
    )
