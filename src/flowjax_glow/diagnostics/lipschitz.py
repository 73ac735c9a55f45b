"""What pairs of points tell about the stretch of a flow and of its inverse."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.linear import PerExample, noise_like, norm, normalized
from flowjax_glow.diagnostics.result import Result, worst
from flowjax_glow.errors import expected
from flowjax_glow.types import Image, Params

#: Distances of the neighbors, in units of the images, which span [-0.5, 0.5).
DISTANCES = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class BiLipschitz(Result):
    """Lower bounds of Lipschitz constants: the largest ``|F(x) - F(y)| / |x - y|`` of some pairs.

    Attributes:
        pairs: how the pairs were made.
        forward: lower bound of Lip(F).
        inverse: lower bound of Lip(F^-1): the largest ``|x - y| / |F(x) - F(y)|``.
    """

    title = "Lower bounds of Lipschitz constants"

    pairs: np.ndarray
    forward: np.ndarray
    inverse: np.ndarray


def bi_lipschitz(flow: Bijector, params: Params, x: Image, *, seed: int = 0) -> BiLipschitz:
    """Pairs of images, of images with neighbors, and of samples with neighbors in latent space.

    Raises:
        ValueError: if `x` has fewer than two images.
    """
    if len(x) < 2:
        raise expected("bi_lipschitz", "two images or more", got=len(x), advice="pass a batch")
    rows = {"images": _of_pairs(flow, params, x, jnp.roll(x, 1, axis=0))}
    key = jax.random.key(seed)
    for distance in DISTANCES:
        near, latents_near = _neighbors(flow, params, x, key, distance)
        rows[f"x, {distance:g} apart"] = near
        rows[f"z, {distance:g} apart"] = latents_near
    forward, inverse = (np.array([worst(row[i]) for row in rows.values()]) for i in (0, 1))
    return BiLipschitz(pairs=np.array(list(rows)), forward=forward, inverse=inverse)


@partial(jax.jit, static_argnums=0)
def _of_pairs(flow: Bijector, params: Params, x: Image, y: Image) -> tuple[PerExample, PerExample]:
    """``|F(x) - F(y)| / |x - y|`` and its reciprocal."""
    (at_x, _), (at_y, _) = flow.forward(params, x), flow.forward(params, y)
    far, near = norm(jax.tree.map(jnp.subtract, at_x, at_y)), norm(x - y)
    return far / near, near / far


@partial(jax.jit, static_argnums=0)
def _neighbors(
    flow: Bijector, params: Params, x: Image, key: jax.Array, distance: jax.Array
) -> tuple[tuple[PerExample, PerExample], tuple[PerExample, PerExample]]:
    """Ratios for steps of one length in a random direction, in image space and in latent space."""
    step = distance * normalized(noise_like(key, x))
    of_images = _of_pairs(flow, params, x, x + step)
    z, _ = flow.forward(params, x)
    latent_step = jax.tree.map(lambda v: distance * v, normalized(noise_like(key, z)))
    (at_z, _), (at_moved, _) = (
        flow.inverse(params, z),
        flow.inverse(params, jax.tree.map(jnp.add, z, latent_step)),
    )
    gain = norm(at_z - at_moved) / distance
    return of_images, (1 / gain, gain)
