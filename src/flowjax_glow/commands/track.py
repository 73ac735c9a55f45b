"""`flowjax-glow track`: finished runs in TensorBoard or Weights & Biases."""

from dataclasses import dataclass

from flowjax_glow.commands.command import OnRuns
from flowjax_glow.runs.load import trained_runs
from flowjax_glow.runs.tracking import look_of, open_tracker
from flowjax_glow.training import read_metrics


@dataclass(frozen=True, kw_only=True)
class Track(OnRuns):
    """Show trained runs in TensorBoard or Weights & Biases.

    Writes into a subfolder of each run folder, over what was there: all rows of the metrics, and of
    the last checkpoint samples and histograms of log s by layer. A run that is trained with
    `train --track` shows these at every look, so do not convert it.
    """

    to: str = "tensorboard"
    """tensorboard, or wandb."""

    def __call__(self) -> None:
        for trained in trained_runs(self.run):
            with open_tracker(self.to, trained.folder, trained.experiment, 0) as tracker:
                for row in read_metrics(trained.folder / "metrics.jsonl"):
                    tracker.row(row)
                look = look_of(trained.experiment, trained.source.shape)
                state = trained.state
                tracker.model(int(state.step), trained.flow, state.params, look)
            print(trained.folder)
