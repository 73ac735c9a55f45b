"""The inverse, sub-layer by sub-layer: activations, scales, log-dets and gains of each."""

from typing import Any

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import CHUNK, given_chunks
from flowjax_glow.diagnostics.layer_records import (
    BIN,
    LOWEST,
    TOLERANCE,
    Record,
    Values,
    joined,
    walk,
)
from flowjax_glow.diagnostics.layer_tables import (
    SCALE_QUANTILES,
    ActivationTrace,
    CouplingStretch,
    Examination,
    LayerChecks,
    ScaleStatistics,
    Ways,
)
from flowjax_glow.diagnostics.table import worst
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.types import Latents, Params
from flowjax_glow.walk import flatten_records


def activation_trace(
    flow: Bijector, params: Params, z: Latents, *, limit: float = LIMIT, chunk: int = CHUNK
) -> ActivationTrace:
    """Activations on the way from `z` to the image; nothing is clipped.

    It is a part of what `examine` finds, and costs as much; `decode_observed` is the cheap way.

    Raises:
        ValueError: if the parameters hold a context with other rows.
    """
    return examine(flow, params, z, limit=limit, chunk=chunk).activations


def scale_statistics(
    flow: Bijector, params: Params, z: Latents, *, chunk: int = CHUNK
) -> ScaleStatistics:
    """The scales on the way from `z` to the image, for every bijector that offers `log_scale`.

    It is a part of what `examine` finds, and costs as much; `decode_observed` is the cheap way.

    Raises:
        ValueError: if the parameters hold a context with other rows.
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

    Raises:
        ValueError: if the parameters hold a context with other rows.
    """
    key = jax.random.key(seed)
    walks = [
        (*jax.device_get(walk(flow, own, part, limit, tolerance, key)), new)
        for own, part, new in given_chunks(params, z, chunk)
    ]
    parts = [(list(flatten_records(flow, seen)), new) for seen, _, new in walks]
    names = np.array([name for name, _, _ in parts[0][0]])
    records = [joined([(rows[i][2], new) for rows, new in parts]) for i in range(len(names))]
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
    return np.exp(LOWEST + BIN * (np.searchsorted(shares, SCALE_QUANTILES) + 0.5))


def _below(counts: Values, threshold: float) -> float:
    return float(counts[: round((np.log(threshold) - LOWEST) / BIN)].sum() / counts.sum())
