"""How much a flow and its inverse stretch: extreme singular values without a Jacobian."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.diagnostics.linear import (
    Stretch,
    largest_stretch,
    noise_like,
    products,
)
from flowjax_glow.diagnostics.result import Result
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Image, Params

#: Power iteration ends once no image's value changes by more than this fraction in a round, or
#: after so many rounds. Its values are lower bounds of the gains.
TOLERANCE = 1e-5
MAX_ROUNDS = 400

#: Images at a time: the derivatives of all steps are kept.
CHUNK = 16


@dataclass(frozen=True, eq=False)
class SingularValues(Result):
    r"""Extreme singular values of the Jacobian J of `forward`, a row per image.

    Power iteration finds lower bounds of the two gains, so `largest` and `condition` are at least
    what is told, and `smallest` is at most that.

    Attributes:
        image: its number.
        largest: ``sigma_max(J)``, the gain of `forward`.
        smallest: ``sigma_min(J) = 1 / sigma_max(J^-1)``; one over the gain of `inverse`.
        condition: their ratio; ``condition * 2^-24`` is the relative error that float32 may leave.
        evaluable: whether the inverse gave finite numbers; if not, the inverse is broken at this
            image, and `smallest` and `condition` are NaN.
        converged: whether power iteration settled, to `TOLERANCE`, in both directions.
    """

    title = "Singular values of the Jacobian of forward"

    image: np.ndarray
    largest: np.ndarray
    smallest: np.ndarray
    condition: np.ndarray
    evaluable: np.ndarray
    converged: np.ndarray


def singular_values(
    flow: Bijector, params: Params, x: Image, *, seed: int = 0, chunk: int = CHUNK
) -> SingularValues:
    """Power iteration with products of J and J^T at every image of `x`, as floats.

    The inverse's gain is found on the Jacobian of `inverse` itself, at ``z = forward(x)``: what
    matters is the program that will run.
    """
    flow = with_memory(flow, "store")
    key = jax.random.key(seed)
    found = in_chunks(lambda part: _extremes(flow, params, part, key), x, chunk)
    gain, inverse_gain = (stretch.size for stretch in found)
    evaluable = np.isfinite(inverse_gain) & (inverse_gain > 0)
    inverse_gain = np.where(evaluable, inverse_gain, np.nan)
    return SingularValues(
        image=np.arange(len(gain)),
        largest=gain,
        smallest=1 / inverse_gain,
        condition=gain * inverse_gain,
        evaluable=evaluable,
        converged=found[0].settled & found[1].settled,
    )


@partial(jax.jit, static_argnums=0)
def _extremes(flow: Bijector, params: Params, x: Image, key: jax.Array) -> tuple[Stretch, Stretch]:
    """Of `forward` and of `inverse`; the directions stay behind."""
    z, _ = flow.forward(params, x)
    return (
        _largest_singular_value(lambda x: flow.forward(params, x)[0], x, key),
        _largest_singular_value(lambda z: flow.inverse(params, z)[0], z, key),
    )


def _largest_singular_value(function: Callable[[Any], Any], at: Any, key: jax.Array) -> Stretch:
    """Of the Jacobian of `function` at every example of `at`, without its direction."""
    push, pull = products(function, at)
    found = largest_stretch(
        push, pull, noise_like(key, at), tolerance=TOLERANCE, max_rounds=MAX_ROUNDS
    )
    return found._replace(direction=())
