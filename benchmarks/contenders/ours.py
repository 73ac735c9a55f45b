"""Ours: the training step, `encode` and `sample` of the library, used as its README uses them."""

import itertools
import math
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.interpreters import mlir

from benchmarks.workloads import TEMPERATURE, Workload
from flowjax_glow import convolution
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.data import Images
from flowjax_glow.density import bits_per_dim, encode, sample
from flowjax_glow.pixels import dequantize
from flowjax_glow.trainable import trainable
from flowjax_glow.training import (
    OptimizerConfig,
    data_mesh,
    initial_state,
    keep_freed_memory,
    make_optimizer,
    make_train_step,
    replicate,
    shard_batch,
)
from flowjax_glow.types import Params

#: To compile fast rather than well.
_FAST = {"xla_backend_optimization_level": 0}


def build(
    work: Workload, batches: Images, *, memory: Any, lax: bool = False, **nets: Any
) -> "Ours":
    """Our GLOW with one memory policy, on one device.

    Args:
      lax: whether convolutions are `jax.lax`'s own on a GPU, and not matrix products.
      nets: their `net_dtype` and `net_precision`.
    """
    if lax:
        _convolve_by_lax()
    keep_freed_memory()  # as experiments.sweep does
    config = replace(openai_glow(work.levels, work.depth, work.width, memory), **nets)
    return Ours(config, work, batches)


def _convolve_by_lax() -> None:
    """From here on a GPU gets the convolutions that others get: XLA's own."""
    forms = {
        convolution._convolve_p: convolution.lax_convolve,
        convolution._kernel_gradient_p: convolution._lax_kernel_gradient,
    }
    for primitive, form in forms.items():
        lowering = mlir.lower_fun(form, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform="cuda")


def openai_glow(levels: int, depth: int, width: int, memory: Any) -> GlowConfig:
    """Our GLOW, wired as in openai/glow."""
    return GlowConfig(
        levels=levels,
        depth=depth,
        width=width,
        scale="sigmoid",
        reads="signal",
        split_prior="learned",
        memory=memory,
    )


class Ours:
    """A model, its training state and the compiled functions."""

    def __init__(self, config: GlowConfig, work: Workload, batches: Images) -> None:
        self._flow = glow(config)
        self._work = work
        self._batches = itertools.cycle(batches)
        self._mesh = data_mesh(jax.devices()[:1])
        optimizer = make_optimizer(OptimizerConfig("adam", work.learning_rate), steps=1)
        init_key, noise_key, train_key, self._sample_key = jax.random.split(
            jax.random.key(work.seed), 4
        )
        # One program: run one by one, its many small pieces would be compiled one by one. It runs
        # once, so it is compiled fast rather than well, as experiments.sweep does.
        start = jax.jit(
            lambda images: initial_state(
                self._flow.init(init_key, dequantize(noise_key, images)), optimizer, train_key
            ),
            compiler_options=_FAST if jax.default_backend() == "cpu" else None,
        )
        # placed as the step leaves it, or the second step would compile again
        self._state = replicate(self._mesh, start(batches[0]))
        self._step: Any = make_train_step(self._loss, optimizer, self._mesh, ema_decay=0.0)

    def _loss(self, params: Params, key: jax.Array, images: jax.Array) -> jax.Array:
        return bits_per_dim(self._flow, params, key, images).mean()

    def train(self) -> float:
        self._state, metrics = self._step(self._state, self._next_batch())
        return float(metrics["loss"])

    def encode(self) -> list[np.ndarray]:
        return [np.asarray(z) for z in self._encode(self._frozen, self._next_batch())]

    def sample(self) -> list[np.ndarray]:
        self._sample_key, key = jax.random.split(self._sample_key)
        return [np.asarray(self._sample(self._frozen, key))]

    @property
    def parameters(self) -> int:
        trained = jax.tree.leaves(trainable(self._state.params))
        return sum(math.prod(leaf.shape) for leaf in trained)

    def facts(self) -> dict[str, Any]:
        return {"parameters": self.parameters, "counts": self._counts()}

    def _counts(self) -> dict[str, float]:
        """Of the compiled step, exact and repeatable; XLA counts the body of a loop once."""
        compiled = self._step.lower(self._state, self._next_batch()).compile()
        costs, memory = compiled.cost_analysis(), compiled.memory_analysis()
        return {
            "flops": costs["flops"],
            "bytes": costs["bytes accessed"],
            "temp_bytes": memory.temp_size_in_bytes,
        }

    def _next_batch(self) -> jax.Array:
        return shard_batch(self._mesh, next(self._batches))

    @cached_property
    def _frozen(self) -> Params:
        return jax.jit(self._flow.freeze)(self._state.params)

    @cached_property
    def _encode(self) -> Any:
        return jax.jit(partial(encode, self._flow))

    @cached_property
    def _sample(self) -> Any:
        shape = (self._work.batch, self._work.size, self._work.size, 3)
        return jax.jit(
            lambda params, key: sample(self._flow, params, key, shape, temperature=TEMPERATURE)
        )
