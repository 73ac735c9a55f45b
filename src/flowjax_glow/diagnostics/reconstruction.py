"""How well each level of a flow gives back its input, which is what `memory="invert"` lives on."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import MultiScale
from flowjax_glow.types import Image, Params


def drift(flow: MultiScale, params: Params, x: Image) -> Float[Array, " levels"]:
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


def _relative_error(level: Bijector, own: Params, z: Image, x: Image) -> Float[Array, ""]:
    back, _ = level.inverse(own, z)
    return jnp.linalg.norm((back - x).ravel()) / jnp.linalg.norm(x.ravel())
