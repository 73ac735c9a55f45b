"""What a run of a sweep will take, before it starts: parameters, FLOPs, minutes and megabytes."""

from dataclasses import dataclass, replace
from functools import cache

from flowjax_glow.runs.cost.time import Devices, Work, seconds
from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.training.checkpoints import KEPT

#: float32 arrays the size of the parameters in a checkpoint: parameters, two moments, average.
COPIES = 4


@dataclass(frozen=True)
class Estimate:
    """Of one run; `seconds` is a guess within a factor of two, the rest is counted."""

    parameters: int
    train_flops: float
    seconds: float
    megabytes: float


def estimate(experiment: Experiment, shape: tuple[int, int, int], devices: Devices) -> Estimate:
    """From the shapes alone."""
    parameters, work = _count(replace(experiment, seed=0), shape)
    return Estimate(
        parameters,
        work.train * experiment.batch * experiment.steps,
        seconds(experiment, work, devices),
        4e-6 * KEPT * COPIES * parameters + 2.0,
    )


@cache
def _count(experiment: Experiment, shape: tuple[int, int, int]) -> tuple[int, Work]:
    """Once for all seeds of a variant, since tracing a step takes a second."""
    work = Workload(experiment, shape, experiment.batch)
    return work.parameters, work.per_image
