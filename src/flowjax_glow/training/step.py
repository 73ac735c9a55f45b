"""One optimization step as one compiled function."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from flowjax_glow.errors import expected
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.training.average import check_decay, update_average
from flowjax_glow.training.mesh import batch_size, replicated, sharded
from flowjax_glow.training.state import TrainState, wrapped_key
from flowjax_glow.training.types import Batch, LossFn, Metrics
from flowjax_glow.types import Key, Params

#: One update: consumes the state, returns the next one and what it measured.
StepFn: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]

_GradientFn: TypeAlias = Callable[[Params, Key, Batch], tuple[Float[Array, ""], Params]]


def make_train_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    ema_decay: float,
    accumulate: int = 1,
) -> StepFn:
    """Compiles the step ``(state, batch) -> (state, metrics)`` for the devices of `mesh`.

    The batch comes from `mesh.shard_batch`; the state is replicated, and donated: the one passed in
    cannot be used again. Place the first one by `mesh.replicate`, as `train` does: after one that
    lies elsewhere the second step compiles anew. The step draws from ``fold_in(state.key,
    state.step)`` alone. It measures ``loss``, ``grad_norm`` (global, before clipping) and
    ``update_finite``; and of every leaf that trains, in the order of `leaf_names`, ``leaf_norms``
    of the gradient and ``leaf_finite``, whether the update leaves it so. If the loss, the gradient
    or a parameter after the update is not finite, parameters, optimizer and average stay as they
    are to the bit, and only the step counts on.

    Args:
        loss: the mean loss of a batch, in bits/dim.
        optimizer: as `make_optimizer` gives it; one that takes extra arguments is also told the
            loss, as `value`.
        mesh: a mesh of `data_mesh`.
        ema_decay: decay of the moving average, as `fitting_decay` gives it.
        accumulate: the number of micro-batches that a batch is worked through in, one after
            another, to need less memory. A loss without randomness gives the same update as the
            whole batch.

    Raises:
        ValueError: if `ema_decay` is not in [0, 1) or `accumulate` below 1; while the step is
            traced, if the micro-batches do not divide the batch.
    """
    check_decay("make_train_step", ema_decay)
    if accumulate < 1:
        raise expected(
            "make_train_step",
            "accumulate of at least 1",
            got=accumulate,
            advice="use 1 to work through each batch at once",
        )
    told = optax.with_extra_args_support(optimizer)
    gradient = _gradient(loss)
    if accumulate > 1:
        gradient = _accumulated(gradient, accumulate, mesh)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(wrapped_key(state.key), state.step)
        values = trainable(state.params)
        mean_loss, gradients = gradient(state.params, key, batch)
        norm = optax.tree.norm(gradients)
        # The norm tells of every leaf. It also overflows before the squares in Adam's state do.
        finite = jnp.isfinite(mean_loss) & jnp.isfinite(norm)

        def update(state: TrainState) -> TrainState:
            with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer powers
                updates, optimizer_state = told.update(
                    gradients, state.optimizer, values, value=mean_loss
                )
            moved = optax.apply_updates(values, updates)
            return replace(
                state,
                params=merge(state.params, moved),
                optimizer=optimizer_state,
                average=update_average(state.average, moved, ema_decay),
            )

        # Where parameters and gradient are, so are their averages, here and in the optimizer. The
        # parameters are computed twice: to hold both states until this is known costs more.
        leaf_finite = _finite(trainable(update(state).params))
        finite &= jnp.all(leaf_finite)
        kept = jax.lax.cond(finite, update, lambda state: state, state)
        metrics = {
            "loss": mean_loss,
            "grad_norm": norm,
            "update_finite": finite,
            "leaf_norms": _norms(gradients),
            "leaf_finite": leaf_finite,
        }
        return replace(kept, step=state.step + 1), metrics

    everywhere, split = replicated(mesh), sharded(mesh)
    return jax.jit(
        step,
        in_shardings=(everywhere, split),
        out_shardings=everywhere,
        donate_argnums=0,
    )


def leaf_names(params: Params) -> list[str]:
    """The names of the leaves that train, such as ``steps.scale``, in their order."""
    paths = jax.tree.leaves_with_path(trainable(params))
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


def _finite(tree: Params) -> Bool[Array, " leaves"]:
    return jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)])


def _norms(tree: Params) -> Float[Array, " leaves"]:
    norms = [jnp.sqrt(jnp.sum(jnp.square(leaf))) for leaf in jax.tree.leaves(tree)]
    return jnp.array([norm.astype(jnp.float32) for norm in norms])


def _gradient(loss: LossFn) -> _GradientFn:
    """Loss and gradient with respect to the float leaves alone."""

    def loss_and_gradient(params: Params, key: Key, batch: Batch) -> tuple[Array, Params]:
        def of_values(values: Params) -> Float[Array, ""]:
            return loss(merge(params, values), key, batch)

        return jax.value_and_grad(of_values)(trainable(params))

    return loss_and_gradient


def _accumulated(gradient: _GradientFn, accumulate: int, mesh: Mesh) -> _GradientFn:
    """The mean of `gradient` over micro-batches, each of which draws from a key of its own."""

    def mean_gradient(params: Params, key: Key, batch: Batch) -> tuple[Array, Params]:
        micro_batches = _micro_batches(batch, accumulate, mesh)

        def add(total: Params, numbered: tuple[Array, Batch]) -> tuple[Params, None]:
            index, micro_batch = numbered
            term = gradient(params, jax.random.fold_in(key, index), micro_batch)
            return jax.tree.map(jnp.add, total, term), None

        first = jax.tree.map(lambda leaf: leaf[0], micro_batches)
        shapes = jax.eval_shape(gradient, params, key, first)
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        total, _ = jax.lax.scan(add, zero, (jnp.arange(accumulate), micro_batches))
        return jax.tree.map(lambda leaf: leaf / accumulate, total)

    return mean_gradient


def _micro_batches(batch: Batch, accumulate: int, mesh: Mesh) -> Batch:
    """Every array ``(batch, ...)`` as ``(accumulate, batch / accumulate, ...)``.

    Micro-batch ``i`` takes rows ``i, i + accumulate, ...``, so that each device cuts up the rows it
    already holds and none are sent around.
    """
    pieces = accumulate * mesh.size
    if batch_size(batch) % pieces:
        raise expected(
            "make_train_step",
            f"a batch size that {accumulate} micro-batches on {mesh.size} devices divide",
            got=f"{batch_size(batch)} examples",
            advice=f"use a multiple of {pieces}, or change accumulate",
        )
    placement = NamedSharding(mesh, PartitionSpec(None, "data"))

    def cut(leaf: Array) -> Array:
        rows = leaf.reshape(-1, accumulate, *leaf.shape[1:]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(rows, placement)

    return jax.tree.map(cut, batch)
