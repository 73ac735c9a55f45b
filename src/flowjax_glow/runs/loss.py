"""What a run minimizes: bits per dimension, perhaps with a penalty on stretches."""

from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Memory, MultiScale
from flowjax_glow.config import glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.diagnostics import finite_difference_penalty, redraw_permutations
from flowjax_glow.pixels import dequantize
from flowjax_glow.rebuild import with_memory, with_net_precision
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.training import Batch
from flowjax_glow.types import Key, Params, Pixels


@dataclass(frozen=True)
class BitsPerDim:
    """The loss; a value rather than a closure, so that equal flows share compiled programs.

    A batch is uint8 images, or a pair of them and of their labels.
    """

    flow: Bijector
    n_bits: int

    def __call__(self, params: Params, key: Key, batch: Batch) -> Float[Array, " batch"]:
        images, labels = images_and_labels(batch)
        return bits_per_dim(self.flow, params, key, images, n_bits=self.n_bits, context=labels)


@dataclass(frozen=True)
class TrainingLoss:
    """The mean bits/dim of a batch; with a penalty on how far both directions stretch, if any.

    With `redraws` the permutations of the flow are drawn anew for every batch.
    """

    bits: BitsPerDim
    penalty: float = 0.0
    redraws: bool = False

    def __call__(self, params: Params, key: Key, batch: Batch) -> Float[Array, ""]:
        if self.redraws:
            params = redraw_permutations(self.bits.flow, params, jax.random.fold_in(key, 2))
        loss = self.bits(params, key, batch).mean()
        if not self.penalty:
            return loss
        flow, n_bits = self.bits.flow, self.bits.n_bits
        images, labels = images_and_labels(batch)
        x = dequantize(key, images, n_bits=n_bits)  # what the bits are of
        given = flow.given(params, labels)
        stretches = finite_difference_penalty(flow, given, jax.random.fold_in(key, 1), x)
        return loss + self.penalty * sum(stretch.mean() for stretch in stretches)


def images_and_labels(batch: Batch) -> tuple[Pixels, Any]:
    """The uint8 images of a batch, and their labels, int32 (batch,), or None."""
    return batch if isinstance(batch, tuple) else (batch, None)


def rows_of(batch: Batch, start: int, count: int) -> Batch:
    """`count` examples of a batch."""
    return jax.tree.map(lambda array: array[start : start + count], batch)


def exact_flow(experiment: Experiment) -> MultiScale:
    """The model as everything but its training takes it: nets in float32 on every device.

    Both directions must multiply alike, and less than float32 misses the law of round trips.
    """
    return with_net_precision(glow(experiment.model), "highest")


def training_loss(experiment: Experiment, memory: Memory | None = None) -> TrainingLoss:
    """The loss of an experiment, perhaps under another memory policy."""
    flow = glow(experiment.model)
    bits = BitsPerDim(flow if memory is None else with_memory(flow, memory), experiment.n_bits)
    return TrainingLoss(bits, experiment.penalty, redraws_permutations(experiment))


def redraws_permutations(experiment: Experiment) -> bool:
    """Whether every batch has permutations of its own."""
    return experiment.model.permutation == "every_batch"
