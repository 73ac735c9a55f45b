"""The loss over a fixed set of batches that no training step saw."""

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from flowjax_glow.effort import WELL
from flowjax_glow.errors import expected
from flowjax_glow.training.mesh import batch_size, replicate, shard_batch
from flowjax_glow.training.state import TrainState, averaged_params
from flowjax_glow.training.types import Batch, ExampleLossFn
from flowjax_glow.types import Key, Params


def evaluate(
    loss: ExampleLossFn,
    params: Params,
    key: Key,
    batches: Iterable[Batch],
    *,
    mesh: Mesh,
) -> float:
    """The mean loss over all examples, in the unit of `loss` (bits/dim).

    Batch ``i`` draws from ``fold_in(key, i)``: the same key gives every model the same noise. A NaN
    or infinite loss of one example is that of the mean; none is ever left out. Batches may differ
    in size, each of which is compiled once.

    Raises:
        ValueError: if there are no examples, the devices do not divide a batch, or `loss` does not
            give one number per example.
    """
    params = replicate(mesh, params)
    total, examples = 0.0, 0
    for index, batch in enumerate(batches):
        split = shard_batch(mesh, batch)
        total += float(_total(loss, params, jax.random.fold_in(key, index), split))
        examples += batch_size(split)
    if not examples:
        raise expected("evaluate", "at least one example", got="none", advice="check the data set")
    return total / examples


def evaluate_state(
    loss: ExampleLossFn, state: TrainState, key: Key, batches: Sequence[Batch], *, mesh: Mesh
) -> dict[str, float]:
    """`evaluate` for raw and for averaged parameters, as a row of the metrics.

    Returns:
        ``held_out`` and ``held_out_averaged``, in bits/dim, on the same noise.

    Raises:
        ValueError: as `evaluate`.
    """
    return {
        "held_out": evaluate(loss, state.params, key, batches, mesh=mesh),
        "held_out_averaged": evaluate(loss, averaged_params(state), key, batches, mesh=mesh),
    }


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def _total(loss: ExampleLossFn, params: Params, key: Key, batch: Batch) -> Float[Array, ""]:
    losses = loss(params, key, batch)
    if losses.shape != (batch_size(batch),):
        raise expected(
            "evaluate",
            f"a loss of shape {(batch_size(batch),)}",
            got=losses.shape,
            advice="return one number per example, not their mean",
        )
    return jnp.sum(losses)
