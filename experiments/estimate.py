"""What a sweep will take, before it starts: parameters, FLOPs, minutes and megabytes."""

import math
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from experiments.presets import TAUS, Experiment
from flowjax_glow.glow import glow
from flowjax_glow.types import Params

#: Share of the matmul peak that a train step reaches (the laptop preset on 2 AVX2 cores: 0.2).
EFFICIENCY = 0.2

#: Compilation, input and output of a run, in seconds; measured on the same machine.
OVERHEAD_SECONDS = 25.0

#: Parameters that are multiplied at every position; of an LU form, whose product is taken, one.
MATRICES = ("kernel", "weight", "lower")

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
    """From the parameters' shapes alone; `peak` in FLOP/s, see `matmul_peak`."""
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    params = jax.eval_shape(glow(experiment.model).init, jax.random.key(0), images)
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    forward = 2 * multiply_adds(params, shape)
    backward = 3 if experiment.model.memory == "remat" else 2
    train_flops = (1 + backward) * forward * experiment.batch * experiment.steps
    looked_at = sum(
        len(TAUS) * experiment.look_samples + experiment.held_out for _ in experiment.look_steps
    )
    seconds = (train_flops + 2 * forward * looked_at) / (EFFICIENCY * peak) + OVERHEAD_SECONDS
    return Estimate(size, train_flops, seconds, 4e-6 * COPIES * size + 2.0)


def multiply_adds(params: Params, shape: tuple[int, int, int]) -> int:
    """Per image and forward pass: every entry of a kernel or matrix acts once per position."""
    height, width, _ = shape
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if path[-1].key not in MATRICES:
            continue
        level = _level(path)
        total += math.prod(leaf.shape) * (height >> level) * (width >> level)
    return total


def _level(path: tuple) -> int:
    """How often the images were squeezed where a parameter acts."""
    group, index = path[0].key, path[1].idx
    return index + 1 if group in ("levels", "splits") else 0


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
