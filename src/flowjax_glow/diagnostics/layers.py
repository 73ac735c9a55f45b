"""The inverse, sub-layer by sub-layer: activations, scales, log-dets and gains of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling
from flowjax_glow.channels import halves
from flowjax_glow.diagnostics.chunks import CHUNK, given_chunks
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
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.diagnostics.trace import Observation, known, observe
from flowjax_glow.effort import fitting
from flowjax_glow.numerics import event_size, sum_events
from flowjax_glow.trainable import trainable
from flowjax_glow.types import Event, Latents, LogDet, Params, PerExample
from flowjax_glow.walk import flatten_records, walk_inverse

#: Bins of log s: 2.5 % wide, from e^-40, next to the smallest float32, to e^10. NaN falls into the
#: lowest, being the worst that s can be.
LOWEST, BIN, BINS = -40.0, 0.025, 2000

QUANTILES = (1e-4, 1e-3, 1e-2, 0.5)

#: Power iteration ends once no example's gain changes by more than this fraction in a round, or
#: after so many rounds. It tells sizes: where singular values lie close together, a gain may be
#: short of the largest one by a few times this fraction.
TOLERANCE = 1e-2
MAX_ROUNDS = 100

#: In records: of JAX within the walk, of NumPy once it is over.
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
    """Of a coupling, in the direction that its inverse stretches most: norms of the terms."""

    division: Values
    scale: Values
    shift: Values


class ScaleRecord(NamedTuple):
    """Of the log-scales of a sub-layer that carries any."""

    smallest: Values
    total: Values
    counts: Values


@dataclass(frozen=True, eq=False)
class ActivationTrace(Result):
    """Activations after every inverse sub-layer, in the order of generation.

    Attributes:
        layer: its name.
        largest: ``max|a|``, infinite where any is not finite.
        rms: root mean square of the worst example.
        over: the fraction of activations beyond the limit; NaN counts.
        not_finite: how many are NaN or infinite.
    """

    title = "Activations of the inverse"

    layer: np.ndarray
    largest: np.ndarray
    rms: np.ndarray
    over: np.ndarray
    not_finite: np.ndarray

    @property
    def first_over(self) -> str | None:
        """The first layer with an activation over the limit or not finite."""
        found = np.flatnonzero(self.over > 0)
        return str(self.layer[found[0]]) if found.size else None


@dataclass(frozen=True, eq=False)
class ScaleStatistics(Result):
    """The scales s of every sub-layer that carries one, in the order of generation.

    Attributes:
        layer: its name.
        smallest: the least s.
        q1e4, q1e3, q1e2, median: quantiles, to 2.5 %.
        below_1e2, below_1e3: the fractions of s below 1e-2 and 1e-3.
        sum_log: mean over examples of ``sum(log s)``, its part of the log-det, in nats.
        chain_gain: the worst example's product of 1 / s_min from the top down to here.
    """

    title = "Scales"

    layer: np.ndarray
    smallest: np.ndarray
    q1e4: np.ndarray
    q1e3: np.ndarray
    q1e2: np.ndarray
    median: np.ndarray
    below_1e2: np.ndarray
    below_1e3: np.ndarray
    sum_log: np.ndarray
    chain_gain: np.ndarray


@dataclass(frozen=True, eq=False)
class LayerChecks(Result):
    """Each sub-layer on its own, at the activations that reach it.

    Attributes:
        layer: its name.
        finite_params: whether all its parameters are finite.
        round_trip: the worst ``|f(g(z)) - z| / max(|z|, 0.1 sqrt(D))`` of this sub-layer.
        log_det_error: the worst ``|log|det f| + log|det g|| / D``, nats per dimension.
        gain: the largest stretch ``|J_g v| / |v|`` of its inverse that power iteration finds: it
            stretches by at least that much.
        converged: whether power iteration settled at every example: its gain is finite, and
            changed by no more than the tolerance in the last round.
    """

    title = "Sub-layers on their own"

    layer: np.ndarray
    finite_params: np.ndarray
    round_trip: np.ndarray
    log_det_error: np.ndarray
    gain: np.ndarray
    converged: np.ndarray


@dataclass(frozen=True, eq=False)
class CouplingStretch(Result):
    """What the inverse of every coupling stretches by, in the order of generation.

    Along v, of length 1, it moves its half by ``v_moved / s - (z_moved / s) d log s - d shift``,
    where the derivatives are along ``v_read``. A floor of s limits the first term; the second
    grows with the activations, too, and the last with the net's own slope alone. Where the scale
    comes first (`AffineCoupling.form`) it is ``v_moved / s - x_moved d log s - (d shift) / s``.

    Attributes:
        layer: its name.
        gain: as in `LayerChecks`.
        by_division, by_scale, by_shift: the L2 norms of the three terms, of the example with the
            largest gain, in the direction v that `gain` was measured in.
    """

    title = "What couplings stretch by"

    layer: np.ndarray
    gain: np.ndarray
    by_division: np.ndarray
    by_scale: np.ndarray
    by_shift: np.ndarray


class Ways(NamedTuple):
    """Every example's own way down the inverse; arrays ``(layers, examples)``, but for three.

    Attributes:
        layer: the names, in the order of generation.
        latent: the largest absolute value of the latents, ``(examples,)``.
        largest: the largest absolute activation after it, infinite where not finite.
        round_trip, gain: as in `LayerChecks`.
        terms: of couplings, as in `CouplingStretch`, ``(layers, 3, examples)``; NaN of others.
    """

    layer: np.ndarray
    latent: np.ndarray
    largest: np.ndarray
    round_trip: np.ndarray
    gain: np.ndarray
    terms: np.ndarray


class Examination(NamedTuple):
    """One walk down the inverse, as four tables, and example by example."""

    activations: ActivationTrace
    scales: ScaleStatistics
    checks: LayerChecks
    couplings: CouplingStretch
    ways: Ways


def activation_trace(
    flow: Bijector, params: Params, z: Latents, *, limit: float = LIMIT, chunk: int = CHUNK
) -> ActivationTrace:
    """Activations on the way from `z` to the image; nothing is clipped.

    It is a part of what `examine` finds, and costs as much; `decode_observed` is the cheap way.
    """
    return examine(flow, params, z, limit=limit, chunk=chunk).activations


def scale_statistics(
    flow: Bijector, params: Params, z: Latents, *, chunk: int = CHUNK
) -> ScaleStatistics:
    """The scales on the way from `z` to the image, for every bijector that offers `log_scale`.

    It is a part of what `examine` finds, and costs as much; `decode_observed` is the cheap way.
    """
    return examine(flow, params, z, chunk=chunk).scales


def examine(
    flow: Bijector,
    params: Params,
    z: Latents,
    *,
    limit: float = LIMIT,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    chunk: int = CHUNK,
) -> Examination:
    """Walks the inverse from the latents `z`, example by example, and tests every sub-layer.

    Most of its time goes into power iteration, 8 to 100 rounds per sub-layer, each a product with
    the Jacobian of its inverse and one with the transpose. It needs the memory of one sub-layer's
    derivatives.

    Args:
        limit: activations beyond it are counted.
        tolerance: power iteration ends once no gain changes by more than this fraction in a round.
    """
    key = jax.random.key(seed)
    walks = [
        (*jax.device_get(_walk(flow, own, part, limit, tolerance, key)), new)
        for own, part, new in given_chunks(params, z, chunk)
    ]
    parts = [(list(flatten_records(flow, seen)), new) for seen, _, new in walks]
    names = np.array([name for name, _, _ in parts[0][0]])
    records = [_joined([(rows[i][2], new) for rows, new in parts]) for i in range(len(names))]
    return Examination(
        ActivationTrace(
            layer=names,
            largest=_each(records, lambda r: r.largest.max()),
            rms=_each(records, lambda r: worst(np.sqrt(r.mean_square))),
            over=_each(records, lambda r: r.over.mean()),
            not_finite=_each(records, lambda r: r.not_finite.sum()),
        ),
        _scale_statistics(names, records),
        LayerChecks(
            layer=names,
            finite_params=_each(records, lambda r: bool(r.finite_params.all())),
            round_trip=_each(records, lambda r: worst(r.round_trip)),
            log_det_error=_each(records, lambda r: worst(np.abs(r.log_det_error))),
            gain=_each(records, lambda r: worst(r.gain)),
            converged=_each(records, lambda r: bool(r.settled.all())),
        ),
        _coupling_stretch(names, records),
        Ways(
            layer=names,
            latent=np.concatenate([latent[-new:] for _, latent, new in walks]),
            largest=_each(records, lambda r: r.largest),
            round_trip=_each(records, lambda r: r.round_trip),
            gain=_each(records, lambda r: r.gain),
            terms=_each(records, _terms),
        ),
    )


@fitting
def _walk(
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


def _joined(parts: list[tuple[Record, int]]) -> Record:
    """One sub-layer's records of all chunks; examples that a chunk repeats are left out."""

    def join(*arrays: Any) -> np.ndarray:
        cut = [
            np.asarray(array)[-new:] if np.ndim(array) else np.asarray(array)[None]
            for array, (_, new) in zip(arrays, parts, strict=True)
        ]
        return np.concatenate(cut)

    records = [record for record, _ in parts]
    joined = jax.tree.map(join, *(record._replace(log_scale=None) for record in records))
    scales = [record.log_scale for record in records if record.log_scale is not None]
    if not scales:
        return joined
    return joined._replace(
        log_scale=ScaleRecord(
            smallest=join(*(scale.smallest for scale in scales)),
            total=join(*(scale.total for scale in scales)),
            counts=np.sum([scale.counts for scale in scales], axis=0),
        )
    )


