"""What each latent does to the image: shares of variance, and images with latents exchanged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import at_rows, rows_held
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.chunks import CHUNK
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.errors import check_count, check_positive, expected
from flowjax_glow.numerics import event_size, sum_events
from flowjax_glow.types import Latents, Params


@dataclass(frozen=True, eq=False)
class LatentShares(Result):
    """How much of the variance of samples each latent explains, a row per latent, finest first.

    Attributes:
        latent: its place.
        size: how many numbers it has.
        alone: the first-order Sobol index ``Var(E[x | z_i]) / Var(x)``: what it explains by itself.
        in_all: the total one, ``E[Var(x | all but z_i)] / Var(x)``: with all that it does together
            with others. The two are equal where latents add up, and far apart where they interact.
        not_finite: the fraction of draws left out because an image, or its square, is not finite.
    """

    title = "Variance of samples by latent"

    latent: np.ndarray
    size: np.ndarray
    alone: np.ndarray
    in_all: np.ndarray
    not_finite: np.ndarray


def latent_shares(
    flow: Bijector,
    params: Params,
    shape: Sequence[int],
    *,
    temperature: float = 1.0,
    samples: int = 512,
    seed: int = 0,
    chunk: int = CHUNK,
) -> LatentShares:
    r"""Sobol indices by Jansen's estimators (1999), summed over the values of an image.

    With x from z, x' from z' and x_i from z with latent i of z', ``Var(x) = E|x - x'|^2 / 2``,
    the total index is ``E|x - x_i|^2 / (2 Var(x))`` and the first-order one
    ``1 - E|x' - x_i|^2 / (2 Var(x))``. It takes ``(latents + 2) samples`` inversions.

    Samples take the contexts in turn that the parameters hold, if any; then all expectations are at
    one context, and of all of them the mean.

    Args:
        shape: of one image.

    Raises:
        ValueError: if `samples` is no whole number above 0, or `temperature` not above 0 and
            finite.
    """
    check_count("latent_shares.samples", samples)
    check_positive("latent_shares.temperature", temperature)
    chunk = min(chunk, samples)
    keys = jax.random.split(jax.random.key(seed), -(-samples // chunk))
    held = rows_held(params)
    numbers = np.arange(len(keys) * chunk).reshape(len(keys), chunk) % held
    given = [at_rows(params, rows) for rows in numbers]
    parts = [
        jax.device_get(_distances(flow, own, key, (chunk, *shape), temperature))
        for own, key in zip(given, keys, strict=True)
    ]
    whole, in_all, alone = (np.concatenate(part, -1)[..., :samples] for part in zip(*parts))
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    latents = jax.eval_shape(flow.forward, at_rows(params, np.zeros(1, int)), image)
    leaves = jax.tree.leaves(latents[0])
    known = np.isfinite(whole + in_all + alone)

    def share(distances: np.ndarray) -> np.ndarray:
        """NaN where every draw is left out."""
        sums = np.where(known, distances, 0).sum(1), np.where(known, whole, 0).sum(1)
        return np.divide(*sums, out=np.full(len(known), np.nan), where=known.any(1))

    return LatentShares(
        latent=np.arange(len(leaves)),
        size=np.array([event_size(leaf) for leaf in leaves]),
        alone=1 - share(alone),
        in_all=share(in_all),
        not_finite=1 - known.mean(1),
    )


@partial(jax.jit, static_argnums=(0, 3))
def _distances(
    flow: Bijector, params: Params, key: jax.Array, shape: tuple[int, ...], temperature: Array
) -> tuple[Float[Array, " batch"], Float[Array, "latents batch"], Float[Array, "latents batch"]]:
    """``|x - x'|^2``, and for every latent ``|x - x_i|^2`` and ``|x' - x_i|^2``."""
    params = flow.freeze(params)
    first, second = (
        sample_latents(flow, params, k, shape, temperature=temperature)
        for k in jax.random.split(key)
    )
    x, other = (flow.inverse(params, z)[0] for z in (first, second))
    leaves, structure = jax.tree.flatten(first)
    donors = jax.tree.leaves(second)
    in_all, alone = [], []
    for i in range(len(leaves)):
        swapped = jax.tree.unflatten(structure, [*leaves[:i], donors[i], *leaves[i + 1 :]])
        mixed, _ = flow.inverse(params, swapped)
        in_all.append(sum_events(jnp.square(x - mixed)))
        alone.append(sum_events(jnp.square(other - mixed)))
    return sum_events(jnp.square(x - other)), jnp.stack(in_all), jnp.stack(alone)


def mixed_images(
    flow: Bijector, params: Params, z: Latents, latent: int
) -> Float[Array, "n n height width channels"]:
    """``(n, n, height, width, channels)``: image i with the given latent of image j, for all i, j.

    On the diagonal are the images themselves. `z` are the latents of n images, each of which stays
    at its own context, if the parameters hold any.

    Raises:
        ValueError: if there is no such latent.
    """
    leaves, structure = jax.tree.flatten(z)
    if latent not in range(len(leaves)):
        raise expected(
            "mixed_images.latent",
            f"0 .. {len(leaves) - 1}",
            got=latent,
            advice="latents are counted from the finest",
        )
    count = len(leaves[0])
    rows, columns = (index.ravel() for index in np.mgrid[:count, :count])
    swapped = [leaf[columns if i == latent else rows] for i, leaf in enumerate(leaves)]
    given = at_rows(params, rows)  # image i is at the context of image i, whatever it gets
    x = _inverse(flow, given, jax.tree.unflatten(structure, swapped))
    return x.reshape(count, count, *x.shape[1:])


_inverse = jax.jit(lambda flow, params, z: flow.inverse(params, z)[0], static_argnums=0)
