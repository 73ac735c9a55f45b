"""An error bar for every decoded latent, from its residual and the inverse's gain along it."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import CHUNK, in_given_chunks
from flowjax_glow.diagnostics.precision import inverse, inverse_in_float64, widened
from flowjax_glow.numerics import per_example
from flowjax_glow.rebuild import with_memory
from flowjax_glow.types import Event, Latents, Params

#: What the first-order estimate is multiplied by. In trained models the estimate was within a few
#: percent of the error (docs/diagnose.md); the factor is for inverses that bend over the error.
FACTOR = 2.0

#: Images have values from -0.5 to 0.5.
_EDGE = 0.5


class DecodedWithError(NamedTuple):
    """Decoded latents, and how far each may lie from its exact image; all on the host.

    Attributes:
        x: ``G(z)`` as float32 gives it, `(batch, height, width, channels)`.
        error: a bar on the root mean square of ``x - G(z)`` over the values of an image,
            `(batch,)`, in units of `x`, where 1 is the whole color range; infinite where `x` is
            not finite.
        residual: ``|F(x) - z|`` in float64.
        gain: ``|J_G v|``, how much the inverse stretches the direction v of the residual.
        out_of_range: the share of an image's values below -0.5 or above 0.5; 1 where not finite.
        overflows: whether the inverse is not finite in float64 either: then not rounding, but the
            model itself, has no image there.
    """

    x: Float[np.ndarray, "batch height width channels"]
    error: Float[np.ndarray, " batch"]
    residual: Float[np.ndarray, " batch"]
    gain: Float[np.ndarray, " batch"]
    out_of_range: Float[np.ndarray, " batch"]
    overflows: Bool[np.ndarray, " batch"]


def decode_with_error(
    flow: Bijector, params: Params, latents: Latents, *, factor: float = FACTOR, chunk: int = CHUNK
) -> DecodedWithError:
    r"""Decodes latents and tells for each how exact the image is.

    With G the inverse, F the forward map and x what float32 gives for G(z), to first order

    .. math:: x - G(z) \approx J_G(z) (F(x) - z).

    The residual F(x) - z is taken in float64, which is on for that alone, and the product in
    float32 by forward mode, along the residual's direction. The bar is `factor` times its size.
    G(z) is the exact inverse of the float32 parameters. A batch costs an evaluation of F in float64
    and about three of G; what is not finite is decoded in float64, too.

    Args:
        latents: of `encode` or `sample_latents`.
        factor: of safety, on the first-order estimate.
        chunk: examples per compiled call.

    Raises:
        ValueError: if the parameters hold a context with other rows.
    """
    decode = partial(_decode, with_memory(flow, "store"), factor)
    told = in_given_chunks(decode, params, latents, chunk)
    return DecodedWithError(*told)


def _decode(flow: Bijector, factor: float, params: Params, host: Any) -> tuple[Any, ...]:
    z = jax.tree.map(jnp.asarray, host)
    x = np.asarray(inverse(flow, params, z))
    axes = tuple(range(1, x.ndim))
    finite = np.all(np.isfinite(x), axis=axes)
    safe = np.where(np.expand_dims(finite, axes), x, np.float32(0))
    residual, direction = _residual(flow, params, z, safe)
    gain = np.asarray(_gain(flow, params, z, direction), np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        error = factor * residual * gain / np.sqrt(x[0].size)
    overflows = np.zeros(len(x), bool)
    if not finite.all():
        exact = inverse_in_float64(flow, params, z).x
        overflows = ~np.all(np.isfinite(exact), axis=axes)
    known = finite & np.isfinite(error)
    return (
        x,
        np.where(known, error, np.inf),
        np.where(finite, residual, np.inf),
        np.where(np.isfinite(gain), gain, np.inf),
        np.mean(~(np.abs(x) <= _EDGE), axis=axes),
        overflows,
    )


def _residual(
    flow: Bijector, params: Params, z: Latents, x: np.ndarray
) -> tuple[np.ndarray, Latents]:
    """``|F(x) - z|`` per example, and its direction in float32."""
    params, z = jax.device_get((params, z))
    with jax.enable_x64(True):
        wide = jax.tree.map(widened, (params, z, x))
        size, direction = jax.device_get(_residual_in_float64(flow, *wide))
    return size, jax.tree.map(jnp.asarray, direction)


@partial(jax.jit, static_argnums=0)
def _residual_in_float64(flow: Bijector, params: Params, z: Latents, x: Event) -> tuple:
    back, _ = flow.forward(params, x)
    residual = jax.tree.map(jnp.subtract, back, z)
    squares = [jnp.square(leaf).reshape(len(x), -1).sum(1) for leaf in jax.tree.leaves(residual)]
    size = jnp.sqrt(jnp.stack(squares).sum(0))
    safe = jnp.where(size > 0, size, 1.0)
    return size, jax.tree.map(
        lambda leaf: (leaf / per_example(safe, leaf)).astype(jnp.float32), residual
    )


@partial(jax.jit, static_argnums=0)
def _gain(flow: Bijector, params: Params, z: Latents, direction: Latents) -> jax.Array:
    _, moved = jax.jvp(lambda z: flow.inverse(params, z)[0], (z,), (direction,))
    return jnp.sqrt(jnp.square(moved).reshape(len(moved), -1).sum(1))
