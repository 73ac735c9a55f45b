"""What a run will take on given devices, before there are any."""

from dataclasses import dataclass, replace
from typing import get_args

from flowjax_glow.combinators import Memory
from flowjax_glow.errors import expected
from flowjax_glow.runs.cost.time import Devices, seconds, steps_per_second
from flowjax_glow.runs.cost.workload import Workload, tree_bytes
from flowjax_glow.runs.experiment import Experiment

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class PolicyPlan:
    """Of one memory policy, see `Repeat`.

    Attributes:
        memory: its name.
        forward_flops: per image.
        train_flops: per image.
        residual_bytes: per device, kept between forward and backward pass.
        temporary_bytes: per device, all that a compiled step holds beside state and batch; None
            where nothing was compiled.
        steps_per_second: of training, while nothing is looked at.
        days: the whole run, with its looks.
    """

    memory: Memory
    forward_flops: int
    train_flops: int
    residual_bytes: int
    temporary_bytes: int | None
    steps_per_second: float
    days: float


@dataclass(frozen=True)
class Plan:
    """Of one experiment under every memory policy; `memory` is the one it asks for itself."""

    dataset: str
    shape: tuple[int, int, int]
    batch: int
    steps: int
    memory: Memory
    devices: Devices
    parameters: int
    parameter_bytes: int
    state_bytes: int
    policies: tuple[PolicyPlan, ...]


def make_plan(
    experiment: Experiment, shape: tuple[int, int, int], devices: Devices, *, compiled: bool = False
) -> Plan:
    """Counts what the experiment's programs do, and what they keep; with `compiled` compiles them.

    Raises:
        ValueError: if the batch cannot be split evenly.
    """
    images = _images_per_device(experiment, devices.count)
    own = Workload(experiment, shape, images)
    return Plan(
        dataset=experiment.dataset,
        shape=shape,
        batch=experiment.batch,
        steps=experiment.steps,
        memory=experiment.model.memory,
        devices=devices,
        parameters=own.parameters,
        parameter_bytes=tree_bytes(own.trained),
        state_bytes=tree_bytes(own.state),
        policies=tuple(
            _plan_policy(_with_memory(own, memory), devices, compiled)
            for memory in get_args(Memory)
        ),
    )


def _images_per_device(experiment: Experiment, devices: int) -> int:
    pieces = devices * experiment.accumulate
    if experiment.batch % pieces:
        raise expected(
            "--batch",
            f"a multiple of {pieces} (devices times micro-batches)",
            got=experiment.batch,
            advice="change --batch or --devices",
        )
    return experiment.batch // devices


def _with_memory(work: Workload, memory: Memory) -> Workload:
    model = replace(work.experiment.model, memory=memory)
    return replace(work, experiment=replace(work.experiment, model=model))


def _plan_policy(own: Workload, devices: Devices, compiled: bool) -> PolicyPlan:
    experiment, work = own.experiment, own.per_image
    return PolicyPlan(
        memory=experiment.model.memory,
        forward_flops=round(work.forward),
        train_flops=round(work.train),
        residual_bytes=own.residual_bytes,
        temporary_bytes=own.temporary_bytes if compiled else None,
        steps_per_second=steps_per_second(experiment, work, devices),
        days=seconds(experiment, work, devices) / SECONDS_PER_DAY,
    )
