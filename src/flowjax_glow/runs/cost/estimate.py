"""What a sweep will take, before it starts: parameters, FLOPs, minutes and megabytes."""

import math
import time
from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp

from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.experiment import TAUS, Experiment

#: Share of a core's matmul peak that a run of one thread reaches (the laptop preset on AVX2 cores).
EFFICIENCY = 0.4

#: Compilation, input and output of a run, in seconds; measured on the same machine.
OVERHEAD_SECONDS = 25.0

#: float32 arrays the size of the parameters in a checkpoint: parameters, two moments, average.
COPIES = 4


@dataclass(frozen=True)
class Estimate:
    """Of one run; `seconds` is a guess within a factor of two, the rest is counted."""

    parameters: int
    train_flops: float
    seconds: float
    megabytes: float


def estimate(experiment: Experiment, shape: tuple[int, int, int], peak: float) -> Estimate:
    """From the shapes alone; `peak` in FLOP/s, see `matmul_peak`."""
    work = _count(replace(experiment, seed=0), shape)
    train_flops = float(work.train_flops * experiment.steps)
    looked_at = sum(
        len(TAUS) * experiment.look_samples + experiment.held_out for _ in experiment.look_steps
    )
    looks = 2 * work.forward_flops / experiment.batch * looked_at
    seconds = (train_flops + looks) / (EFFICIENCY * peak) + OVERHEAD_SECONDS
    return Estimate(work.parameters, train_flops, seconds, 4e-6 * COPIES * work.parameters + 2.0)


@dataclass(frozen=True)
class _Work:
    """Of one batch."""

    parameters: int
    forward_flops: int
    train_flops: int


@cache
def _count(experiment: Experiment, shape: tuple[int, int, int]) -> _Work:
    """Once for all seeds of a variant, since tracing a step takes a second."""
    work = Workload(experiment, shape, experiment.batch)
    return _Work(work.parameters, work.forward_flops, work.train_flops)


def matmul_peak(size: int = 1024, seconds: float = 0.3) -> float:
    """FLOP/s of a float32 matrix product on this machine, the best of a few."""
    matrix = jnp.ones((size, size), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    jax.block_until_ready(multiply(matrix, matrix))
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix, matrix))
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