def _each(records: list[Record], measure: Any) -> np.ndarray:
    return np.array([measure(record) for record in records])


def _terms(record: Record) -> np.ndarray:
    if record.terms is None:
        return np.full((3, len(record.gain)), np.nan)
    return np.array(record.terms)


def _scale_statistics(names: np.ndarray, records: list[Record]) -> ScaleStatistics:
    rows = [(name, r.log_scale) for name, r in zip(names, records) if r.log_scale is not None]
    quantiles = np.array([_quantiles(scale.counts) for _, scale in rows]).reshape(-1, 4)
    lowest = np.array([scale.smallest for _, scale in rows]).reshape(-1, len(records[0].largest))
    chain = -np.cumsum(lowest, axis=0)
    with np.errstate(over="ignore"):
        return ScaleStatistics(
            layer=np.array([name for name, _ in rows]),
            smallest=np.exp(lowest.min(1)),
            q1e4=quantiles[:, 0],
            q1e3=quantiles[:, 1],
            q1e2=quantiles[:, 2],
            median=quantiles[:, 3],
            below_1e2=np.array([_below(scale.counts, 1e-2) for _, scale in rows]),
            below_1e3=np.array([_below(scale.counts, 1e-3) for _, scale in rows]),
            sum_log=np.array([scale.total.mean() for _, scale in rows]),
            chain_gain=np.exp(chain.max(1)),
        )


def _coupling_stretch(names: np.ndarray, records: list[Record]) -> CouplingStretch:
    rows = [(name, r.gain, r.terms) for name, r in zip(names, records) if r.terms is not None]
    examples = len(records[0].gain)
    gains = np.array([gain for _, gain, _ in rows]).reshape(-1, examples)
    gains = np.where(np.isnan(gains), np.inf, gains)
    terms = np.array([terms for _, _, terms in rows]).reshape(-1, 3, examples)
    places = gains.argmax(1)[:, None, None]
    return CouplingStretch(
        np.array([name for name, _, _ in rows]),
        gains.max(1),
        *np.take_along_axis(terms, places, 2)[..., 0].T,
    )


def _quantiles(counts: Values) -> np.ndarray:
    shares = np.cumsum(counts) / counts.sum()
    return np.exp(LOWEST + BIN * (np.searchsorted(shares, QUANTILES) + 0.5))


def _below(counts: Values, threshold: float) -> float:
    return float(counts[: round((np.log(threshold) - LOWEST) / BIN)].sum() / counts.sum())
