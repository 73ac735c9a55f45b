"""`flowjax-glow track`: trained runs in TensorBoard or Weights & Biases."""

from dataclasses import dataclass
from itertools import takewhile

from flowjax_glow.commands.command import OnRuns
from flowjax_glow.runs.folder import claimed
from flowjax_glow.runs.load import Trained, trained_models
from flowjax_glow.runs.results import run_folders
from flowjax_glow.runs.tracking import TRACKERS, check_tracker, look_of
from flowjax_glow.training import read_metrics


@dataclass(frozen=True, kw_only=True)
class Track(OnRuns):
    """Show trained runs in TensorBoard or Weights & Biases.

    Writes into a subfolder of each run folder: all rows of the metrics, and of the last checkpoint
    samples and histograms of log s by layer. What `train --track` has shown at earlier looks stays.
    """

    to: str = "tensorboard"
    """tensorboard, or wandb."""

    def __call__(self) -> None:
        check_tracker("--to", self.to)
        run_folders(self.run)  # a model file has no metrics
        for trained in trained_models(self.run):
            with claimed(trained.folder):  # nobody trains in it
                show(trained, self.to)
            print(trained.folder)


def show(trained: Trained, kind: str) -> None:
    """Everything in the order of steps: some trackers take no earlier step after a later one."""
    step = trained.step
    rows = read_metrics(trained.folder / "metrics.jsonl")
    before = list(takewhile(lambda row: row["step"] <= step, rows))
    with TRACKERS[kind](trained.folder, trained.experiment, step) as tracker:
        for row in before:
            tracker.row(row)
        if not tracker.shows(step):
            look = look_of(trained.experiment, trained.event_shape)
            tracker.model(step, trained.flow, trained.params, look)
        for row in rows[len(before) :]:
            tracker.row(row)
