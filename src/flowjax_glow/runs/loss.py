"""What a run minimizes: bits per dimension, perhaps with a penalty on stretches."""

from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Memory
from flowjax_glow.config import glow
from flowjax_glow.density import bits_per_dim
from flowjax_glow.diagnostics import finite_difference_penalty, redraw_permutations
from flowjax_glow.pixels import dequantize
from flowjax_glow.rebuild import with_memory
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.types import Key, Params, Pixels


@dataclass(frozen=True)
class BitsPerDim:
    """The loss; a value rather than a closure, so that equal flows share compiled programs."""

    flow: Bijector
    n_bits: int

    def __call__(self, params: Params, key: Key, images: Pixels) -> Float[Array, " batch"]:
        return bits_per_dim(self.flow, params, key, images, n_bits=self.n_bits)


@dataclass(frozen=True)
class TrainingLoss:
    """The mean bits/dim of a batch; with a penalty on how far both directions stretch, if any.

    With `redraws` the permutations of the flow are drawn anew for every batch.
    """

    bits: BitsPerDim
    penalty: float = 0.0
    redraws: bool = False

    def __call__(self, params: Params, key: Key, images: Pixels) -> Float[Array, ""]:
        if self.redraws:
            params = redraw_permutations(self.bits.flow, params, jax.random.fold_in(key, 2))
        loss = self.bits(params, key, images).mean()
        if not self.penalty:
            return loss
        flow, n_bits = self.bits.flow, self.bits.n_bits
        x = dequantize(key, images, n_bits=n_bits)  # what the bits are of
        stretches = finite_difference_penalty(flow, params, jax.random.fold_in(key, 1), x)
        return loss + self.penalty * sum(stretch.mean() for stretch in stretches)


def training_loss(experiment: Experiment, memory: Memory | None = None) -> TrainingLoss:
    """The loss of an experiment, perhaps under another memory policy."""
    flow = glow(experiment.model)
    bits = BitsPerDim(flow if memory is None else with_memory(flow, memory), experiment.n_bits)
    return TrainingLoss(bits, experiment.penalty, redraws_permutations(experiment))


def redraws_permutations(experiment: Experiment) -> bool:
    """Whether every batch has permutations of its own."""
    return experiment.model.permutation == "every_batch"
