"""The walk down the inverse that tests every sub-layer, and its records."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling
from flowjax_glow.channels import halves
from flowjax_glow.diagnostics.linear import (
    directional,
    flatten,
    largest_stretch,
    noise_like,
    norm,
    products,
    sizes,
)
from flowjax_glow.diagnostics.round_trips import latent_round_trip
from flowjax_glow.diagnostics.trace import Observation, known, observe
from flowjax_glow.effort import fitting
from flowjax_glow.numerics import event_size, sum_events
from flowjax_glow.trainable import trainable
from flowjax_glow.types import Event, Latents, LogDet, Params, PerExample
from flowjax_glow.walk import walk_inverse

#: Bins of log s: 2.5 % wide, from e^-40, next to the smallest float32, to e^10. NaN falls into the
#: lowest, being the worst that s can be.
LOWEST, BIN, BINS = -40.0, 0.025, 2000

#: Power iteration ends once no example's gain changes by more than this fraction in a round, or
#: after so many rounds. It tells sizes: where singular values lie close together, a gain may be
#: short of the largest one by a few times this fraction.
TOLERANCE = 1e-2
MAX_ROUNDS = 100

#: Arrays in records: of JAX within the walk, of NumPy once it is over.
Values: TypeAlias = Array | np.ndarray


class Record(NamedTuple):
    """What is seen of one sub-layer; numbers per example, but for `finite_params` and `counts`."""

    finite_params: Values
    largest: Values
    mean_square: Values
    over: Values
    not_finite: Values
    round_trip: Values
    log_det_error: Values
    gain: Values
    settled: Values
    terms: "StretchRecord | None"
    log_scale: "ScaleRecord | None"


class StretchRecord(NamedTuple):
    """Norms of the terms of a coupling, in the direction that its inverse stretches most."""

    division: Values
    scale: Values
    shift: Values


class ScaleRecord(NamedTuple):
    """What is seen of the log-scales of a sub-layer that carries any."""

    smallest: Values
    total: Values
    counts: Values


@fitting
def walk(
    flow: Bijector, params: Params, z: Latents, limit: Array, tolerance: Array, key: jax.Array
) -> tuple[Any, PerExample]:
    """Records of all sub-layers, and the largest latent of every example."""

    def visit(
        bijector: Bijector, own: Params, z: Latents, x: Latents, log_det: LogDet
    ) -> tuple[Latents, Record]:
        seen = observe(bijector, own, z, x, log_det, limit=limit)
        back, forward_log_det = bijector.forward(own, x)
        push, pull = products(lambda z: bijector.inverse(own, z)[0], z)
        stretch = largest_stretch(
            push, pull, noise_like(key, z), tolerance=tolerance, max_rounds=MAX_ROUNDS
        )
        leaves = jax.tree.leaves(trainable(own))
        return x, Record(
            finite_params=jnp.array([jnp.isfinite(leaf).all() for leaf in leaves] or [True]).all(),
            largest=seen.largest,
            mean_square=jnp.square(sizes(flatten(x))).mean(1),
            over=seen.clipped,
            not_finite=seen.nonfinite.astype(log_det.dtype),
            round_trip=latent_round_trip(z, back),
            log_det_error=(forward_log_det + log_det) / event_size(z),
            gain=stretch.size,
            settled=stretch.settled,
            terms=_stretch_terms(bijector, own, z, stretch.direction),
            log_scale=_scale_record(seen),
        )

    return walk_inverse(flow, flow.freeze(params), z, visit)[2], sizes(flatten(z)).max(1)


def _stretch_terms(
    bijector: Bijector, params: Params, z: Latents, direction: Latents
) -> StretchRecord | None:
    """The terms of an affine coupling's inverse along `direction`, None of any other bijector."""
    if not isinstance(bijector, AffineCoupling):
        return None
    (_, moved), (_, along) = halves(z), halves(direction)
    (shift, log_scale), (d_shift, d_log_s) = directional(
        lambda z: bijector.shift_and_log_scale(params, z), z, direction
    )
    reciprocal = jnp.exp(-log_scale)

    def term(restored: Callable[[Event], Event], value: Event, change: Event) -> PerExample:
        return norm(directional(restored, value, change)[1])

    return StretchRecord(
        division=term(lambda moved: bijector.undo(moved, shift, reciprocal), moved, along),
        scale=term(lambda log_s: bijector.undo(moved, shift, jnp.exp(-log_s)), log_scale, d_log_s),
        shift=term(lambda shift: bijector.undo(moved, shift, reciprocal), shift, d_shift),
    )


def _scale_record(seen: Observation) -> ScaleRecord | None:
    if seen.log_scale is None or seen.min_log_scale is None:
        return None
    places = jnp.clip((known(seen.log_scale) - LOWEST) / BIN, 0, BINS - 1).astype(jnp.int32)
    return ScaleRecord(
        smallest=seen.min_log_scale,
        total=sum_events(seen.log_scale),
        counts=jnp.zeros(BINS, jnp.int32).at[places.ravel()].add(1),
    )


def joined(parts: list[tuple[Record, int]]) -> Record:
    """One sub-layer's records of all chunks; examples that a chunk repeats are left out."""

    def join(*arrays: Any) -> np.ndarray:
        cut = [
            np.asarray(array)[-new:] if np.ndim(array) else np.asarray(array)[None]
            for array, (_, new) in zip(arrays, parts, strict=True)
        ]
        return np.concatenate(cut)

    records = [record for record, _ in parts]
    whole = jax.tree.map(join, *(record._replace(log_scale=None) for record in records))
    scales = [record.log_scale for record in records if record.log_scale is not None]
    if not scales:
        return whole
    return whole._replace(
        log_scale=ScaleRecord(
            smallest=join(*(scale.smallest for scale in scales)),
            total=join(*(scale.total for scale in scales)),
            counts=np.sum([scale.counts for scale in scales], axis=0),
        )
    )
