"""A penalty that keeps a flow and its inverse from stretching, for training."""

import jax
import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.linear import PerExample, noise_like, norm, normalized
from flowjax_glow.types import Image, Key, Params

#: The length of the finite difference, in the units of its argument.
STEP = 0.1


def finite_difference_penalty(
    flow: Bijector, params: Params, key: Key, x: Image, *, step: float = STEP
) -> tuple[PerExample, PerExample]:
    r"""``|(F(x + e v) - F(x)) / e|^2`` and the same of ``F^-1`` at ``z = F(x)``, per example.

    v is uniform on the unit sphere, so that the expectation is, for small e, the sum of squared
    singular values over the dimension. Added to a loss with small weights it bounds both stretches
    (Behrmann et al. 2021, section 4.2)::

        forward, inverse = finite_difference_penalty(flow, params, key, x)
        loss = bits + 1e-3 * (forward + inverse).mean()

    It costs an evaluation of `forward` and two of `inverse` on top of ``F(x)``, which a loss that
    computes it, too, shares under jit.
    """
    of_x, of_z = jax.random.split(key)
    z, _ = flow.forward(params, x)
    moved, _ = flow.forward(params, x + step * normalized(noise_like(of_x, x)))
    forward = norm(jax.tree.map(jnp.subtract, moved, z)) / step

    latent_step = normalized(noise_like(of_z, z))
    back, _ = flow.inverse(params, z)
    other, _ = flow.inverse(params, jax.tree.map(lambda a, v: a + step * v, z, latent_step))
    inverse = norm(other - back) / step
    return jnp.square(forward), jnp.square(inverse)
