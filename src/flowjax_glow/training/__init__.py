"""Training: takes a loss and batches by step, and knows neither models nor densities nor data."""

from flowjax_glow.training.allocator import keep_freed_memory
from flowjax_glow.training.average import Average, fitting_decay
from flowjax_glow.training.checkpoints import (
    CheckpointError,
    Checkpoints,
    latest_step,
    read_checkpoint,
)
from flowjax_glow.training.display import Board, Progress, Screen, progress, progress_board
from flowjax_glow.training.evaluation import evaluate, evaluate_state
from flowjax_glow.training.guard import DRIFT_TOLERANCE, DriftGuard
from flowjax_glow.training.loop import BatchFn, Diverged, train
from flowjax_glow.training.mesh import data_mesh, replicate, shard_batch
from flowjax_glow.training.metrics import MetricsLog, read_metrics
from flowjax_glow.training.observer import Calling, Observer, Observers
from flowjax_glow.training.optimizer import OptimizerConfig, make_optimizer
from flowjax_glow.training.preemption import Preempted, Preemption
from flowjax_glow.training.state import TrainState, averaged_params, copy_state, initial_state
from flowjax_glow.training.step import StepFn, make_train_step
from flowjax_glow.training.types import Batch, ExampleLossFn, LossFn, Metrics

__all__ = [
    "DRIFT_TOLERANCE",
    "Average",
    "Batch",
    "BatchFn",
    "Board",
    "Calling",
    "CheckpointError",
    "Checkpoints",
    "Diverged",
    "DriftGuard",
    "ExampleLossFn",
    "LossFn",
    "Metrics",
    "MetricsLog",
    "Observer",
    "Observers",
    "OptimizerConfig",
    "Preempted",
    "Preemption",
    "Progress",
    "Screen",
    "StepFn",
    "TrainState",
    "averaged_params",
    "copy_state",
    "data_mesh",
    "evaluate",
    "evaluate_state",
    "fitting_decay",
    "initial_state",
    "keep_freed_memory",
    "latest_step",
    "make_optimizer",
    "make_train_step",
    "progress",
    "progress_board",
    "read_checkpoint",
    "read_metrics",
    "replicate",
    "shard_batch",
    "train",
]
