"""Log-dets against the Jacobian itself, sub-layer by sub-layer, on crops small enough for it."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import at_rows
from flowjax_glow.diagnostics.linear import flatten
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.effort import BRIEFEST
from flowjax_glow.errors import expected
from flowjax_glow.types import Event, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, walk_forward

#: The most dimensions of a Jacobian that is written out.
MAX_DIMENSIONS = 256


@dataclass(frozen=True, eq=False)
class LogDetChecks(Result):
    """Log-dets beside ``log|det J|`` of every sub-layer, worst example, in the order of generation.

    Attributes:
        layer: its name.
        error: ``|log_det - log|det J|| / D``, nats per dimension, of the worse direction; infinite
            if not a number.
    """

    title = "Log-dets against the Jacobian"

    layer: np.ndarray
    error: np.ndarray


def check_log_dets(flow: Bijector, params: Params, x: Event) -> LogDetChecks:
    """Compares every sub-layer's log-det with ``slogdet`` of its Jacobian by automatic derivatives.

    Args:
        x: small float images; `smallest_crop` makes them.

    Raises:
        ValueError: if an image has more than `MAX_DIMENSIONS` numbers.
    """
    dimensions = math.prod(x.shape[1:])
    if dimensions > MAX_DIMENSIONS:
        raise expected(
            "check_log_dets",
            f"images of at most {MAX_DIMENSIONS} numbers",
            got=f"{dimensions}",
            advice="crop them; convolutional flows take any size that their levels divide",
        )
    records = jax.device_get(_walk(flow, params, x))
    rows = [(name, errors) for name, _, errors in flatten_records(flow, records)]
    return LogDetChecks(
        layer=np.array([name for name, _ in rows]),
        error=np.array([worst(errors) for _, errors in rows]),
    )


@partial(jax.jit, static_argnums=0, compiler_options=BRIEFEST)
def _walk(flow: Bijector, params: Params, x: Event) -> Any:
    def visit(
        bijector: Bijector, own: Params, x: Latents, z: Latents, log_det: LogDet
    ) -> tuple[Latents, jax.Array]:
        rows = jnp.arange(len(log_det))
        jacobian = jax.vmap(partial(_jacobian, bijector, own))(x, rows)
        exact = jnp.linalg.slogdet(jacobian)[1]
        errors = jnp.stack([log_det - exact, bijector.inverse(own, z)[1] + exact])
        return z, jnp.abs(errors).max(0) / jacobian.shape[-1]

    # this way a sub-layer that is broken does not blow up what the others are tested on
    return walk_forward(flow, flow.freeze(params), x, visit)[2]


def _jacobian(bijector: Bijector, own: Params, one: Latents, row: jax.Array) -> jax.Array:
    """At one example, whose row of a context is told, a row per number of its result.

    By reverse mode.
    """
    own = at_rows(own, row[None])

    def flat(one: Latents) -> jax.Array:
        batch = jax.tree.map(lambda leaf: leaf[None], one)
        return flatten(bijector.forward(own, batch)[0])[0]

    rows = jax.jacrev(flat)(one)
    return flatten(rows)


def smallest_crop(flow: Bijector, params: Params, x: Event) -> Event | None:
    """The smallest square corner of `x` that `flow` takes; None if none is small enough.

    Of events that are no images, the whole of them.
    """
    if x.ndim != 4:
        return x if x[0].size <= MAX_DIMENSIONS else None
    _, height, width, channels = x.shape
    for size in (1, 2, 4, 8, 16):
        if size > min(height, width) or size * size * channels > MAX_DIMENSIONS:
            return None
        crop = x[:, :size, :size]
        try:
            jax.eval_shape(flow.forward, params, crop)
        except (TypeError, ValueError):
            continue
        return crop
    return None
