"""Dtypes, matmul precision, event sums and tolerances: their only home.

Five rules hold everywhere. What is inverted is at least float32. Matrix products that get inverted
use `PRECISION`. Log-space comes first: never ``log(sigmoid(.))``, never a division by a scale.
`sum_events` and `zero_log_det` are the only ways to make a log-det. Tolerances stand in
`TOLERANCES` alone.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from flowjax_glow.errors import check_floating
from flowjax_glow.types import Event, LogDet, PerExample, Tree

PRECISION = jax.lax.Precision.HIGHEST  # TF32 products do not invert to float32 accuracy

#: Log-scales of actnorms and of zero-initialized convolutions are stored divided by this, which
#: multiplies their learning rate under Adam (Kingma & Dhariwal 2018, public code).
LOG_SCALE_FACTOR = 3.0


class Tolerance(NamedTuple):
    """What a law may miss: values relative to their norm, log-dets in nats per dimension."""

    relative: float
    log_det: float


#: What `forward` and `inverse` promise, by the name of the dtype they run in. With nets in bfloat16
#: a reconstructed half that differs in its last bit may be rounded the other way on entering the
#: next net, whose output then differs by up to one rounding in bfloat16.
TOLERANCES = {
    "float32": Tolerance(relative=1e-5, log_det=1e-5),
    "float64": Tolerance(relative=1e-10, log_det=1e-10),
    "bfloat16-net": Tolerance(relative=2**-8, log_det=2**-8),
}


def at_least_float32(x: Float[Array, "..."]) -> jnp.dtype:
    """The dtype of x, or float32 where that is less."""
    return x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype(jnp.float32)


def log_det_dtype(x: Float[Array, "..."]) -> jnp.dtype:
    """The dtype of x, but at least float32; whatever enters a flow passes here first."""
    check_floating("flow", x)
    return at_least_float32(x)


def sum_events(terms: Float[Array, "batch ..."]) -> LogDet:
    """Sums every axis but the first, ``(batch, ...) -> (batch,)``, in at least float32.

    Raises:
        ValueError: if `terms` hold no floats.
    """
    return jnp.sum(terms, axis=tuple(range(1, terms.ndim)), dtype=log_det_dtype(terms))


def per_example(values: PerExample, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """One number per example, with axes of size 1 so that it broadcasts against `x`."""
    return values.reshape(values.shape + (1,) * (x.ndim - 1))


def zero_log_det(x: Float[Array, "batch ..."]) -> LogDet:
    """The log-det of the identity on `x`.

    Raises:
        ValueError: if `x` holds no floats.
    """
    zeros = jnp.zeros(x.shape[:1], log_det_dtype(x))
    if place := explicit_batch(x):
        zeros = jax.sharding.reshard(zeros, place)
    return vary_alike(zeros, x)


def vary_alike(tree: Tree, x: Float[Array, "..."]) -> Tree:
    """`tree`, said to differ between devices wherever `x` does, under `jax.shard_map`.

    Gradients of what is said so are summed over the devices. Elsewhere nothing differs.
    """
    axes = varying_axes(x)
    if not axes:
        return tree

    def vary(leaf: Array) -> Array:
        missing = tuple(axis for axis in axes if axis not in varying_axes(leaf))
        return _to_varying(leaf, missing) if missing else leaf

    return jax.tree.map(vary, tree)


def explicit_batch(x: Array) -> NamedSharding | None:
    """How the first axis of `x` is split over a mesh with Explicit axes; None where it is not."""
    sharding = jax.typeof(x).sharding
    if AxisType.Explicit not in sharding.mesh.axis_types or sharding.spec[0] is None:
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(sharding.spec[0]))


def varying_axes(x: Array) -> tuple[str, ...]:
    """The mesh axes along which `x` differs between devices, under `jax.shard_map`."""
    kind = jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)  # jax 0.10; before, `vma`
    axes = getattr(kind, "vma", frozenset()) if manual is None else manual.varying
    return tuple(sorted(axes))


def _to_varying(leaf: Array, axes: tuple[str, ...]) -> Array:
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(leaf, axes, to="varying")
    return jax.lax.pvary(leaf, axes)  # type: ignore[attr-defined]  # jax 0.8


def constant_log_det(x: Event, per_place: Float[Array, ""]) -> LogDet:
    """The log-det of a map that acts alike at every place: their number times `per_place`.

    A place is a pixel of an image, a position of a sequence; a vector has one.

    Raises:
        ValueError: if `x` holds no floats.
    """
    places = math.prod(x.shape[1:-1])
    return zero_log_det(x) + places * per_place.astype(log_det_dtype(x))


def channel_statistics(
    x: Event,
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """Mean and standard deviation of each channel over the batch and all places.

    A constant channel has no scale of its own to remove: its deviation is given as 1.
    """
    axes = tuple(range(x.ndim - 1))
    mean, deviation = jnp.mean(x, axis=axes), jnp.std(x, axis=axes)
    return mean, jnp.where(deviation > 1e-6, deviation, 1.0)


def event_size(latents: object) -> int:
    """The number of dimensions of one example, over all arrays of a pytree."""
    return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(latents))
