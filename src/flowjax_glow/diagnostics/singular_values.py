"""How much a flow and its inverse stretch: extreme singular values without a Jacobian."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.diagnostics.linear import (
    PerExample,
    noise_like,
    norm,
    normalized,
    products,
)
from flowjax_glow.diagnostics.result import Result
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Image, Params

#: Power iteration ends once no example's value grows by more than this fraction in a round, or
#: after so many rounds. Its values are lower bounds; the error is far below that of the vector.
TOLERANCE = 1e-5
MAX_ROUNDS = 400

#: Images at a time: the derivatives of all steps are kept.
CHUNK = 16


@dataclass(frozen=True, eq=False)
class SingularValues(Result):
    r"""Extreme singular values of the Jacobian J of `forward`, a row per image.

    Attributes:
        image: its number.
        largest: ``sigma_max(J)``, the gain of `forward`.
        smallest: ``sigma_min(J) = 1 / sigma_max(J^-1)``; one over the gain of `inverse`.
        condition: their ratio; ``condition * 2^-24`` is the relative error that float32 may leave.
        evaluable: whether the inverse gave finite numbers; if not, the inverse is broken at this
            image, and `smallest` and `condition` are NaN.
    """

    title = "Singular values of the Jacobian of forward"

    image: np.ndarray
    largest: np.ndarray
    smallest: np.ndarray
    condition: np.ndarray
    evaluable: np.ndarray


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
    gain, inverse_gain = found
    evaluable = np.isfinite(inverse_gain) & (inverse_gain > 0)
    inverse_gain = np.where(evaluable, inverse_gain, np.nan)
    return SingularValues(
        image=np.arange(len(gain)),
        largest=gain,
        smallest=1 / inverse_gain,
        condition=gain * inverse_gain,
        evaluable=evaluable,
    )


@partial(jax.jit, static_argnums=0)
def _extremes(
    flow: Bijector, params: Params, x: Image, key: jax.Array
) -> tuple[PerExample, PerExample]:
    z, _ = flow.forward(params, x)
    return (
        largest_singular_value(lambda x: flow.forward(params, x)[0], x, key),
        largest_singular_value(lambda z: flow.inverse(params, z)[0], z, key),
    )


def largest_singular_value(
    function: Callable[[Any], Any],
    at: Any,
    key: jax.Array,
    *,
    tolerance: float = TOLERANCE,
    max_rounds: int = MAX_ROUNDS,
) -> PerExample:
    """Of the Jacobian of `function` at every example of `at`; not finite where that is not."""
    push, pull = products(function, at)

    def body(carry: tuple) -> tuple:
        v, before, _, rounds = carry
        u = push(v)
        sigma = norm(u)
        v = normalized(pull(normalized(u)))
        moving = jnp.abs(sigma - before) > tolerance * sigma  # False where it is NaN
        return v, sigma, moving.any(), rounds + 1

    def goes_on(carry: tuple) -> jax.Array:
        _, _, moving, rounds = carry
        return moving & (rounds < max_rounds)

    v = normalized(noise_like(key, at))
    start = (v, jnp.zeros_like(norm(v)), jnp.asarray(True), 0)
    return jax.lax.while_loop(goes_on, body, start)[1]
