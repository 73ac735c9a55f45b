"""How ill-conditioned each sub-layer is on its own, at images: what rounding may grow to in it."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.passing import Passing, passing
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.types import Event, Params
from flowjax_glow.walk import flatten_records

#: Rounds of scaling rows and columns to length 1.
_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Conditions(Result):
    """The condition of every sub-layer at images, in the order of generation.

    Of a matrix it is the ratio of its largest to its smallest singular value, after rows and
    columns were scaled to length 1, so that other units of a channel change nothing. Of what
    multiplies by numbers (couplings, learned priors) it is the ratio of the largest to the smallest
    of 1 and these numbers.

    Attributes:
        layer: its name.
        kind: whether it is a "matrix", or has a "scale".
        condition: over all images; 1 of other sub-layers; infinite where not finite.
        smallest: the least number that it multiplies by, and its inverse divides by; at most 1.
    """

    title = "Conditions of sub-layers at images"

    layer: np.ndarray
    kind: np.ndarray
    condition: np.ndarray
    smallest: np.ndarray


def conditions(flow: Bijector, params: Params, x: Event) -> Conditions:
    """The condition of every sub-layer on the way of a batch of images."""
    records, _ = jax.device_get(passing(flow, params, x))
    rows = [(name, *_row(record)) for name, _, record in flatten_records(flow, records)]
    return Conditions(*(np.array(column) for column in zip(*rows, strict=True)))


def _row(record: Passing) -> tuple[str, float, float]:
    if record.matrix is not None:
        return "matrix", _condition(np.asarray(record.matrix, np.float64)), 1.0
    lowest, highest = (float(log) for log in record.log_scales)
    with np.errstate(over="ignore"):
        condition = float(np.exp(highest - lowest))
    return "scale", condition if np.isfinite(condition) else np.inf, float(np.exp(lowest))


def _condition(matrix: Float[np.ndarray, "channels channels"]) -> float:
    """Of the matrix with its rows and columns scaled to length 1, as far as both can be."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_ROUNDS):
            matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
            matrix = matrix / np.linalg.norm(matrix, axis=0, keepdims=True)
        if not np.isfinite(matrix).all():
            return np.inf
        values = np.linalg.svd(matrix, compute_uv=False)
        return float(values[0] / values[-1])
