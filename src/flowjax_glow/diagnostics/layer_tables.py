"""What an examination of the inverse finds: a table of activations, of scales, of gains."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flowjax_glow.diagnostics.table import Result


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


#: The quantiles of s that are told, in runs and in reports.
SCALE_QUANTILES = (1e-4, 1e-3, 1e-2, 0.5)


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
