"""What backpropagation by inversion makes of a gradient, and the drift that it comes from."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import MultiScale
from flowjax_glow.context import stripped
from flowjax_glow.density import log_prob
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.rebuild import with_memory
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Params


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


def gradient_fidelity(flow: Bijector, params: Params, x: Event) -> GradientFidelity:
    """Compares the gradients of ``mean(log_prob)`` under ``memory="invert"`` and ``"remat"``.

    Both policies are set here, whichever `flow` has. It takes the memory of a ``"remat"`` step.
    """
    exact = _gradient(with_memory(flow, "remat"), params, x)
    inverted = _gradient(with_memory(flow, "invert"), params, x)
    angle, relative_error = _compare(inverted, exact)
    return GradientFidelity(*(np.array([value]) for value in (len(x), angle, relative_error)))


@partial(jax.jit, static_argnums=0)
def _gradient(flow: Bijector, params: Params, x: Event) -> Params:
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
    """All of a gradient but that with respect to a context."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(stripped(gradient))])


def drift(flow: MultiScale, params: Params, x: Event) -> Float[Array, " levels"]:
    r"""``|f_l^-1(f_l(x_l)) - x_l| / |x_l|`` over the batch, for every level l, finest first.

    ``x_l`` is what reaches level l when the images `x` are encoded. Backpropagation by inversion
    takes gradients at the reconstructions, so a level whose drift is far above rounding has wrong
    gradients; NaN and infinity are the worst of them. It costs a forward and an inverse pass.
    """
    errors = []
    for index, level in enumerate(flow.levels):
        own = params["levels"][index]
        z, _ = level.forward(own, x)
        errors.append(_relative_error(level, own, z, x))
        if index < len(flow.splits):
            (x, _), _ = flow.splits[index].forward(params["splits"][index], z)
    return jnp.stack(errors)


def _relative_error(level: Bijector, own: Params, z: Event, x: Event) -> Float[Array, ""]:
    back, _ = level.inverse(own, z)
    return jnp.linalg.norm((back - x).ravel()) / jnp.linalg.norm(x.ravel())
