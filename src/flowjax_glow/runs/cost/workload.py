"""What one device computes in a step of an experiment, known from shapes: nothing here runs."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from flowjax_glow.config import glow
from flowjax_glow.errors import expected
from flowjax_glow.model_file import abstract_params
from flowjax_glow.runs.cost.flops import flops
from flowjax_glow.runs.cost.residuals import residual_bytes
from flowjax_glow.runs.cost.time import Work
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.loss import BitsPerDim, training_loss
from flowjax_glow.runs.run import compiled_step
from flowjax_glow.training import (
    Batch,
    StepFn,
    TrainState,
    data_mesh,
    initial_state,
    make_optimizer,
)
from flowjax_glow.types import Params


@dataclass(frozen=True)
class Workload:
    """A device's share of a step: `images` of that `shape`, the whole state, the step itself.

    Devices of a data-parallel run do the same, and then add up their gradients; so one of them, of
    whatever kind is here, tells of all.
    """

    experiment: Experiment
    shape: tuple[int, int, int]
    images: int

    def __post_init__(self) -> None:
        if self.images % self.experiment.accumulate:
            raise expected(
                "Workload.images",
                f"a multiple of the {self.experiment.accumulate} micro-batches",
                got=self.images,
                advice="change the batch or accumulate",
            )

    @cached_property
    def params(self) -> Params:
        """The shapes of the parameters."""
        return abstract_params(glow(self.experiment.model), self.shape, "float32")

    @cached_property
    def state(self) -> TrainState:
        """The shapes of all that training remembers."""
        optimizer = make_optimizer(self.experiment.optimizer, self.experiment.steps)
        return jax.eval_shape(
            lambda params: initial_state(params, optimizer, jax.random.key(0)), self.params
        )

    @property
    def batch(self) -> Batch:
        """The shape of the device's images, and of their labels if the model has classes."""
        return self._batch_of(self.images)

    def _batch_of(self, images: int) -> Batch:
        batch = jax.ShapeDtypeStruct((images, *self.shape), jnp.uint8)
        labels = jax.ShapeDtypeStruct((images,), jnp.int32)
        return (batch, labels) if self.experiment.model.classes else batch

    @property
    def loss(self) -> BitsPerDim:
        """The bits/dim that are trained on, per image."""
        return BitsPerDim(glow(self.experiment.model), self.experiment.n_bits)

    @property
    def step(self) -> StepFn:
        """The step that training compiles, for one device."""
        own = self.experiment
        mesh = data_mesh(jax.devices()[:1])
        return compiled_step(training_loss(own), own.optimizer, own.steps, own.accumulate, mesh)

    @property
    def trained(self) -> Params:
        """The shapes of the parameters that train, which are those that are averaged."""
        return self.state.average.values

    @property
    def parameters(self) -> int:
        """How many numbers train."""
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.trained))

    @property
    def forward_flops(self) -> int:
        """Of the likelihood of the device's images."""
        return flops(self.loss, self.params, abstract_key(), self.batch)

    @property
    def train_flops(self) -> int:
        """Of one step: forward pass, what is computed again, backward pass."""
        return flops(self.step, self.state, self.batch)

    @property
    def per_image(self) -> Work:
        """The FLOPs of both, shared between the images."""
        return Work(self.forward_flops / self.images, self.train_flops / self.images)

    @property
    def residual_bytes(self) -> int:
        """Kept between forward and backward pass, of a micro-batch where there are several."""
        images = self.images // self.experiment.accumulate
        return residual_bytes(self.loss, self.params, abstract_key(), self._batch_of(images))

    @property
    def temporary_bytes(self) -> int:
        """All that the step holds beside state and batch, as compiled for the device here."""
        compiled = self.step.lower(self.state, self.batch).compile()  # type: ignore[attr-defined]
        return compiled.memory_analysis().temp_size_in_bytes


def abstract_key() -> Any:
    """A random key without a value."""
    return jax.eval_shape(lambda: jax.random.key(0))


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays of a pytree, abstract or not."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
