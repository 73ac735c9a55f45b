"""How long a run takes: counted operations at a stated share of a stated peak."""

import math
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from flowjax_glow.errors import check_count, check_positive, expected
from flowjax_glow.runs.experiment import TAUS, Experiment

#: Share of a core's peak in matrix products that a run of one thread reaches (the laptop preset on
#: AVX2 cores), and one that is usual on accelerators.
ON_A_CORE, ON_AN_ACCELERATOR = 0.4, 0.3

#: Compilation, input and output of a run, in seconds; measured on the laptop preset.
OVERHEAD_SECONDS = 25.0


@dataclass(frozen=True)
class Devices:
    """What a run has to compute with.

    Attributes:
        count: of devices, between which every batch is split.
        peak: FLOP/s of one, in matrix products.
        efficiency: share of the peak that a train step is expected to reach.
    """

    count: int
    peak: float
    efficiency: float

    def __post_init__(self) -> None:
        check_count("--devices", self.count)
        check_positive("--peak", self.peak)
        if not 0 < self.efficiency <= 1:
            raise expected(
                "--efficiency",
                "a share above 0 and at most 1",
                got=self.efficiency,
                advice="0.3 is usual",
            )

    @property
    def flops_per_second(self) -> float:
        """Of all of them together."""
        return self.count * self.peak * self.efficiency


@dataclass(frozen=True)
class Work:
    """FLOPs of an image: of `forward`, and of its share of a train step."""

    forward: float
    train: float


def steps_per_second(experiment: Experiment, work: Work, devices: Devices) -> float:
    """While nothing is looked at."""
    return devices.flops_per_second / (work.train * experiment.batch)


def seconds(experiment: Experiment, work: Work, devices: Devices) -> float:
    """The whole run: steps, looks at the inverse, evaluations, and what comes before.

    Decoding under clips, checkpoints, input and communication are not counted.
    """
    looks = work.forward * _looked_at(experiment) / devices.flops_per_second
    steps = experiment.steps / steps_per_second(experiment, work, devices)
    return steps + looks + OVERHEAD_SECONDS


def _looked_at(experiment: Experiment) -> int:
    """How often an image or a sample goes through the flow, either way, beside the training.

    At a look samples of every noise level and images go there and back, and images are evaluated
    with raw and with averaged weights; the monitor decodes its images and samples and encodes both.
    """
    own, looks = experiment, len(experiment.look_steps)
    samples = len(TAUS) * ((looks - 1) * own.look_samples + own.final_samples)
    return (
        2 * (samples + looks * own.held_out)
        + 2 * looks * own.held_out
        + 4 * len(own.monitor_steps) * own.chunk
    )


def matmul_peak(size: int = 1024, at_least: float = 0.3) -> float:
    """FLOP/s of a float32 matrix product on this machine, the best of `at_least` seconds."""
    matrix = jnp.ones((size, size), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    jax.block_until_ready(multiply(matrix, matrix))
    best, end = math.inf, time.perf_counter() + at_least
    while time.perf_counter() < end:
        start = time.perf_counter()
        jax.block_until_ready(multiply(matrix, matrix))
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
