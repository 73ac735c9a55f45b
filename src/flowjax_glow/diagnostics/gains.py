"""How much a flow and its inverse stretch: singular values, pairs of points, and a penalty."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import in_given_chunks
from flowjax_glow.diagnostics.linear import (
    Stretch,
    largest_stretch,
    noise_like,
    norm,
    normalized,
    products,
)
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.errors import expected
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Event, Key, Params, PerExample

#: Distances of the neighbors, in units of the images, which span [-0.5, 0.5).
DISTANCES = (1e-3, 1e-2, 1e-1)

#: The length of the finite difference, in the units of its argument.
STEP = 0.1

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
    flow: Bijector, params: Params, x: Event, *, seed: int = 0, chunk: int = CHUNK
) -> SingularValues:
    """Power iteration with products of J and J^T at every image of `x`, as floats.

    The inverse's gain is found on the Jacobian of `inverse` itself, at ``z = forward(x)``: what
    matters is the program that will run.

    Raises:
        ValueError: if the parameters hold a context with other rows.
    """
    flow = with_memory(flow, "store")
    key = jax.random.key(seed)
    found = in_given_chunks(lambda own, part: _extremes(flow, own, part, key), params, x, chunk)
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
def _extremes(flow: Bijector, params: Params, x: Event, key: jax.Array) -> tuple[Stretch, Stretch]:
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


def bi_lipschitz(flow: Bijector, params: Params, x: Event, *, seed: int = 0) -> BiLipschitz:
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
def _of_pairs(flow: Bijector, params: Params, x: Event, y: Event) -> tuple[PerExample, PerExample]:
    """``|F(x) - F(y)| / |x - y|`` and its reciprocal; zeros, which bound nothing, if x is y."""
    (at_x, _), (at_y, _) = flow.forward(params, x), flow.forward(params, y)
    far, near = norm(jax.tree.map(jnp.subtract, at_x, at_y)), norm(x - y)
    same = (near == 0) & (far == 0)
    return jnp.where(same, 0, far / near), jnp.where(same, 0, near / far)


@partial(jax.jit, static_argnums=0)
def _neighbors(
    flow: Bijector, params: Params, x: Event, key: jax.Array, distance: jax.Array
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


def finite_difference_penalty(
    flow: Bijector, params: Params, key: Key, x: Event, *, step: float = STEP
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
