"""What backpropagation by inversion makes of a gradient."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import log_prob
from flowjax_glow.diagnostics.result import Result
from flowjax_glow.rebuild import with_memory
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Image, Params


@dataclass(frozen=True, eq=False)
class GradientFidelity(Result):
    """How a gradient g at reconstructed activations compares with the exact one, g*; one row.

    Attributes:
        images: how many the gradient is of.
        angle: between g and g*, in degrees; NaN if either is not finite.
        relative_error: ``|g - g*| / |g*|``, over all parameters.
    """

    title = "Gradients by inversion"

    images: np.ndarray
    angle: np.ndarray
    relative_error: np.ndarray


def gradient_fidelity(flow: Bijector, params: Params, x: Image) -> GradientFidelity:
    """Compares the gradients of ``mean(log_prob)`` under ``memory="invert"`` and ``"remat"``.

    Both policies are set here, whichever `flow` has. It takes the memory of a ``"remat"`` step.
    """
    exact = _gradient(with_memory(flow, "remat"), params, x)
    inverted = _gradient(with_memory(flow, "invert"), params, x)
    angle, relative_error = _compare(inverted, exact)
    return GradientFidelity(*(np.array([value]) for value in (len(x), angle, relative_error)))


@partial(jax.jit, static_argnums=0)
def _gradient(flow: Bijector, params: Params, x: Image) -> Params:
    def mean_log_prob(values: Params) -> Float[Array, ""]:
        return log_prob(flow, merge(params, values), x).mean()

    return jax.grad(mean_log_prob)(trainable(params))


@jax.jit
def _compare(g: Params, exact: Params) -> tuple[Float[Array, ""], Float[Array, ""]]:
    u, v = _flat(g), _flat(exact)
    length = jnp.linalg.norm(v)
    relative_error = jnp.linalg.norm(u - v) / length
    u, v = u / jnp.linalg.norm(u), v / length
    # Kahan's form; the arc cosine sees no angle below 0.02 degrees in float32.
    angle = 2 * jnp.arctan2(jnp.linalg.norm(u - v), jnp.linalg.norm(u + v))
    return jnp.degrees(angle), relative_error


def _flat(gradient: Params) -> Float[Array, " parameters"]:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
